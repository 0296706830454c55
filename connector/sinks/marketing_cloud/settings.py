"""The settings under `sinks:` for Marketing Cloud. adapter.py builds the sinks from them."""

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from connector.config.secrets import SecretRef
from connector.config.validation import Duration, Strict, wrong

MAX_EVENT_DELAY = timedelta(hours=6)


def is_safe_address(text: str) -> bool:
    """Whether secrets and personal data may be sent to an address: over HTTPS, or to this machine."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    safe = parts.scheme == "https" or (parts.scheme == "http" and local)
    return safe and bool(parts.hostname) and parts.username is None and text.isprintable() and " " not in text


def _auth_url(text: str) -> str:
    text = text.removesuffix("/").removesuffix("/v2/token").removesuffix("/")
    if not is_safe_address(text) or "?" in text or "#" in text:
        cure = "copy the Authentication Base URI of the installed package: https://mc….auth.marketingcloudapis.com"
        raise wrong("bad-url", "this is not the address of the sign-in", cure)
    return text


# An event key must not contain a period (REST reference, "postEvent"); 200 characters are the longest known.
EventKey = Annotated[str, Field(pattern=r"^[^.\s]{1,200}$")]


class MarketingCloudSettings(Strict):
    """An installed package of Marketing Cloud with a server-to-server integration."""

    type: Literal["marketing_cloud"]
    """The kind of sink."""
    auth_url: Annotated[str, AfterValidator(_auth_url)]
    """The Authentication Base URI of the package."""
    client_id: Annotated[str, Field(min_length=1)]
    """The package's client id."""
    client_secret: SecretRef
    """Where the package's client secret is."""
    account_id: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")] | None = None
    """The MID of the business unit; without it the unit of the package."""
    events: dict[Annotated[str, Field(min_length=1, max_length=255)], EventKey] = Field(default_factory=dict)
    """Names that events may hold, such as those of SfEvent, and the event key of each."""
    accept_keys: bool = False
    """`true`: an event may also hold an event key that is not listed."""
    event_delay: Annotated[Duration, Field(le=MAX_EVENT_DELAY)] = timedelta(seconds=60)
    """From the report's arrival to the journey event, so that the person has reached the waiting step of the journey."""
    strex_agreed: bool = False
    """`true`: Strex has confirmed that it does not update the journey itself. Without it, journey events are not allowed."""
