"""The settings under `providers:` for OnlineFundraising. provider.py builds the provider from them."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from connector.config.secrets import SecretRef
from connector.config.settings import Region
from connector.config.validation import Duration, Strict
from connector.providers.auth_settings import AuthSettings
from connector.providers.base_url import BaseUrl, Url

# SMS Inbound Webhooks: the newer of the two places at which they publish the addresses of their webhooks.
ADDRESS_LIST = "https://info.onlinefundraising.dk/webhooks.json"
PAGE_SIZE = 100  # messages: the size in their own example of GET /SmsMO
REGION = "DK"  # the country in which the provider works


class AddressListSettings(Strict):
    """The published list of the addresses from which webhooks come."""

    url: Url = ADDRESS_LIST
    """Where the list is: a JSON file."""
    refresh: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(days=1)
    """How often it is read again; OnlineFundraising asks for daily."""


class ApiSettings(Strict):
    """How OnlineFundraising is called: for keywords, and for missed messages."""

    url: BaseUrl
    """The base address of your account, found under Settings in OnlineFundraising."""
    key: SecretRef
    """Where the API key is. It works only from the addresses that were named for it at OnlineFundraising."""


class CatchUpSettings(Strict):
    """Fetches messages that the webhook missed, after downtime of either side. Needs `api`."""

    enabled: bool = True
    """`false`: use only the webhook."""
    every: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(minutes=15)
    """The pause between two polls of the received messages; the first poll is at the start."""
    overlap: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(hours=1)
    """How far a poll goes back before the newest message of the previous poll: a message may enter the list late."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = PAGE_SIZE
    """Messages a page."""
    keywords_every: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(hours=1)
    """The pause between two polls of the keywords; used only if a mapping has `on: <name>.keyword`."""


class OnlineFundraisingSettings(AuthSettings):
    """An OnlineFundraising account."""

    type: Literal["onlinefundraising"] = "onlinefundraising"
    """The kind of provider."""
    region: Region = REGION
    """The country of your subscribers. OnlineFundraising writes numbers with their country code.
    A number without one is read in this country."""
    address_list: AddressListSettings | None = None
    """Accepts only requests from the published addresses and from `addresses`. `{}` uses the usual list."""
    api: ApiSettings | None = None
    """How OnlineFundraising is called. Without it there are no keyword commands, and missed messages are not fetched."""
    catch_up: CatchUpSettings = CatchUpSettings()
    """Fetches messages that the webhook missed."""
    keywords: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Your keywords, so that `STOP HJÆLP` is understood as well as `HJÆLP STOP`. `check --live` checks them."""
    stop_words: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Words that mean stop at this provider, besides the usual ones and those of `consent:`."""

    @property
    def own_authenticators(self) -> dict[str, bool]:
        """The published address list."""
        return {"address_list": self.address_list is not None}
