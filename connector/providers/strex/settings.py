"""The settings under `providers:` for Strex Connect. provider.py builds the provider from them."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from connector.config.secrets import SecretRef
from connector.config.settings import Region
from connector.config.validation import Duration, Strict, wrong
from connector.providers.auth_settings import AuthSettings
from connector.providers.base_url import BaseUrl
from connector.providers.strex.signature import DRIFT

URL = "https://shared.target365.io"  # USERGUIDE: production; some customers have their own host
REGION = "NO"  # the country in which the provider works


def _form(text: str) -> str:
    if "{key}" not in text:
        raise wrong(
            "no-key-in-form", "the API key has no place here", 'write "{key}" where it goes, as in "Bearer {key}"'
        )
    return text


class SignatureSettings(Strict):
    """The signature `X-ECDSA-Signature` on forwards."""

    mode: Literal["off", "if_present", "required"] = "off"
    """`if_present` accepts requests without a signature, so it needs other authentication too; `required` does not."""
    drift: Duration = DRIFT
    """How far the signature's time may be from ours."""


class ApiSettings(Strict):
    """How Strex is called: for service commands, for keywords and look-ups, and for the public keys of signatures."""

    url: BaseUrl = URL
    """The base address."""
    key: SecretRef | None = None
    """Where the API key is. Without it no service commands can be sent."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "Authorization"
    """The header for the key in service commands."""
    form: Annotated[str, AfterValidator(_form)] = "{key}"
    """How the key is written into the header; `{key}` stands for it."""
    rest_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "X-ApiKey"
    """The header for the unchanged key in calls for keywords and look-ups."""


class LookUpSettings(Strict):
    """The number look-up, for events without name and address. Strex may bill each look-up."""

    enabled: bool = False
    """`true`: ask once for each number. Needs `api.key`."""
    keep: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(days=30)
    """How long an answer is remembered, at the most until the connector ends."""
    deadline: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(hours=1))] = timedelta(minutes=5)
    """How long an event waits for its answer; then it goes on without. An opt-out never waits."""


class SubscriptionSettings(Strict):
    """A subscription service. People may be members although the connector has no event of them."""

    short_number: str
    """The short number, such as 2002."""
    keyword: str
    """The keyword."""
    keyword_id: str | None = None
    """Strex's id of the keyword, if known."""
    service_id: str | None = None
    """Strex's id of the service, if known."""


class StrexSettings(AuthSettings):
    """A Strex Connect account."""

    type: Literal["strex"] = "strex"
    """The kind of provider."""
    region: Region = REGION
    """The country of your subscribers. Strex writes numbers with `+` and their country code.
    A number without one is read in this country."""
    signature: SignatureSettings = SignatureSettings()
    """Whether requests must be signed."""
    api: ApiSettings = ApiSettings()
    """How Strex is called."""
    look_up: LookUpSettings = LookUpSettings()
    """Whether the owners of numbers are looked up."""
    subscriptions: tuple[SubscriptionSettings, ...] = ()
    """The subscription services. An opt-out in the CRM goes to all of them if the ledger has none for the person."""
    stop_words: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Words that mean stop at this provider, besides the usual ones and those of `consent:`."""

    @property
    def own_authenticators(self) -> dict[str, bool]:
        """A signature that is optional does not count as an authenticator."""
        return {"signature.mode: required": self.signature.mode == "required"}
