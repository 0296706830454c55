"""Builds a `Crm` from the settings of one Dynamics 365 org."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from connector.crm.crm import Crm, FeedSpec, Needs
from connector.crm.dynamics.client import error_codes
from connector.crm.dynamics.client.credentials import DynamicsCredentials
from connector.crm.dynamics.client.oauth import expires
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.read.describe import Describer
from connector.crm.dynamics.read.doctor import diagnose
from connector.crm.dynamics.read.feed import DynamicsFeed, Identity
from connector.crm.dynamics.settings import DynamicsSettings
from connector.crm.dynamics.traits import TRAITS
from connector.crm.dynamics.write.sink import DynamicsSink
from connector.delivery.throttle import Quota
from connector.model.finding import Finding
from connector.model.http import Http
from connector.model.record_number import NumberReader
from connector.ports import Feed

SETTINGS = DynamicsSettings

# Dataverse limits requests in five minutes, which the sink obeys by Retry-After, and counts no day for one user.
QUOTA = Quota(share=1.0, reserve=0)


def cure_of(code: str) -> str:
    """What a person does about an error code; empty if the advice for its reason is enough."""
    return error_codes.cure_of(code)


def record_address(settings: DynamicsSettings, name: str, record_id: str) -> str:
    """Where a person sees the record (learn.microsoft.com, open-forms-views-dialogs-reports-url)."""
    return f"{settings.url}/main.aspx?{urlencode({'pagetype': 'entityrecord', 'etn': name, 'id': record_id})}"


def build(name: str, settings: DynamicsSettings, base: Path, numbers: NumberReader) -> Crm:
    """Build the CRM of that name. Raises SecretMissing.

    `base` is the directory of the config; `numbers` reads the org's phone columns.
    """
    gate, tables, identity, consent = Gate(), Tables(), Identity(), settings.consent
    app = settings.sign_in.resolve(base)

    def feed(spec: FeedSpec) -> Feed:
        return DynamicsFeed(
            name,
            spec.object,
            gate=gate,
            tables=tables,
            identity=identity,
            fields=spec.fields,
            key_fields=spec.key_fields,
            every=spec.every,
            consent=consent.get(spec.object),
            look_back=spec.look_back,
        )

    sink = DynamicsSink(name, gate=gate, tables=tables, consent_fields=consent, numbers=numbers, batch=settings.batch)

    async def prepare(http: Http, needs: Sequence[Needs]) -> None:
        await sink.prepare(http, [one.object for one in needs])

    async def examine(http: Http, needs: Sequence[Needs], now: Callable[[], datetime]) -> list[Finding]:
        return await diagnose(WebApi(http, gate), needs, now, expires(app))

    return Crm(
        name=name,
        credentials=DynamicsCredentials(settings.url, app),
        sink=sink,
        traits=TRAITS,
        prepare=prepare,
        feed=feed,
        quota=QUOTA,
        usage=lambda _: None,
        describe=Describer(gate).describe,
        diagnose=examine,
        consent_fields=consent,
    )
