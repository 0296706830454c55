"""Plans stored events by two versions of the mappings, each with what was known before it, and compares. It only reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from connector.admin import labels
from connector.admin.change_summary import ChangeSummary
from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import LedgerEntry, Subscription
from connector.model.event import Event, Verdict
from connector.model.plan import Known, Plan
from connector.model.states import EventState
from connector.pipeline.known import known_before
from connector.pipeline.plan import with_known_number
from connector.pipeline.plan_changes import Change, Kind, compare
from connector.pipeline.planning import plan
from connector.store.inbox import StoredEvent
from connector.store.store import Store

MANY_PEOPLE = 20_000  # whose ledgers are kept: some 40 MB
RESULT, CONSENT, NOT_TOLD = "result", "consent", "opt-out without a rule"  # the `what` of a change beside the fields


class Backtest:
    """Compares two versions of the mappings event by event, and sums up the differences."""

    def __init__(
        self, before: Ruleset, after: Ruleset, *, configured: Sequence[Subscription], reveal: bool = False
    ) -> None:
        self._before = before
        self._after = after
        self._configured = tuple(configured)
        self._ledgers: dict[str, Sequence[LedgerEntry]] = {}  # by number
        self._differing = _differing_sources(before, after)
        self.summary = ChangeSummary(reveal=reveal)
        self.worse = 0  # events that led to something, and by the new mappings lead to nothing, or cannot be planned
        self.unreadable = 0

    def take_stored(self, store: Store, page: Sequence[StoredEvent]) -> None:
        """Compare the plans of stored events."""
        readable = [(one.id, with_known_number(one.event, store)) for one in page if one.event is not None]
        self.unreadable += len(page) - len(readable)
        concerned = [(event_id, event) for event_id, event in readable if event.source in self._differing]
        ledgers = self._ledgers_of(store, {event.msisdn.e164 for _, event in concerned if event.msisdn})
        compared = {event_id for event_id, _ in concerned}
        for event_id, event in readable:
            if event_id not in compared:
                self.summary.add(event_id, event.msisdn, "", ())
                continue
            ledger: Sequence[LedgerEntry] = ledgers[event.msisdn.e164] if event.msisdn else ()
            self._take(event_id, event, known_before(store, event_id, event, ledger, self._configured))

    def _ledgers_of(self, store: Store, people: set[str]) -> Mapping[str, Sequence[LedgerEntry]]:
        """The ledgers of these people. They are read once, because the same people come again and again."""
        if len(self._ledgers) > MANY_PEOPLE:
            self._ledgers.clear()
        self._ledgers.update(store.consents.of_many(sorted(people - self._ledgers.keys())))
        return self._ledgers

    def take_unstored(self, events: Iterable[tuple[int, Event]]) -> None:
        """Compare the plans of events that are not stored, for people of whom nothing is known."""
        for number, event in events:
            self._take(number, event, Known(configured=self._configured))

    def _take(self, event_id: int, event: Event, known: Known) -> None:
        old, new = plan(event, self._before, known), plan(event, self._after, known)
        self.worse += _leads_to_something(old) and not _leads_to_something(new)
        self.summary.add(event_id, event.msisdn, new.state.value, tuple(differences(event, old, new)))


def differences(event: Event, old: Plan, new: Plan) -> Iterator[Change]:
    """What differs between two plans of an event, other than the names of rules."""
    if old.operations != new.operations:
        yield from compare(old.operations, new.operations)
    opt_out = event.verdict is Verdict.OPT_OUT
    before, after = _result(old), _result(new)
    if before != after:
        yield Change(kind=Kind.CHANGED, rule="", what=RESULT, before=before, after=after, consent=opt_out)
    before, after = _decisions(old), _decisions(new)
    if before != after:
        decisions = (*new.decisions, *old.decisions)
        concerns = opt_out or any(decision.word is Verdict.OPT_OUT for decision in decisions)
        rule = next((decision.rule for decision in decisions if decision.rule), "")
        yield Change(kind=Kind.CHANGED, rule=rule, what=CONSENT, before=before, after=after, consent=concerns)
    for system in new.not_reached:
        if system not in old.not_reached:
            yield Change(kind=Kind.ADDED, rule="", what=NOT_TOLD, after=f"{system} is not told of it", consent=True)
    for system in old.not_reached:
        if system not in new.not_reached:
            yield Change(kind=Kind.REMOVED, rule="", what=NOT_TOLD, before=f"{system} is not told of it", consent=True)


def _result(event_plan: Plan) -> str:
    """The state of the plan; of a dead letter with its reason."""
    return f"{event_plan.state.value} ({event_plan.reason.value})" if event_plan.reason else event_plan.state.value


def _decisions(event_plan: Plan) -> str:
    """The decisions of the plan in words, sorted by text."""
    sentences = sorted(labels.decision_sentence(decision) for decision in event_plan.decisions)
    return ", ".join(sentences) or "no decision"


def _leads_to_something(event_plan: Plan) -> bool:
    return event_plan.state not in {EventState.UNMATCHED, EventState.DEAD}


def _differing_sources(before: Ruleset, after: Ruleset) -> frozenset[str]:
    """The sources of which a file differs: the events of all others are planned alike."""
    names = {
        name for name in before.texts.keys() | after.texts.keys() if before.texts.get(name) != after.texts.get(name)
    }
    return frozenset(
        source for rules in (before, after) for file in rules.files if file.name in names for source in file.sources
    )
