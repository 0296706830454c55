"""Finds the record for each write with a match, just before the write: the one used before, or one with the number.

People write numbers in many forms. `contains` takes wildcards, so that contains(mobilephone,'9%0%0%0%0%0%0%1') finds the
digits in order, whatever is between them. It also finds wrong records: both sides are compared as E.164 here.

Sources: "Wildcard characters in conditions for string values", "Query limits": a query has at most 500 conditions.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
from connector.crm.dynamics.client.tables import TableInfo, shown_value
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.contact_points import narrowing
from connector.crm.dynamics.write.bodies import own_id
from connector.crm.dynamics.write.dependencies import Dependencies, with_parents
from connector.crm.dynamics.write.lookups import Found, LookUp, Wanted
from connector.crm.shared_numbers import mark, with_others
from connector.model.consent_fields import ConsentFields
from connector.model.operation import IfNone, Match, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.phone import Phone, national_part
from connector.model.record_number import NumberReader, known_by_key
from connector.ports import Task

CREATED = "createdon"
DIGITS = 8  # from the end of the number: fewer find hundreds of wrong records, more find none better
CONDITIONS = 300  # of one query
OF_THE_QUERY = frozenset({Reason.TIMEOUT, Reason.UNKNOWN_CODE})  # a smaller query may be answered

TOO_MANY_MATCHES = Rejected(
    reason=Reason.NEEDS_PERSON,
    detail="more records than one answer holds end like this number: give the right one its key, then release this",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A person to search for."""

    index: int
    write: RecordWrite
    match: Match
    oddly_written: tuple[str, ...]  # see Remembered


