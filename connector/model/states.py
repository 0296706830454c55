"""All states of events and units, and all transitions between them, as tables."""

from enum import StrEnum


class EventState(StrEnum):
    """The state of an event. Every stored event is in exactly one of these."""

    PENDING = "pending"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    IGNORED = "ignored"  # by a rule
    UNMATCHED = "unmatched"  # no rule matched
    NO_CHANGE = "no_change"  # an echo
    SUPERSEDED = "superseded"  # a newer decision of the same person is valid
    UNREADABLE = "unreadable"  # authentic, but cannot be parsed; stored raw
    DEAD = "dead"  # a dead letter, with a reason


class UnitState(StrEnum):
    """A unit is the operations of one event for one sink."""

    WAITING = "waiting"  # after another unit of its lane
    READY = "ready"  # head of its lane
    RESTING = "resting"  # head of its lane, to be retried later
    CLAIMED = "claimed"  # claimed by a worker, which sends it
    DELIVERED = "delivered"
    DEAD = "dead"
    DISCARDED = "discarded"  # a person decided against it


OPEN_UNITS = frozenset({UnitState.WAITING, UnitState.READY, UnitState.RESTING, UnitState.CLAIMED})

UNIT_TRANSITIONS: dict[UnitState, frozenset[UnitState]] = {
    UnitState.WAITING: frozenset({UnitState.READY, UnitState.RESTING, UnitState.CLAIMED}),
    UnitState.READY: frozenset({UnitState.CLAIMED, UnitState.WAITING}),
    UnitState.RESTING: frozenset({UnitState.READY, UnitState.WAITING}),
    UnitState.CLAIMED: frozenset(
        {UnitState.DELIVERED, UnitState.DEAD, UnitState.RESTING, UnitState.READY, UnitState.WAITING}
    ),
    # A person had the event planned again: what the new plan changes is delivered too, or parked.
    UnitState.DELIVERED: frozenset({UnitState.WAITING, UnitState.DEAD}),
    # Delivered: by the new plan nothing is left to do of it.
    UnitState.DEAD: frozenset({UnitState.READY, UnitState.WAITING, UnitState.DISCARDED, UnitState.DELIVERED}),
    UnitState.DISCARDED: frozenset(),
}

EVENT_TRANSITIONS: dict[EventState, frozenset[EventState]] = {
    EventState.PENDING: frozenset(set(EventState) - {EventState.PENDING, EventState.UNREADABLE}),
    EventState.UNREADABLE: frozenset({EventState.PENDING, EventState.IGNORED}),  # ignored: a person discarded it
    EventState.DELIVERING: frozenset({EventState.DELIVERED, EventState.DEAD, EventState.IGNORED}),
    EventState.DEAD: frozenset({EventState.PENDING, EventState.DELIVERING, EventState.DELIVERED, EventState.IGNORED}),
    EventState.DELIVERED: frozenset({EventState.PENDING}),  # a person has it planned again by corrected mappings
    EventState.IGNORED: frozenset({EventState.PENDING}),
    EventState.UNMATCHED: frozenset({EventState.PENDING}),
    EventState.NO_CHANGE: frozenset({EventState.PENDING}),
    EventState.SUPERSEDED: frozenset({EventState.PENDING}),
}


def event_state(units: list[UnitState]) -> EventState:
    """The state of an event that has units: that of its worst unit."""
    if any(unit is UnitState.DEAD for unit in units):
        return EventState.DEAD
    if any(unit in OPEN_UNITS for unit in units):
        return EventState.DELIVERING
    if units and all(unit is UnitState.DISCARDED for unit in units):
        return EventState.IGNORED
    return EventState.DELIVERED
