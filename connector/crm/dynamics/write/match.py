"""Finds the record for each write with a match, just before the write: the one used before, or one with the number.

People write numbers in many forms. `contains` takes wildcards, so that contains(mobilephone,'9%0%0%0%0%0%0%1') finds the
digits in order, whatever is between them. It also finds wrong records: both sides are compared as E.164 here.

Sources: "Wildcard characters in conditions for string values", "Query limits": a query has at most 500 conditions.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from connector.crm.candidates import (
    NOBODY,
    NOT_FOUND,
    SAME_RECORD,
    Candidate,
    Candidates,
    choose,
    same,
    which_of,
    whose_number,
)
from connector.crm.dynamics.client import api, responses
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import shown_value
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.contact_points import narrowing
from connector.crm.dynamics.write.bodies import own_id
from connector.crm.dynamics.write.dependencies import with_parent_ids
from connector.crm.dynamics.write.lookups import Found, LookUp, Wanted
from connector.crm.dynamics.write.writes import Assumption, Write, without_outcome
from connector.crm.shared_numbers import WriteTasks, opt_out_others, outcome_with_others
from connector.model.consent_fields import ConsentFields
from connector.model.operation import IfNone, Match, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.phone import Phone, national_part
from connector.model.record_number import NumberReader, known_by_key

CREATED = "createdon"
DIGITS = 8  # from the end of the number: fewer find hundreds of wrong records, more find none better
CONDITIONS = 300  # of one query
OF_THE_QUERY = frozenset({Reason.TIMEOUT, Reason.UNKNOWN_CODE})  # a smaller query may be answered

TOO_MANY_MATCHES = Rejected(
    reason=Reason.NEEDS_PERSON,
    detail="more records than one answer holds end like this number: give the right one its key, then release this",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTerm:
    """A person to search for."""

    write: Write
    match: Match


class Matching:
    """The matches of one batch. Afterwards each write has the record in `found`, or an outcome."""

    def __init__(self, web: WebApi, *, numbers: NumberReader, consent: Mapping[str, ConsentFields]) -> None:
        """`consent` is by table; `numbers` reads the org's phone columns."""
        self._web = web
        self._numbers = numbers
        self._consent = consent
        self._matched: list[Write] = []  # writes to an existing record, or to one that may be created
        self._same_number_records: dict[Write, tuple[str, ...]] = {}  # other records with the number, opted out too
        self._unclear: dict[Write, str] = {}  # records that may be meant by an opt-out: the question for a person

    async def run(self, writes: Sequence[Write]) -> None:
        """Check the known records, then search for the rest. Raises RequestFailed if Dataverse is not available."""
        await self._verify(writes)
        searches = deque(self._searches(writes))
        while searches:
            terms = searches.popleft()
            refused = await self._search(terms)
            if refused is not None and len(terms) > 1:
                searches.extendleft(reversed(_halves(terms)))
            elif refused is not None:
                _fail(terms, refused)
        _serialize_duplicates(writes)
        self._matched = [write for write in writes if _is_matched(write)]

    async def _search(self, terms: Sequence[SearchTerm]) -> Outcome | None:
        """Search for the people of one query. Returns the outcome if the org refused it. Raises RequestFailed."""
        try:
            answer = await self._web.get(self._query(terms))
        except RequestFailed as failed:
            if isinstance(failed.outcome, Retry) and failed.outcome.reason not in OF_THE_QUERY:
                raise
            return failed.outcome
        if "@odata.nextLink" in answer.body:
            return TOO_MANY_MATCHES
        found = Candidates(self._candidates(terms, responses.rows(answer)))
        for term in terms:
            self._settle(term, found)
        return None

    def link_children(self, writes: Sequence[Write]) -> None:
        """Name matched parents by id in their children; leave out children whose parent does not exist."""
        record_ids = {write: write.found.record_id for write in self._matched if write.found is not None}
        for child in [write for write in without_outcome(writes) if write.parents]:
            parent_ids = {column: record_ids[write] for column, write in child.parents.items() if write in record_ids}
            child.record_write = with_parent_ids(child.record_write, parent_ids)
            for parent in child.parents.values():
                if isinstance(parent.outcome, Delivered) and parent.outcome.absent:
                    child.outcome = parent.outcome

    async def conclude(self, write: WriteTasks) -> None:
        """After the writes: match again what changed meanwhile, and opt out records with the same number.

        `write` writes to records by their ids.
        """
        for matched in self._matched:
            outcome = matched.outcome
            if isinstance(outcome, Rejected) and outcome.reason in {Reason.RECORD_DELETED, Reason.RECORD_MISSING}:
                matched.outcome = Retry(reason=Reason.RACE, detail=outcome.detail)
        others = {
            opt_out: record_ids
            for opt_out, record_ids in self._same_number_records.items()
            if record_ids and not isinstance(opt_out.outcome, Retry)
        }
        if others:
            results = await opt_out_others(
                write, [(opt_out.original, record_ids) for opt_out, record_ids in others.items()]
            )
            for opt_out, marked in zip(others, results, strict=True):
                opt_out.outcome = outcome_with_others(opt_out.result, marked)
        for opt_out, question in self._unclear.items():
            outcome = opt_out.outcome
            if isinstance(outcome, Delivered):
                own = (outcome.record_id,) if outcome.record_id else ()
                also_updated = (*own, *outcome.also_updated)
                opt_out.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=question, also_updated=also_updated)

    async def _verify(self, writes: Sequence[Write]) -> None:
        """Follow known records that were merged meanwhile, and forget deleted ones."""
        wanted = []
        for write in writes:
            record_id, table = write.task.remembered.record_id or write.task.gone, write.table
            if record_id is not None:
                flag = self._flag(write.original)
                wanted.append(Wanted(result_key=write, table=table, column=table.id_column, value=record_id, flag=flag))
        look_up = LookUp(self._web)
        await look_up.run(wanted)
        for write in writes:
            found = look_up.found.get(write)
            if found is not None:
                _use_record(write, found)

    def _searches(self, writes: Sequence[Write]) -> list[list[SearchTerm]]:
        groups: dict[tuple[str, str, tuple[str, ...]], list[SearchTerm]] = {}
        for write in without_outcome(writes):
            original = write.original
            # An opt-out is for everybody with the number, and is therefore searched for even if its own record is known.
            known = _is_matched(write) and not self._opts_out(original)
            if original.match is not None and not known:
                group = (original.object, original.key_field, original.match.fields)
                groups.setdefault(group, []).append(SearchTerm(write=write, match=original.match))
        searches = []
        for (_, _, fields), terms in groups.items():
            people = max(1, CONDITIONS // (len(fields) + 1))
            searches += [terms[start : start + people] for start in range(0, len(terms), people)]
        return searches

    def _query(self, terms: Sequence[SearchTerm]) -> str:
        """The query for these people, who are searched for in the same columns of one table."""
        original, table, match = terms[0].write.original, terms[0].write.table, terms[0].match
        conditions = [f"contains({name},'{pattern(term.match.phone)}')" for term in terms for name in match.fields]
        if original.keyed:
            conditions.append(api.any_of(original.key_field, _keys(terms)))
        # `contains` does not find the digits of other alphabets.
        if oddly_written := [record_id for term in terms for record_id in term.write.task.remembered.oddly_written]:
            conditions.append(api.any_of(table.id_column, oddly_written))
        condition = f"({' or '.join(conditions)})"
        if table.mergeable:
            condition += " and merged ne true"
        if more := narrowing(table.name):
            condition += f" and {more}"
        columns = dict.fromkeys([table.id_column, CREATED, *self._columns_to_read(original)])
        return f"{table.set_name}?{api.query(select=','.join(columns), filter=condition)}"

    def _columns_to_read(self, write: RecordWrite) -> list[str]:
        consent = self._consent.get(write.object)
        flag = self._flag(write)
        return [
            *(write.match.fields if write.match else ()),
            *([write.key_field] if write.keyed else ()),
            *([flag] if flag else ()),
            *([consent.country] if consent and consent.country else ()),
        ]

    def _candidates(self, terms: Sequence[SearchTerm], rows: Sequence[Mapping[str, Any]]) -> list[Candidate]:
        original, table, match = terms[0].write.original, terms[0].write.table, terms[0].match
        consent, flag = self._consent.get(original.object), self._flag(original)
        keys = _keys(terms) if original.keyed else {}
        found = []
        for row in rows:
            column_value = str(row.get(original.key_field) or "") if original.keyed else None
            key = keys.get(column_value, column_value) if column_value is not None else None
            country = row.get(consent.country) if consent and consent.country else None
            found.append(
                Candidate(
                    record_id=str(row.get(table.id_column)),
                    created=str(row.get(CREATED)),
                    key=key,
                    flag=shown_value(row.get(flag)) if flag else None,
                    phones=[known_by_key(self._numbers.read(row.get(name), country), [key]) for name in match.fields],
                )
            )
        return found

    def _settle(self, term: SearchTerm, candidates: Candidates) -> None:
        """Choose the record of one person; for an opt-out, note the other records that it concerns."""
        write, original = term.write, term.write.original
        same_number_records, possible = candidates.with_number(term.match), candidates.perhaps_with_number(term.match)
        if not _is_matched(write):
            self._choose(term, candidates, same_number_records, possible)
        if self._opts_out(original):
            asked = [other for other in possible if self._is_other_without_flag(write, other)]
            if asked and _is_matched(write):
                self._unclear[write] = whose_number(asked, self._consent.get(original.object))
            self._same_number_records[write] = tuple(
                other.record_id for other in same_number_records if self._is_other_without_flag(write, other)
            )

    def _choose(
        self,
        term: SearchTerm,
        candidates: Candidates,
        same_number_records: Sequence[Candidate],
        possible: Sequence[Candidate],
    ) -> None:
        """Give the write its record, or its outcome if there is none or a person must choose."""
        write, original = term.write, term.write.original
        same_key_records = candidates.with_key(original)
        chosen = same_key_records[0] if len(same_key_records) == 1 else choose(term.match, same_number_records)
        if len(same_key_records) > 1:
            many, key = len(same_key_records), f"{original.object}.{original.key_field}"
            detail = f"{many} records have this key: make {key} an alternate key"
            write.outcome = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
        elif isinstance(chosen, Candidate):
            found = Found(record_id=chosen.record_id, flag=chosen.flag)
            _use_record(write, found, gets_key=chosen.key == "")
        elif chosen:
            write.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=which_of(chosen))
        elif possible:
            question = whose_number(possible, self._consent.get(original.object))
            write.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=question)
        elif term.match.none is IfNone.CREATE:
            write.use_record(None)
            write.record_write = replace(original, match=None)
        else:
            write.outcome = NOBODY if term.match.none is IfNone.SKIP else NOT_FOUND

    def _flag(self, record_write: RecordWrite) -> str | None:
        """The opt-out flag of the write's table."""
        consent = self._consent.get(record_write.object)
        return consent.flag if consent is not None else None

    def _opts_out(self, record_write: RecordWrite) -> bool:
        flag = self._flag(record_write)
        sets_flag = flag is not None and flag in record_write.set
        return bool(record_write.consent) and sets_flag and not record_write.clears_flag

    def _is_other_without_flag(self, write: Write, candidate: Candidate) -> bool:
        """Whether this is another record than the write's own, and not opted out yet."""
        if write.found is not None and candidate.record_id == write.found.record_id:
            return False
        return not same(candidate.flag, self._consent[write.original.object].opted_out)


