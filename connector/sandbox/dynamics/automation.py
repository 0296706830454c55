"""Plug-ins that change a record in the transaction that saves it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.sandbox.dynamics import org
from connector.sandbox.dynamics.storage import Row
from connector.sandbox.dynamics.tables import Table

ANYBODY = "any"
WORDS = frozenset({"rewrite", "when", "of", "by"})


class AutomationError(ValueError):
    """An automation request is invalid; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Columns that the org sets whenever a record of a table is saved.

    `when` are values that the save itself must write; `of` selects whose saves: integration, person or any. Afterwards
    the record names `by` (integration or person), or the user who saved it if that is None.
    """

    table: str
    fields: Mapping[str, Any]
    when: Mapping[str, Any]
    of: str
    by: str | None

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {"rewrite": {self.table: dict(self.fields)}, "when": dict(self.when), "of": self.of, "by": self.by}


class Automation:
    """All active rewrites, oldest first."""

    def __init__(self) -> None:
        self.all: list[Rewrite] = []

    def add(self, tables: Mapping[str, Table], document: Mapping[str, Any]) -> list[Rewrite]:
        """Add rewrites: `{"rewrite": {"contact": {"crmc_smsoptout": false}}, "when": {"crmc_smsoptout": true}}`.

        A value may be `{"digits": "+## ### ## ###"}`: the written text in this format. `of` defaults to integration.

        Raises:
            AutomationError: a table, a column or a word is unknown.
        """
        tables_given, when = document.get("rewrite"), document.get("when", {})
        of, by = document.get("of", "integration"), document.get("by")
        if set(document) - WORDS or not isinstance(tables_given, dict) or not isinstance(when, dict):
            raise AutomationError(
                'Say what is rewritten, and on what: {"rewrite": {"contact": {"crmc_smsoptout": false}}, '
                '"when": {"crmc_smsoptout": true}, "of": "integration", "by": "person"}.'
            )
        if of not in {*org.USERS, ANYBODY} or by not in {*org.USERS, None}:
            raise AutomationError("of must be integration, person or any, and by integration or person.")
        new = []
        for name, fields in tables_given.items():
            table = tables.get(name)
            if table is None or not isinstance(fields, dict) or not fields:
                raise AutomationError(
                    f"rewrite must hold tables of the org with columns and values; {name} is not one."
                )
            if unknown := [one for one in (*fields, *when) if one not in table.columns]:
                raise AutomationError(f"{table.name} has no column {unknown[0]}.")
            new.append(Rewrite(table=name, fields=fields, when=when, of=of, by=by))
        self.all += new
        return new

    def apply(self, table: Table, values: Row, user: str) -> tuple[Row, str]:
        """The values to save and the user that the record names."""
        by = user
        for one in self.all:
            of_user = one.of == ANYBODY or org.USERS[one.of] == user
            if one.table != table.name or not of_user or not (one.when.items() <= values.items()):
                continue
            for name, value in one.fields.items():
                if not isinstance(value, dict):
                    values = {**values, name: value}
                elif isinstance(written := values.get(name), str):
                    values = {**values, name: _formed(written, str(value.get("digits", "")))}
            by = org.USERS[one.by] if one.by else by
        return values, by


def _formed(text: str, pattern: str) -> str:
    """The digits of a text in the places of a pattern; the unchanged text if their numbers differ."""
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) != pattern.count("#"):
        return text
    left = iter(digits)
    return "".join(next(left) if one == "#" else one for one in pattern)
