"""A door for parameters, be they in the query, in a form or both: who is let in, and what is kept. No provider's words live here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.model.errors import Unreadable
from connector.model.event import Event, Part
from connector.model.http import Exchange, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.auth import Authenticator, check_locks

METHODS = frozenset({"GET", "POST"})
# MessageCloud, article 16, "Acknowledging": HTTP 200 with OK in the body, else the message is sent again and an alarm goes out by
# mail. Sumotext documents no answer; this one is success to everybody.
SUCCESS = HttpResponse(status=200, body=b"OK")


class FormReader(Protocol):
    """Makes events of requests."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    def read(self, endpoint: str, request: HttpRequest) -> Event:
        """The event of a request at the door of that name; raises Unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormEndpoint:
    """A door (ports.py). All its locks must open; without any it stands open, which the settings allow only on demand."""

    name: str
    reader: FormReader
    authenticators: Sequence[Authenticator] = ()

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    @property
    def methods(self) -> frozenset[str]:
        """Both: what is documented for the one, senders do the other way too."""
        return METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Look at the locks, which need no body."""
        return check_locks(self.authenticators, head)

    def authenticate(self, request: HttpRequest) -> Exchange[AuthResult]:
        """Authenticate the request; raises Refused."""
        check_locks(self.authenticators, request)
        yield from ()  # An exchange is a generator, also where nobody is called.
        return AuthResult()

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Part, ...]:  # noqa: ARG002 - all is in the request.
        """The callback's event, or why it is not understood; in either case with all that came, in the query and in the body."""
        # Surrogates stand for bytes of the query that are no UTF-8.
        raw = b"&".join(part for part in (request.query.encode("utf-8", "surrogatepass"), request.body) if part)
        try:
            return (Part(raw=raw, event=self.reader.read(self.name, request)),)
        except Unreadable as unreadable:
            return (Part(raw=raw, why=unreadable.why),)

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - always the same.
        """200 and OK."""
        return SUCCESS
