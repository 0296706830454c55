"""The settings under `sinks:` for a webhook. adapter.py builds the sink from them."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from connector.config.secrets import SecretRef
from connector.config.validation import Strict, wrong

Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class WebhookSettings(Strict):
    """A webhook of your own, which gets signed messages."""

    type: Literal["webhook"] = "webhook"
    """The kind of sink."""
    url: Annotated[str, Field(max_length=2000)]
    """The address, with https. Events never change it."""
    secret: SecretRef
    """Where the signing secret is: `whsec_` and 24 to 64 bytes in base64. `connector sinks secret` makes one."""
    old_secret: SecretRef | None = None
    """The secret before, while the receiver changes to the new one: messages are then signed with both."""
    names: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()
    """Values of events that mean this webhook, such as those of SfWebhook. Letter case does not matter."""
    include: tuple[Literal["msisdn"], ...] = ()
    """`[msisdn]`: mappings may send the person's phone number."""
    headers: dict[Header, SecretRef] = Field(default_factory=dict)
    """Headers that the receiver needs, and where the value of each is."""
    allow_private: bool = False
    """`true`: the address may be private or local, and may have http. For tests, or a receiver in your own network."""

    @model_validator(mode="after")
    def _address(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            raise wrong("bad-url", "`url` is not an address", "write it like https://example.org/hooks/sms")
        if parts.username or parts.password:
            raise wrong("bad-url", "`url` contains a user name or password", "put it into a header: `headers:`")
        if parts.scheme == "http" and not self.allow_private:
            raise wrong("insecure-url", "what is sent to `url` would travel unencrypted", "write https://")
        return self
