"""Builds a `Crm` from the settings of one Salesforce org."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from connector.config.secrets import resolve
from connector.crm.crm import Crm, FeedSpec, Needs
from connector.crm.salesforce.client import error_catalogue, responses
from connector.crm.salesforce.client.credentials import SalesforceCredentials
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.describe import Describer
from connector.crm.salesforce.read.doctor import diagnose
from connector.crm.salesforce.read.feed import SalesforceFeed
from connector.crm.salesforce.read.outbound import OutboundEndpoint
from connector.crm.salesforce.settings import OutboundSettings, SalesforceSettings
from connector.crm.salesforce.traits import TRAITS
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.delivery.throttle import Quota
from connector.model.finding import Finding
from connector.model.http import Http
from connector.model.record_number import NumberReader
from connector.ports import Feed

SETTINGS = SalesforceSettings


def cure_of(code: str) -> str:
    """What a person does about an error code; empty if the advice for its reason is enough."""
    return error_catalogue.cure_of(code)


def record_address(settings: SalesforceSettings, _object: str, record_id: str) -> str:
    """Where a person sees the record: Salesforce leads from /ID to the page of any object."""
    return f"{settings.url}/{quote(record_id)}"


def build(name: str, settings: SalesforceSettings, base: Path, numbers: NumberReader) -> Crm:
    """Build the CRM of that name. Raises SecretMissing.

    `base` is the directory of the config; `numbers` reads the org's phone fields.
    """
    api, consent = settings.api, settings.consent

    credentials = SalesforceCredentials(settings.url, settings.sign_in.resolve(base))

    def feed(spec: FeedSpec) -> Feed:
        return SalesforceFeed(
            name,
            spec.object,
            api=api,
            fields=spec.fields,
            key_fields=spec.key_fields,
            every=spec.every,
            consent=consent.get(spec.object),
            look_back=spec.look_back,
            own_user=lambda: credentials.user_id,
        )

    async def examine(http: Http, needs: Sequence[Needs], now: Callable[[], datetime]) -> list[Finding]:
        return await diagnose(RestClient(api, http), needs, settings.composites, now)

    sink = SalesforceSink(
        name,
        api=api,
        consent_fields=consent,
        numbers=numbers,
        batch=settings.batch,
        composite=settings.composites,
        duplicates=settings.duplicates,
        recreate=settings.deleted == "recreate",
    )

    async def prepare(http: Http, needs: Sequence[Needs]) -> None:
        keys = [(one.object, key_field) for one in needs for key_field in one.insert_keys]
        await sink.prepare(http, keys, [one.object for one in needs if one.written])

    endpoints = (_endpoint(name, settings.outbound, base),) if settings.outbound else ()
    return Crm(
        name=name,
        endpoints=endpoints,
        credentials=credentials,
        sink=sink,
        traits=TRAITS,
        prepare=prepare,
        feed=feed,
        quota=Quota(share=settings.quota.share, reserve=settings.quota.reserve_for_opt_outs),
        usage=responses.usage,
        describe=Describer(api).describe,
        diagnose=examine,
        consent_fields=consent,
    )


def _endpoint(name: str, settings: OutboundSettings, base: Path) -> OutboundEndpoint:
    secrets = [resolve(secret, base).get_secret_value().encode() for secret in settings.path_secrets]
    return OutboundEndpoint(provider=name, secrets=secrets, organization_id=settings.organization_id)
