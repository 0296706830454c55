"""Finds the records for a phone number: the query and its rows. Pure.

People write numbers in many forms, so that no list of spellings finds them all. The digits of the national number in
order do, whatever is between them: LIKE '%9%0%0%0%0%0%0%1%'. Salesforce compares that with each record, because phone
fields have no index. Therefore up to 200 people share one query, and the record of a number is remembered once it is
found. LIKE also finds wrong records; they are removed here by comparing both sides as E.164. It does not find a number in the
digits of another alphabet, so records that a feed has shown with such a number are asked for by their Ids.

SOSL would use the search index. But that index lags behind recent writes, ranks and truncates its results, and splits
formatted numbers unpredictably: a donor could be missed and created twice. A query for 200 people is longer than a URL
may be and shorter than SOQL may be (100,000 characters), so it is sent in the body of a composite request.

Source: SOQL and SOSL Reference, "LIKE", "SOSL Limits"; Salesforce Help 000386264, "Maximum number of rows returned by
SOQL queries over the REST API" (a long query belongs in a composite request).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.candidates import Candidate
from connector.crm.salesforce.client.api import identifier, literal
from connector.crm.salesforce.client.responses import value_of
from connector.crm.salesforce.write.writes import Write
from connector.model.operation import ID_FIELD, Match
from connector.model.phone import Phone, national_part
from connector.model.record_number import NumberReader, known_by_key

CREATED = "CreatedDate"
DIGITS = 8  # from the end of the number: fewer find hundreds of wrong records, more find none better


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTerm:
    """A person to search for."""

    write: Write
    match: Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One query: its people are searched in the same fields of one object."""

    terms: Sequence[SearchTerm]
    flag: str | None  # the opt-out flag, read with the record
    country: str | None = None  # the field with the record's country, for numbers without a country code

    @property
    def soql(self) -> str:
        """The query as SOQL."""
        original, match = self.terms[0].write.original, self.terms[0].match
        fields = [identifier(name) for name in match.fields]
        keyed = [identifier(original.key_field)] if original.keyed else []
        flags = [identifier(self.flag)] if self.flag else []
        countries = [identifier(self.country)] if self.country else []
        columns = dict.fromkeys([ID_FIELD, CREATED, *fields, *keyed, *flags, *countries])
        conditions = [f"{name} LIKE '{pattern(term.match.phone)}'" for term in self.terms for name in fields]
        keys = ",".join(literal(term.write.original.key) for term in self.terms)
        conditions += [f"{name} IN ({keys})" for name in keyed]
        if oddly_written := [
            record_id for term in self.terms for record_id in term.write.task.remembered.oddly_written
        ]:
            conditions.append(f"{ID_FIELD} IN ({','.join(map(literal, oddly_written))})")
        return f"SELECT {','.join(columns)} FROM {identifier(original.object)} WHERE {' OR '.join(conditions)}"  # noqa: S608 - SOQL; names are checked and texts quoted.


def pattern(phone: Phone) -> str:
    """A number's last digits with anything before, between and after them, such as remarks and invisible characters."""
    return f"%{'%'.join(national_part(phone)[-DIGITS:])}%"


def candidates(search: Search, rows: Sequence[Mapping[str, Any]], numbers: NumberReader) -> list[Candidate]:
    """Parse the rows of a response; `numbers` reads their phone fields."""
    original, match = search.terms[0].write.original, search.terms[0].match
    found = []
    for row in rows:
        key = str(value_of(row, original.key_field) or "") if original.keyed else None
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
