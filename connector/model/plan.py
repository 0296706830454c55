"""A plan: the effect of one event, and why. Made by planning.plan(), used by run, explain, test and replay."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from connector.model.consent import Decision, LedgerEntry, Subscription
from connector.model.event import Verdict
from connector.model.operation import Operation
from connector.model.outcome import Reason
from connector.model.states import EventState


class Known(Struct, frozen=True, kw_only=True):
    """What is known about the event's person before planning: all that plan() may use besides the event and the rules."""

    ledger: tuple[LedgerEntry, ...] = ()  # of the event's phone number, oldest first
    configured: tuple[Subscription, ...] = ()  # `subscriptions:` of the config
    others_opted_out: bool = False  # another CRM record with the same number holds an opt-out
    event_id: int | None = None  # of a stored event: ledger entries of newer events stay valid
    answer: Verdict | None = None  # opt_out or none: a person's decision about a text that may be a stop
    others_have_number: bool = False  # of a deleted record: another one has the same number


class ValueTrace(Struct, frozen=True, kw_only=True):
    """The origin of one value of an operation."""

    field: str
    source: str  # the path, template or literal, as written
    value: Any


class OperationTrace(Struct, frozen=True, kw_only=True):
    """One `do` item: the operation's label and its values, or why it was skipped."""

    label: str  # `upsert Contact`
    values: tuple[ValueTrace, ...] = ()
    skipped: str | None = None


class RuleTrace(Struct, frozen=True, kw_only=True):
    """One rule that was evaluated: it matched, or the test that failed, in plain words."""

    file: str
    line: int
    rule: str
    matched: bool
    why: str = ""
    operations: tuple[OperationTrace, ...] = ()


class Note(Struct, frozen=True, kw_only=True):
    """A field that was left out of a write because its value could not be computed. It never holds data of the event."""

    rule: str  # file: rule
    operation: str  # `upsert Contact`
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.operation}: {self.field} was left out: {self.why}"


class Unplanned(Struct, frozen=True, kw_only=True):
    """An operation that cannot be made from the event. It never holds data of the event."""

    sink: str
    rule: str  # file: rule
    reason: Reason
    detail: str  # the rule, the operation, and what is wrong
    owes: bool = False  # it was meant to say something about consent that no other operation says


class Plan(Struct, frozen=True, kw_only=True):
    """The effect of the event."""

    state: EventState  # DELIVERING if there are operations
    operations: tuple[Operation, ...] = ()
    decisions: tuple[Decision, ...] = ()
    overtakes: bool = False  # it carries an opt-out
    detail: str | None = None  # the ignoring rule, the superseding event, the missing key …
    reason: Reason | None = None  # of a dead letter
    trace: tuple[RuleTrace, ...] = ()
    notes: tuple[str, ...] = ()  # what the consent rules changed, in plain words
    not_reached: tuple[str, ...] = ()  # CRMs and providers that the opt-out must reach, but no operation sends it to
    left_out: tuple[Note, ...] = ()  # fields whose value could not be computed
    # These become dead letters although other operations of the event are delivered.
    unplanned: tuple[Unplanned, ...] = ()


class Intents(Struct, frozen=True, kw_only=True):
    """What the mapping rules want for one event, before the consent rules apply."""

    operations: tuple[Operation, ...] = ()
    consent: Mapping[str, str] = field(default_factory=dict)  # word → the rule that sets it
    ignored_by: str | None = None
    matched: bool = False
    possible: tuple[Operation, ...] = ()  # if there is a problem: what can still be made, even the consent fields alone
    unplanned: tuple[Unplanned, ...] = ()
    left_out: tuple[Note, ...] = ()
    trace: tuple[RuleTrace, ...] = ()

    @property
    def problem(self) -> tuple[Reason, str] | None:
        """Why the event cannot take effect as a whole."""
        return (self.unplanned[0].reason, self.unplanned[0].detail) if self.unplanned else None
