"""The console's handler: guards, sign-in, and then the page or action at the address."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web
from markupsafe import Markup

from connector.admin.context import AdminContext, get_field, reject_unknown
from connector.config.console_settings import Role
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound
from connector.store.audit import AuditEntry
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, Level, Lifecycle, WorkerFailed
from connector.telemetry.mask import mask
from connector.web.console import guards
from connector.web.console.guards import HEADERS, Refused
from connector.web.console.render import render
from connector.web.console.request import (
    FORM_LIMIT,
    ActionRoute,
    Command,
    ConsoleRequest,
    Download,
    Fields,
    Forbidden,
    NoSuchPage,
    Page,
    PageRoute,
    Redirect,
)
from connector.web.console.screens.all_screens import SCREENS, find_action, find_page
from connector.web.console.sessions import LINK, PASSWORD, PROXY, Session, Sessions
from connector.web.console.sign_in import LINK_VALID, Attempts, OneTimeLinks, Passwords
from connector.web.console.static_files import PREFIX, static_address, static_answer
from connector.web.proxies import caller, is_in_networks

START = "/console/now"
SIGN_IN, SIGN_OUT, NUMBERS = "/console/sign-in", "/console/sign-out", "/console/numbers"
COOKIE = "connector"
SECURE_COOKIE = "__Host-connector"  # browsers take it only from https, for this host alone
LONGEST_USER = 64  # characters; no user of the config has more
MOST_WHY = 200  # characters of a reason that are kept
MOST_IDS = 500  # characters of the ids of one action that are kept
HEADINGS = {
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.CONFLICT: "This is not possible",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Nothing was changed",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A bug in the connector",
}
REFUSED = "The request was refused"  # the heading for every other status


@dataclass(frozen=True, slots=True)
class _Visit:
    """One HTTP request after the guards."""

    request: web.BaseRequest
    path: str
    query: Fields
    form: Fields
    is_htmx: bool


class Console:
    """Serves the console. `address` gives that of the admin listener, which is known after its start."""

    def __init__(
        self,
        context: AdminContext,
        commands: Mapping[str, Command],
        *,
        address: Callable[[], str],
        monotonic: Callable[[], float],
        emit: Emit,
    ) -> None:
        settings = context.loaded.settings
        self._context = context
        self._commands = commands
        self._address = address
        self._emit = emit
        self._settings = settings.console
        self._zone = ZoneInfo(settings.timezone)
        self._trusted = [ip_network(one, strict=False) for one in settings.listen.trusted_proxies]
        public = urlsplit(settings.console.public_url or "")
        self._public_host = public.netloc.lower()
        self._has_https = public.scheme == "https"
        self._hosts = {
            *(host.strip("[]").lower() for host in settings.console.hosts),
            *([public.hostname] if public.hostname else []),
        }
        self._sessions = Sessions(context.store.console_sessions, settings.console.users, context.now)
        self._links = OneTimeLinks(monotonic)
        self._attempts = Attempts(monotonic)
        self._passwords = Passwords(settings.console.users)
        self._messages: dict[str, list[str]] = {}  # by the session's hash: shown on its next page

    async def login(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The command that makes a one-time link. Whoever may call it may read the database too."""
        reject_unknown(payload, "user", "role")
        user = get_field(payload, "user", str, "administrator")
        role = get_field(payload, "role", str, Role.ADMIN.value)
        if role not in set(Role):
            raise ConnectorError(f"`role` is one of {', '.join(Role)}")
        base = self._settings.public_url or self._address()
        secret = self._links.make(user, Role(role))
        return {"url": f"{base}{SIGN_IN}?link={secret}", "seconds": int(LINK_VALID.total_seconds()), "role": role}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. It raises nothing except cancellation."""
        try:
            guards.check_host(request, self._hosts)
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001 - the listener must survive a bug in a page.
            page = self._failure(error)
            return self._html(
                _template(page, is_htmx=_is_htmx(request)),
                {**page.values, "person": None, "fragment": page.fragment},
                page.status,
            )

    def _failure(self, error: Exception) -> Page:
        """What went wrong, as a page or as a message for htmx."""
        words, details = str(error), []
        match error:
            case Refused():
                status = error.status
            case NoSuchPage():
                status = HTTPStatus.NOT_FOUND
            case Forbidden():
                status = HTTPStatus.FORBIDDEN
            case ProblemsFound():
                status, words = HTTPStatus.UNPROCESSABLE_ENTITY, "The files have problems."
                details = [str(problem) for problem in error.problems]
            case ConnectorError():
                status = HTTPStatus.CONFLICT
            case _:
                status, details = HTTPStatus.INTERNAL_SERVER_ERROR, [place(error)]
                words = "This is a bug: please report it with this line. Nothing else is affected."
                self._emit(WorkerFailed(worker="console", error=details[0], seconds=0.0))
        title = HEADINGS.get(status, REFUSED)
        values = {"title": title, "words": words, "details": details}
        return Page(template="error.html", fragment="error_message.html", title=title, status=status, values=values)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith(PREFIX) or path == "/favicon.ico":
            file = static_answer(static_address("favicon.svg") if path == "/favicon.ico" else path)
            if file is None:
                raise NoSuchPage("there is no such file")
            return file
        form = Fields()
        if request.method == hdrs.METH_POST:
            guards.check_site(request)
            action = find_action(path.rstrip("/"))
            form = await guards.read_form(request, FORM_LIMIT if action is None else action[0].form_limit)
        elif request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and POST are answered here")
        visit = _Visit(request, path.rstrip("/"), guards.read_fields(query), form, _is_htmx(request))
        return await (self._sign_in(visit) if visit.path == SIGN_IN else self._as_person(visit))

    # Signing in.

    async def _sign_in(self, visit: _Visit) -> web.Response:
        if visit.request.method != hdrs.METH_POST:
            return self._sign_in_page(visit, link=visit.query.get("link"))
        if link := visit.form.get("link"):
            signed_in = self._links.use(link)
            if signed_in is None:
                wrong = "This link was used already, or is too old. `connector console login` prints a new one."
                return self._sign_in_page(visit, wrong=wrong, status=HTTPStatus.FORBIDDEN)
            return await self._begin_session(visit, signed_in.user, signed_in.role, LINK, _next_page(visit))
        user, address = visit.form.get("user"), self._caller(visit.request)
        keys = f"address {address}", f"user {user[:LONGEST_USER]}"
        if wait := self._attempts.wait(*keys):
            words = f"There were too many wrong passwords. Wait {int(wait) + 1} seconds, then try again."
            return self._sign_in_page(visit, wrong=words, status=HTTPStatus.TOO_MANY_REQUESTS)
        self._attempts.fail(*keys)  # before the check, so that many at once are counted
        if not await self._passwords.check(user, visit.form.text("password")):
            details = {"address": address}  # never the user: many type the password there
            self._emit(Lifecycle(message="a sign-in to the console failed", level=Level.WARNING, details=details))
            return self._sign_in_page(visit, wrong="User or password is wrong.", status=HTTPStatus.FORBIDDEN)
        self._attempts.succeed(*keys)
        return await self._begin_session(visit, user, self._settings.users[user].role, PASSWORD, _next_page(visit))

    def _sign_in_page(
        self, visit: _Visit, *, link: str = "", wrong: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> web.Response:
        values = {
            "title": "Sign in",
            "person": None,
            "link": link,
            "wrong": wrong,
            "next": _next_page(visit),
            "has_passwords": any(one.password_hash for one in self._settings.users.values()),
        }
        return self._html("sign_in.html", values, status)

    async def _begin_session(self, visit: _Visit, user: str, role: Role, how: str, page: str) -> web.Response:
        """Sign a person in, in place of whoever was signed in, and go to the page."""
        if (old := self._session(visit)) is not None:
            await self._sessions.end(old)
        secret = await self._sessions.begin(user, role, how)
        await self._audit(user, role, f"sign in by {how}")
        response = _see_other(_own_page(page))
        self._set_cookie(visit.request, response, secret)
        return response

    def _cookie_name(self, request: web.BaseRequest) -> str:
        return SECURE_COOKIE if self._is_https(request) else COOKIE

    def _is_https(self, request: web.BaseRequest) -> bool:
        """Whether the browser reaches the console by https: then it asks for the public host."""
        return self._has_https and request.headers.get(hdrs.HOST, "").lower() == self._public_host

    def _set_cookie(self, request: web.BaseRequest, response: web.Response, secret: str) -> None:
        name, secure = self._cookie_name(request), self._is_https(request)
        response.set_cookie(name, secret, path="/", httponly=True, samesite="Lax", secure=secure)

    def _session(self, visit: _Visit) -> Session | None:
        secret = visit.request.cookies.get(self._cookie_name(visit.request))
        return self._sessions.find(secret) if secret else None

    def _caller(self, request: web.BaseRequest) -> str:
        return caller(request.remote or "", request.headers.getall("X-Forwarded-For", []), self._trusted)

    def _proxy_user(self, request: web.BaseRequest) -> str | None:
        """The user whom a trusted proxy has signed in; None if there is none."""
        name = self._settings.proxy_header
        return request.headers.get(name) if name and is_in_networks(request.remote or "", self._trusted) else None

    # Pages and actions of a person.

    async def _as_person(self, visit: _Visit) -> web.Response:
        session = self._session(visit)
        proxy_user = self._proxy_user(visit.request)
        if proxy_user is not None and (session is None or session.person.user != proxy_user):
            if (user := self._settings.users.get(proxy_user)) is None:
                raise Forbidden(
                    "the proxy has signed in a user who is not in the config: add the user to `console: users`, with a role"
                )
            if visit.request.method != hdrs.METH_POST:
                return await self._begin_session(visit, proxy_user, user.role, PROXY, visit.request.raw_path)
            session = None
        if session is None:
            return _to_sign_in(visit)
        try:
            return await self._serve(visit, session)
        except Exception as error:  # noqa: BLE001 - the same as in handle(), with the navigation.
            return self._page(visit, session, self._failure(error))

    async def _serve(self, visit: _Visit, session: Session) -> web.Response:
        if visit.request.method == hdrs.METH_POST:
            guards.check_csrf(visit.form, session.person.csrf)
            return await self._post(visit, session)
        if visit.path in {"", "/console"}:
            return _see_other(START)
        page = find_page(visit.path)
        if page is None:
            raise NoSuchPage("There is no such page.")
        route, values = page
        if not route.background:
            await self._sessions.see(session)
        return await self._show(visit, session, route, values)

    async def _post(self, visit: _Visit, session: Session) -> web.Response:
        person = session.person
        await self._sessions.see(session)
        if visit.path == SIGN_OUT:
            await self._sessions.end(session)
            self._messages.pop(session.stored.hash, None)
            await self._audit(person.user, person.role, "sign out")
            response = _see_other(SIGN_IN)
            response.del_cookie(self._cookie_name(visit.request), path="/", secure=self._is_https(visit.request))
            return response
        if visit.path == NUMBERS:
            return await self._numbers(visit, session)
        action = find_action(visit.path)
        if action is None:
            raise NoSuchPage("There is no such action.")
        return await self._show(visit, session, *action)

    async def _numbers(self, visit: _Visit, session: Session) -> web.Response:
        """Show numbers for ten minutes, or mask them again."""
        person, shown = session.person, visit.form.get("show") == "yes"
        _require_role(person.role, Role.OPERATOR)
        await self._audit(
            person.user, person.role, "show numbers" if shown else "mask numbers", why=_reason_of(visit.form)
        )
        await self._sessions.show_numbers(session, shown=shown)
        return _see_other(_own_page(visit.form.get("next")))

    async def _show(
        self, visit: _Visit, session: Session, route: PageRoute | ActionRoute, values: Mapping[str, str]
    ) -> web.Response:
        person = session.person
        _require_role(person.role, route.role)
        request = ConsoleRequest(
            person=person,
            context=self._context,
            commands=self._commands,
            path=visit.path,
            values=values,
            query=visit.query,
            form=visit.form,
            is_htmx=visit.is_htmx,
        )
        if isinstance(route, ActionRoute):
            if route.name is not None:
                about = " ".join([*values.values(), *visit.form.all("id")])[:MOST_IDS]
                await self._audit(person.user, person.role, route.name, about, _reason_of(visit.form))
            answer = await route.act(request)
        else:
            answer = await route.show(request)
        if request.showed_numbers:
            await self._audit(person.user, person.role, "look at numbers", visit.path)
        if isinstance(answer, Redirect):
            self._messages.setdefault(session.stored.hash, []).extend(answer.messages)
            return _see_other(answer.to)
        if isinstance(answer, Download):
            headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{answer.name}"'}
            return web.Response(body=answer.body, content_type=answer.content_type, headers=headers)
        return self._page(visit, session, answer)

    def _page(self, visit: _Visit, session: Session, page: Page) -> web.Response:
        values = {
            **page.values,
            "title": page.title,
            "person": session.person,
            "path": visit.path,
            "messages": self._messages.pop(session.stored.hash, []),
            "csrf_field": Markup('<input type="hidden" name="csrf" value="{}">').format(session.person.csrf),
            "fragment": page.fragment,
        }
        return self._html(_template(page, is_htmx=visit.is_htmx), values, page.status)

    def _html(self, template: str, values: dict[str, Any], status: int) -> web.Response:
        text = render(template, {"screens": SCREENS, "zone": self._zone, "messages": [], **values})
        return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)

    async def _audit(self, who: str, role: Role, action: str, about: str = "", why: str = "") -> None:
        entry = AuditEntry(at=self._context.now(), who=who, role=role.value, action=action, about=about, why=why)
        await self._context.store.audit.add(entry)


def _next_page(visit: _Visit) -> str:
    """The page that the person wanted before signing in; empty if none was asked for."""
    return visit.form.get("next") or visit.query.get("next")


def _is_htmx(request: web.BaseRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _template(page: Page, *, is_htmx: bool) -> str:
    return "fragment.html" if is_htmx and page.fragment is not None else page.template


def _require_role(role: Role, needed: Role) -> None:
    if not role.may(needed):
        raise Forbidden(f"This needs the role {needed.value}, and yours is {role.value}.")


def _reason_of(form: Fields) -> str:
    return mask(form.get("why"))[:MOST_WHY]


def _own_page(path: str) -> str:
    """The page to go to, if it is one of the console's; else the first one. Another site's address is never taken."""
    return path if path.startswith("/console/") and "\\" not in path and path.isprintable() else START


def _see_other(to: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={**HEADERS, hdrs.LOCATION: to})


def _to_sign_in(visit: _Visit) -> web.Response:
    if visit.is_htmx:  # htmx would put the whole page into a part of this one
        return web.Response(status=HTTPStatus.NO_CONTENT, headers={**HEADERS, "HX-Redirect": SIGN_IN})
    back = visit.request.raw_path if visit.request.method == hdrs.METH_GET else ""
    known = back.startswith("/console/") and "?" not in back
    return _see_other(f"{SIGN_IN}?next={quote(back)}" if known else SIGN_IN)
