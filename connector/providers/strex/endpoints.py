"""Strex's two doors, `mo` and `dlr`: who is let in, and what is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.event import Event
from connector.model.http import Exchange, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.auth import Authenticator, check_locks
from connector.providers.strex.callback import Reader
from connector.providers.strex.signature import Signature

METHODS = frozenset({"POST"})
# USERGUIDE, "SMS forward" and "Delivery reports": 200 is success, any other status is repeated, other 2xx too.
SUCCESS = HttpResponse(status=200, body=b"OK")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrexEndpoint:
    """A door (ports.py). All its locks must open; without any it stands open, which the settings allow only on demand."""

    reader: Reader
    authenticators: Sequence[Authenticator] = ()
    signature: Signature | None = None

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    @property
    def methods(self) -> frozenset[str]:
        """Strex posts."""
        return METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Look at the locks but for the signature, which need no body."""
        return check_locks(self.authenticators, head)

    def authenticate(self, request: HttpRequest) -> Exchange[AuthResult]:
        """Authenticate the request; raises Refused. The signature comes last, for it may cost a call."""
        check_locks(self.authenticators, request)
        if self.signature is None:
            return AuthResult()
        return (yield from self.signature.authenticate(request))

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - always the same.
        """200 exactly."""
        return SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEndpoint(StrexEndpoint):
    """MasterMOForward, and the forward of a single keyword: messages from phones."""

    name: str = "mo"

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - all is in the body.
        """The message; raises Unreadable."""
        return (self.reader.message(request.body, request.received_at),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEndpoint(StrexEndpoint):
    """MasterDLRForward: delivery reports."""

    name: str = "dlr"

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - all is in the body.
        """The delivery report; raises Unreadable."""
        return (self.reader.delivery_report(request.body, request.received_at),)
