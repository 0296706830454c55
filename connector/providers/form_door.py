"""A door for parameters, be they in the query, in a form or both: who is let in, and what is kept. No provider's words live here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.model.errors import Unreadable
from connector.model.event import Event, Part
from connector.model.exchange import Exchange, HttpRequest, HttpResponse
from connector.model.roles import Admission
from connector.providers.locks import Lock, check_locks

METHODS = frozenset({"GET", "POST"})
# MessageCloud, article 16, "Acknowledging": HTTP 200 with OK in the body, else the message is sent again and an alarm goes out by
# mail. Sumotext documents no answer; this one is success to everybody.
SUCCESS = HttpResponse(status=200, body=b"OK")


class FormReader(Protocol):
    """Makes events of requests."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    def read(self, door: str, request: HttpRequest) -> Event:
        """The event of a request at the door of that name; raises Unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormDoor:
    """A door (model/roles.py). All its locks must open; without any it stands open, which the settings allow only on demand."""

    name: str
    reader: FormReader
    locks: Sequence[Lock] = ()

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
        return check_locks(self.locks, head)

    def admit(self, request: HttpRequest) -> Exchange[Admission]:
        """Authenticate the request; raises Refused."""
        check_locks(self.locks, request)
        yield from ()  # An exchange is a generator, also where nobody is called.
        return Admission()

    def read(self, request: HttpRequest, admission: Admission) -> tuple[Part, ...]:  # noqa: ARG002 - all is in the request.
        """The callback's event, or why it is not understood; in either case with all that came, in the query and in the body."""
        # Surrogates stand for bytes of the query that are no UTF-8.
        raw = b"&".join(part for part in (request.query.encode("utf-8", "surrogatepass"), request.body) if part)
        try:
            return (Part(raw=raw, event=self.reader.read(self.name, request)),)
        except Unreadable as unreadable:
            return (Part(raw=raw, why=unreadable.why),)

    def answer(self, request: HttpRequest, admission: Admission) -> HttpResponse:  # noqa: ARG002 - always the same.
        """200 and OK."""
        return SUCCESS
