"""Plans and their units as values: new, claimed and settled. A unit is one event's operations for one sink."""

from datetime import datetime, timedelta

from msgspec import Struct

from connector.model.consent import Decision, Phase
from connector.model.operation import Operation, RecordWrite
from connector.model.outcome import Reason
from connector.model.plan import Note, Unplanned
from connector.model.states import EventState, UnitState
from connector.store.agreements import NewAgreement, NewAmount
from connector.store.records import Link, ShadowWrite


class NewUnit(Struct, frozen=True, kw_only=True):
    """A unit as the planner makes it. `lane`: the events with which it must stay in order."""

    sink: str
    lane: str
    operations: tuple[Operation, ...]
    urgent: bool = False  # it holds an opt-out, and goes to the head of its lane and its sink
    parked: bool = False  # a person decides first: a dead letter with the reason needs_person
    unplanned: Unplanned | None = (
        None  # what of its event could not be planned; without operations it is a dead letter at once
    )


class SideAnswer(Struct, frozen=True, kw_only=True):
    """A system that needs no unit, such as the provider where the person opted out, has the decision already (or refuses it)."""

    sink: str
    phase: Phase
    detail: str | None = None


class Planned(Struct, frozen=True, kw_only=True):
    """The result of one pending event. With units its state follows from theirs, and `state` is ignored."""

    event_id: int
    state: EventState
    detail: str | None = None
    reason: Reason | None = None
    mapping: str | None = None
    units: tuple[NewUnit, ...] = ()
    decisions: tuple[Decision, ...] = ()
    answers: tuple[SideAnswer, ...] = ()
    not_reached: tuple[str, ...] = ()  # CRMs and providers that the opt-out must reach, but for which no unit exists
    left_out: tuple[Note, ...] = ()
    agreements: tuple[NewAgreement, ...] = ()  # to give each month, which the event begins


class Written(Struct, frozen=True, kw_only=True):
    """A field of a record that a newer event of the same lane has written, or a command that it has sent (no field)."""

    object: str
    key_field: str
    key: str
    field: str


class Unit(Struct, frozen=True, kw_only=True):
    """A claimed unit. `operations` are those not yet delivered, `indexes` their positions in the unit as it was planned."""

    id: int
    event_id: int
    event_key: str
    sink: str
    lane: str
    operations: tuple[Operation, ...]
    indexes: tuple[int, ...]
    attempts: int
    urgent: bool
    overtaken_by: int | None  # the event whose opt-out was sent before it
    late: bool  # newer events of its lane may have been sent before it
    in_doubt: bool  # an earlier attempt may have been done
    received_at: datetime
    first_try_at: datetime
    tried: bool = False  # before this claim
    newer: tuple[Written, ...] = ()  # looked up for units that are overtaken or late
    unplanned: Unplanned | None = (
        None  # what of its event could not be planned: a dead letter when the rest is delivered
    )


class Confirmation(Struct, frozen=True, kw_only=True):
    """A sink's answer to the decisions of an event: CONFIRMED or FAILED, for the ledger."""

    phase: Phase
    detail: str | None = None


class Unlinked(Struct, frozen=True, kw_only=True):
    """A key that no longer names a record."""

    crm: str
    object: str
    key_field: str
    key: str


class PartlyDelivered(Struct, frozen=True, kw_only=True):
    """An operation of which only the consent fields were delivered. The rest, if any, replaces it in the unit."""

    index: int
    done: RecordWrite
    rest: RecordWrite | None


class Settlement(Struct, frozen=True, kw_only=True):
    """The new state of a claimed unit: DELIVERED, DEAD, RESTING (with a delay) or READY."""

    unit_id: int
    state: UnitState
    reason: Reason | None = None
    detail: str | None = None
    delay: timedelta | None = None
    counts_attempt: bool = True
    done: tuple[int, ...] = ()  # indexes of operations delivered by this attempt
    in_doubt: bool = False
    shadows: tuple[ShadowWrite, ...] = ()
    links: tuple[Link, ...] = ()
    unlinked: tuple[Unlinked, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    rule: str = ""  # of a dead letter: whose operation it is
    code: str = ""  # of a dead letter: the sink's own code
    partly_delivered: tuple[PartlyDelivered, ...] = ()
    amounts: tuple[NewAmount, ...] = ()  # what donors give each month, changed by delivered commands