class Matching:
    """The matches of one batch. Afterwards each index is in `writes` (and in `found`) or in `outcomes`."""

    def __init__(
        self,
        web: WebApi,
        table: Callable[[str], TableInfo | None],
        *,
        numbers: NumberReader,
        consent: Mapping[str, ConsentFields],
    ) -> None:
        """`table` finds a learnt table; `consent` is by table; `numbers` reads the org's phone columns."""
        self.writes: dict[int, RecordWrite] = {}
        self.found: dict[int, Found | None] = {}
        self.outcomes: dict[int, Outcome] = {}
        self._originals: dict[int, RecordWrite] = {}
        self._same_number: dict[int, tuple[str, ...]] = {}  # other records with the number, opted out too
        self._unclear: dict[int, str] = {}  # records that may be meant by an opt-out: the question for a person
        self._web = web
        self._table = table
        self._numbers = numbers
        self._consent = consent

    async def run(self, tasks: Mapping[int, Task]) -> None:
        """Check the known records, then search for the rest. Raises RequestFailed if Dataverse is not available."""
        for index, task in tasks.items():
            if isinstance(task.operation, RecordWrite):
                self._originals[index] = task.operation
        if not self._originals:
            return
        await self._verify(tasks)
        searches = deque(self._searches(tasks))
        while searches:
            terms = searches.popleft()
            refused = await self._search(terms)
            if refused is not None and len(terms) > 1:
                searches.extendleft(reversed(_halves(terms)))
            elif refused is not None:
                self._fail(terms, refused)
        self._serialize_duplicates()

    async def _search(self, terms: Sequence[Term]) -> Outcome | None:
        """Settle the people of one query; the outcome if it is too much for the org, or refused. Raises RequestFailed."""
        try:
            answer = await self._web.get(self._query(terms))
        except RequestFailed as failed:
            if isinstance(failed.outcome, Retry) and failed.outcome.reason not in OF_THE_QUERY:
                raise
            return failed.outcome
        if "@odata.nextLink" in answer.body:
            return TOO_MANY_MATCHES
        found = Candidates(self._candidates(terms, responses.rows(answer)))
        for one in terms:
            self._settle(one, found)
        return None

    def link_children(
        self, dependencies: Dependencies, writes: dict[int, RecordWrite], outcomes: dict[int, Outcome]
    ) -> None:
        """Name matched parents by id in their children; leave out children whose parent does not exist."""
        record_ids = {index: found.record_id for index in self.writes if (found := self.found[index]) is not None}
        for index, fields in dependencies.fields.items():
            if index in writes and index not in outcomes:
                writes[index] = with_parents(writes[index], fields, record_ids)
                parents = [outcomes.get(parent) for parent in fields.values()]
                outcomes.update((index, one) for one in parents if isinstance(one, Delivered) and one.absent)

    async def conclude(
        self, outcomes: dict[int, Outcome], write: Callable[[Sequence[Task]], Awaitable[Sequence[Outcome]]]
    ) -> None:
        """After the writes: match again what changed meanwhile, and opt out records with the same number."""
        for index in self.writes:
            outcome = outcomes[index]
            if isinstance(outcome, Rejected) and outcome.reason in {Reason.RECORD_DELETED, Reason.RECORD_MISSING}:
                outcomes[index] = Retry(reason=Reason.RACE, detail=outcome.detail)
        others = {
            index: (self._originals[index], ids)
            for index, ids in self._same_number.items()
            if ids and not isinstance(outcomes[index], Retry)
        }
        if others:
            marked = await mark(write, list(others.values()))
            for index, marks in zip(others, marked, strict=True):
                outcomes[index] = with_others(outcomes[index], marks)
        for index, question in self._unclear.items():
            if isinstance(done := outcomes[index], Delivered):
                own = (done.record_id,) if done.record_id else ()
                outcomes[index] = Rejected(
                    reason=Reason.NEEDS_PERSON, detail=question, also_updated=(*own, *done.also_updated)
                )

    async def _verify(self, tasks: Mapping[int, Task]) -> None:
        """Follow known records that were merged meanwhile, and forget deleted ones."""
        wanted = []
        for index, write in self._originals.items():
            record_id = tasks[index].remembered.record_id or tasks[index].gone
            table = self._table(write.object)
            if record_id is not None and table is not None:
                flag = self._flag(write)
                wanted.append(Wanted(index=index, table=table, column=table.id_column, value=record_id, flag=flag))
        look_up = LookUp(self._web)
        await look_up.run(wanted)
        for one, found in look_up.found.items():
            if found is not None and isinstance(one, int):
                self.found[one] = found
                self.writes[one] = _by_id(self._originals[one], found.record_id)

    def _searches(self, tasks: Mapping[int, Task]) -> list[list[Term]]:
        groups: dict[tuple[str, str, tuple[str, ...]], list[Term]] = {}
        for index, write in self._originals.items():
            # An opt-out is for everybody with the number, and is therefore searched for even if its own record is known.
            known = index in self.outcomes or (index in self.writes and not self._opts_out(write))
            if write.match is not None and not known:
                group = (write.object, write.key_field, write.match.fields)
                oddly_written = tasks[index].remembered.oddly_written
                term = Term(index=index, write=write, match=write.match, oddly_written=oddly_written)
                groups.setdefault(group, []).append(term)
        searches = []
        for (_, _, fields), terms in groups.items():
            people = max(1, CONDITIONS // (len(fields) + 1))
            searches += [terms[start : start + people] for start in range(0, len(terms), people)]
        return searches

    def _query(self, terms: Sequence[Term]) -> str:
        write, match = terms[0].write, terms[0].match
        table = self._table(write.object)
        assert table is not None  # noqa: S101 - writes of unknown tables have their outcome already.
        conditions = [f"contains({name},'{pattern(one.match.phone)}')" for one in terms for name in match.fields]
        if write.keyed:
            conditions.append(api.any_of(write.key_field, _keys(table, terms)))
        # `contains` does not find the digits of other alphabets.
        if shown := [record_id for one in terms for record_id in one.oddly_written]:
            conditions.append(api.any_of(table.id_column, shown))
        condition = f"({' or '.join(conditions)})"
        if table.mergeable:
            condition += " and merged ne true"
        if more := narrowing(table.name):
            condition += f" and {more}"
        columns = dict.fromkeys([table.id_column, CREATED, *self._columns_to_read(write)])
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

    def _candidates(self, terms: Sequence[Term], rows: Sequence[Mapping[str, Any]]) -> list[Candidate]:
        write, match = terms[0].write, terms[0].match
        table, consent, flag = self._table(write.object), self._consent.get(write.object), self._flag(terms[0].write)
        assert table is not None  # noqa: S101 - as in _query().
        keys = _keys(table, terms) if write.keyed else {}
        found = []
        for row in rows:
            own = str(row.get(write.key_field) or "") if write.keyed else None
            key = keys.get(own, own) if own is not None else None
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

    def _fail(self, terms: Iterable[Term], outcome: Outcome) -> None:
        for one in terms:
            self.writes.pop(one.index, None)
            self.outcomes[one.index] = outcome

    def _settle(self, term: Term, candidates: Candidates) -> None:
        index, write = term.index, term.write
        same_number_records, possible = candidates.with_number(term.match), candidates.perhaps_with_number(term.match)
        if index not in self.writes:
            self._choose(term, candidates, same_number_records, possible)
        if self._opts_out(write):
            found = self.found.get(index)
            own = found.record_id if found else None
            asked = [one for one in possible if one.record_id != own and not self._is_out(write, one)]
            if asked and index in self.writes:
                self._unclear[index] = whose_number(asked, self._consent.get(write.object))
            self._same_number[index] = tuple(
                one.record_id for one in same_number_records if one.record_id != own and not self._is_out(write, one)
            )

    def _choose(
        self,
        term: Term,
        candidates: Candidates,
        same_number_records: Sequence[Candidate],
        possible: Sequence[Candidate],
    ) -> None:
        index, write = term.index, term.write
        keyed = candidates.with_key(write)
        chosen = keyed[0] if len(keyed) == 1 else choose(term.match, same_number_records)
        if len(keyed) > 1:
            detail = f"{len(keyed)} records have this key: make {write.object}.{write.key_field} an alternate key"
            self.outcomes[index] = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
        elif isinstance(chosen, Candidate):
            self.found[index] = Found(record_id=chosen.record_id, flag=chosen.flag)
            self.writes[index] = _by_id(write, chosen.record_id, adopt=chosen.key == "")
        elif chosen:
            self.outcomes[index] = Rejected(reason=Reason.NEEDS_PERSON, detail=which_of(chosen))
        elif possible:
            self.outcomes[index] = Rejected(
                reason=Reason.NEEDS_PERSON, detail=whose_number(possible, self._consent.get(write.object))
            )
        elif term.match.none is IfNone.CREATE:
            self.found[index] = None
            self.writes[index] = replace(write, match=None)
        else:
            self.outcomes[index] = NOBODY if term.match.none is IfNone.SKIP else NOT_FOUND

    def _serialize_duplicates(self) -> None:
        """Write a record with two numbers twice in sequence: running batches must not write the same record."""
        first: dict[str, int] = {}
        for index in sorted(self.writes):
            found = self.found.get(index)
            if found is not None and first.setdefault(found.record_id, index) != index:
                del self.writes[index]
                self.outcomes[index] = SAME_RECORD

    def _flag(self, write: RecordWrite) -> str | None:
        consent = self._consent.get(write.object)
        return consent.flag if consent is not None else None

    def _opts_out(self, write: RecordWrite) -> bool:
        flag = self._flag(write)
        return bool(write.consent) and flag is not None and not write.clears_flag and flag in write.set

    def _is_out(self, write: RecordWrite, one: Candidate) -> bool:
        return same(one.flag, self._consent[write.object].opted_out)


def pattern(phone: Phone) -> str:
    """A number's last digits with anything between them, such as blanks and invisible characters."""
    return "%".join(national_part(phone)[-DIGITS:])


def _keys(table: TableInfo, terms: Sequence[Term]) -> dict[str, str]:
    """The keys of the writes by their form in the column: a key in the id column is an id that is made of it."""
    writes = [one.write for one in terms]
    return {own_id(table, one.key_field, one.key) or one.key: one.key for one in writes}


def _by_id(write: RecordWrite, record_id: str, *, adopt: bool = False) -> RecordWrite:
    """The write to an existing record; with `adopt` the record also gets the key, so that others can use it."""
    fields = {write.key_field: write.key, **write.set} if adopt else write.set
    return write.at(record_id, fields)


def _halves(terms: Sequence[Term]) -> list[list[Term]]:
    middle = len(terms) // 2
    return [list(terms[:middle]), list(terms[middle:])]
