"""What is refused before any page is asked for: foreign hosts, foreign sites, wrong bodies. And the headers of all answers."""

import hashlib
import hmac
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from connector.model.errors import ConnectorError
from connector.web.admin_api import LOCAL_HOSTS, host_of
from connector.web.console.request import Fields

MAX_FIELDS = 5000
FORM = "application/x-www-form-urlencoded"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-store",
}


class Refused(ConnectorError):  # noqa: N818 - it reads as what happened.
    """A request that no page gets."""

    def __init__(self, status: HTTPStatus, error: str) -> None:
        super().__init__(error)
        self.status = status


def check_host(request: web.BaseRequest, hosts: Iterable[str]) -> None:
    """Raises Refused for a name that is not ours: see host_of()."""
    if host_of(request) not in {*LOCAL_HOSTS, *hosts}:
        cure = "open the console as http://127.0.0.1, or add this host to `console: hosts` in the config"
        raise Refused(HTTPStatus.MISDIRECTED_REQUEST, f"the console is not reached under this host name: {cure}")


def check_site(request: web.BaseRequest) -> None:
    """Raises Refused for a form that another site sends (MDN, Fetch metadata; browsers without it send Origin)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        origin = request.headers.get(hdrs.ORIGIN, "").partition("://")[2]
        own = bool(origin) and origin.lower() == request.headers.get(hdrs.HOST, "").lower()
    else:
        own = site == "same-origin"
    if not own:
        raise Refused(HTTPStatus.FORBIDDEN, "another site sent this form: open the console itself, and try again there")


def csrf_token(secret: str) -> str:
    """The token of a session's forms. It is made of the cookie's secret, so that it need not be stored."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def check_csrf(form: Fields, token: str) -> None:
    """Raises Refused for a form without the token of this session."""
    if not hmac.compare_digest(form.get("csrf").encode(), token.encode()):
        raise Refused(
            HTTPStatus.FORBIDDEN, "this form is of an earlier session: go back, reload the page, and try again"
        )


async def read_form(request: web.BaseRequest, limit: int) -> Fields:
    """The fields of a form. Raises Refused for another type, and for more bytes than the limit."""
    if request.content_type != FORM or hdrs.CONTENT_ENCODING in request.headers:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only forms are taken here")
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            most = f"the form is too large: {limit // 1024} KiB is the most"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
    return read_fields(body.decode("utf-8", "replace"))


def read_fields(text: str) -> Fields:
    """The fields of a form or query. Raises Refused for more than 5000."""
    try:
        return Fields(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the form has too many fields") from None
