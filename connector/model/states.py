"""All states of events and units, and every transition between them, as tables. Nothing else may live here."""

from enum import StrEnum


class EventState(StrEnum):
    """Every stored event is in exactly one of these (DESIGN 2, promise 2)."""

    PENDING = "pending"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    IGNORED = "ignored"  # a rule says so
    UNMATCHED = "unmatched"  # no rule spoke
    NO_CHANGE = "no_change"  # an echo
    SUPERSEDED = "superseded"  # a newer decision of the same person stands
    UNREADABLE = "unreadable"  # authentic, but not understood; kept raw
    DEAD = "dead"  # a dead letter, with a reason


class UnitState(StrEnum):
    """A unit is the operations of one event for one sink."""

    WAITING = "waiting"  # behind another unit of its lane
    READY = "ready"  # head of its lane
    RESTING = "resting"  # head of its lane, to be tried again later
    CLAIMED = "claimed"  # in the hands of the sink
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
    UnitState.DELIVERED: frozenset(),
    UnitState.DEAD: frozenset({UnitState.READY, UnitState.WAITING, UnitState.DISCARDED}),
    UnitState.DISCARDED: frozenset(),
}

EVENT_TRANSITIONS: dict[EventState, frozenset[EventState]] = {
    EventState.PENDING: frozenset(set(EventState) - {EventState.PENDING, EventState.UNREADABLE}),
    EventState.UNREADABLE: frozenset({EventState.PENDING}),
    EventState.DELIVERING: frozenset({EventState.DELIVERED, EventState.DEAD, EventState.IGNORED}),
    EventState.DEAD: frozenset({EventState.PENDING, EventState.DELIVERING, EventState.DELIVERED, EventState.IGNORED}),
    EventState.DELIVERED: frozenset({EventState.PENDING}),  # its opt-out was told to nobody, and the rule is mended
    EventState.IGNORED: frozenset({EventState.PENDING}),
    EventState.UNMATCHED: frozenset({EventState.PENDING}),
    EventState.NO_CHANGE: frozenset(),
    EventState.SUPERSEDED: frozenset(),
}


def event_state(units: list[UnitState]) -> EventState:
    """The state of an event that has units: that of its worst."""
    if any(unit is UnitState.DEAD for unit in units):
        return EventState.DEAD
    if any(unit in OPEN_UNITS for unit in units):
        return EventState.DELIVERING
    if units and all(unit is UnitState.DISCARDED for unit in units):
        return EventState.IGNORED
    return EventState.DELIVERED
