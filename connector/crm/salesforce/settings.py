"""Settings of one Salesforce org (`crm:` with `type: salesforce`), and the objects built from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from connector.config.secrets import SecretRef, resolve
from connector.config.validation import Strict, wrong
from connector.crm.salesforce.client.api import IDENTIFIER, Api
from connector.crm.salesforce.client.oauth import ClientCredentials, JwtBearer, is_loopback
from connector.crm.salesforce.write.duplicates import Policy
from connector.crm.salesforce.write.send import Composite
from connector.model.consent_fields import ConsentFields

OLDEST_VERSION = 46  # the first with upserts of collections by external ID
DOMAIN = ".salesforce.com"
COMMON = frozenset({"login.salesforce.com", "test.salesforce.com"})  # shared sign-in addresses of all orgs
MY_DOMAIN = "write the org's own address, from Setup, My Domain: https://acme.my.salesforce.com"
KINDS = {"auto": Composite.UNTRIED, "on": Composite.WORKS, "off": Composite.REFUSED}

FieldName = Annotated[str, Field(pattern=f"^{IDENTIFIER.pattern}$")]


class SignInSettings(Strict):
    """How the connector signs in: as an External Client App, by client credentials or by a signed assertion (JWT bearer)."""

    client_id: Annotated[str, Field(min_length=1)]
    """The app's Consumer Key."""
    client_secret: SecretRef | None = None
    """Where the app's Consumer Secret is: for the client credentials flow, which needs a Run As user in the app."""
    username: str | None = None
    """The integration user, for the JWT bearer flow."""
    private_key: SecretRef | None = None
    """Where the private key (PEM, RSA) is whose certificate was uploaded to the app: for the JWT bearer flow."""

    @model_validator(mode="after")
    def _one_flow(self) -> Self:
        by_secret = self.client_secret is not None
        by_key = self.username is not None and self.private_key is not None
        if by_secret == by_key or (by_secret and (self.username or self.private_key)):
            raise wrong(
                "bad-sign-in",
                "there are two ways to sign in, and this is neither of them",
                "write client_id: and client_secret:, or client_id:, username: and private_key:",
            )
        return self

    def resolve(self, base: Path) -> ClientCredentials | JwtBearer:
        """The sign-in with its secrets; `base` is the directory of the config. Raises SecretMissing."""
        if self.client_secret is not None:
            return ClientCredentials(client_id=self.client_id, client_secret=resolve(self.client_secret, base))
        assert self.username is not None  # noqa: S101 - checked by the validator.
        assert self.private_key is not None  # noqa: S101 - the same.
        return JwtBearer(client_id=self.client_id, username=self.username, private_key=resolve(self.private_key, base))


class ConsentFieldsSettings(Strict):
    """Which fields of an object hold consent."""

    flag: FieldName
    """The opt-out field of the whole person."""
    opted_out: bool | str = True
    """The flag's value that means: out."""
    phone: FieldName | None = None
    """The field with the phone number, by which an opt-out in Salesforce finds its subscriptions."""
    along: tuple[FieldName, ...] = ()
    """Fields that are written together with the flag: since when, by whom."""
    country: FieldName | None = None
    """The field with the country of the record, such as MailingCountryCode: an ISO code, or the country's name. A number without its
    country code is of that country; where the field is empty, of `default_region`."""


class QuotaSettings(Strict):
    """How many of the org's API calls, which Salesforce counts over the last 24 hours for all who use it, the connector takes."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The part of them that it may use."""
    reserve_for_opt_outs: Annotated[int, Field(ge=0)] = 500
    """How many of these are kept for opt-outs; at the most a fifth of its part."""


class OutboundSettings(Strict):
    """The endpoint for Outbound Messages, with which the org reports changes within seconds."""

    path_secrets: Annotated[tuple[SecretRef, ...], Field(min_length=1, max_length=2)]
    """Secrets of which one must be the last part of the Endpoint URL; two, while one is being replaced."""
    organization_id: Annotated[str, Field(pattern=r"^00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$")]
    """The org's id, from Setup, Company Information: messages of other orgs are refused."""


class SalesforceSettings(Strict):
    """One Salesforce org."""

    type: Literal["salesforce"] = "salesforce"
    url: str
    """The org's My Domain address: https://acme.my.salesforce.com."""
    sign_in: SignInSettings
    api_version: Annotated[str, Field(pattern=r"^[0-9]{2,3}\.0$")] = "62.0"
    """The version of Salesforce's REST API."""
    consent_fields: dict[FieldName, ConsentFieldsSettings] = Field(default_factory=dict)
    """By object: the fields that hold consent."""
    direction: Annotated[Literal["two_way", "one_way"], Field(alias="consent")] = "two_way"
    """`one_way`: opt-outs come from the providers alone, and no provider is sent what people change in the CRM."""
    # The shipped mappings write the contact twice and an event record for each callback. After folding writes to the
    # same record, a thousand callbacks need two full API calls.
    batch: Annotated[int, Field(ge=1, le=5000)] = 3000
    """How many operations go out together at the most; fewer by itself while the org is slow or its records are locked."""
    quota: QuotaSettings = QuotaSettings()
    """How many of the org's API calls the connector takes."""
    composite: Literal["auto", "on", "off"] = "auto"
    """Whether up to five collections go in one API call; `auto` finds out whether the org takes it."""
    outbound: OutboundSettings | None = None
    """Who may send Outbound Messages to /hooks/<name of this CRM>/outbound/<secret>; without it there is no such address."""
    duplicates: dict[FieldName, Policy] = Field(default_factory=dict)
    """By object: what becomes of a new record that a duplicate rule holds up. `allow`, where nothing is said, saves it if the rule
    only warns; `match` updates the one record that it matches; `park` asks a person."""
    deleted: Literal["recreate", "park"] = "recreate"
    """What becomes of a write to a record that was deleted and not merged; `park` asks a person, but never holds an opt-out up."""
    client: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "crm-connector"
    """What the connector calls itself in Salesforce's change events (`Sforce-Call-Options`)."""

    @field_validator("url")
    @classmethod
    def _my_domain(cls, url: str) -> str:
        address = url.rstrip("/")
        try:
            parts = urlsplit(address)
        except ValueError:
            parts = urlsplit("")
        host = parts.hostname or ""
        plain = not (parts.path or parts.query or parts.fragment or parts.username or parts.password)
        if host in COMMON:
            raise wrong("bad-url", f"{host} belongs to no org", MY_DOMAIN)
        if plain and is_loopback(host) and parts.scheme in {"http", "https"}:
            return address
        if plain and host.endswith(DOMAIN) and parts.scheme == "https":
            return address
        raise wrong("bad-url", "this is not the address of a Salesforce org", MY_DOMAIN)

    @field_validator("api_version")
    @classmethod
    def _new_enough(cls, version: str) -> str:
        if int(version.partition(".")[0]) < OLDEST_VERSION:
            raise wrong(
                "bad-version", f"version {version} is too old", f"write {OLDEST_VERSION}.0 or later, such as 62.0"
            )
        return version

    @property
    def api(self) -> Api:
        """The API client for these settings."""
        return Api(version=self.api_version, client=self.client)

    @property
    def composites(self) -> Composite:
        """Whether composites are known to work."""
        return KINDS[self.composite]

    @property
    def consent(self) -> Mapping[str, ConsentFields]:
        """The consent fields, by object."""
        return {
            name: ConsentFields(
                object=name,
                flag=raw.flag,
                opted_out=raw.opted_out,
                phone=raw.phone,
                along=raw.along,
                country=raw.country,
            )
            for name, raw in self.consent_fields.items()
        }
