"""Strex's two webhook endpoints, `mo` and `dlr`: authentication and parsing."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.event import Event
from connector.model.http import Http, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.auth import Authenticator, check_authenticators
from connector.providers.strex.callback import Reader
from connector.providers.strex.signature import Signature

METHODS = frozenset({"POST"})
# USERGUIDE, "SMS forward" and "Delivery reports": 200 is success. Any other status is repeated, also other 2xx.
SUCCESS = HttpResponse(status=200, body=b"OK")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrexEndpoint:
    """A webhook endpoint (ports.py). All its authenticators must accept.

    Without any it is open, which the settings must allow explicitly.
    """

    reader: Reader
    authenticators: Sequence[Authenticator] = ()
    signature: Signature | None = None

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    @property
    def methods(self) -> frozenset[str]:
        """Strex uses POST."""
        return METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Check all authenticators except the signature; they need no body."""
        return check_authenticators(self.authenticators, head)

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:
        """Authenticate the request; raises HttpRejected. The signature comes last, because it may cost a call."""
        check_authenticators(self.authenticators, request)
        if self.signature is None:
            return AuthResult()
        return await self.signature.authenticate(http, request)

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - the answer is always the same.
        """Answer exactly 200."""
        return SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEndpoint(StrexEndpoint):
    """MasterMOForward, and the forward of a single keyword: messages from phones."""

    name: str = "mo"

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - the body holds everything.
        """The message; raises Unreadable."""
        return (self.reader.message(request.body, request.received_at),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEndpoint(StrexEndpoint):
    """MasterDLRForward: delivery reports."""

    name: str = "dlr"

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - the body holds everything.
        """The delivery report; raises Unreadable."""
        return (self.reader.delivery_report(request.body, request.received_at),)
