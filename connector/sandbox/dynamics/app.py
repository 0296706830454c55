"""A Dynamics 365 org (Dataverse) for tests: the real Web API on loopback, with an org's rules and faults."""

import time
from collections.abc import Callable

from aiohttp import web

from connector.sandbox.dynamics import org
from connector.sandbox.dynamics.login import Sessions
from connector.sandbox.dynamics.server import Server
from connector.sandbox.dynamics.storage import Storage


def build(
    *,
    preset: str = "plain",
    bare: bool = False,
    consent_table: bool = False,
    session_seconds: float = 3599,
    clock: Callable[[], float] = time.time,
    client_id: str = "sandbox",
    client_secret: str = "sandbox",  # noqa: S107 - it protects invented records on a loopback address
    certificate: str | None = None,
) -> web.Application:
    """An org whose records are in memory, with the tenant `sandbox` at the same address.

    `preset` is one of org.PRESETS; a `bare` org has nothing that `connector dynamics setup` creates. `consent_table`
    adds the consent table of Customer Insights - Journeys. `session_seconds` is the lifetime of an access token,
    `clock` gives seconds since 1970. `certificate` (PEM) verifies signed assertions; without it every well-formed one is
    accepted.
    """
    sessions = Sessions(
        clock=clock, seconds=session_seconds, client_id=client_id, client_secret=client_secret, certificate=certificate
    )
    storage = Storage(org.tables(preset=preset, bare=bare, consent_table=consent_table), clock)

    def starting() -> None:
        for name, rows in org.records(consent_table=consent_table).items():
            table = storage.tables[name]
            for row in rows:
                values = {column: value for column, value in row.items() if column != table.primary_id}
                storage.create(table, row[table.primary_id], values, org.INTEGRATION_USER)

    starting()
    return Server(storage, sessions=sessions, clock=clock, starting=starting).application()
