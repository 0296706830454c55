"""What `connector salesforce backfill` must know of Salesforce."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connector.cli.backfill import Kind, StartWork
from connector.crm.backfill.backfill_file import BackfillFile
from connector.crm.salesforce.client.bulk import Bulk
from connector.crm.salesforce.client.credentials import SalesforceCredentials
from connector.crm.salesforce.read.describe import Describer
from connector.crm.salesforce.settings import SalesforceSettings
from connector.crm.salesforce.setup.backfill import OBJECT, Contacts, lacking
from connector.crm.salesforce.setup.backfill_run import Backfilling
from connector.delivery.http_client import Transport
from connector.model.errors import ConnectorError
from connector.registry import LoadedConfig


@asynccontextmanager
async def _open_org(
    loaded: LoadedConfig, settings: SalesforceSettings, contacts: Contacts, file: BackfillFile
) -> AsyncIterator[StartWork]:
    credentials = SalesforceCredentials(settings.url, settings.sign_in.resolve(loaded.base))
    read = (*contacts.phone_fields, *((contacts.country,) if contacts.country else ()))
    async with Transport() as transport:
        client = transport.client(credentials)
        described = (await Describer(settings.api).describe(client, [OBJECT]))[OBJECT]
        if lacks := lacking(described, contacts.key_field, read):
            raise ConnectorError("\n".join(lacks))
        # A progress line must not continue while a person is asked: each part has its own.
        yield lambda emit: Backfilling(client, Bulk(settings.api), contacts, file, report=emit)


SALESFORCE = Kind(
    label="Salesforce",
    object=OBJECT,
    phone_fields=("MobilePhone", "HomePhone", "Phone"),
    settings=SalesforceSettings,
    reader=Contacts,
    open_org=_open_org,
)
