"""What an operator writes under `providers:` for Strex Connect. What the settings lead to is put together in provider.py."""

from ipaddress import ip_address, ip_network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from connector.config.load import Duration, Strict, wrong
from connector.config.secrets import SecretRef
from connector.providers.strex.signature import DRIFT

URL = "https://shared.target365.io"  # USERGUIDE: production; some customers have a host of their own
OPEN_CURE = "configure path_secrets, basic_auth, addresses or signature.mode: required; or say `open: true`"


def _network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise wrong("bad-address", "this is no address or network", "write 192.0.2.7 or 192.0.2.0/24") from None
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise wrong("bad-url", "this is no base address", f"write it like {URL}")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise wrong("insecure-url", "the API key would travel unencrypted", "write https://")
    return text.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _form(text: str) -> str:
    if "{key}" not in text:
        raise wrong(
            "no-key-in-form", "the API key has no place here", 'write "{key}" where it goes, as in "Bearer {key}"'
        )
    return text


class BasicAuthSettings(Strict):
    """HTTP basic authentication, set up in Strex Connect as part of the forward's address."""

    username: Annotated[str, Field(pattern=r"^[^:]+$")]
    """The name that Strex sends."""
    password: SecretRef
    """Where the password is."""


class SignatureSettings(Strict):
    """The signature `X-ECDSA-Signature` on forwards."""

    mode: Literal["off", "if_present", "required"] = "off"
    """`if_present` lets requests without one in, so it is no lock by itself; `required` is one."""
    drift: Duration = DRIFT
    """How far the signature's time may be from ours."""


class ApiSettings(Strict):
    """How Strex is called: for service commands, and for the public keys of signatures."""

    url: Annotated[str, AfterValidator(_url)] = URL
    """The base address."""
    key: SecretRef | None = None
    """Where the API key is. Without it no service commands can be sent."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "Authorization"
    """The header that bears the key."""
    form: Annotated[str, AfterValidator(_form)] = "{key}"
    """How the key is written into the header; `{key}` stands for it."""


class SubscriptionSettings(Strict):
    """A subscription service: where a person may be a member of whom nothing has been heard yet."""

    short_number: str
    """The short number, such as 2002."""
    keyword: str
    """The keyword."""
    keyword_id: str | None = None
    """Strex's id of the keyword, where known."""
    service_id: str | None = None
    """Strex's id of the service, where known."""


class StrexSettings(Strict):
    """A Strex Connect account."""

    type: Literal["strex"] = "strex"
    """The kind of provider."""
    open: bool = False
    """Lets everybody in. Only for trying things out, or behind a proxy that authenticates."""
    path_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=2)] = ()
    """Secrets of which one must be the last part of the address that Strex calls; two, while one is being replaced."""
    basic_auth: BasicAuthSettings | None = None
    """Name and password that must come with every request."""
    addresses: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Addresses or networks from which requests may come."""
    signature: SignatureSettings = SignatureSettings()
    """Whether requests must be signed."""
    api: ApiSettings = ApiSettings()
    """How Strex is called."""
    subscriptions: tuple[SubscriptionSettings, ...] = ()
    """The subscription services. An opt-out in the CRM goes to all of them for a person of whom the ledger knows none."""
    stop_words: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Words that mean stop, besides STOP, STOPP and the usual English ones."""

    @model_validator(mode="after")
    def _locked(self) -> Self:
        locked = self.path_secrets or self.basic_auth or self.addresses or self.signature.mode == "required"
        if not locked and not self.open:
            raise wrong("no-lock", "anybody could send events to this provider", OPEN_CURE)
        if locked and self.open:
            raise wrong("open-and-locked", "`open: true` contradicts the locks", "take out one of them")
        return self
