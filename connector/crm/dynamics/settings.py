"""Settings of one Dynamics 365 org (`crm:` with `type: dynamics`), and the objects built from them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from connector.config.secrets import SecretRef, resolve
from connector.config.validation import Strict, wrong
from connector.crm.dynamics import contact_points
from connector.crm.dynamics.client.api import IDENTIFIER
from connector.crm.dynamics.client.oauth import AppCertificate, AppSecret, is_loopback
from connector.model.consent_fields import ConsentFields

DOMAIN = re.compile(r"[a-z0-9-]+\.(?:api\.)?crm[0-9]*\.dynamics\.com")
ADDRESS = "write the org's Environment URL from the Power Platform admin center: https://acme.crm4.dynamics.com"
TENANT = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$"

ColumnName = Annotated[str, Field(pattern=f"^{IDENTIFIER.pattern}$")]


class SignInSettings(Strict):
    """How the connector signs in: as an app of Microsoft Entra ID that is an application user of the org."""

    tenant: Annotated[str, Field(pattern=TENANT)]
    """The Directory (tenant) ID, from the app registration's Overview."""
    client_id: Annotated[str, Field(min_length=1)]
    """The Application (client) ID, from the same page."""
    client_secret: SecretRef | None = None
    """Where the client secret is (its Value, not its Secret ID)."""
    certificate: SecretRef | None = None
    """Where the certificate is that was uploaded to the app registration, with its private key (PEM, RSA, not encrypted)."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.client_secret is None) == (self.certificate is None):
            raise wrong(
                "bad-sign-in",
                "there are two ways to sign in, and this is neither of them",
                "write tenant:, client_id: and either client_secret: or certificate:",
            )
        return self

    def resolve(self, base: Path) -> AppSecret | AppCertificate:
        """The app with its secret; `base` is the directory of the config. Raises SecretMissing."""
        if self.client_secret is not None:
            secret = resolve(self.client_secret, base)
            return AppSecret(tenant=self.tenant, client_id=self.client_id, client_secret=secret)
        assert self.certificate is not None  # noqa: S101 - checked by the validator.
        return AppCertificate(tenant=self.tenant, client_id=self.client_id, certificate=resolve(self.certificate, base))


class ConsentColumnsSettings(Strict):
    """Which columns of a table hold consent."""

    flag: ColumnName
    """The opt-out column of the whole person. Not donotphone or donotbulkemail: they are about calls and e-mail."""
    opted_out: bool | int | str = True
    """The flag's value that means: out."""
    phone: ColumnName | None = None
    """The column with the phone number, by which an opt-out in Dynamics finds its subscriptions."""
    along: tuple[ColumnName, ...] = ()
    """Columns that are written together with the flag: since when, by whom."""
    country: ColumnName | None = None
    """The column with the country of the record, such as address1_country: an ISO code, or the country's name. A number without its
    country code is of that country; where the column is empty, of `default_region`."""

    @field_validator("flag")
    @classmethod
    def _about_messages(cls, name: str) -> str:
        if name in {"donotphone", "donotbulkemail", "donotemail", "donotfax", "donotpostalmail", "donotsendmm"}:
            raise wrong(
                "not-sms-consent",
                f"{name} says nothing about text messages",
                "write a column of its own, such as crmc_smsoptout, which `connector dynamics setup` creates",
            )
        return name


class DynamicsSettings(Strict):
    """One Dynamics 365 org."""

    type: Literal["dynamics"] = "dynamics"
    url: str
    """The org's Environment URL: https://acme.crm4.dynamics.com."""
    sign_in: SignInSettings
    consent_fields: dict[ColumnName, ConsentColumnsSettings] = Field(default_factory=dict)
    """By table: the columns that hold consent."""
    consent_in: Annotated[Literal["column", "contact_point", "both"], Field(alias="consent")] = "column"
    """Where consent is: in columns of the tables under `consent_fields`, or in the consent table of Customer Insights - Journeys
    (msdynmkt_contactpointconsent4), or in both."""
    direction: Literal["two_way", "one_way"] = "two_way"
    """`one_way`: opt-outs come from the providers alone, and no provider is sent what people change in the CRM."""
    batch: Annotated[int, Field(ge=1, le=5000)] = 1500
    """How many operations go out together at the most, in requests of a hundred; fewer by itself while the org is slow."""

    @field_validator("url")
    @classmethod
    def _environment(cls, url: str) -> str:
        address = url.rstrip("/")
        try:
            parts = urlsplit(address)
        except ValueError:
            parts = urlsplit("")
        host = parts.hostname or ""
        plain = not (parts.path or parts.query or parts.fragment or parts.username or parts.password)
        if plain and is_loopback(host) and parts.scheme in {"http", "https"}:
            return address
        if plain and DOMAIN.fullmatch(host) and parts.scheme == "https" and parts.port is None:
            return address
        raise wrong("bad-url", "this is not the address of a Dynamics 365 org", ADDRESS)

    @model_validator(mode="after")
    def _consent_somewhere(self) -> Self:
        if self.consent_in == "contact_point" and self.consent_fields:
            raise wrong(
                "two-consents",
                "`consent: contact_point` leaves no consent to columns, but consent_fields names some",
                "write `consent: both`, or remove consent_fields",
            )
        return self

    @property
    def consent(self) -> Mapping[str, ConsentFields]:
        """The consent columns, by table."""
        found = {
            name: ConsentFields(
                object=name,
                flag=raw.flag,
                opted_out=raw.opted_out if isinstance(raw.opted_out, bool) else str(raw.opted_out),
                phone=raw.phone,
                along=raw.along,
                country=raw.country,
            )
            for name, raw in self.consent_fields.items()
        }
        if self.consent_in != "column":
            found[contact_points.TABLE] = contact_points.CONSENT
        return found
