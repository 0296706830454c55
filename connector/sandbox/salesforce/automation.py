"""Automation that changes a record in the transaction that saves it, as before-save flows and triggers do.

Salesforce Help, "Triggers and Order of Execution": such a change is part of the save, and the record names the user who
saved it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.drafts import Author, Draft, fold
from connector.sandbox.salesforce.fields import Field, SObject
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.values import Stored, stored

USERS = {"person": org.PERSON_USER, "integration": org.INTEGRATION_USER}
ANYBODY = "any"
WORDS = frozenset({"rewrite", "when", "of", "by"})
PATTERN = "digits"


class AutomationError(ValueError):
    """An automation request is invalid; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Fields that the org sets whenever a record of an object is saved.

    `when` are values that the save itself must write; `of` selects whose saves: integration, person or any. Afterwards
    the record names `by` (integration or person), or the user who saved it if that is None.
    """

    object: str
    fields: Mapping[str, Any]
    when: Mapping[str, Any]
    of: str
    by: str | None

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {"rewrite": {self.object: dict(self.fields)}, "when": dict(self.when), "of": self.of, "by": self.by}


class Automation:
    """All active rewrites, oldest first."""

    def __init__(self) -> None:
        self.all: list[Rewrite] = []

    def add(self, schema: Schema, document: Mapping[str, Any]) -> list[Rewrite]:
        """Add rewrites: `{"rewrite": {"Contact": {"SMS_Opt_Out__c": false}}, "when": {"SMS_Opt_Out__c": true}}`.

        A value may be `{"digits": "+## ### ## ###"}`: the written text in this format. `of` defaults to integration.

        Raises:
            AutomationError: an object, a field or a word is unknown.
        """
        objects, when = document.get("rewrite"), document.get("when", {})
        of, by = document.get("of", "integration"), document.get("by")
        if set(document) - WORDS or not isinstance(objects, dict) or not objects or not isinstance(when, dict):
            raise AutomationError(
                'Say what is rewritten, and on what: {"rewrite": {"Contact": {"SMS_Opt_Out__c": false}}, '
                '"when": {"SMS_Opt_Out__c": true}, "of": "integration", "by": "person"}.'
            )
        if of not in {*USERS, ANYBODY} or by not in {*USERS, None}:
            raise AutomationError("of must be integration, person or any, and by integration or person.")
        new = []
        for name, fields in objects.items():
            sobject = schema.find(name)
            if sobject is None or not isinstance(fields, dict) or not fields:
                raise AutomationError(
                    f"rewrite must hold objects of the org with fields and values; {name} is not one."
                )
            if unknown := [one for one in (*fields, *when) if sobject.find(one) is None]:
                raise AutomationError(f"{sobject.name} has no field {unknown[0]}.")
            new.append(Rewrite(object=sobject.name, fields=fields, when=when, of=of, by=by))
        self.all += new
        return new

    def rewrite(self, sobject: SObject, drafts: Iterable[Draft], author: Author) -> None:
        """Change the accepted drafts of a save."""
        for one in self.all:
            if one.object != sobject.name or one.of not in {
                ANYBODY,
                *(name for name, user in USERS.items() if user == author.user),
            }:
                continue
            for draft in drafts:
                if draft.refusal is None and _meets(sobject, draft, one.when):
                    _set(sobject, draft, one)


def _meets(sobject: SObject, draft: Draft, when: Mapping[str, Any]) -> bool:
    named = [(sobject.find(name), value) for name, value in when.items()]
    return all(
        field is not None and field.name in draft.values and draft.values[field.name] == stored(field, value)
        for field, value in named
    )


def _set(sobject: SObject, draft: Draft, rewrite: Rewrite) -> None:
    for name, value in rewrite.fields.items():
        field = sobject.find(name)
        if field is None:
            continue
        if isinstance(value, dict):
            written = draft.values.get(field.name)
            if written is None:
                continue
            new: Stored = _formed(str(written), str(value.get(PATTERN, "")))
        else:
            new = stored(field, value)
        _put(draft, field, new)
        draft.signed = USERS[rewrite.by] if rewrite.by else draft.signed


def _put(draft: Draft, field: Field, value: Stored) -> None:
    draft.values[field.name] = value
    if field.keyed:
        draft.values[field.folded] = fold(field, value)


def _formed(text: str, pattern: str) -> str:
    """The digits of a text in the places of a pattern; the unchanged text if their numbers differ."""
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) != pattern.count("#"):
        return text
    left = iter(digits)
    return "".join(next(left) if one == "#" else one for one in pattern)
