"""The settings under `providers:` for Twilio. provider.py builds the provider from them."""

from typing import Annotated, Literal

from pydantic import Field

from connector.config.secrets import SecretRef
from connector.config.settings import Region
from connector.providers.auth_settings import AuthSettings

Word = Annotated[str, Field(min_length=1)]
REGION = "US"


class TwilioSettings(AuthSettings):
    """A Twilio account. Twilio signs its webhooks with the account's auth token."""

    type: Literal["twilio"] = "twilio"
    """The kind of provider."""
    auth_tokens: Annotated[tuple[SecretRef, ...], Field(max_length=2)] = ()
    """The account's auth token, or the shared key of a webhook rule. Set two only while one is being replaced."""
    region: Region = REGION
    """The country of numbers without a country code, such as US. Twilio writes numbers with their country code."""
    keywords: tuple[Word, ...] = ()
    """Your keywords, so that `KEYWORD STOP` is understood."""
    stop_words: tuple[Word, ...] = ()
    """Words that mean stop at this provider, besides the usual ones and those of `consent:`."""

    @property
    def own_authenticators(self) -> dict[str, bool]:
        """The signature is checked if there is a token."""
        return {"auth_tokens": bool(self.auth_tokens)}
