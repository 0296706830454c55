"""The gateway's doors, `mo` and `dlr`: who is let in, and what is read. The doors that donors use are in public.py."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.errors import Unreadable
from connector.model.event import Part
from connector.model.exchange import Exchange, HttpRequest, HttpResponse
from connector.model.roles import Admission
from connector.providers.locks import Lock
from connector.providers.messagecloud.gateway import MESSAGE, REPORT, Reader

METHODS = frozenset({"GET", "POST"})  # article 16 posts; queries are seen
# Article 16, "Acknowledging": HTTP 200 with OK in the body, else the message is sent again and an alarm goes out by mail.
SUCCESS = HttpResponse(status=200, body=b"OK")
ACTIONS = {"mo": MESSAGE, "dlr": REPORT}  # what a callback is taken for that does not say it


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDoor:
    """A door (model/roles.py). All its locks must open; without any it stands open, which the settings allow only on demand."""

    name: str  # of ACTIONS
    reader: Reader
    locks: Sequence[Lock] = ()

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    @property
    def methods(self) -> frozenset[str]:
        """Both."""
        return METHODS

    def admit(self, request: HttpRequest) -> Exchange[Admission]:
        """Authenticate the request; raises Refused."""
        for lock in self.locks:
            lock.check(request)
        yield from ()  # An exchange is a generator, also where nobody is called.
        return Admission()

    def read(self, request: HttpRequest, admission: Admission) -> tuple[Part, ...]:  # noqa: ARG002 - all is in the request.
        """The callback's event, or why it is not understood; in either case with all that came, in the query and in the body."""
        raw = b"&".join(part for part in (request.query.encode("utf-8", "surrogatepass"), request.body) if part)
        try:
            return (Part(raw=raw, event=self.reader.read(request, ACTIONS[self.name])),)
        except Unreadable as unreadable:
            return (Part(raw=raw, why=unreadable.why),)

    def answer(self, request: HttpRequest, admission: Admission) -> HttpResponse:  # noqa: ARG002 - always the same.
        """200 and OK."""
        return SUCCESS
