"""`connector dynamics backfill`: gives existing contacts their phone number as key, so that mappings find them."""

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from connector.cli.backfill import Kind, backfill_options, run
from connector.cli.examples import examples
from connector.model.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connector.cli.backfill import AtWork
    from connector.crm.backfill.book import BackfillBook
    from connector.crm.backfill.decide import ContactReader
    from connector.crm.dynamics.settings import DynamicsSettings
    from connector.crm.dynamics.setup.backfill import Contacts
    from connector.registry import Loaded


@click.command(
    epilog=examples("connector dynamics backfill --conflicts shared.csv", "connector dynamics backfill --write")
)
@backfill_options
@click.pass_context
def backfill(ctx: click.Context, /, **options: Any) -> None:
    """Fill the key of existing contacts from their phone numbers.

    Shows first what would be filled and what stands in the way. A key that is filled is never overwritten. After an
    interruption the same command goes on where it was. Ends with 1 where Dynamics 365 refused a change.
    """
    run(ctx, DYNAMICS, **options)


def _settings() -> type[Any]:
    from connector.crm.dynamics.settings import DynamicsSettings  # noqa: PLC0415 - see the package's docstring.

    return DynamicsSettings


def _reader() -> "type[ContactReader]":
    from connector.crm.dynamics.setup.backfill import Contacts  # noqa: PLC0415 - see the package's docstring.

    return Contacts


@asynccontextmanager
async def _working(
    loaded: "Loaded", settings: "DynamicsSettings", contacts: "Contacts", book: "BackfillBook"
) -> "AsyncIterator[AtWork]":
    from connector.crm.dynamics.client.credentials import DynamicsCredentials  # noqa: PLC0415 - the same.
    from connector.crm.dynamics.client.web_api import Gate, WebApi  # noqa: PLC0415 - the same.
    from connector.crm.dynamics.setup.backfill import Backfilling  # noqa: PLC0415 - see the package's docstring.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.

    credentials = DynamicsCredentials(settings.url, settings.sign_in.resolve(loaded.base))
    async with Transport() as transport:
        web = WebApi(transport.client(credentials), Gate())

        def at_work(emit: Any) -> Backfilling:
            return Backfilling(web, contacts, book, report=emit)

        if lacks := await at_work(lambda _: None).lacks():
            raise ConnectorError("\n".join(lacks))
        yield at_work


DYNAMICS = Kind(
    called="Dynamics 365",
    object="contact",
    phone_fields=("mobilephone", "telephone2", "telephone1"),
    settings=_settings,
    reader=_reader,
    working=_working,
)
