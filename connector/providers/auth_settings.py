"""The settings for authentication at a provider's endpoints, and the authenticators built from them.

Nothing here is specific to one provider.
"""

from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from connector.config.secrets import Reveal, SecretRef
from connector.config.validation import Strict, wrong
from connector.providers.auth import AddressList, Authenticator, BasicAuth, PathSecret


def _network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise wrong("bad-address", "this is not an address or network", "write 192.0.2.7 or 192.0.2.0/24") from None
    return text


class BasicAuthSettings(Strict):
    """HTTP basic authentication, set up at the provider as part of the address that it calls."""

    username: Annotated[str, Field(pattern=r"^[^:]+$")]
    """The name that the provider sends."""
    password: SecretRef
    """Where the password is."""


class AuthSettings(Strict):
    """The authentication settings of every provider; each provider adds its own."""

    open: bool = False
    """Accepts every request. Only for trials, or behind a proxy that authenticates."""
    path_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=2)] = ()
    """The provider's address must end with one of these secrets. Set two only while one is being replaced."""
    basic_auth: BasicAuthSettings | None = None
    """Name and password that must come with every request."""
    addresses: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Addresses or networks from which requests may come."""

    @property
    def own_authenticators(self) -> dict[str, bool]:
        """The provider's own authenticators, as they are named in the config, and whether each is in use."""
        return {}

    @model_validator(mode="after")
    def _is_authenticated_or_open(self) -> Self:
        authenticates = bool(
            self.path_secrets or self.basic_auth or self.addresses or any(self.own_authenticators.values())
        )
        if not authenticates and not self.open:
            known = ", ".join(("path_secrets", "basic_auth", "addresses", *self.own_authenticators))
            cure = f"configure one of {known}; or say `open: true`"
            raise wrong("no-lock", "anybody could send events to this provider", cure)
        if authenticates and self.open:
            raise wrong(
                "open-and-locked", "`open: true` contradicts the authentication beside it", "remove one of the two"
            )
        return self


def build_authenticators(settings: AuthSettings, reveal: Reveal) -> tuple[Authenticator, ...]:
    """Build the authenticators of the settings, the cheapest first; what `reveal` raises is passed on."""
    authenticators: list[Authenticator] = []
    if settings.addresses:
        authenticators.append(AddressList([ip_network(text, strict=False) for text in settings.addresses]))
    if settings.path_secrets:
        authenticators.append(PathSecret([_secret_bytes(reveal(secret)) for secret in settings.path_secrets]))
    if settings.basic_auth is not None:
        basic = settings.basic_auth
        authenticators.append(BasicAuth(basic.username.encode(), _secret_bytes(reveal(basic.password))))
    return tuple(authenticators)


def _secret_bytes(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()