def pattern(phone: Phone) -> str:
    """A number's last digits with anything between them, such as blanks and invisible characters."""
    return "%".join(national_part(phone)[-DIGITS:])


def _keys(terms: Sequence[SearchTerm]) -> dict[str, str]:
    """The keys of the writes by their form in the column: a key in the id column is an id that is made of it."""
    keys: dict[str, str] = {}
    for term in terms:
        original = term.write.original
        keys[own_id(term.write.table, original.key_field, original.key) or original.key] = original.key
    return keys


def _is_matched(write: Write) -> bool:
    """Whether its record was found, or may be created."""
    return write.assumption is Assumption.FOUND


def _use_record(write: Write, found: Found, *, gets_key: bool = False) -> None:
    """Write to this record; with `gets_key` it also gets the write's key, so that other writes find it by the key."""
    original = write.original
    fields = {original.key_field: original.key, **original.set} if gets_key else original.set
    write.use_record(found)
    write.record_write = original.at(found.record_id, fields)


def _fail(terms: Iterable[SearchTerm], outcome: Outcome) -> None:
    for term in terms:
        term.write.assumption, term.write.outcome = Assumption.ANY, outcome


def _serialize_duplicates(writes: Iterable[Write]) -> None:
    """Write a record with two numbers twice in sequence: running batches must not write the same record."""
    first: dict[str, Write] = {}
    for write in writes:
        if (
            _is_matched(write)
            and write.found is not None
            and first.setdefault(write.found.record_id, write) is not write
        ):
            write.assumption, write.outcome = Assumption.ANY, SAME_RECORD


def _halves(terms: Sequence[SearchTerm]) -> list[list[SearchTerm]]:
    middle = len(terms) // 2
    return [list(terms[:middle]), list(terms[middle:])]
