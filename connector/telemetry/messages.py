"""The sentence, level and details of each log event. logs.py formats the line."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.telemetry.log_events import (
    NOT_HTTP,
    NOT_STORED,
    OUT_OF_DESCRIPTORS,
    TOO_MANY_CONNECTIONS,
    Alarm,
    BatchSent,
    CallbackReceived,
    ChannelPaused,
    ChannelResumed,
    Charged,
    Cleared,
    EnricherCalled,
    FeedPolled,
    Level,
    Lifecycle,
    LogEvent,
    Planned,
    Reloaded,
    RequestRejected,
    Settled,
    WorkerFailed,
)

Detail = str | int | float | bool | None
LISTED = 5  # problems of refused mappings in one line
DEAD = "dead"  # the state of an event or unit that needs a person
UNMATCHED = "unmatched"  # the state of an event that no rule is for
# Why calls are paused, in words for the log. Other reasons are written as they are.
REASONS = {
    "unavailable": "not reachable",
    "timeout": "no response in time",
    "connection_lost": "the connection was lost",
    "server_error": "server error",
    "unexpected_answer": "unexpected response",
    "rate_limited": "too many calls",
    "quota_exhausted": "the daily API quota is used up",
    "storage_full": "no storage left for new records",
    "credentials": "sign-in failed",
    "wrong_address": "wrong address",
    "maintenance": "maintenance",
    "sink_refuses": "all calls are refused",
    "configuration": "an object or field is missing or not permitted",
}
NOT_FOUND = 404  # the request named no endpoint of ours
OUR_FAULT = 500  # the lowest status for which the caller is not at fault


@dataclass(frozen=True, slots=True)
class Message:
    """A log event in words. Details that are None are left out."""

    level: Level
    sentence: str
    details: Mapping[str, Detail] = field(default_factory=dict)


# The events of every callback have a low level, because a log line costs up to a tenth of a callback's time.
FIXED: Mapping[type, Level] = {
    Planned: Level.DEBUG,
    Settled: Level.INFO,
    BatchSent: Level.DEBUG,
    FeedPolled: Level.DEBUG,
    EnricherCalled: Level.DEBUG,
    Charged: Level.INFO,
    ChannelPaused: Level.WARNING,
    ChannelResumed: Level.INFO,
    Cleared: Level.INFO,
    Alarm: Level.ERROR,
    WorkerFailed: Level.ERROR,
}


def level_of(fact: LogEvent) -> Level:
    """The level of a log event."""
    match fact:
        case CallbackReceived():
            return Level.WARNING if fact.unreadable else Level.DEBUG
        case Planned() | Settled() if fact.state == DEAD:
            return Level.ERROR
        case Planned() if fact.left_out or fact.state == UNMATCHED:
            return Level.INFO
        case RequestRejected():
            return _of_refusal(fact)
        case Reloaded():
            return Level.INFO if fact.accepted else Level.ERROR
        case Lifecycle():
            return fact.level
        case _:
            return FIXED[type(fact)]


def _of_refusal(fact: RequestRejected) -> Level:
    if fact.why in {NOT_STORED, TOO_MANY_CONNECTIONS, OUT_OF_DESCRIPTORS}:
        return Level.DEBUG  # an alarm, or one line a minute, has said why: one line for each callback would hide it
    if fact.status >= OUR_FAULT:
        return Level.ERROR
    # Scanners request addresses that do not exist, and speak TLS or unknown protocols.
    noise = not fact.provider and (fact.status == NOT_FOUND or fact.why == NOT_HTTP)
    return Level.DEBUG if noise else Level.WARNING


def message_of(fact: LogEvent) -> Message:  # noqa: C901, PLR0911, PLR0912 - one line for each kind, and nothing else.
    """The log event in words."""
    level = level_of(fact)
    match fact:
        case CallbackReceived(provider=provider, shape=shape):
            sentence = "could not read" if fact.unreadable else "received again" if fact.known else "received"
            details: dict[str, Detail] = {"event": fact.event, "why": fact.unreadable}
            if fact.unreadable:
                details["cure"] = f"`connector explain {fact.event}`; after an update `connector replay {fact.event}`"
            return Message(level, f"{sentence} {provider}.{shape}", details)
        case RequestRejected(why=why):
            details = {"provider": fact.provider or None, "door": fact.endpoint or None, "status": fact.status}
            return Message(level, f"rejected a callback: {why}", details)
        case Planned(state=state):
            details = {"event": fact.event, "operations": fact.operations, "reason": fact.reason, "detail": fact.detail}
            details |= {"fields_left_out": fact.left_out or None}
            if state == UNMATCHED:
                details["cure"] = (
                    f"`connector explain {fact.event}` says why; `connector events --state unmatched` lists all"
                )
            return Message(level, f"planned: {state}", details)
        case Settled(sink=sink, state=state):
            details = {"event": fact.event, "reason": fact.reason, "detail": fact.detail}
            details |= {"attempts": fact.attempts, "seconds": round(fact.seconds, 3)}
            return Message(level, f"{sink}: {state}", details)
        case BatchSent(sink=sink):
            details = {"operations": fact.operations, "calls": fact.calls, "seconds": round(fact.seconds, 3)}
            details |= {"next_batch": fact.batch or None}
            return Message(level, f"sent a batch to {sink}", details)
        case FeedPolled(feed=feed):
            sentence = f"initial sync of {feed}" if fact.baseline else f"polled {feed}"
            return Message(level, sentence, {"rows": fact.rows, "changes": fact.changes})
        case EnricherCalled(provider=provider):
            details = {"event": fact.event, "outcome": fact.outcome, "reason": fact.reason}
            return Message(level, f"asked {provider}", details)
        case Charged(provider=provider, state=state):
            details = {"charge": fact.charge, "status": fact.status, "detail": fact.detail}
            return Message(level, f"charge at {provider}: {state}", details)
        case ChannelPaused(name=name):
            details = {"reason": fact.reason, "detail": fact.detail, "seconds": round(fact.seconds, 1)}
            why = REASONS.get(fact.reason, fact.reason)
            return Message(level, f"pausing {fact.calls or name} for {fact.seconds:.3g} s: {why}", details)
        case ChannelResumed(name=name):
            return Message(level, f"resuming {fact.calls or name}")
        case Alarm(message=message):
            return Message(level, f"ALARM: {message}", {"alarm": fact.kind, "about": fact.about, "cure": fact.cure})
        case Cleared(kind=kind):
            return Message(level, "alarm cleared", {"alarm": kind, "about": fact.about})
        case Reloaded(accepted=accepted):
            sentence = (
                "reloaded the mappings"
                if accepted
                else "reload rejected: the new mappings have errors, so the old ones stay in use"
            )
            details = {"version": fact.version, "changes": fact.changes or None, "problems": len(fact.problems) or None}
            for number, problem in enumerate(fact.problems[:LISTED], 1):
                details[f"problem_{number}"] = problem
            return Message(level, sentence, details)
        case WorkerFailed(worker=worker):
            details = {"error": fact.error, "again_in_seconds": round(fact.seconds, 1)}
            return Message(level, f"bug in worker {worker}", details)
        case Lifecycle(message=message):
            return Message(level, message, dict(fact.details))
