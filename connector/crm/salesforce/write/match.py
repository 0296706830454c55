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
from connector.crm.shared_numbers import WriteTasks, mark, with_others
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
        await self._verify([one for one in writes if one.task.remembered.record_id is not None])
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
            one: record_id
            for one in writes
            if (record_id := one.task.gone) and one.found is None and one.outcome in nobody
        }
        if self.stopped is None:
            await self._follow_merges(gone)
        self._serialize_duplicates(writes)
        self._matched = [one for one in writes if one.assumption is Assumption.FOUND]

    def link_children(self, writes: Sequence[Write]) -> None:
        """Name matched parents by Id in their children; leave out children whose parent does not exist."""
        record_ids = {one: one.found.record_id for one in self._matched if one.found is not None}
        for one in writes:
            if one.outcome is None and one.parents:
                one.write = with_parents(one, record_ids)
                parents = [parent.outcome for parent in one.parents.values()]
                absent = [outcome for outcome in parents if isinstance(outcome, Delivered) and outcome.absent]
                if absent:
                    one.outcome = absent[-1]

    async def conclude(self, write: WriteTasks) -> None:
        """After the writes: match again what failed because of changes meanwhile, and opt out records with the same number.

        `write` writes to records by their Ids.
        """
        for one in self._matched:
            if isinstance(one.outcome, Rejected) and self._is_stale(one, one.outcome):
                one.outcome = Retry(reason=Reason.RACE, detail=one.outcome.detail)
        others = {
            one: ids for one, ids in self._same_number_records.items() if ids and not isinstance(one.outcome, Retry)
        }
        if others:
            marked = await mark(write, [(one.original, ids) for one, ids in others.items()])
            for one, marks in zip(others, marked, strict=True):
                one.outcome = with_others(one.result, marks)
        for one, question in self._unclear.items():
            if isinstance(done := one.outcome, Delivered):
                own = (done.record_id,) if done.record_id else ()
                beside = (*own, *done.also_updated)
                one.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=question, also_updated=beside)

    @staticmethod
    def _is_stale(one: Write, outcome: Rejected) -> bool:
        """Whether the record was deleted, or its key was given to another one, since the look-up."""
        if outcome.reason is Reason.DUPLICATE_RECORD:
            return (
                one.original.key_field in one.write.set
                and one.original.key_field.casefold() in outcome.detail.casefold()
            )
        return outcome.reason is Reason.RECORD_DELETED and one.write.key_field == ID_FIELD

    async def _verify(self, writes: Sequence[Write]) -> None:
        """Forget known records that were deleted or merged meanwhile."""
        if not writes:
            return
        look_up = LookUp(self._rest)
        await look_up.run(
            [
                Wanted(of=one, write=_by_id(one.original, record_id), flag=self._flag([one.original]))
                for one in writes
                if (record_id := one.task.remembered.record_id) is not None
            ]
        )
        self.stopped = look_up.stopped
        for one in writes:
            if one.found is not None:
                _use_record(one, one.found)
        await self._follow_merges(look_up.gone)

    async def _follow_merges(self, gone: Mapping[Write, str]) -> None:
        """Replace known records that were merged by the kept record; search deleted ones by number."""
        objects: dict[str, list[Write]] = {}
        for one in gone:
            objects.setdefault(one.original.object, []).append(one)
        for name, writes in objects.items():
            flag = self._flag(one.original for one in writes)
            try:
                kept_records = await find_kept(self._rest, name, {gone[one] for one in writes}, [flag] if flag else [])
            except RequestFailed as failed:
                self.stopped = responses.read_failure(failed)
                return
            for one in writes:
                kept = kept_records.get(comparable(gone[one]))
                if kept is not None:
                    _use_record(one, Found(record_id=kept.record_id, flag=kept.value(flag) if flag else None))
                    one.outcome = None

    def _searches(self, writes: Sequence[Write]) -> list[Search]:
        groups: dict[tuple[str, str, tuple[str, ...]], list[SearchTerm]] = {}
        for one in writes:
            # An opt-out is for everybody with the number, and is therefore searched for even if its own record is
            # known.
            known = one.outcome is not None or (_is_matched(one) and not self._opts_out(one.original))
            match = one.original.match
            if match is not None and not known:
                group = (one.original.object, one.original.key_field, match.fields)
                groups.setdefault(group, []).append(SearchTerm(of=one, write=one.original, match=match))
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
        for term in terms:
            term.of.assumption, term.of.outcome = Assumption.ANY, outcome

    def _settle(self, term: SearchTerm, candidates: Candidates) -> None:
        one, write = term.of, term.write
        same_number_records, possible = candidates.with_number(term.match), candidates.perhaps_with_number(term.match)
        if not _is_matched(one):
            self._choose(term, candidates, same_number_records, possible)
        if self._opts_out(write):
            asked = [other for other in possible if not _is_record(other, one.found) and not self._is_out(write, other)]
            if asked and _is_matched(one):
                self._unclear[one] = whose_number(asked, self._consent.get(write.object.casefold()))
            self._same_number_records[one] = tuple(
                other.record_id
                for other in same_number_records
                if not _is_record(other, one.found) and not self._is_out(write, other)
            )

    def _choose(
        self,
        term: SearchTerm,
        candidates: Candidates,
        same_number_records: Sequence[Candidate],
        possible: Sequence[Candidate],
    ) -> None:
        one, write = term.of, term.write
        keyed = candidates.with_key(write)
        chosen = keyed[0] if len(keyed) == 1 else choose(term.match, same_number_records)
        if len(keyed) > 1:
            detail = f"{len(keyed)} records have this key: tick Unique on {write.object}.{write.key_field}"
            one.outcome = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
        elif isinstance(chosen, Candidate):
            _use_record(one, Found(record_id=chosen.record_id, flag=chosen.flag), adopt=chosen.key == "")
        elif chosen:
            one.outcome = Rejected(reason=Reason.NEEDS_PERSON, detail=which_of(chosen))
        elif possible:
            one.outcome = Rejected(
                reason=Reason.NEEDS_PERSON, detail=whose_number(possible, self._consent.get(write.object.casefold()))
            )
        elif term.match.none is IfNone.CREATE:
            one.assumption, one.write = Assumption.FOUND, replace(write, match=None)
        else:
            one.outcome = NOBODY if term.match.none is IfNone.SKIP else NOT_FOUND

    @staticmethod
    def _serialize_duplicates(writes: Sequence[Write]) -> None:
        """Write a record with two numbers twice in sequence: Salesforce accepts an Id only once per request."""
        first: dict[tuple[str, str], Write] = {}
        for one in writes:
            if _is_matched(one) and one.found is not None:
                record = (one.write.object.casefold(), comparable(one.found.record_id))
                if first.setdefault(record, one) is not one:
                    one.assumption, one.outcome = Assumption.ANY, SAME_RECORD

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


def _is_matched(one: Write) -> bool:
    """Whether its record was found, or may be created."""
    return one.assumption is Assumption.FOUND


def _use_record(one: Write, found: Found, *, adopt: bool = False) -> None:
    """Write to this record."""
    one.assumption, one.found = Assumption.FOUND, found
    one.write = _by_id(one.original, found.record_id, adopt=adopt)


def _by_id(write: RecordWrite, record_id: str, *, adopt: bool = False) -> RecordWrite:
    """The write to an existing record; with `adopt` the record also gets the key, so that others can use it."""
    fields = {write.key_field: write.key, **write.set} if adopt else write.set
    return write.at(record_id, fields)


def _is_record(one: Candidate, found: Found | None) -> bool:
    return found is not None and comparable(one.record_id) == comparable(found.record_id)
