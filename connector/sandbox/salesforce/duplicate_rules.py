"""Duplicate rules: find similar existing records, and give Salesforce's response.

Source: Salesforce Help, "Duplicate Rules"; REST API Developer Guide, "Duplicate Rule Header".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author, Draft
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.refusals import RecordRefusedError, RequestRefusedError

MESSAGE = "Use one of these records?"
ACTIONS = ("alert", "block")


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateRule:
    """Records are duplicates if all of these fields are equal and not empty; with `block` they can never be saved."""

    name: str
    object: str
    fields: tuple[str, ...]
    action: str
    on_edit: bool = False  # also for changed records, not only for new ones

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {
            "rule": self.name,
            "object": self.object,
            "fields": self.fields,
            "action": self.action,
            "on_edit": self.on_edit,
        }


class DuplicateRules:
    """The org's rules."""

    def __init__(self, database: Database) -> None:
        self.all: list[DuplicateRule] = []
        self._database = database

    def add(self, sobject: SObject, document: Mapping[str, Any]) -> DuplicateRule:
        """Add a rule from its JSON. Raises RequestRefusedError."""
        fields, action = document.get("fields"), document.get("action", "alert")
        if not isinstance(fields, list) or not fields or not all(sobject.find(str(name)) for name in fields):
            raise RequestRefusedError(400, "INVALID_INPUT", f"fields must be a list of fields of {sobject.name}.")
        if action not in ACTIONS:
            raise RequestRefusedError(400, "INVALID_INPUT", f"action must be one of {', '.join(ACTIONS)}.")
        rule = DuplicateRule(
            name=str(document.get("rule", f"Standard_{sobject.name}_Duplicate_Rule")),
            object=sobject.name,
            fields=tuple(fields),
            action=str(action),
            on_edit=document.get("on_edit") is True,
        )
        self.all.append(rule)
        return rule

    def check(self, sobject: SObject, drafts: Sequence[Draft], author: Author) -> None:
        """Reject the drafts that a rule blocks."""
        for rule in self.all:
            if rule.object != sobject.name or (author.allow_save and rule.action == "alert"):
                continue
            for draft in drafts:
                if draft.refusal is None and (draft.id is None or rule.on_edit):
                    ids = self._matches(sobject, rule, draft)
                    if ids:
                        draft.refusal = RecordRefusedError(
                            "DUPLICATES_DETECTED", MESSAGE, more={"duplicateResult": _result(rule, ids)}
                        )

    def _matches(self, sobject: SObject, rule: DuplicateRule, draft: Draft) -> list[str]:
        values = [draft.values.get(name) for name in rule.fields]
        if any(value in {None, ""} for value in values):
            return []
        where = " AND ".join(f'lower("{name}") = lower(?)' for name in rule.fields)
        rows = self._database.connection.execute(
            f'SELECT "Id" FROM "{sobject.name}" WHERE {where} AND "IsDeleted" = 0 AND "Id" IS NOT ? ORDER BY "Id"',  # noqa: S608 - names are ours
            (*values, draft.id),
        ).fetchall()
        return [row[0] for row in rows]


def _result(rule: DuplicateRule, ids: Sequence[str]) -> Mapping[str, Any]:
    return {
        "allowSave": rule.action == "alert",
        "duplicateRule": rule.name,
        "duplicateRuleEntityType": rule.object,
        "errorMessage": MESSAGE,
        "matchResults": [
            {
                "entityType": rule.object,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "rule": rule.name,
                "size": len(ids),
                "success": True,
                "matchRecords": [
                    {
                        "additionalInformation": [],
                        "fieldDiffs": [],
                        "matchConfidence": 100.0,
                        "record": {"attributes": {"type": rule.object}, "Id": record_id},
                    }
                    for record_id in ids
                ],
            }
        ],
    }
