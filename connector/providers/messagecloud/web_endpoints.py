"""The endpoints for donors' browsers: `subscribe/<offer>` and `return`.

They have no authentication, so nothing that they receive is trusted.

A subscription is stored, with a pending status request, before the donor is redirected to its window.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from connector.model.errors import HttpRejected, Unreadable
from connector.model.event import Event
from connector.model.http import Http, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.messagecloud.oneclick import Account, Window, new_window
from connector.providers.messagecloud.rate_limit import RateLimiter
from connector.providers.messagecloud.subscription import Offer, window_event, window_event_key
from connector.providers.query_string import pairs

METHODS = frozenset({"GET"})
SUCCESS = "success"  # Transaction Flow, 5 and 6: the other status is `cancelled`
OWN_ID = re.compile(r"(?P<offer>[a-z0-9][a-z0-9-]{0,31})-[0-9a-f]{32}")
PAGE = HttpResponse(status=200, body=b"Thank you. You can close this page.")
# Each visit has its own window. Neither page may learn the other's address.
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def new_id() -> str:
    """The part of an id that nobody can guess."""
    return uuid4().hex


def redirect(address: str) -> HttpResponse:
    """Redirect the browser."""
    return HttpResponse(status=HTTPStatus.FOUND, headers={"Location": address, **HEADERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeEndpoint:
    """Creates a window for the offer in the path, and redirects the donor there. It has a rate limit instead of authentication."""

    provider: str
    account: Account
    offers: Mapping[str, Offer]
    rate_limiter: RateLimiter
    unique: Callable[[], str] = new_id
    name: str = "subscribe"
    methods: frozenset[str] = METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Callers are not authenticated; 404 if there is no such offer."""
        self._requested_offer(head)
        return False

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:
        """Create the window. Raises HttpRejected: 404 for an unknown offer, 429 or 503 at the rate limit or without a window."""
        offer = self._requested_offer(request)
        self.rate_limiter.acquire(request.peer, request.received_at)
        try:
            own_id = f"{offer.name}-{self.unique()}"
            window = await new_window(http, self.account, offer.service_id, own_id)
        finally:
            self.rate_limiter.release()
        if not isinstance(window, Window):
            raise HttpRejected(503, f"no window: {window.reason}")
        return AuthResult(details={"offer": offer, "window": window, "own_id": own_id})

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:
        """The subscription that has begun; raises Unreadable if no window was created for the request."""
        details = auth.details
        if not details:
            raise Unreadable("a subscription is not read again: the donor must start again")
        return (
            window_event(self.provider, details["offer"], details["window"], details["own_id"], request.received_at),
        )

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - each donor has their own window.
        """Redirect to the window."""
        return redirect(auth.details["window"].url)

    def _requested_offer(self, request: HttpRequest) -> Offer:
        offer = self.offers.get(request.secret or "")
        if offer is None:
            raise HttpRejected(404, "no such offer")
        return offer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEndpoint:
    """Receives the donor from the window, with `id` and `status`: a hint that the final status may be available."""

    provider: str
    offers: Mapping[str, Offer]
    name: str = "return"
    methods: frozenset[str] = METHODS

    def check_head(self, head: HttpRequest) -> bool:  # noqa: ARG002 - callers are not authenticated.
        """Callers are not authenticated."""
        return False

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:  # noqa: ARG002 - it makes no call.
        """Accept every caller: an unknown id has no effect."""
        own_id = _parameter(request, "id")
        return AuthResult(hint=window_event_key(self.provider, own_id) if OWN_ID.fullmatch(own_id) else None)

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - View Status decides.
        """Return no events: a request without authentication is not trusted."""
        return ()

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - the request holds everything.
        """Redirect to the offer's page. A status that is not documented does not count as success."""
        offer = self._offer(request)
        if offer is None:
            return PAGE
        thanked = _parameter(request, "status").casefold() == SUCCESS
        return redirect(offer.thank_you if thanked else offer.cancelled)

    def _offer(self, request: HttpRequest) -> Offer | None:
        """The offer named in the return address's path, else the offer of the id, else the only offer."""
        own_id = OWN_ID.fullmatch(_parameter(request, "id"))
        names = [
            request.secret or "",
            own_id["offer"] if own_id else "",
            *(self.offers if len(self.offers) == 1 else ()),
        ]
        return next((self.offers[name] for name in names if name in self.offers), None)


def _parameter(request: HttpRequest, name: str) -> str:
    query = request.query.encode("utf-8", "surrogatepass")
    return next((text for given, value in pairs(query) if given == name and (text := value.strip())), "")
