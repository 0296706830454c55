"""The settings under `providers:` for MessageCloud. provider.py builds the provider from them."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from connector.config.secrets import SecretRef
from connector.config.settings import Region, TimeZone
from connector.config.time_of_day import TimeOfDay
from connector.config.validation import Duration, Strict, wrong
from connector.providers.auth_settings import AuthSettings
from connector.providers.base_url import BaseUrl

URL = "https://client.txtnation.com"  # "Integration Details": the host of every call
OFFER = r"^[a-z0-9][a-z0-9-]{0,31}$"  # it is part of the address of the donors' link
REGION = "NO"  # the country in which the provider works
ZONE = "Europe/Oslo"  # of its donors


def _page(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isprintable() or " " in text:
        raise wrong(
            "bad-url", "this is not a page that a browser can open", "write it like https://example.org/thank-you"
        )
    return text


Page = Annotated[str, AfterValidator(_page)]
Word = Annotated[str, Field(min_length=1)]
RetryStatus = Literal["NO_CREDIT", "FAILED", "VALIDITY_EXPIRED"]  # the failures that may pass ("Status Codes")
RetryPause = Annotated[Duration, Field(ge=timedelta(days=1), le=timedelta(days=21))]


class ApiSettings(Strict):
    """How MessageCloud is called: for windows, and for their status."""

    url: BaseUrl = URL
    """The base address."""
    campaign_name: Word
    """Your account: what the gateway calls cc."""
    key: SecretRef
    """Where the API key is: what the gateway calls ekey."""


class RecurringSettings(Strict):
    """How the donors of an offer are charged each month (Send DOB). Nothing is charged before `charges: {enabled: true}`."""

    every: Literal["month"] = "month"
    """How often. A period is a calendar month."""
    day: Annotated[int, Field(ge=1, le=28)] | Literal["anniversary"] = "anniversary"
    """The day of the month, 1 to 28, or `anniversary`: the day on which the subscription began.
    In a month without that day, the last one."""
    amount: Literal["from_subscription"] | Annotated[int, Field(ge=1)] = "from_subscription"
    """What is charged, in whole NOK, or `from_subscription`: what the donor has agreed to."""
    retry: dict[RetryStatus, tuple[RetryPause, ...]] = Field(default_factory=dict)
    """When a failed charge is tried again, by its status: NO_CREDIT: [3d, 7d].
    The days count from the first attempt of the period. A status that is not named here is not tried again."""
    stop_after: Annotated[int, Field(ge=1, le=24)] = 3
    """After so many months in a row that failed, the subscription ends."""


class OfferSettings(Strict):
    """A subscription that donors can begin on your web site."""

    service_id: Word
    """The id that MessageCloud gave your Norwegian service."""
    short_number: Word
    """The short code on which it is billed, and to which STOP is sent."""
    keyword: Word
    """The keyword of STOP KEYWORD."""
    price: Annotated[Decimal, Field(gt=0)]
    """What a donor gives each time, in NOK; if View Status shows another price, that one counts."""
    thank_you: Page
    """The page for a donor who has completed the window."""
    cancelled: Page
    """The page for a donor who has cancelled."""
    recurring: RecurringSettings | None = None
    """How its donors are charged each month. Without it they are charged once, by the window."""


class HoursSettings(Strict):
    """The hours of the day in which donors may be charged, in their time zone."""

    start: TimeOfDay = Field(default="09:00", alias="from")
    """From this time of day."""
    end: TimeOfDay = Field(default="20:00", alias="to")
    """Before this time of day."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise wrong("bad-hours", "the hours end before they begin", "write them like {from: 09:00, to: 20:00}")
        return self


class ChargesSettings(Strict):
    """Recurring charges as a whole. `connector charges preview` shows what they would do."""

    enabled: bool = False
    """Whether donors are charged. Before this is true, nothing is sent."""
    hours: HoursSettings = HoursSettings()
    """When charges are sent. Nobody is charged at night."""
    timezone: TimeZone = ZONE
    """The time zone of the donors: their days and hours."""
    max_amount: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """The largest charge, in NOK. A larger one is skipped and shown."""
    max_charges_per_run: Annotated[int, Field(ge=1)] = 1000
    """A day with more charges waits for `connector charges approve`."""
    late: Annotated[Duration, Field(ge=timedelta(days=1), le=timedelta(days=21))] = timedelta(days=7)
    """How long after its day a charge may still be sent. After that its period is skipped, and the list says so."""
    ask_until: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=30))] = timedelta(hours=48)
    """How long a charge without a final status is asked about. After that a person decides."""


class SubscribeSettings(Strict):
    """How donors subscribe, and how long their transactions are checked."""

    per_minute: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Windows a minute for one address. Behind a proxy the addresses are known only with listen: trusted_proxies."""
    at_once: Annotated[int, Field(ge=1, le=1000)] = 16
    """Windows that are created at the same time; further donors are asked to try again."""
    deadline: Annotated[Duration, Field(ge=timedelta(minutes=10), le=timedelta(days=30))] = timedelta(hours=48)
    """How long a transaction without a final status is asked about."""


class MessageCloudSettings(AuthSettings):
    """A MessageCloud account. MessageCloud does not sign its callbacks: use a path secret."""

    type: Literal["messagecloud"] = "messagecloud"
    """The kind of provider."""
    region: Region = REGION
    """The country of your subscribers. MessageCloud writes numbers with their country code.
    A number without one, in a callback that names no country, is read in this country."""
    api: ApiSettings | None = None
    """How MessageCloud is called. Needed for offers."""
    offers: dict[Annotated[str, Field(pattern=OFFER)], OfferSettings] = Field(default_factory=dict)
    """What donors can subscribe to, by a name of your choice: /hooks/<provider>/subscribe/<name>."""
    subscribe: SubscribeSettings = SubscribeSettings()
    """How donors subscribe, and how long their transactions are checked."""
    charges: ChargesSettings = ChargesSettings()
    """How donors are charged each month. Off until it is switched on."""
    keywords: tuple[Word, ...] = ()
    """Your other keywords, so that `KEYWORD STOP` is understood. Those of the offers are included already."""
    stop_words: tuple[Word, ...] = ()
    """Words that mean stop at this provider, besides the usual ones and those of `consent:`."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.offers and self.api is None:
            raise wrong("no-api", "an offer needs MessageCloud's interface", "add api: {campaign_name: …, key: …}")
        recurring = [one.service_id for one in self.offers.values() if one.recurring is not None]
        if twice := sorted({one for one in recurring if recurring.count(one) > 1}):
            message = f"two offers with `recurring:` have the service_id {twice[0]}: their donors cannot be told apart"
            raise wrong("same-service", message, "remove `recurring:` from one of them")
        for name, one in self.offers.items():
            self._check_amount(name, one)
        if self.charges.enabled and not recurring:
            raise wrong("no-recurring", "no offer has `recurring:`, so nobody can be charged", "add it to an offer")
        return self

    def _check_amount(self, name: str, offer: OfferSettings) -> None:
        if offer.recurring is None:
            return
        fixed = offer.recurring.amount
        field, amount = ("price", offer.price) if fixed == "from_subscription" else ("amount", Decimal(fixed))
        if amount > self.charges.max_amount:
            message = f"no donor of the offer {name} would be charged: `{field}` is more than `charges: max_amount`"
            raise wrong("above-max-amount", message, f"lower it, or set `max_amount` to {amount:f} or more")
        if amount != amount.to_integral_value():
            message = f"no donor of the offer {name} would be charged: `{field}` is not a whole amount in NOK"
            raise wrong("not-whole", message, "MessageCloud charges whole amounts only")
