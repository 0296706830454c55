"""Finds the record for each write with a match, just before the write: the one used before, or one with the number."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.dependencies import Dependencies, with_parents
from connector.crm.salesforce.write.lookups import Found, LookUp, Wanted
from connector.crm.salesforce.write.match_candidates import (
    Candidate,
    Candidates,
    Search,
    SearchTerm,
    candidates,
    choose,
)
from connector.crm.salesforce.write.merged_records import find_kept
from connector.crm.salesforce.write.shared_numbers import Write, mark, with_others
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, IfNone, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.record_number import NumberReader
from connector.ports import Shadow, Task

PEOPLE = 200  # per query; fewer after queries that took the org too long
FEWEST_PEOPLE = 10  # smaller queries are not faster, because every record is read anyway
SEARCH_TIMEOUT = timedelta(seconds=130)  # Salesforce itself stops after 120 seconds and reports it
TOO_MUCH = frozenset({"QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "MALFORMED_QUERY"})  # the last one if it is too long
MAX_NAMED = 10  # Ids in one message to a person

NOBODY = Delivered(detail="no record has this number, so it was left out", absent=True)
NOT_FOUND = Rejected(
    reason=Reason.NEEDS_PERSON,
    detail="no record has this number: make one, or write the number on the right one, then release this",
)
TOO_MANY_MATCHES = Rejected(
    reason=Reason.NEEDS_PERSON,
    detail="more records than one answer holds end like this number: give the right one its external ID, then release this",
)
SAME_RECORD = Retry(reason=Reason.HALTED, detail="another number's write to the same record goes first")


class Matching:
    """The matches of one batch. Afterwards each index is in `writes` (and in `found`) or in `outcomes`."""

    def __init__(
        self, rest: RestClient, *, numbers: NumberReader, consent: Mapping[str, ConsentFields], people: int = PEOPLE
    ) -> None:
        """`consent` is by object (case-folded); `numbers` reads the org's phone fields."""
        self.people = people
        self.writes: dict[int, RecordWrite] = {}  # by the Id of the found record, or by the key of a new one
        self.found: dict[int, Found | None] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.same_number_records: dict[int, tuple[str, ...]] = {}  # other records with the number, opted out too
        self.stopped: Retry | None = None  # Salesforce is not available: some are in none of these
        self._asked: Mapping[int, RecordWrite] = {}
        self._rest = rest
        self._numbers = numbers
        self._unclear: dict[int, str] = {}  # records that may be meant by an opt-out: the question for a person
        self._consent = consent

    async def run(self, tasks: Mapping[int, Task]) -> None:
        """Check the known records, then search for the rest: one query for up to 200 people."""
        writes = {index: one.operation for index, one in tasks.items() if isinstance(one.operation, RecordWrite)}
        self._asked = writes
        remembered = {index: one for index in writes if (one := tasks[index].remembered.record_id) is not None}
        await self._verify(writes, remembered)
        searches = deque(self._searches(writes))
        while searches and self.stopped is None:
            search = searches.popleft()
            try:
                body = await self._rows(search)
            except RequestFailed as failed:
                instead = self._take_failure(search.terms, failed)
            else:
                instead = self._take(search, body)
            searches.extendleft(reversed(instead))
        # A record that was merged and no longer has the number: use the record that the merge kept.
        nobody = {None, NOBODY, NOT_FOUND}
        gone = {
            index: record_id
            for index, one in tasks.items()
            if (record_id := one.gone) and self.found.get(index) is None and self.outcomes.get(index) in nobody
        }
        if self.stopped is None:
            await self._follow_merges(writes, gone)
        self._serialize_duplicates()

    def link_children(self, family: Dependencies, writes: dict[int, RecordWrite], outcomes: dict[int, Outcome]) -> None:
        """Name matched parents by Id in their children; leave out children whose parent does not exist."""
        if not self._asked:
            return
        record_ids = {index: found.record_id for index in self.writes if (found := self.found[index]) is not None}
        for index, fields in family.fields.items():
            if index in writes and index not in outcomes:
                writes[index] = with_parents(writes[index], fields, record_ids)
                parents = [outcomes.get(parent) for parent in fields.values()]
                outcomes.update((index, one) for one in parents if isinstance(one, Delivered) and one.absent)

    async def conclude(self, outcomes: dict[int, Outcome], write: Write) -> None:
        """After the writes: match again what failed because of changes meanwhile, and opt out records with the same number.

        `write` writes to records by their Ids.
        """
        for index in self.writes:
            outcome = outcomes[index]
            if isinstance(outcome, Rejected) and self._is_stale(index, outcome):
                outcomes[index] = Retry(reason=Reason.RACE, detail=outcome.detail)
        others = {
            index: (self._asked[index], ids)
            for index, ids in self.same_number_records.items()
            if ids and not isinstance(outcomes[index], Retry)
        }
        if others:
            marked = await mark(write, others)
            for index, one in marked.items():
                outcomes[index] = with_others(outcomes[index], one)
        for index, question in self._unclear.items():
            if isinstance(done := outcomes[index], Delivered):
                own = (done.record_id,) if done.record_id else ()
                beside = (*own, *done.also_updated)
                outcomes[index] = Rejected(reason=Reason.NEEDS_PERSON, detail=question, also_updated=beside)

    def _is_stale(self, index: int, outcome: Rejected) -> bool:
        """Whether the record was deleted, or its key was given to another one, since the look-up."""
        write, asked = self.writes[index], self._asked[index]
        if outcome.reason is Reason.DUPLICATE_RECORD:
            return asked.key_field in write.set and asked.key_field.casefold() in outcome.detail.casefold()
        return outcome.reason is Reason.RECORD_DELETED and write.key_field == ID_FIELD

    async def _verify(self, writes: Mapping[int, RecordWrite], remembered: Mapping[int, str]) -> None:
        """Forget known records that were deleted or merged meanwhile."""
        if not remembered:
            return
        look_up = LookUp(self._rest)
        await look_up.run(
            [
                Wanted(index=index, write=_by_id(writes[index], record_id), flag=self._flag([writes[index]]))
                for index, record_id in remembered.items()
            ]
        )
        self.stopped = look_up.stopped
        self.outcomes |= look_up.failed
        for index, found in look_up.found.items():
            if found is not None:
                self.found[index] = found
                self.writes[index] = _by_id(writes[index], found.record_id)
        await self._follow_merges(writes, look_up.gone)

    async def _follow_merges(self, writes: Mapping[int, RecordWrite], gone: Mapping[int, str]) -> None:
        """Replace known records that were merged by the kept record; search deleted ones by number."""
        objects: dict[str, list[int]] = {}
        for index in gone:
            objects.setdefault(writes[index].object, []).append(index)
        for name, places in objects.items():
            flag = self._flag(writes[index] for index in places)
            try:
                living = await find_kept(self._rest, name, {gone[index] for index in places}, [flag] if flag else [])
            except RequestFailed as failed:
                self.stopped = responses.read_failure(failed)
                return
            for index in places:
                kept = living.get(comparable(gone[index]))
                if kept is not None:
                    value = kept.value(flag) if flag else None
                    self.found[index] = Found(record_id=kept.record_id, flag=value)
                    self.writes[index] = _by_id(writes[index], kept.record_id)
                    self.outcomes.pop(index, None)

    def _searches(self, writes: Mapping[int, RecordWrite]) -> list[Search]:
        groups: dict[tuple[str, str, tuple[str, ...]], list[SearchTerm]] = {}
        for index, write in writes.items():
            # An opt-out is for everybody with the number, and is therefore searched for even if its own record is
            # known.
            known = index in self.outcomes or (index in self.writes and not self._opts_out(write))
            if write.match is not None and not known:
                group = (write.object, write.key_field, write.match.fields)
                groups.setdefault(group, []).append(SearchTerm(index=index, write=write, match=write.match))
        return [
            self._search(several[start : start + self.people])
            for several in groups.values()
            for start in range(0, len(several), self.people)
        ]

    def _search(self, terms: Sequence[SearchTerm]) -> Search:
        consent = self._consent.get(terms[0].write.object.casefold())
        flag = self._flag(one.write for one in terms)
        return Search(terms=terms, flag=flag, country=consent.country if consent else None)

    async def _rows(self, search: Search) -> Mapping[str, Any]:
        """The rows of a search. Raises RequestFailed."""
        whole = await self._rest.send(replace(self._rest.api.queries([search.soql]), timeout=SEARCH_TIMEOUT))
        (part,) = responses.subanswers(whole, 1)
        return responses.rows(part)

    def _take_failure(self, terms: Sequence[SearchTerm], failed: RequestFailed) -> list[Search]:
        """Settle the people of a query that failed. Returns the queries to send instead."""
        fewest = 1 if failed.too_long else FEWEST_PEOPLE
        if self._too_large(failed) and len(terms) > fewest:
            self.people = max(fewest, len(terms) // 2)
            return self._halves(terms)
        if isinstance(failed.outcome, Retry) or failed.too_long:
            self.stopped = responses.read_failure(failed)
        self._fail(terms, self.stopped or failed.outcome)
        return []

    def _take(self, search: Search, body: Mapping[str, Any]) -> list[Search]:
        """Settle the people of one query. Returns the queries to send instead."""
        terms = search.terms
        if body.get("done") is False:
            if len(terms) > 1:
                return self._halves(terms)
            self._fail(terms, TOO_MANY_MATCHES)
            return []
        found = Candidates(candidates(search, body["records"], self._numbers))
        for one in terms:
            self._settle(one, found)
        return []

    @staticmethod
    def _too_large(failed: RequestFailed) -> bool:
        return failed.code in TOO_MUCH or failed.too_long or failed.outcome.reason is Reason.TIMEOUT

    def _halves(self, terms: Sequence[SearchTerm]) -> list[Search]:
        middle = len(terms) // 2
        return [self._search(half) for half in (terms[:middle], terms[middle:])]

    def _fail(self, terms: Iterable[SearchTerm], outcome: Outcome) -> None:
        for one in terms:
            self.writes.pop(one.index, None)
            self.outcomes[one.index] = outcome

    def _settle(self, term: SearchTerm, candidates: Candidates) -> None:
        index, write = term.index, term.write
        same_number_records, perhaps = candidates.with_number(term.match), candidates.perhaps_with_number(term.match)
        if index not in self.writes:
            self._choose(term, candidates, same_number_records, perhaps)
        if self._opts_out(write):
            taken = self.found.get(index)
            asked = [one for one in perhaps if not _is(one, taken) and not self._is_out(write, one)]
            if asked and index in self.writes:
                self._unclear[index] = self._perhaps_theirs(write, asked)
            self.same_number_records[index] = tuple(
                one.record_id for one in same_number_records if not _is(one, taken) and not self._is_out(write, one)
            )

    def _choose(
        self,
        term: SearchTerm,
        candidates: Candidates,
        same_number_records: Sequence[Candidate],
        perhaps: Sequence[Candidate],
    ) -> None:
        index, write = term.index, term.write
        keyed = candidates.with_key(write)
        chosen = keyed[0] if len(keyed) == 1 else choose(term.match, same_number_records)
        if len(keyed) > 1:
            detail = f"{len(keyed)} records have this key: tick Unique on {write.object}.{write.key_field}"
            self.outcomes[index] = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
        elif isinstance(chosen, Candidate):
            self.found[index] = Found(record_id=chosen.record_id, flag=chosen.flag)
            self.writes[index] = _by_id(write, chosen.record_id, adopt=chosen.key == "")
        elif chosen:
            self.outcomes[index] = Rejected(reason=Reason.NEEDS_PERSON, detail=_several(chosen))
        elif perhaps:
            self.outcomes[index] = Rejected(reason=Reason.NEEDS_PERSON, detail=self._perhaps_theirs(write, perhaps))
        elif term.match.none is IfNone.CREATE:
            self.found[index] = None
            self.writes[index] = replace(write, match=None)
        else:
            self.outcomes[index] = NOBODY if term.match.none is IfNone.SKIP else NOT_FOUND

    def _serialize_duplicates(self) -> None:
        """Write a record with two numbers twice in sequence: Salesforce accepts an Id only once per request."""
        first: dict[tuple[str, str], int] = {}
        for index in sorted(self.writes):
            found = self.found.get(index)
            if found is not None:
                record = (self.writes[index].object.casefold(), comparable(found.record_id))
                if first.setdefault(record, index) != index:
                    del self.writes[index]
                    self.outcomes[index] = SAME_RECORD

    def _perhaps_theirs(self, write: RecordWrite, found: Sequence[Candidate]) -> str:
        """The question for a person about records that may have the number, or another person's."""
        consent = self._consent.get(write.object.casefold())
        country = f", or fill in {consent.country}" if consent and consent.country else ""
        return (
            f"{len(found)} records may have this number or another one ({_named(found)}): write one number there, with its "
            f"country code{country}, then release this"
        )

    def _flag(self, writes: Iterable[RecordWrite]) -> str | None:
        """The opt-out flag, if one of the writes has consent fields."""
        for write in writes:
            if write.consent and (consent := self._consent.get(write.object.casefold())):
                return consent.flag
        return None

    def _opts_out(self, write: RecordWrite) -> bool:
        flag = self._flag([write])
        return flag is not None and not write.clears_flag and flag.casefold() in {name.casefold() for name in write.set}

    def _is_out(self, write: RecordWrite, one: Candidate) -> bool:
        return same(one.flag, self._consent[write.object.casefold()].opted_out)


def known_of(task: Task, record_id: str) -> Shadow:
    """The known values of the record that the task is now for."""
    remembered, write = task.remembered, task.operation
    if not isinstance(write, RecordWrite) or write.match is None:
        return task.shadow
    shadow = remembered.shadows.get(record_id)
    if remembered.record_id is not None and comparable(remembered.record_id) != comparable(record_id):
        return shadow  # the task's own values are of the record that was meant before
    return shadow if task.shadow is None else {**(shadow or {}), **task.shadow}


def same(one: object, other: object) -> bool:
    """Whether two values of a flag are equal: picklist values are compared without letter case."""
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return one == other


def _by_id(write: RecordWrite, record_id: str, *, adopt: bool = False) -> RecordWrite:
    """The write to an existing record; with `adopt` the record also gets the key, so that others can use it."""
    fields = {write.key_field: write.key, **write.set} if adopt else write.set
    return write.at(record_id, fields)


def _is(one: Candidate, found: Found | None) -> bool:
    return found is not None and comparable(one.record_id) == comparable(found.record_id)


def _several(found: Sequence[Candidate]) -> str:
    return f"{len(found)} records have this number ({_named(found)}): merge them, or leave the number on one, then release this"


def _named(found: Sequence[Candidate]) -> str:
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return ", ".join(one.record_id for one in found[:MAX_NAMED]) + more
