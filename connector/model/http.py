"""HTTP as values, and the interface through which the clients of a peer make their calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request to one of our endpoints, as received."""

    method: str
    instance: str  # the provider's name in the config
    endpoint: str  # mo, dlr, …
    secret: str | None  # the last part of the path, if the caller gave one
    url: str  # the absolute public URL that the caller used, with its query: signatures cover it
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    peer: str  # address of the caller, behind trusted proxies
    received_at: datetime


class HttpResponse(Struct, frozen=True, kw_only=True):
    """The response of an endpoint."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpCall(Struct, frozen=True, kw_only=True):
    """A request that we send. The path is joined to the peer's base address; the client adds the credentials."""

    method: str
    path: str  # with its query, which holds the API key for some peers
    base: str | None = None  # an address to use instead of the peer's: no credentials are sent there
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: timedelta | None = None  # for the whole call including the answer; None: the client's default
    table: bool = False  # whether the answer is a table of many rows, which is read row by row
    answer_limit: int | None = None  # bytes of the answer, decompressed; None: the client's default
    repeatable: bool = False  # whether the client may repeat the call by itself after a lost connection

    def __repr__(self) -> str:
        return f"<call {self.method}>"


class HttpReply(Struct, frozen=True, kw_only=True):
    """The reply to a request that we sent."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Failure(StrEnum):
    """Why a call got no reply."""

    REFUSED = "refused"  # it never reached the peer
    TIMEOUT = "timeout"  # it may have been done
    LOST = "lost"  # it may have been done
    UNREADABLE = "unreadable"  # the reply is not HTTP, or too large, or broken; it may have been done
    CREDENTIALS = "credentials"  # we could not sign in
    MOVED = "moved"  # the sign-in address redirects every call
    NOT_PUBLIC = "not_public"  # the address is private or local, and only public ones may be called


@dataclass(slots=True, eq=False)
class HttpError(Exception):
    """A call that got no reply. `detail` says in our own words what failed; it holds no data of the request."""

    failure: Failure
    detail: str = ""


class Http(Protocol):
    """Sends calls to one peer, signed in. A reply with an error status is a reply."""

    async def call(self, call: HttpCall) -> HttpReply:
        """Send one call. Raises HttpError if it got no reply."""

    async def call_all(self, calls: Sequence[HttpCall]) -> Sequence[HttpReply | HttpError]:
        """Send several calls together; their results in the same order. All of them have ended by then.

        A call without a reply is an HttpError in its place, so that the replies of the others are not lost.
        """
