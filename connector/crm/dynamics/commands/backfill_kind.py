"""What `connector dynamics backfill` must know of Dynamics 365."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from connector.cli.backfill import Kind, StartWork
from connector.crm.backfill.backfill_file import BackfillFile
from connector.crm.dynamics.client.credentials import DynamicsCredentials
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.settings import DynamicsSettings
from connector.crm.dynamics.setup.backfill import Backfilling, Contacts
from connector.delivery.http_client import Transport
from connector.model.errors import ConnectorError
from connector.registry import LoadedConfig


@asynccontextmanager
async def _open_org(
    loaded: LoadedConfig, settings: DynamicsSettings, contacts: Contacts, file: BackfillFile
) -> AsyncIterator[StartWork]:
    credentials = DynamicsCredentials(settings.url, settings.sign_in.resolve(loaded.base))
    async with Transport() as transport:
        web = WebApi(transport.client(credentials), Gate())

        def start_work(emit: Callable[[str], None]) -> Backfilling:
            return Backfilling(web, contacts, file, report=emit)

        if lacks := await start_work(lambda _: None).lacks():
            raise ConnectorError("\n".join(lacks))
        yield start_work


DYNAMICS = Kind(
    label="Dynamics 365",
    object="contact",
    phone_fields=("mobilephone", "telephone2", "telephone1"),
    settings=DynamicsSettings,
    reader=Contacts,
    open_org=_open_org,
)
