"""The records that have a phone number, and the choice among them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.consent_fields import ConsentFields
from connector.model.operation import IfMany, Match, RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.model.record_number import RecordNumber

MAX_NAMED = 10  # Ids in one message to a person

NOBODY = Delivered(detail="no record has this number, so it was left out", absent=True)
NOT_FOUND = Rejected(
    reason=Reason.NEEDS_PERSON,
    detail="no record has this number: make one, or write the number on the right one, then release this",
)
SAME_RECORD = Retry(reason=Reason.HALTED, detail="another number's write to the same record goes first")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A record found by a query."""

    record_id: str
    created: str  # ISO 8601 in UTC, so that text order is time order
    key: str | None  # external ID, if the writes have one
    flag: object
    phones: Sequence[RecordNumber]  # the values of the match's fields, in their order

    @property
    def age(self) -> tuple[str, str]:
        """Sort key: older records first, then by Id for records of the same second."""
        return self.created, self.record_id


class Candidates:
    """The candidates of one query, by key and by number."""

    def __init__(self, found: Sequence[Candidate]) -> None:
        self._by_key: dict[str, list[Candidate]] = {}
        self._by_phone: dict[Phone, list[Candidate]] = {}
        self._perhaps: dict[Phone, list[Candidate]] = {}
        for candidate in found:
            if candidate.key:
                self._by_key.setdefault(candidate.key.lower(), []).append(candidate)
            clear = dict.fromkeys(number.phone for number in candidate.phones if number.phone is not None)
            for phone in clear:
                self._by_phone.setdefault(phone, []).append(candidate)
            for phone in dict.fromkeys(phone for number in candidate.phones for phone in number.possible):
                if phone not in clear:
                    self._perhaps.setdefault(phone, []).append(candidate)

    def with_key(self, write: RecordWrite) -> Sequence[Candidate]:
        """The candidates with the write's key."""
        return self._by_key.get(write.key.lower(), ()) if write.keyed else ()

    def with_number(self, match: Match) -> Sequence[Candidate]:
        """The candidates with the number in any of the fields, oldest first."""
        return sorted(self._by_phone.get(match.phone, ()), key=lambda candidate: candidate.age)

    def perhaps_with_number(self, match: Match) -> Sequence[Candidate]:
        """The candidates that may have the number (no country code, or ambiguous), oldest first."""
        return sorted(self._perhaps.get(match.phone, ()), key=lambda candidate: candidate.age)


def choose(match: Match, same_number_records: Sequence[Candidate]) -> Candidate | Sequence[Candidate]:
    """The one candidate with the number, or all among which a person must choose.

    The first field in which any candidate has it decides: a mobile phone belongs to one person, a home phone to
    several.
    """
    for place in range(len(match.fields)):
        having = [candidate for candidate in same_number_records if candidate.phones[place].phone == match.phone]
        if len(having) == 1 or (having and match.many is IfMany.OLDEST):
            return having[0]
        if having:
            return having[-1] if match.many is IfMany.NEWEST else having
    return same_number_records


def same(one: object, other: object) -> bool:
    """Whether two values of a flag are equal: picklist values are compared without letter case, and numbers as their text."""
    if one is not None and other is not None and (isinstance(one, str) or isinstance(other, str)):
        return str(one).casefold() == str(other).casefold()
    return one == other


def which_of(found: Sequence[Candidate]) -> str:
    """The question for a person about several records that have the number."""
    return f"{len(found)} records have this number ({_named(found)}): merge them, or leave the number on one, then release this"


def whose_number(found: Sequence[Candidate], consent: ConsentFields | None) -> str:
    """The question for a person about records that may have the number, or another one."""
    country = f", or fill in {consent.country}" if consent and consent.country else ""
    return (
        f"{len(found)} records may have this number or another one ({_named(found)}): write one number there, with its "
        f"country code{country}, then release this"
    )


def _named(found: Sequence[Candidate]) -> str:
    """The Ids of the candidates for a message to a person: the first ten, and how many more there are."""
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return ", ".join(candidate.record_id for candidate in found[:MAX_NAMED]) + more
