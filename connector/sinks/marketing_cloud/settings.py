"""The settings under `sinks:` for Marketing Cloud. adapter.py builds the sinks from them."""

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from connector.config.secrets import SecretRef
from connector.config.validation import Duration, Strict, wrong


def _url(text: str) -> str:
    parts = urlsplit(text)
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if (
        parts.scheme != ("http" if local and parts.scheme == "http" else "https")
        or not parts.hostname
        or parts.username
    ):
        cure = "copy the Authentication Base URI of the installed package: https://mc….auth.marketingcloudapis.com"
        raise wrong("bad-url", "this is not the address of the sign-in", cure)
    return text.rstrip("/")


# An event key must not contain a period (REST reference, "postEvent"); 200 characters are the longest known.
EventKey = Annotated[str, Field(pattern=r"^[^.\s]{1,200}$")]


class MarketingCloudSettings(Strict):
    """An installed package of Marketing Cloud with a server-to-server integration."""

    type: Literal["marketing_cloud"]
    """The kind of sink."""
    auth_url: Annotated[str, AfterValidator(_url)]
    """The Authentication Base URI of the package."""
    client_id: str
    """The package's client id."""
    client_secret: SecretRef
    """Where the package's client secret is."""
    account_id: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")] | None = None
    """The MID of the business unit; without it the unit of the package."""
    events: dict[Annotated[str, Field(min_length=1, max_length=255)], EventKey] = Field(default_factory=dict)
    """Names that events may hold, such as those of SfEvent, and the event key of each."""
    accept_keys: bool = False
    """`true`: an event may also hold an event key that is not listed."""
    event_delay: Annotated[Duration, Field(le=timedelta(hours=6))] = timedelta(seconds=60)
    """From the report's arrival to the journey event, so that the person has reached the waiting step of the journey."""
    strex_agreed: bool = False
    """`true`: Strex has confirmed that it does not update the journey itself. Without it, journey events are not allowed."""
