"""The doors that donors use with their browsers: `subscribe/<offer>` and `return`. Nobody authenticates there, so nothing is believed.

A subscription is stored, with an open question, before the donor is sent to its window.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from connector.model.errors import HttpRejected, Unreadable
from connector.model.event import Event
from connector.model.http import Exchange, HttpRequest, HttpResponse
from connector.ports import AuthResult
from connector.providers.messagecloud.oneclick import Account, Window, new_window
from connector.providers.messagecloud.rate_limit import RateLimiter
from connector.providers.messagecloud.subscription import Offer, begun, begun_key
from connector.providers.query_string import pairs

METHODS = frozenset({"GET"})
SUCCESS = "success"  # Transaction Flow, 5 and 6: the other status is `cancelled`
OWN_ID = re.compile(r"(?P<offer>[a-z0-9][a-z0-9-]{0,31})-[0-9a-f]{32}")
PAGE = HttpResponse(status=200, body=b"Thank you. You can close this page.")
# Each visit has a window of its own, and neither page is to learn the other's address.
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def new_id() -> str:
    """A part of an id that nobody can guess."""
    return uuid4().hex


def redirect(address: str) -> HttpResponse:
    """Lead the browser on."""
    return HttpResponse(status=HTTPStatus.FOUND, headers={"Location": address, **HEADERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeEndpoint:
    """Creates a window for the offer that the path names, and sends the donor there. It has a turnstile in place of a lock."""

    provider: str
    account: Account
    offers: Mapping[str, Offer]
    rate_limiter: RateLimiter
    unique: Callable[[], str] = new_id
    name: str = "subscribe"
    methods: frozenset[str] = METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Everybody is a stranger here; 404 where there is no such offer."""
        self._offered(head)
        return False

    def authenticate(self, request: HttpRequest) -> Exchange[AuthResult]:
        """Create the window. Raises Refused: 404 for no such offer, 429 or 503 where too much is wanted or there is no window."""
        offer = self._offered(request)
        self.rate_limiter.acquire(request.peer, request.received_at)
        try:
            own_id = f"{offer.name}-{self.unique()}"
            window = yield from new_window(self.account, offer.service_id, own_id)
        finally:
            self.rate_limiter.release()
        if not isinstance(window, Window):
            raise HttpRejected(503, f"no window: {window.reason}")
        return AuthResult(details={"offer": offer, "window": window, "own_id": own_id})

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:
        """The subscription that has begun; raises Unreadable where no window was created for the request."""
        described = auth.details
        if not described:
            raise Unreadable("a subscription is not read again: the donor begins anew")
        return (
            begun(self.provider, described["offer"], described["window"], described["own_id"], request.received_at),
        )

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - the window is the donor's own.
        """To the window."""
        return redirect(auth.details["window"].url)

    def _offered(self, request: HttpRequest) -> Offer:
        offer = self.offers.get(request.secret or "")
        if offer is None:
            raise HttpRejected(404, "no such offer")
        return offer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEndpoint:
    """Takes the donor back from the window, with `id` and `status`: a hint that there may be an answer now."""

    provider: str
    offers: Mapping[str, Offer]
    name: str = "return"
    methods: frozenset[str] = METHODS

    def check_head(self, head: HttpRequest) -> bool:  # noqa: ARG002 - nobody shows who he is.
        """Everybody is a stranger here."""
        return False

    def authenticate(self, request: HttpRequest) -> Exchange[AuthResult]:
        """Whoever comes may: an id that we did not give out hastens nothing."""
        own_id = _parameter(request, "id")
        yield from ()  # An exchange is a generator, also where nobody is called.
        return AuthResult(hint=begun_key(self.provider, own_id) if OWN_ID.fullmatch(own_id) else None)

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - View Status decides.
        """Nothing: what an unauthenticated address says is no event."""
        return ()

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - all is in the request.
        """To the offer's page. A status that is not documented is no success."""
        offer = self._offer(request)
        if offer is None:
            return PAGE
        thanked = _parameter(request, "status").casefold() == SUCCESS
        return redirect(offer.thank_you if thanked else offer.cancelled)

    def _offer(self, request: HttpRequest) -> Offer | None:
        """By the path where the return address names it, else by the id, else the only one that there is."""
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
