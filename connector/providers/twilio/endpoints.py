"""The webhook endpoints of Twilio: forms whose signature covers the body, and an answer that sends the donor nothing."""

from dataclasses import dataclass

from connector.model.http import Http, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.auth import check_authenticators
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.twilio.signature import Signature

# twilio.com/docs/usage/webhooks/messaging-webhooks: an empty TwiML response. Any other text would be sent to the donor.
SUCCESS = HttpResponse(status=200, body=b"<Response/>", content_type="text/xml; charset=utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioEndpoint(FormEndpoint):
    """A webhook endpoint (ports.py). All its authenticators must accept, and the signature if there are tokens."""

    signature: Signature | None = None

    def check_head(self, head: HttpRequest) -> bool:
        """Check the authenticators, which need no body. The signature needs it: until then the caller is unknown."""
        accepted = check_authenticators(self.authenticators, head)
        if self.signature is not None:
            self.signature.check_head(head)
        return accepted

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:  # noqa: ARG002 - it makes no call.
        """Authenticate the request; raises HttpRejected."""
        check_authenticators(self.authenticators, request)
        if self.signature is not None:
            self.signature.check(request)
        return AuthResult()

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - the answer is always the same.
        """Answer 200 with empty TwiML."""
        return SUCCESS
