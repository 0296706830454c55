"""Field properties of an org's objects, each object described once: unique fields, text fields and others.

A text field rejects a JSON number, and the whole request fails. So numbers and flags for text fields are sent as text:
known from the description at the start, or at the latest from the one that is read after a rejection.

Source: REST API Developer Guide, "sObject Describe".
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress

from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.fields import FieldInfo, fields_of
from connector.mapping.values.values import text
from connector.model.operation import Fields, Value
from connector.model.outcome import Reason, Rejected, Retry

TRIES = 3  # of describing an object that the org does not describe
# A new account is a business with a Name or a person with a LastName, whatever the description of these fields says.
ACCOUNT, OF_A_PERSON = "account", frozenset({"name", "lastname", "recordtypeid", "recordtype"})
UNREADABLE = "JSON_PARSER_ERROR"
# Field types that accept only JSON text; a combobox is a picklist that also accepts any other text.
TEXT_TYPES = frozenset(
    {"string", "encryptedstring", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox"}
)
NON_TEXT = frozenset({bool, int, float})


class OrgFields:
    """The fields of one org's objects, as far as they have been described."""

    def __init__(self) -> None:
        self._unique: dict[str, frozenset[str]] = {}  # by object; case-folded
        self._texts: dict[str, frozenset[str]] = {}  # the same
        self._case_sensitive: dict[str, frozenset[str]] = {}  # the same: case-sensitive fields
        self._required: dict[str, frozenset[str]] = {}  # the same: fields that a new record needs
        self._parents: dict[str, dict[str, tuple[str, ...]]] = {}  # the same: by relationship, its possible objects
        self._failed_describes: Counter[str] = Counter()

    async def learn(self, rest: RestClient, names: Iterable[str]) -> None:
        """Describe these objects unless they are known. Raises RequestFailed if Salesforce is not available."""
        for name in sorted(set(names) - self._unique.keys()):
            try:
                self._store(name, await fields_of(rest, name))
            except RequestFailed as failed:
                if read_failure(failed).reason is not Reason.UNEXPECTED_ANSWER:
                    raise
                self._failed_describes[name] += 1
                if self._failed_describes[name] == TRIES:
                    self._unique[name] = frozenset()

    async def learn_required(self, rest: RestClient, names: Iterable[str]) -> None:
        """Describe what new records of these objects need. Raises RequestFailed without an answer: there is no default."""
        for name in sorted(set(names) - self._required.keys()):
            self._store(name, await fields_of(rest, name))

    async def learn_again(self, rest: RestClient, names: Iterable[str]) -> None:
        """Describe these objects again: a rejection shows that they may have changed."""
        for name in sorted(set(names)):
            with suppress(RequestFailed):
                self._store(name, await fields_of(rest, name))

    def unique(self, name: str, field: str) -> bool:
        """Whether a field is known to be unique."""
        return field.casefold() in self._unique.get(name, ())

    def is_case_sensitive(self, name: str, field: str) -> bool:
        """Whether a field is known to be case-sensitive."""
        return field.casefold() in self._case_sensitive.get(name, ())

    def required(self, name: str, field: str) -> bool:
        """Whether a new record is known to need the field, or the relationship of that name."""
        folded = field.casefold()
        if name.casefold() == ACCOUNT and folded in OF_A_PERSON:
            return True
        return folded in self._required.get(name, ())

    def parents(self, name: str, relationship: str) -> tuple[str, ...]:
        """The objects that a relationship of an object is known to point to."""
        return self._parents.get(name, {}).get(relationship.casefold(), ())

    def with_text_values(self, name: str, fields: Fields) -> Fields:
        """The fields of a record, with numbers and flags as text for known text fields."""
        texts = self._texts.get(name)
        if not texts:
            return fields
        not_text = [
            field for field, value in fields.items() if value.__class__ in NON_TEXT and field.casefold() in texts
        ]
        if not not_text:
            return fields
        converted: dict[str, Value] = dict(fields)
        converted.update((field, text(fields[field])) for field in not_text)
        return converted

    def _store(self, name: str, fields: Mapping[str, FieldInfo]) -> None:
        self._unique[name] = _folded(field for field in fields.values() if field.unique)
        self._case_sensitive[name] = _folded(field for field in fields.values() if field.case_sensitive)
        self._required[name] = frozenset(
            one.casefold()
            for field in fields.values()
            if field.required
            for one in (field.name, field.relationship)
            if one
        )
        self._parents[name] = {
            field.relationship.casefold(): field.parents for field in fields.values() if field.relationship
        }
        self._texts[name] = _folded(field for field in fields.values() if field.type in TEXT_TYPES)


def _folded(fields: Iterable[FieldInfo]) -> frozenset[str]:
    return frozenset(field.name.casefold() for field in fields)


def may_hold_text(outcome: Retry | Rejected, fields: Fields) -> bool:
    """Whether a record was rejected for an unreadable value, and has a number or flag that may belong in a text field."""
    return outcome.code == UNREADABLE and any(value.__class__ in NON_TEXT for value in fields.values())
