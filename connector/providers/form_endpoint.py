"""An endpoint for parameters in the query, in a form or in both. Nothing here is specific to one provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.model.errors import Unreadable
from connector.model.event import Event, Part
from connector.model.http import Http, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.auth import Authenticator, check_authenticators

METHODS = frozenset({"GET", "POST"})
# MessageCloud, article 16, "Acknowledging": HTTP 200 with OK in the body. Otherwise MessageCloud sends the message
# again and sends an alarm by mail. Sumotext documents no answer; every sender takes this one as success.
SUCCESS = HttpResponse(status=200, body=b"OK")


class FormReader(Protocol):
    """Turns requests into events."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    def read(self, endpoint: str, request: HttpRequest) -> Event:
        """The event of a request at the endpoint of that name; raises Unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormEndpoint:
    """A webhook endpoint (ports.py). All its authenticators must accept.

    Without any it is open, which the settings must allow explicitly.
    """

    name: str
    reader: FormReader
    authenticators: Sequence[Authenticator] = ()

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    @property
    def methods(self) -> frozenset[str]:
        """Both methods: senders also use the one that is not documented."""
        return METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Check the authenticators, which need no body."""
        return check_authenticators(self.authenticators, head)

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:  # noqa: ARG002 - it makes no call.
        """Authenticate the request; raises HttpRejected."""
        check_authenticators(self.authenticators, request)
        return AuthResult()

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Part, ...]:  # noqa: ARG002 - the request holds everything.
        """Return the callback's event, or why it is unreadable. Both hold all that came in the query and in the body."""
        # Surrogates stand for bytes of the query that are not UTF-8.
        raw = b"&".join(part for part in (request.query.encode("utf-8", "surrogatepass"), request.body) if part)
        try:
            return (Part(raw=raw, event=self.reader.read(self.name, request)),)
        except Unreadable as unreadable:
            return (Part(raw=raw, why=unreadable.why),)

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - the answer is always the same.
        """Answer 200 with OK in the body."""
        return SUCCESS
