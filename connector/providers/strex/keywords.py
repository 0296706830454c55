"""The account's keywords at Strex (ports.py, KeywordApi): list, reserve, deactivate, reactivate, delete, set the forward address.

Source: Target365 REST USERGUIDE, "Keywords" and the list of errors; sdk-for-net, IKeywordClient, Model/Keyword and
KeywordModes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import orjson

from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.keyword import Keyword
from connector.providers.strex.envelope import COUNTRY, as_flag, as_short_number, as_text, as_time
from connector.providers.strex.responses import SuccessForm, answers_ping, message_of, success_form
from connector.providers.strex.rest import RestApi

PATH = "/api/keywords"
MODE = (
    "Startswith"  # how a text must match the word; `Text` in the USERGUIDE's example is its older name (KeywordModes)
)
KEY_CURE = (
    "make a new one in Strex Connect (they expire after a year by default) and put it into api.key; the header "
    "with it is api.rest_header"
)
ADDRESS_CURE = "see api.url in the provider's settings"
BODY_CURE = "see the spelling, and whether the short number is one of your account's"
CONFLICT_CURE = "it already exists, or a service in Strex Connect uses it: end that there first"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrexKeywords:
    """Calls to the keyword endpoints. The secret is the last part of the address that is given to Strex."""

    api: RestApi
    endpoint: str
    secret: str | None = field(default=None, repr=False)
    configured: tuple[str, ...] = ()
    needs_address: bool = False  # no: MasterMOForward brings the messages of all keywords

    async def listing(self, http: Http) -> tuple[Keyword, ...]:
        """GET /api/keywords."""
        answer = _content(await _send(http, self.api.call("GET", PATH, repeatable=True)))
        if not isinstance(answer, list):
            return _undocumented()
        return tuple(as_keyword(one) or _undocumented() for one in answer)

    async def show(self, http: Http, keyword_id: str) -> Keyword:
        """GET /api/keywords/{keywordId}."""
        return as_keyword(await self._read(http, keyword_id)) or _undocumented()

    async def subkeywords(self, http: Http, keyword_id: str) -> tuple[Keyword, ...]:  # noqa: ARG002 - there is no such call.
        """Not available at Strex."""
        raise ConnectorError(
            f"Strex has no sub keywords, of {keyword_id} neither: there a keyword is one word, perhaps with aliases; "
            f"see `connector keywords show {keyword_id}`"
        )

    async def is_free(self, http: Http, short_number: str, word: str) -> bool:  # noqa: ARG002 - there is no such call.
        """Not available at Strex."""
        raise ConnectorError(
            f"Strex has no call that tells whether {word} is free on {short_number}: `connector keywords reserve "
            f"{word} --channel {short_number}` takes it, or says that it is taken"
        )

    async def reserve(
        self, http: Http, short_number: str, word: str, sub_word: str | None, hook: str | None = None
    ) -> Keyword:
        """POST /api/keywords; the new id is the last part of `Location`. It is active at once."""
        if sub_word:
            raise ConnectorError(f"Strex has no sub keywords: reserve one of another word than {word}")
        if hook is None:
            raise ConnectorError(
                "Strex wants to know where the messages of a keyword go: write listen: public_url into the config"
            )
        address = self._address(hook)
        body = {
            "shortNumberId": short_number if "-" in short_number else f"{COUNTRY}-{short_number}",
            "keywordText": word,
            "mode": MODE,
            "forwardUrl": address,
            "enabled": True,
        }
        reply = await _send(http, self.api.call("POST", PATH, body))
        keyword_id = urlsplit(reply.headers.get("location", "")).path.rpartition("/")[2]
        if not keyword_id:
            raise ConnectorError(
                "Strex has taken the keyword, but does not say under which id: see `connector keywords list`"
            )
        return as_keyword(body | {"keywordId": keyword_id}) or _undocumented()

    async def deactivate(self, http: Http, keyword_id: str) -> None:
        """GET and PUT /api/keywords/{keywordId} with `enabled` off."""
        await self._change(http, keyword_id, "enabled", False)

    async def reactivate(self, http: Http, keyword_id: str) -> None:
        """GET and PUT /api/keywords/{keywordId} with `enabled` on."""
        await self._change(http, keyword_id, "enabled", True)

    async def set_address(self, http: Http, keyword_id: str, hook: str) -> None:
        """GET and PUT /api/keywords/{keywordId} with another `forwardUrl`."""
        await self._change(http, keyword_id, "forwardUrl", self._address(hook))

    async def delete(self, http: Http, keyword_id: str) -> None:
        """DELETE /api/keywords/{keywordId}."""
        await self._send_for_keyword(http, keyword_id, "DELETE")

    def _address(self, hook: str) -> str:
        return f"{hook}/{quote(self.secret, safe='')}" if self.secret else hook

    async def _change(self, http: Http, keyword_id: str, name: str, value: object) -> None:
        """Write the keyword back with one member changed: PUT replaces all members, also those that we do not know."""
        keyword = await self._read(http, keyword_id)
        described = next((as_text(keyword[key]) for key in keyword if key.lower() == "keywordid"), None)
        if described is None or described.casefold() != keyword_id.casefold():
            _undocumented()  # another keyword would be overwritten
        member = next((key for key in keyword if key.lower() == name.lower()), name)
        await self._send_for_keyword(http, keyword_id, "PUT", {**keyword, member: value})

    async def _read(self, http: Http, keyword_id: str) -> dict[str, Any]:
        answer = _content(await self._send_for_keyword(http, keyword_id, "GET"))
        return answer if isinstance(answer, dict) else _undocumented()

    async def _send_for_keyword(
        self, http: Http, keyword_id: str, method: str, content: Mapping[str, Any] | None = None
    ) -> HttpReply:
        if not keyword_id.strip("."):
            raise ConnectorError("this is not an id of a keyword: see `connector keywords list`")
        call = self.api.call(method, f"{PATH}/{quote(keyword_id, safe='')}", content, repeatable=method == "GET")
        return await _send(http, call, keyword_id)


def as_keyword(members: Any) -> Keyword | None:
    """Parse a keyword from the API, with names in any casing; None if it is not one."""
    if not isinstance(members, Mapping):
        return None
    lowered = {name.lower(): value for name, value in members.items()}
    keyword_id, word = as_text(lowered.get("keywordid")), as_text(lowered.get("keywordtext"))
    if keyword_id is None or word is None:
        return None
    enabled, aliases, properties = (lowered.get(name) for name in ("enabled", "aliases", "customproperties"))
    return Keyword(
        id=keyword_id,
        word=word,
        short_number=as_short_number(lowered.get("shortnumberid")) or "",
        active=None if enabled is None else as_flag(enabled),
        created=as_time(lowered.get("created")),
        webhook=as_text(lowered.get("forwardurl")),
        mode=as_text(lowered.get("mode")),
        aliases=tuple(one for one in aliases if isinstance(one, str)) if isinstance(aliases, list) else (),
        properties=properties if isinstance(properties, dict) else {},
    )


async def _send(http: Http, call: HttpCall, keyword_id: str | None = None) -> HttpReply:
    try:
        reply = await http.call(call)
    except HttpError as error:
        raise _no_reply(error.detail or error.failure, call) from None
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return reply if success_form(reply) is SuccessForm.PLAIN else _undocumented(reply)
    # A wrong address also answers 404: the answer is trusted only if Strex itself answers the ping.
    if reply.status == HTTPStatus.NOT_FOUND and keyword_id is not None and await answers_ping(http):
        raise ConnectorError(f"Strex has no keyword with the id {keyword_id} (404): see `connector keywords list`")
    raise _refusal(reply, call)


def _refusal(reply: HttpReply, call: HttpCall) -> ConnectorError:
    """The error for a refused call, with its cure."""
    message = message_of(reply)
    match reply.status:
        case HTTPStatus.BAD_REQUEST:
            return ConnectorError(f"Strex rejects this (400): {message}; {BODY_CURE}")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return ConnectorError(f"Strex refuses the API key for keywords ({reply.status}): {message}; {KEY_CURE}")
        case HTTPStatus.NOT_FOUND:
            return ConnectorError(f"Strex has nothing at this address (404): {ADDRESS_CURE}")
        case HTTPStatus.CONFLICT:
            return ConnectorError(f"Strex calls this a conflict (409): {message}; {CONFLICT_CURE}")
        case status if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _no_reply(f"HTTP {status}", call)
        case status:
            return ConnectorError(f"Strex gives an undocumented answer (HTTP {status}): {ADDRESS_CURE}")


def _no_reply(why: str, call: HttpCall) -> PeerUnavailable:
    cure = "try again later" if call.method == "GET" else "it may be done or not: see `connector keywords list` later"
    return PeerUnavailable(f"Strex does not answer ({why}): {cure}, or {ADDRESS_CURE}")


def _content(reply: HttpReply) -> Any:
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return _undocumented()


def _undocumented(reply: HttpReply | None = None) -> NoReturn:
    page = reply is not None and success_form(reply) is SuccessForm.PAGE
    what = "a web page, and not what it documents" if page else "not what it documents"
    raise ConnectorError(f"Strex's answer is {what}: {ADDRESS_CURE}, a proxy or a firewall")
