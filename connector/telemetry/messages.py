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
UNMATCHED = "unmatched"  # the state of an event that no rule matches
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


def level_of(log_event: LogEvent) -> Level:
    """The level of a log event."""
    match log_event:
        case CallbackReceived():
            return Level.WARNING if log_event.unreadable else Level.DEBUG
        case Planned() | Settled() if log_event.state == DEAD:
            return Level.ERROR
        case Planned() if log_event.left_out or log_event.state == UNMATCHED:
            return Level.INFO
        case RequestRejected():
            return _of_refusal(log_event)
        case Reloaded():
            return Level.INFO if log_event.accepted else Level.ERROR
        case Lifecycle():
            return log_event.level
        case _:
            return FIXED[type(log_event)]


def _of_refusal(log_event: RequestRejected) -> Level:
    if log_event.why in {NOT_STORED, TOO_MANY_CONNECTIONS, OUT_OF_DESCRIPTORS}:
        return Level.DEBUG  # an alarm, or one line a minute, has said why: one line for each callback would hide it
    if log_event.status >= OUR_FAULT:
        return Level.ERROR
    # Scanners request addresses that do not exist, and speak TLS or unknown protocols.
    noise = not log_event.provider and (log_event.status == NOT_FOUND or log_event.why == NOT_HTTP)
    return Level.DEBUG if noise else Level.WARNING


def message_of(log_event: LogEvent) -> Message:  # noqa: C901, PLR0911, PLR0912 - one line for each kind, and nothing else.
    """The log event in words."""
    level = level_of(log_event)
    match log_event:
        case CallbackReceived(provider=provider, shape=shape):
            sentence = "could not read" if log_event.unreadable else "received again" if log_event.known else "received"
            details: dict[str, Detail] = {"event": log_event.event, "why": log_event.unreadable}
            if log_event.unreadable:
                details["cure"] = (
                    f"`connector explain {log_event.event}`; after an update `connector replay {log_event.event}`"
                )
            return Message(level, f"{sentence} {provider}.{shape}", details)
        case RequestRejected(why=why):
            details = {
                "provider": log_event.provider or None,
                "door": log_event.endpoint or None,
                "status": log_event.status,
            }
            return Message(level, f"rejected a callback: {why}", details)
        case Planned(state=state):
            details = {
                "event": log_event.event,
                "operations": log_event.operations,
                "reason": log_event.reason,
                "detail": log_event.detail,
            }
            details |= {"fields_left_out": log_event.left_out or None}
            if state == UNMATCHED:
                details["cure"] = (
                    f"`connector explain {log_event.event}` says why; `connector events --state unmatched` lists all"
                )
            return Message(level, f"planned: {state}", details)
        case Settled(sink=sink, state=state):
            details = {"event": log_event.event, "reason": log_event.reason, "detail": log_event.detail}
            details |= {"attempts": log_event.attempts, "seconds": round(log_event.seconds, 3)}
            return Message(level, f"{sink}: {state}", details)
        case BatchSent(sink=sink):
            details = {
                "operations": log_event.operations,
                "calls": log_event.calls,
                "seconds": round(log_event.seconds, 3),
            }
            details |= {"next_batch": log_event.batch or None}
            return Message(level, f"sent a batch to {sink}", details)
        case FeedPolled(feed=feed):
            sentence = f"initial sync of {feed}" if log_event.baseline else f"polled {feed}"
            return Message(level, sentence, {"rows": log_event.rows, "changes": log_event.changes})
        case EnricherCalled(provider=provider):
            details = {"event": log_event.event, "outcome": log_event.outcome, "reason": log_event.reason}
            return Message(level, f"asked {provider}", details)
        case Charged(provider=provider, state=state):
            details = {"charge": log_event.charge, "status": log_event.status, "detail": log_event.detail}
            return Message(level, f"charge at {provider}: {state}", details)
        case ChannelPaused(name=name):
            details = {"reason": log_event.reason, "detail": log_event.detail, "seconds": round(log_event.seconds, 1)}
            why = REASONS.get(log_event.reason, log_event.reason)
            return Message(level, f"pausing {log_event.calls or name} for {log_event.seconds:.3g} s: {why}", details)
        case ChannelResumed(name=name):
            return Message(level, f"resuming {log_event.calls or name}")
        case Alarm(message=message):
            return Message(
                level, f"ALARM: {message}", {"alarm": log_event.kind, "about": log_event.about, "cure": log_event.cure}
            )
        case Cleared(kind=kind):
            return Message(level, "alarm cleared", {"alarm": kind, "about": log_event.about})
        case Reloaded(accepted=accepted):
            sentence = (
                "reloaded the mappings"
                if accepted
                else "reload rejected: the new mappings have errors, so the old ones stay in use"
            )
            details = {
                "version": log_event.version,
                "changes": log_event.changes or None,
                "problems": len(log_event.problems) or None,
            }
            for number, problem in enumerate(log_event.problems[:LISTED], 1):
                details[f"problem_{number}"] = problem
            return Message(level, sentence, details)
        case WorkerFailed(worker=worker):
            details = {"error": log_event.error, "again_in_seconds": round(log_event.seconds, 1)}
            return Message(level, f"bug in worker {worker}", details)
        case Lifecycle(message=message):
            return Message(level, message, dict(log_event.details))
