"""Sumotext's doors, one for each kind of callback: who is let in, and what is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.errors import Unreadable
from connector.model.event import Part
from connector.model.exchange import Exchange, HttpRequest, HttpResponse
from connector.model.roles import Admission
from connector.providers.locks import Lock
from connector.providers.sumotext.callback import Reader

METHODS = frozenset(
    {"GET", "POST"}
)  # "Receiving Post Data": "parameters that Sumotext will send as a GET", and "post" elsewhere
SUCCESS = HttpResponse(status=200, body=b"OK")  # no answer is documented; this is success to everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class SumotextDoor:
    """A door (model/roles.py). All its locks must open; without any it stands open, which the settings allow only on demand."""

    name: str  # of CALLBACKS
    reader: Reader
    locks: Sequence[Lock] = ()

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    @property
    def methods(self) -> frozenset[str]:
        """GET as documented, and POST."""
        return METHODS

    def admit(self, request: HttpRequest) -> Exchange[Admission]:
        """Authenticate the request; raises Refused."""
        for lock in self.locks:
            lock.check(request)
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
        """200."""
        return SUCCESS
