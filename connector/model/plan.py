"""A plan: what one event leads to, and why. Made by planning.plan(), read by run, explain, test and replay."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from connector.model.consent import Decision, LedgerEntry, Subscription
from connector.model.event import Verdict
from connector.model.operation import Operation
from connector.model.outcome import Reason
from connector.model.states import EventState


class Known(Struct, frozen=True, kw_only=True):
    """What is known about the event's person before planning. Everything that plan() may look at besides the event and the rules."""

    ledger: tuple[LedgerEntry, ...] = ()  # of the event's phone number, oldest first
    configured: tuple[Subscription, ...] = ()  # `subscriptions:` of the config
    others_opted_out: bool = False  # another CRM record with the same number bears an opt-out
    event_id: int | None = None  # of a stored event: what the ledger holds of newer ones stands
    answer: Verdict | None = None  # opt_out or none: what a person said of the text, where the event may be a stop
    others_have_number: bool = False  # of a record that was deleted: another one with the same number is there


class ValueTrace(Struct, frozen=True, kw_only=True):
    """Where one value of an operation came from."""

    field: str
    source: str  # the path, template or literal, as written
    value: Any


class OperationTrace(Struct, frozen=True, kw_only=True):
    """One `do` item: the operation's label and its values, or why it was skipped."""

    label: str  # `upsert Contact`
    values: tuple[ValueTrace, ...] = ()
    skipped: str | None = None


class RuleTrace(Struct, frozen=True, kw_only=True):
    """One rule that was asked: matched, or the test that failed, in plain words."""

    file: str
    line: int
    rule: str
    matched: bool
    why: str = ""
    operations: tuple[OperationTrace, ...] = ()


class Note(Struct, frozen=True, kw_only=True):
    """A field that was left out of a write because its value could not be made. It never holds data of the event."""

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
    owes: bool = False  # it was to say something about consent that nothing says in its stead


class Plan(Struct, frozen=True, kw_only=True):
    """What the event leads to."""

    state: EventState  # DELIVERING where there are operations
    operations: tuple[Operation, ...] = ()
    decisions: tuple[Decision, ...] = ()
    overtakes: bool = False  # it carries an opt-out
    detail: str | None = None  # the ignoring rule, the superseding event, the missing key …
    reason: Reason | None = None  # of a dead letter
    trace: tuple[RuleTrace, ...] = ()
    notes: tuple[str, ...] = ()  # what the consent rules changed, in plain words
    not_reached: tuple[
        str, ...
    ] = ()  # CRMs and providers that an opt-out must reach, and that no operation tells of it
    left_out: tuple[Note, ...] = ()  # fields whose value could not be made
    unplanned: tuple[Unplanned, ...] = ()  # what is a dead letter although other operations of the event go out


class Intents(Struct, frozen=True, kw_only=True):
    """What the rules of the mappings want for one event, before consent has its say."""

    operations: tuple[Operation, ...] = ()
    consent: Mapping[str, str] = field(default_factory=dict)  # word → the rule that says it
    ignored_by: str | None = None
    matched: bool = False
    possible: tuple[
        Operation, ...
    ] = ()  # where there is a problem: what can be made all the same, consent fields alone too
    unplanned: tuple[Unplanned, ...] = ()
    left_out: tuple[Note, ...] = ()
    trace: tuple[RuleTrace, ...] = ()

    @property
    def problem(self) -> tuple[Reason, str] | None:
        """Why the event cannot take effect as a whole."""
        return (self.unplanned[0].reason, self.unplanned[0].detail) if self.unplanned else None
