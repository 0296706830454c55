"""What an org says of the fields of its objects, asked once of each object: which are unique, and which hold text.

A text field refuses a JSON number, and the whole request with it, so that a number or flag goes to one as text: by what the org
has said at the start, or at the latest by what it says when it has refused one.

Source: REST API Developer Guide, "sObject Describe".
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.read.preflight import FieldInfo, fields_of
from connector.mapping.values.values import text
from connector.model.http import Exchange
from connector.model.operation import Fields, Value
from connector.model.outcome import Reason, Rejected, Retry

TRIES = 3  # of describing an object of which the org will not tell
# A new account is a business with a Name or a person with a LastName, whatever a description says of the two.
ACCOUNT, OF_A_PERSON = "account", frozenset({"name", "lastname", "recordtypeid", "recordtype"})
UNREADABLE = "JSON_PARSER_ERROR"
# Field types that take JSON text alone; a combobox is a picklist that takes any other text too.
TEXT_TYPES = frozenset(
    {"string", "encryptedstring", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox"}
)
NO_TEXT = frozenset({bool, int, float})


class OrgFields:
    """The fields of one org's objects, as far as they were asked for."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._unique: dict[str, frozenset[str]] = {}  # by object; case-folded
        self._texts: dict[str, frozenset[str]] = {}  # the same
        self._exact: dict[str, frozenset[str]] = {}  # the same: those that tell letter case apart
        self._required: dict[str, frozenset[str]] = {}  # the same: what a new record needs
        self._parents: dict[str, dict[str, tuple[str, ...]]] = {}  # the same: by relationship, the objects it leads to
        self._unanswered: Counter[str] = Counter()

    def learn(self, names: Iterable[str]) -> Exchange[Retry | None]:
        """Ask about these objects, where they are not known. Retry where Salesforce cannot be worked with now."""
        for name in sorted(set(names) - self._unique.keys()):
            fields = yield from fields_of(self._api, name)
            if not isinstance(fields, Retry):
                self._keep(name, fields)
            elif fields.reason is not Reason.UNEXPECTED_ANSWER:
                return fields
            else:
                self._unanswered[name] += 1
                if self._unanswered[name] == TRIES:
                    self._unique[name] = frozenset()
        return None

    def learn_required(self, names: Iterable[str]) -> Exchange[Retry | None]:
        """Ask what new records of these objects need. Retry where Salesforce does not tell: nothing stands for its answer."""
        for name in sorted(set(names) - self._required.keys()):
            fields = yield from fields_of(self._api, name)
            if isinstance(fields, Retry):
                return fields
            self._keep(name, fields)
        return None

    def learn_again(self, names: Iterable[str]) -> Exchange[None]:
        """Ask about these objects though they are known: a refusal shows that they may have changed."""
        for name in sorted(set(names)):
            fields = yield from fields_of(self._api, name)
            if not isinstance(fields, Retry):
                self._keep(name, fields)

    def unique(self, name: str, field: str) -> bool:
        """Whether a field is known to be unique."""
        return field.casefold() in self._unique.get(name, ())

    def tells_case(self, name: str, field: str) -> bool:
        """Whether a field is known to take values that differ by letter case alone for two."""
        return field.casefold() in self._exact.get(name, ())

    def required(self, name: str, field: str) -> bool:
        """Whether a new record is known to need the field, or the relationship of that name."""
        folded = field.casefold()
        if name.casefold() == ACCOUNT and folded in OF_A_PERSON:
            return True
        return folded in self._required.get(name, ())

    def parents(self, name: str, relationship: str) -> tuple[str, ...]:
        """The objects to which a relationship of an object is known to lead."""
        return self._parents.get(name, {}).get(relationship.casefold(), ())

    def fitted(self, name: str, fields: Fields) -> Fields:
        """The fields of a record, with numbers and flags as text where the field is known to hold text."""
        texts = self._texts.get(name)
        if not texts:
            return fields
        loose = [field for field, value in fields.items() if value.__class__ in NO_TEXT and field.casefold() in texts]
        if not loose:
            return fields
        fit: dict[str, Value] = dict(fields)
        fit.update((field, text(fields[field])) for field in loose)
        return fit

    def _keep(self, name: str, fields: Mapping[str, FieldInfo]) -> None:
        self._unique[name] = _folded(field for field in fields.values() if field.unique)
        self._exact[name] = _folded(field for field in fields.values() if field.case_sensitive)
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
    """Whether a record was refused for a value that cannot be read, and has a number or flag that may stand for a text."""
    return outcome.code == UNREADABLE and any(value.__class__ in NO_TEXT for value in fields.values())
