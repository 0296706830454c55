"""Finds the record for each write with a match, just before the write: the one used before, or one with the number."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
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
from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.dependencies import with_parents
from connector.crm.salesforce.write.lookups import LookUp, Wanted
from connector.crm.salesforce.write.match_candidates import (
    Search,
    SearchTerm,
    candidates,
)
from connector.crm.salesforce.write.merged_records import find_kept
from connector.crm.salesforce.write.writes import Assumption, Found, Write
from connector.crm.shared_numbers import WriteTasks, opt_out_others, outcome_with_others
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, IfNone, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.record_number import NumberReader

PEOPLE = 200  # per query; fewer after queries that took the org too long
FEWEST_PEOPLE = 10  # smaller queries are not faster, because every record is read anyway
SEARCH_TIMEOUT = timedelta(seconds=130)  # Salesforce itself stops after 120 seconds and reports it
TOO_MUCH = frozenset({"QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "MALFORMED_QUERY"})  # the last one if it is too long

TOO_MANY_MATCHES = Rejected(
    reason=Reason.NEEDS_PERSON,
    detail="more records than one answer holds end like this number: give the right one its external ID, then release this",
)


class Matching:
    """The matches of one batch. Afterwards each write has the record in `found`, or an outcome."""

    def __init__(
        self, rest: RestClient, *, numbers: NumberReader, consent: Mapping[str, ConsentFields], people: int = PEOPLE
    ) -> None:
        """`consent` is by object (case-folded); `numbers` reads the org's phone fields."""
        self.people = people
        self.stopped: Retry | None = None  # Salesforce is not available: some writes have neither
        self._rest = rest
        self._numbers = numbers
        self._consent = consent
        self._matched: list[Write] = []  # writes to an existing record, or to one that may be created
        self._same_number_records: dict[Write, tuple[str, ...]] = {}  # other records with the number, opted out too
        self._unclear: dict[Write, str] = {}  # records that may be meant by an opt-out: the question for a person

    async def run(self, writes: Sequence[Write]) -> None:
        """Check the known records, then search for the rest: one query for up to 200 people."""
        await self._verify([write for write in writes if write.task.remembered.record_id is not None])
        searches = deque(self._searches(writes))
        while searches and self.stopped is None:
            search = searches.popleft()
            try:
                body = await self._rows(search)
            except RequestFailed as failed:
                instead = self._handle_failure(search.terms, failed)
            else:
                instead = self._handle_rows(search, body)
            searches.extendleft(reversed(instead))
        # A record that was merged and no longer has the number: use the record that the merge kept.
        nobody = {None, NOBODY, NOT_FOUND}
        gone = {
            write: record_id
            for write in writes
            if (record_id := write.task.gone) and write.found is None and write.outcome in nobody
        }
        if self.stopped is None:
            await self._follow_merges(gone)
        self._serialize_duplicates(writes)
        self._matched = [write for write in writes if write.assumption is Assumption.FOUND]

    def link_children(self, writes: Sequence[Write]) -> None:
        """Name matched parents by Id in their children; leave out children whose parent does not exist."""
        record_ids = {write: write.found.record_id for write in self._matched if write.found is not None}
        for write in writes:
            if write.outcome is None and write.parents:
                write.record_write = with_parents(write, record_ids)
                parents = [parent.outcome for parent in write.parents.values()]
                absent = [outcome for outcome in parents if isinstance(outcome, Delivered) and outcome.absent]
                if absent:
                    write.outcome = absent[-1]

    async def conclude(self, write_tasks: WriteTasks) -> None:
        """After the writes: match again what failed because of changes meanwhile, and opt out records with the same number.

        `write_tasks` writes to records by their Ids.
        """
        for write in self._matched:
            if isinstance(write.outcome, Rejected) and self._is_stale(write, write.outcome):
                write.outcome = Retry(reason=Reason.RACE, detail=write.outcome.detail)
        others = {
            write: ids
            for write, ids in self._same_number_records.items()
            if ids and not isinstance(write.outcome, Retry)
        }
        if others:
            marked = await opt_out_others(write_tasks, [(write.original, ids) for write, ids in others.items()])
            for write, marks in zip(others, marked, strict=True):
                write.outcome = outcome_with_others(write.result, marks)
        for write, question in self._unclear.items():
            outcome = write.outcome
            if isinstance(outcome, Delivered):
                own = (outcome.record_id,) if outcome.record_id else ()
                also_updated = (*own, *outcome.also_updated)
                write.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=question, also_updated=also_updated)

    @staticmethod
    def _is_stale(write: Write, outcome: Rejected) -> bool:
        """Whether the record was deleted, or its key was given to another one, since the look-up."""
        if outcome.reason is Reason.DUPLICATE_RECORD:
            return (
                write.original.key_field in write.record_write.set
                and write.original.key_field.casefold() in outcome.detail.casefold()
            )
        return outcome.reason is Reason.RECORD_DELETED and write.record_write.key_field == ID_FIELD

    async def _verify(self, writes: Sequence[Write]) -> None:
        """Forget known records that were deleted or merged meanwhile."""
        if not writes:
            return
        look_up = LookUp(self._rest)
        await look_up.run(
            [
                Wanted(
                    write=write,
                    record_write=write.original.at(record_id, write.original.set),
                    flag=self._flag([write.original]),
                )
                for write in writes
                if (record_id := write.task.remembered.record_id) is not None
            ]
        )
        self.stopped = look_up.stopped
        for write in writes:
            if write.found is not None:
                _use_record(write, write.found)
        await self._follow_merges(look_up.gone)

    async def _follow_merges(self, gone: Mapping[Write, str]) -> None:
        """Replace known records that were merged by the kept record; search deleted ones by number."""
        objects: dict[str, list[Write]] = {}
        for write in gone:
            objects.setdefault(write.original.object, []).append(write)
        for name, writes in objects.items():
            flag = self._flag(write.original for write in writes)
            try:
                kept_records = await find_kept(
                    self._rest, name, {gone[write] for write in writes}, [flag] if flag else []
                )
            except RequestFailed as failed:
                self.stopped = responses.read_failure(failed)
                return
            for write in writes:
                kept = kept_records.get(comparable(gone[write]))
                if kept is not None:
                    _use_record(write, Found(record_id=kept.record_id, flag=kept.value(flag) if flag else None))
                    write.outcome = None

    def _searches(self, writes: Sequence[Write]) -> list[Search]:
        groups: dict[tuple[str, str, tuple[str, ...]], list[SearchTerm]] = {}
        for write in writes:
            # An opt-out is for everybody with the number, and is therefore searched for even if its own record is
            # known.
            known = write.outcome is not None or (_is_matched(write) and not self._opts_out(write.original))
            match = write.original.match
            if match is not None and not known:
                group = (write.original.object, write.original.key_field, match.fields)
                groups.setdefault(group, []).append(SearchTerm(write=write, match=match))
        return [
            self._search(several[start : start + self.people])
            for several in groups.values()
            for start in range(0, len(several), self.people)
        ]

    def _search(self, terms: Sequence[SearchTerm]) -> Search:
        consent = self._consent.get(terms[0].write.original.object.casefold())
        flag = self._flag(term.write.original for term in terms)
        return Search(terms=terms, flag=flag, country=consent.country if consent else None)

    async def _rows(self, search: Search) -> Mapping[str, Any]:
        """The rows of a search. Raises RequestFailed."""
        whole = await self._rest.send(replace(self._rest.api.queries([search.soql]), timeout=SEARCH_TIMEOUT))
        (part,) = responses.subanswers(whole, 1)
        return responses.rows(part)

    def _handle_failure(self, terms: Sequence[SearchTerm], failed: RequestFailed) -> list[Search]:
        """Settle the people of a query that failed. Returns the queries to send instead."""
        fewest = 1 if failed.too_long else FEWEST_PEOPLE
        if self._too_large(failed) and len(terms) > fewest:
            self.people = max(fewest, len(terms) // 2)
            return self._halves(terms)
        if isinstance(failed.outcome, Retry) or failed.too_long:
            self.stopped = responses.read_failure(failed)
        self._fail(terms, self.stopped or failed.outcome)
        return []

    def _handle_rows(self, search: Search, body: Mapping[str, Any]) -> list[Search]:
        """Settle the people of one query. Returns the queries to send instead."""
        terms = search.terms
        if body.get("done") is False:
            if len(terms) > 1:
                return self._halves(terms)
            self._fail(terms, TOO_MANY_MATCHES)
            return []
        found = Candidates(candidates(search, body["records"], self._numbers))
        for term in terms:
            self._settle(term, found)
        return []

    @staticmethod
    def _too_large(failed: RequestFailed) -> bool:
        return failed.code in TOO_MUCH or failed.too_long or failed.outcome.reason is Reason.TIMEOUT

    def _halves(self, terms: Sequence[SearchTerm]) -> list[Search]:
        middle = len(terms) // 2
        return [self._search(half) for half in (terms[:middle], terms[middle:])]

    def _fail(self, terms: Iterable[SearchTerm], outcome: Outcome) -> None:
        for term in terms:
            term.write.assumption, term.write.outcome = Assumption.ANY, outcome

    def _settle(self, term: SearchTerm, candidates: Candidates) -> None:
        """Choose the record of one person; for an opt-out, note the other records that it concerns."""
        write, original = term.write, term.write.original
        same_number_records, possible = candidates.with_number(term.match), candidates.perhaps_with_number(term.match)
        if not _is_matched(write):
            self._choose(term, candidates, same_number_records, possible)
        if self._opts_out(original):
            asked = [other for other in possible if self._is_other_without_flag(write, other)]
            if asked and _is_matched(write):
                self._unclear[write] = whose_number(asked, self._consent.get(original.object.casefold()))
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
            detail = f"{many} records have this key: tick Unique on {key}"
            write.outcome = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
        elif isinstance(chosen, Candidate):
            found = Found(record_id=chosen.record_id, flag=chosen.flag)
            _use_record(write, found, gets_key=chosen.key == "")
        elif chosen:
            write.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=which_of(chosen))
        elif possible:
            question = whose_number(possible, self._consent.get(original.object.casefold()))
            write.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=question)
        elif term.match.none is IfNone.CREATE:
            write.assumption, write.record_write = Assumption.FOUND, replace(original, match=None)
        else:
            write.outcome = NOBODY if term.match.none is IfNone.SKIP else NOT_FOUND

    @staticmethod
    def _serialize_duplicates(writes: Sequence[Write]) -> None:
        """Write a record with two numbers twice in sequence: Salesforce accepts an Id only once per request."""
        first: dict[tuple[str, str], Write] = {}
        for write in writes:
            if _is_matched(write) and write.found is not None:
                record = (write.record_write.object.casefold(), comparable(write.found.record_id))
                if first.setdefault(record, write) is not write:
                    write.assumption, write.outcome = Assumption.ANY, SAME_RECORD

    def _flag(self, writes: Iterable[RecordWrite]) -> str | None:
        """The opt-out flag, if one of the writes has consent fields."""
        for record_write in writes:
            if record_write.consent and (consent := self._consent.get(record_write.object.casefold())):
                return consent.flag
        return None

    def _opts_out(self, record_write: RecordWrite) -> bool:
        flag = self._flag([record_write])
        sets_flag = flag is not None and flag.casefold() in {name.casefold() for name in record_write.set}
        return sets_flag and not record_write.clears_flag

    def _is_other_without_flag(self, write: Write, candidate: Candidate) -> bool:
        """Whether this is another record than the write's own, and not opted out yet."""
        if write.found is not None and comparable(candidate.record_id) == comparable(write.found.record_id):
            return False
        return not same(candidate.flag, self._consent[write.original.object.casefold()].opted_out)


def _is_matched(write: Write) -> bool:
    """Whether its record was found, or may be created."""
    return write.assumption is Assumption.FOUND


def _use_record(write: Write, found: Found, *, gets_key: bool = False) -> None:
    """Write to this record; with `gets_key` it also gets the write's key, so that other writes find it by the key."""
    original = write.original
    fields = {original.key_field: original.key, **original.set} if gets_key else original.set
    write.assumption, write.found = Assumption.FOUND, found
    write.record_write = original.at(found.record_id, fields)
