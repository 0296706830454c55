"""Checks whether an org has the tables and columns that the mappings need. Used by set-up."""

from collections.abc import Sequence

from connector.crm.crm import Needs
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.client.web_api import WebApi
from connector.model.operation import ID_FIELD


async def preflight(web: WebApi, needs: Sequence[Needs]) -> list[str]:
    """What the org lacks: one sentence each, with advice. Raises RequestFailed."""
    tables = Tables()
    await tables.learn(web, [one.object for one in needs])
    found: list[str] = []
    for need in needs:
        table = tables.get(need.object)
        if table is None:
            found.append(f"{need.object} does not exist, or the application user may not see it: create the table")
        else:
            found += _lacks(table, need)
    return found


def _lacks(table: TableInfo, need: Needs) -> list[str]:
    found = [
        f"{table.name}.{name} does not exist: create the column, or correct the mapping"
        for name in dict.fromkeys((*need.key_fields, *need.written, *need.read))
        if name != ID_FIELD and name not in table.columns
    ]
    for name in need.key_fields:
        keys = [key.status for key in table.keys if key.columns == (name,)]
        if name in table.columns and name not in {ID_FIELD, table.id_column} and "Active" not in keys:
            state = f"its alternate key is {keys[0]}" if keys else "it is no alternate key"
            found.append(f"{table.name}.{name}: {state}: create the key, and wait until it is Active")
    return found
