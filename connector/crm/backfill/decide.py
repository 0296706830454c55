"""Decides which contacts get their number as external ID, and why the others do not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connector.crm.backfill.backfill_file import BackfillFile, ContactRow
from connector.model.phone import Phone
from connector.model.record_number import NumberReader, known_by_key

SHOWN = 10  # ids of other contacts shown per contact: a dummy number may be on hundreds

Key = Callable[[Phone], str | None]  # the external ID for a number, as the mappings build it


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
    Verdict.DIFFERENT: "its key is filled, and not with one of its numbers: correct the number or empty the key",
    Verdict.TAKEN: "another contact has this number as its key: merge the two, or remove the number from one",
    Verdict.SHARED: "several contacts have this number: merge them, or choose one by --many oldest or newest",
    Verdict.UNREADABLE: "none of its phone fields holds a readable number: correct it; a default_region helps with local numbers",
    Verdict.UNCLEAR: "its number may mean several people: write one number there, with its country code, or fill in its country "
    "(`country:` of consent_fields)",
    Verdict.CHANGED: "it was changed after it was read: run the command again",
    Verdict.GONE: "it was deleted after it was read",
    Verdict.REFUSED: "the CRM refused the change: fix what the code names, and run the command again",
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
class ContactReader:
    """How contacts are read."""

    key_field: str
    phone_fields: tuple[str, ...]  # the preferred one first
    numbers: NumberReader
    key: Key
    country: str | None = None  # the field with the contact's country, for numbers without a country code

    def decide(self, record_id: str, value: Callable[[str], Any], *, created: str, account: str) -> Contact:
        """Decide on a contact alone; `value` gives a field of it."""
        texts = [text for name in self.phone_fields if (text := str(value(name) or "").strip())]
        held = str(value(self.key_field) or "")
        country = value(self.country) if self.country else None
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
            id=record_id,
            verdict=verdict,
            held=held,
            wanted=keys[0] if keys else "",
            shown=phones[0].masked if phones else "",
            created=created,
            account=account,
        )


def row_of(contact: Contact) -> ContactRow:
    """The contact as the file of the backfill has it."""
    return ContactRow(
        id=contact.id,
        verdict=contact.verdict,
        held=contact.held.casefold(),
        wanted=contact.wanted,
        shown=contact.shown,
        created=contact.created,
        account=contact.account,
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


def settle_open(file: BackfillFile, many: Many) -> None:
    """Decide on all contacts that depend on others, once all are read."""
    file.set_verdicts(
        (one.verdict, one.others, one.id)
        for sharers in file.sharers(Verdict.OPEN)
        for one in settle(sharers.ids, sharers.holder, many)
    )
