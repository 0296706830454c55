"""Who may be meant by a phone number: the question, the rows that answer it, and the choice among them. Pure.

People write numbers in a CRM in every form, so that no list of spellings finds them all. The digits of the national number in
their order do, whatever stands between them: LIKE '%9%0%0%0%0%0%0%1%'. Salesforce holds that against each record, as phone fields
have no index; that is why up to 200 people share one query, and why a number is remembered with its record once it is found. What
LIKE finds too many is sorted out here, where both sides are compared as E.164.

SOSL would use the search index, but that index lags behind what was just written, ranks and cuts its results, and divides a
formatted number into words as it pleases: a donor could be missed and made twice. A query of 200 people is longer than a URL
may be and shorter than SOQL may be (100,000 characters), so that it goes in the body of a composite request.

Source: SOQL and SOSL Reference, "LIKE", "SOSL Limits"; Salesforce Help 000386264, "Maximum number of rows returned by SOQL queries
over the REST API" (a long query belongs in a composite request).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.salesforce.client.api import identifier, literal
from connector.crm.salesforce.client.responses import value_of
from connector.model.operation import ID_FIELD, IfMany, Match, RecordWrite
from connector.model.phone import Phone, national_part
from connector.model.record_number import NumberReader, RecordNumber, known_by_key

CREATED = "CreatedDate"
DIGITS = 8  # from the end of the number: with fewer, LIKE finds strangers by the hundred; with more, none better


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTerm:
    """A person to look for."""

    index: int  # of the write in its batch
    write: RecordWrite
    match: Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One query: its people are looked for in the same fields of one object."""

    terms: Sequence[SearchTerm]
    flag: str | None  # the opt-out flag, which is read along
    country: str | None = None  # the field with the record's country, which a number may lack

    @property
    def soql(self) -> str:
        """Its text."""
        write, match = self.terms[0].write, self.terms[0].match
        fields = [identifier(name) for name in match.fields]
        keyed = [identifier(write.key_field)] if write.keyed else []
        flags = [identifier(self.flag)] if self.flag else []
        countries = [identifier(self.country)] if self.country else []
        columns = dict.fromkeys([ID_FIELD, CREATED, *fields, *keyed, *flags, *countries])
        conditions = [f"{name} LIKE '{pattern(one.match.phone)}'" for one in self.terms for name in fields]
        keys = ",".join(literal(one.write.key) for one in self.terms)
        conditions += [f"{name} IN ({keys})" for name in keyed]
        return f"SELECT {','.join(columns)} FROM {identifier(write.object)} WHERE {' OR '.join(conditions)}"  # noqa: S608 - SOQL; names are checked and texts quoted.


def pattern(phone: Phone) -> str:
    """A number's last digits with anything before, between and behind them: remarks, and marks that nobody sees."""
    return f"%{'%'.join(national_part(phone)[-DIGITS:])}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A record that a query has found."""

    record_id: str
    created: str  # ISO 8601 in UTC, so that text order is time order
    key: str | None  # of the external ID, where the writes have one
    flag: object
    phones: Sequence[RecordNumber]  # what the match's fields hold, in their order

    @property
    def age(self) -> tuple[str, str]:
        """The older first; Ids decide between records of one second."""
        return self.created, self.record_id


def candidates(search: Search, rows: Sequence[Mapping[str, Any]], numbers: NumberReader) -> list[Candidate]:
    """The rows of the answer; `numbers` reads their phone fields."""
    write, match = search.terms[0].write, search.terms[0].match
    found = []
    for row in rows:
        key = str(value_of(row, write.key_field) or "") if write.keyed else None
        country = value_of(row, search.country) if search.country else None
        found.append(
            Candidate(
                record_id=str(value_of(row, ID_FIELD)),
                created=str(value_of(row, CREATED)),
                key=key,
                flag=value_of(row, search.flag) if search.flag else None,
                phones=[known_by_key(numbers.read(value_of(row, name), country), [key]) for name in match.fields],
            )
        )
    return found


class Candidates:
    """The candidates of one query, by key and by number."""

    def __init__(self, found: Sequence[Candidate]) -> None:
        self._by_key: dict[str, list[Candidate]] = {}
        self._by_phone: dict[Phone, list[Candidate]] = {}
        self._perhaps: dict[Phone, list[Candidate]] = {}
        for one in found:
            if one.key:
                self._by_key.setdefault(one.key.lower(), []).append(one)
            clear = dict.fromkeys(number.phone for number in one.phones if number.phone is not None)
            for phone in clear:
                self._by_phone.setdefault(phone, []).append(one)
            for phone in dict.fromkeys(phone for number in one.phones for phone in number.possible):
                if phone not in clear:
                    self._perhaps.setdefault(phone, []).append(one)

    def with_key(self, write: RecordWrite) -> Sequence[Candidate]:
        """Those that have the write's key."""
        return self._by_key.get(write.key.lower(), ()) if write.keyed else ()

    def with_number(self, match: Match) -> Sequence[Candidate]:
        """Those that have the number in any of the fields, oldest first."""
        return sorted(self._by_phone.get(match.phone, ()), key=lambda one: one.age)

    def perhaps_with_number(self, match: Match) -> Sequence[Candidate]:
        """Those that may have the number: theirs is written without its country, or is one of two, oldest first."""
        return sorted(self._perhaps.get(match.phone, ()), key=lambda one: one.age)


def choose(match: Match, same_number_records: Sequence[Candidate]) -> Candidate | Sequence[Candidate]:
    """The one of those with the number, or all between whom a person must choose.

    The first field in which anybody has it decides: a mobile phone belongs to one person, a phone at home to several.
    """
    for place in range(len(match.fields)):
        having = [one for one in same_number_records if one.phones[place].phone == match.phone]
        if len(having) == 1 or (having and match.many is IfMany.OLDEST):
            return having[0]
        if having:
            return having[-1] if match.many is IfMany.NEWEST else having
    return same_number_records
