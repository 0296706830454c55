"""`connector salesforce backfill`: gives existing contacts their phone number as external ID, so that mappings find them."""

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
    from connector.crm.salesforce.settings import SalesforceSettings
    from connector.crm.salesforce.setup.backfill import Contacts
    from connector.registry import Loaded


@click.command(
    epilog=examples("connector salesforce backfill --conflicts shared.csv", "connector salesforce backfill --write")
)
@backfill_options
@click.pass_context
def backfill(ctx: click.Context, /, **options: Any) -> None:
    """Fill the external ID of existing contacts from their phone numbers.

    Shows first what would be filled and what stands in the way. An external ID that is filled is never overwritten. After
    an interruption the same command goes on where it was. Ends with 1 where Salesforce refused a change.
    """
    run(ctx, SALESFORCE, **options)


def _settings() -> type[Any]:
    from connector.crm.salesforce.settings import SalesforceSettings  # noqa: PLC0415 - see the package's docstring.

    return SalesforceSettings


def _reader() -> "type[ContactReader]":
    from connector.crm.salesforce.setup.backfill import Contacts  # noqa: PLC0415 - see the package's docstring.

    return Contacts


@asynccontextmanager
async def _working(
    loaded: "Loaded", settings: "SalesforceSettings", contacts: "Contacts", book: "BackfillBook"
) -> "AsyncIterator[AtWork]":
    from connector.crm.salesforce.client.bulk import Bulk  # noqa: PLC0415 - the same.
    from connector.crm.salesforce.client.credentials import SalesforceCredentials  # noqa: PLC0415 - the same.
    from connector.crm.salesforce.read.describe import Describer  # noqa: PLC0415 - the same.
    from connector.crm.salesforce.setup.backfill import OBJECT, lacking  # noqa: PLC0415 - the same.
    from connector.crm.salesforce.setup.backfill_run import Backfilling  # noqa: PLC0415 - see the package's docstring.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.

    credentials = SalesforceCredentials(settings.url, settings.sign_in.resolve(loaded.base))
    read = (*contacts.phone_fields, *((contacts.country,) if contacts.country else ()))
    async with Transport() as transport:
        client = transport.client(credentials)
        known = (await Describer(settings.api).describe(client, [OBJECT]))[OBJECT]
        if lacks := lacking(known, contacts.key_field, read):
            raise ConnectorError("\n".join(lacks))
        # A progress line must not continue while a person is asked: each part has its own.
        yield lambda emit: Backfilling(client, Bulk(settings.api), contacts, book, report=emit)


SALESFORCE = Kind(
    called="Salesforce",
    object="Contact",
    phone_fields=("MobilePhone", "HomePhone", "Phone"),
    settings=_settings,
    reader=_reader,
    working=_working,
)
