"""Facts in words: how loud, which sentence, which details. The form of a line is made in logs.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.model.facts import (
    NOT_HTTP,
    NOT_STORED,
    OUT_OF_DESCRIPTORS,
    TOO_MANY_CONNECTIONS,
    Alarm,
    Asked,
    Cleared,
    Fact,
    Followed,
    Level,
    Lived,
    LoopFailed,
    Paused,
    Planned,
    Received,
    Reloaded,
    Resumed,
    Settled,
    TurnedAway,
    Wrote,
)

Detail = str | int | float | bool | None
DEAD = "dead"  # the state of an event or unit that needs a person
NOT_FOUND = 404  # nobody's door
OUR_FAULT = 500  # statuses from here on say that it was not the caller


@dataclass(frozen=True, slots=True)
class Wording:
    """A fact in words. Details that are None are left out."""

    level: Level
    sentence: str
    details: Mapping[str, Detail] = field(default_factory=dict)


# What happens with every callback is quiet, for a line costs as much as a tenth of it.
FIXED: Mapping[type, Level] = {
    Planned: Level.DEBUG,
    Settled: Level.INFO,
    Wrote: Level.DEBUG,
    Followed: Level.DEBUG,
    Asked: Level.DEBUG,
    Paused: Level.WARNING,
    Resumed: Level.INFO,
    Cleared: Level.INFO,
    Alarm: Level.ERROR,
    LoopFailed: Level.ERROR,
}


def level_of(fact: Fact) -> Level:
    """How loud a fact is."""
    match fact:
        case Received():
            return Level.WARNING if fact.unreadable else Level.DEBUG
        case Planned() | Settled() if fact.state == DEAD:
            return Level.ERROR
        case Planned() if fact.left_out:
            return Level.INFO
        case TurnedAway():
            return _of_refusal(fact)
        case Reloaded():
            return Level.INFO if fact.accepted else Level.ERROR
        case Lived():
            return fact.level
        case _:
            return FIXED[type(fact)]


def _of_refusal(fact: TurnedAway) -> Level:
    if fact.why in {NOT_STORED, TOO_MANY_CONNECTIONS, OUT_OF_DESCRIPTORS}:
        return Level.DEBUG  # an alarm, or one line a minute, has told why: one line for each callback would bury it
    if fact.status >= OUR_FAULT:
        return Level.ERROR
    # Scanners ask for addresses that are not served, and speak TLS or nothing known.
    noise = not fact.provider and (fact.status == NOT_FOUND or fact.why == NOT_HTTP)
    return Level.DEBUG if noise else Level.WARNING


def wording(fact: Fact) -> Wording:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of fact, and nothing else.
    """The fact in words."""
    level = level_of(fact)
    match fact:
        case Received(provider=provider, shape=shape):
            sentence = "could not read" if fact.unreadable else "received again" if fact.known else "received"
            details: dict[str, Detail] = {"event": fact.event, "why": fact.unreadable}
            return Wording(level, f"{sentence} {provider}.{shape}", details)
        case TurnedAway(why=why):
            details = {"provider": fact.provider or None, "door": fact.door or None, "status": fact.status}
            return Wording(level, f"turned away a callback: {why}", details)
        case Planned(state=state):
            details = {"event": fact.event, "operations": fact.operations, "reason": fact.reason, "detail": fact.detail}
            details |= {"fields_left_out": fact.left_out or None}
            return Wording(level, f"planned: {state}", details)
        case Settled(sink=sink, state=state):
            details = {"event": fact.event, "reason": fact.reason, "detail": fact.detail}
            details |= {"attempts": fact.attempts, "seconds": round(fact.seconds, 3)}
            return Wording(level, f"{sink}: {state}", details)
        case Wrote(sink=sink):
            details = {"operations": fact.operations, "calls": fact.calls, "seconds": round(fact.seconds, 3)}
            details |= {"next_batch": fact.batch or None}
            return Wording(level, f"wrote to {sink}", details)
        case Followed(feed=feed):
            sentence = f"looked at {feed} for the first time" if fact.baseline else f"followed {feed}"
            return Wording(level, sentence, {"rows": fact.rows, "changes": fact.changes})
        case Asked(provider=provider):
            details = {"event": fact.event, "outcome": fact.outcome, "reason": fact.reason}
            return Wording(level, f"asked {provider}", details)
        case Paused(name=name):
            details = {"reason": fact.reason, "detail": fact.detail, "seconds": round(fact.seconds, 1)}
            return Wording(level, f"{name} is left alone for a while", details)
        case Resumed(name=name):
            return Wording(level, f"{name} works again")
        case Alarm(message=message):
            return Wording(level, f"ALARM: {message}", {"alarm": fact.kind, "about": fact.about, "cure": fact.cure})
        case Cleared(kind=kind):
            return Wording(level, "the cause of an alarm is gone", {"alarm": kind, "about": fact.about})
        case Reloaded(accepted=accepted):
            sentence = "reloaded the mappings" if accepted else "kept the old mappings: the new ones have problems"
            return Wording(level, sentence, {"version": fact.version, "problems": fact.problems or None})
        case LoopFailed(loop=loop):
            details = {"error": fact.error, "again_in_seconds": round(fact.seconds, 1)}
            return Wording(level, f"a bug in {loop}", details)
        case Lived(message=message):
            return Wording(level, message, dict(fact.details))
