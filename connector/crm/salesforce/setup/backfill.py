"""Decides which contacts get their number as external ID, and why the others do not. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector.crm.crm import DescribeResult
from connector.crm.salesforce.client.api import identifier
from connector.crm.salesforce.client.error_codes import classify
from connector.crm.salesforce.client.responses import value_of
from connector.crm.salesforce.write.trigger_limits import too_many
from connector.mapping.checks.crm_fields import key_faults
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Rejected, Retry
from connector.model.phone import Phone
from connector.model.record_number import NumberReader, known_by_key
from connector.ports import Task

OBJECT = "Contact"
SHOWN = 10  # ids of other contacts shown per contact: a dummy number may be on hundreds

# Codes of a row that report a change since it was read; only the external ID is written, so no other field can be
# meant.
TAKEN = frozenset({"DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID"})
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})

Key = Callable[[Phone], str | None]  # the external ID for a number, as the mappings build it


def lacking(described: DescribeResult, key_field: str, read: Sequence[str]) -> list[str]:
    """What contacts lack for a backfill: one sentence each, with advice."""
    if described is None or isinstance(described, Retry):
        why = "it does not exist, or is hidden" if described is None else f"{described.reason}, {described.detail}"
        return [f"{OBJECT} cannot be described ({why}): give the integration user access to it"]
    found = [
        f"{OBJECT}.{name} does not exist, or field-level security hides it: create it, or show it to the integration user"
        for name in (key_field, *read)
        if described.field(name) is None
    ]
    key = described.field(key_field)
    if key is not None:
        found += [f"{message}: {hint}" for _, message, hint in key_faults(OBJECT, key)]
        if not key.updateable:
            found.append(f"{OBJECT}.{key.name} is read-only: allow the integration user to edit it")
    return found


class Many(StrEnum):
    """Which of several contacts with the same number gets it."""

    SKIP = "skip"  # none of them
    OLDEST = "oldest"
    NEWEST = "newest"


class Verdict(StrEnum):
    """The result for a contact."""

    OPEN = "open"  # not known until all contacts are read: others may have its number
    FILL = "fill"
    FILLED = "filled"  # correctly filled, by us or somebody else
    NO_PHONE = "no_phone"
    UNREADABLE = "unreadable"
    UNCLEAR = "unclear"
    DIFFERENT = "different"
    SHARED = "shared"
    TAKEN = "taken"
    CHANGED = "changed"
    GONE = "gone"
    REFUSED = "refused"
    WRITTEN = "written"


# The reason, and what a person does about it.
CURES: dict[Verdict, str] = {
    Verdict.DIFFERENT: "its external ID is filled, and not with one of its numbers: correct the number or empty the external ID",
    Verdict.TAKEN: "another contact has this number as its external ID: merge the two, or take the number from one",
    Verdict.SHARED: "several contacts have this number: merge them, or choose one by --many oldest or newest",
    Verdict.UNREADABLE: "none of its phone fields holds a readable number: correct it; a default_region helps with local numbers",
    Verdict.UNCLEAR: "its number may mean several people: write one number there, with its country code, or fill in its country "
    "(`country:` of consent_fields)",
    Verdict.CHANGED: "it was changed after it was read: run the command again",
    Verdict.GONE: "it was deleted after it was read",
    Verdict.REFUSED: "Salesforce refused the change: fix what the code names, and run the command again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact as it was read, and the result for it alone."""

    id: str
    verdict: Verdict
    held: str  # its current external ID; empty if it has none
    wanted: str  # the external ID for its number; empty if the number is missing or unreadable
    shown: str  # its number, masked
    created: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """How contacts are read."""

    key_field: str
    phone_fields: tuple[str, ...]  # the preferred one first
    numbers: NumberReader
    key: Key
    country: str | None = None  # the field with the contact's country, for numbers without a country code

    @property
    def soql(self) -> str:
        """The query for all contacts. Raises BadName."""
        return f"SELECT {', '.join((*self._fields, 'CreatedDate', 'AccountId'))} FROM {OBJECT}"  # noqa: S608 - names are checked.

    def changed_since(self, moment: str) -> str:
        """The query for contacts changed at or after a time. Raises BadName."""
        return f"SELECT {', '.join(self._fields)} FROM {OBJECT} WHERE SystemModstamp >= {moment}"  # noqa: S608 - names are checked.

    @property
    def _fields(self) -> tuple[str, ...]:
        names = ("Id", self.key_field, *self.phone_fields, *((self.country,) if self.country else ()))
        return tuple(dict.fromkeys(identifier(name) for name in names))

    def read(self, row: Mapping[str, str]) -> Contact:
        """Parse a row of the query, and decide on it alone."""
        texts = [text for name in self.phone_fields if (text := str(value_of(row, name) or "").strip())]
        held = str(value_of(row, self.key_field) or "")
        country = value_of(row, self.country) if self.country else None
        numbers = [known_by_key(self.numbers.read(text, country), [held]) for text in texts]
        phones = [number.phone for number in numbers if number.phone is not None]
        keys = [key for phone in phones if (key := self.key(phone))]
        if held:
            right = not keys or held.casefold() in {key.casefold() for key in keys}
            verdict = Verdict.FILLED if right else Verdict.DIFFERENT
        elif keys:
            verdict = Verdict.OPEN
        else:
            unclear = any(number.is_unclear for number in numbers)
            verdict = Verdict.UNCLEAR if unclear else Verdict.UNREADABLE if texts else Verdict.NO_PHONE
        return Contact(
            id=row["Id"],
            verdict=verdict,
            held=held,
            wanted=keys[0] if keys else "",
            shown=phones[0].masked if phones else "",
            created=str(value_of(row, "CreatedDate") or ""),
            account=str(value_of(row, "AccountId") or ""),
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """The final verdict for a contact that was open, and the other contacts that caused it."""

    id: str
    verdict: Verdict
    others: tuple[str, ...] = ()


def settle(ids: Sequence[str], holder: str | None, many: Many) -> Iterator[Settled]:
    """Decide for all contacts with one number and no external ID, oldest first; `holder` already has the number as external ID."""
    if holder is not None:
        yield from (Settled(one, Verdict.TAKEN, (holder,)) for one in ids)
        return
    chosen = ids[0] if len(ids) == 1 or many is Many.OLDEST else ids[-1] if many is Many.NEWEST else None
    near = ids[: SHOWN + 1]
    for one in ids:
        others = tuple(other for other in near if other != one)[:SHOWN]
        yield Settled(one, Verdict.FILL if one == chosen else Verdict.SHARED, others)


def refusal(error: str) -> tuple[Verdict, str, bool]:
    """Classify a row's `sf__Error`: the verdict, Salesforce's code, and whether to try again.

    The text has the form `CODE:message:fields --`. The message is not stored: it may contain the donor's data.
    """
    code, _, message = error.partition(":")
    return _verdict(code, classify(code, message))


def crowded(error: str) -> bool:
    """Whether a row's `sf__Error` says that a trigger cannot handle this many rows: a job always uses 200."""
    code, _, message = error.partition(":")
    return too_many(classify(code, message))


def written_alone(record_id: str, key_field: str, key: str) -> Task:
    """The change of a job's row as a record of an ordinary request, which may have any size."""
    return Task(
        RecordWrite(sink="", object=OBJECT, key_field=ID_FIELD, key=record_id, set={key_field: key}, may_create=False)
    )


def settled(outcome: Outcome) -> tuple[Verdict, str, bool]:
    """The result of such a record in the form of refusal(), or "written"."""
    if isinstance(outcome, Delivered):
        return Verdict.WRITTEN, "", False
    return _verdict(outcome.code or outcome.reason, outcome)


def _verdict(code: str, outcome: Retry | Rejected) -> tuple[Verdict, str, bool]:
    if code in TAKEN:
        return Verdict.TAKEN, code, False
    if code in GONE:
        return Verdict.GONE, code, False
    return Verdict.REFUSED, code, isinstance(outcome, Retry)
