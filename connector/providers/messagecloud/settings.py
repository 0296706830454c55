"""The settings under `providers:` for MessageCloud. provider.py builds the provider from them."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from connector.config.secrets import SecretRef
from connector.config.settings import Region
from connector.config.validation import Duration, Strict, wrong
from connector.providers.auth_settings import AuthSettings
from connector.providers.base_url import BaseUrl

URL = "https://client.txtnation.com"  # "Integration Details": the host of every call
OFFER = r"^[a-z0-9][a-z0-9-]{0,31}$"  # it is part of the address of the donors' link
REGION = "NO"  # the country in which the provider works


def _page(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isprintable() or " " in text:
        raise wrong(
            "bad-url", "this is not a page that a browser can open", "write it like https://example.org/thank-you"
        )
    return text


Page = Annotated[str, AfterValidator(_page)]
Word = Annotated[str, Field(min_length=1)]


class ApiSettings(Strict):
    """How MessageCloud is called: for windows, and for their status."""

    url: BaseUrl = URL
    """The base address."""
    campaign_name: Word
    """Your account: what the gateway calls cc."""
    key: SecretRef
    """Where the API key is: what the gateway calls ekey."""


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
    keywords: tuple[Word, ...] = ()
    """Your other keywords, so that `KEYWORD STOP` is understood. Those of the offers are included already."""
    stop_words: tuple[Word, ...] = ()
    """Words that mean stop at this provider, besides the usual ones and those of `consent:`."""

    @model_validator(mode="after")
    def _callable(self) -> Self:
        if self.offers and self.api is None:
            raise wrong("no-api", "an offer needs MessageCloud's interface", "add api: {campaign_name: …, key: …}")
        return self
