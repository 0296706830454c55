"""HTTP as values. Protocols are written as generators over these, so that they do no I/O and are tested without any."""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct, field

T = TypeVar("T")


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request that came to one of our doors, as it came."""

    method: str
    instance: str  # the provider's name in the config
    endpoint: str  # mo, dlr, …
    secret: str | None  # the last part of the path, where the caller gave one
    url: str  # the absolute public URL that the caller used, with its query: signatures cover it
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    peer: str  # address of the caller, behind trusted proxies
    received_at: datetime


class HttpResponse(Struct, frozen=True, kw_only=True):
    """What a door answers."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpCall(Struct, frozen=True, kw_only=True):
    """A request of ours. The path is joined to the base address of the peer; the client adds the credentials."""

    method: str
    path: str  # with its query, in which some peers want their key
    base: str | None = None  # another address than the peer's: no credentials go there
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: timedelta | None = None  # of all of it, with its answer; None: the client's own
    table: bool = False  # whether the answer is a table of many rows, which is read row by row
    answer_limit: int | None = None  # bytes of the answer, decompressed; None: the client's own
    repeatable: bool = False  # whether the client may send it again by itself after a lost connection

    def __repr__(self) -> str:
        return f"<call {self.method}>"


class HttpReply(Struct, frozen=True, kw_only=True):
    """The answer to a call of ours."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Failure(StrEnum):
    """Why a call has no answer."""

    REFUSED = "refused"  # it never reached the peer
    TIMEOUT = "timeout"  # it may have been done
    LOST = "lost"  # it may have been done
    UNREADABLE = "unreadable"  # what answers is no HTTP, or too large, or broken; it may have been done
    CREDENTIALS = "credentials"  # we could not sign in
    MOVED = "moved"  # where we sign in, everything is sent elsewhere


class CallFailed(Struct, frozen=True, kw_only=True):
    """A call without an answer."""

    failure: Failure
    detail: str = ""


Reply = HttpReply | CallFailed

# A protocol in steps: it yields calls that may go out together, is sent their replies in the same order, and returns its result.
Exchange = Generator[Sequence[HttpCall], Sequence[Reply], T]
