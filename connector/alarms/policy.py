"""Which messages an alarm leads to, and how urgent they are. Pure."""

from datetime import datetime, time

from msgspec import Struct

from connector.config.notify_settings import QuietHours, Severity
from connector.telemetry.log_events import Alarm
from connector.telemetry.mask import mask

# About a donor's opt-out: sent at once, at any hour.
OPT_OUTS = frozenset({"opt_out_late", "opt_out_without_rule", "opt_outs_not_sent", "flag_rewritten", "maybe_stop"})
CRITICAL = OPT_OUTS | {
    "mappings_missing",
    "disk_full",
    "disk_error",
    "database_read_only",
    "database_unusable",
    "database_missing",
}


class Message(Struct, frozen=True, kw_only=True):
    """One message, ready to be sent."""

    title: str
    body: str
    severity: Severity
    at_once: bool = False  # also in quiet hours


def severity_of(kind: str) -> Severity:
    """How bad an alarm of this kind is."""
    return "critical" if kind in CRITICAL else "warning"


def raised_message(alarm: Alarm) -> Message:
    """The message that an alarm was raised."""
    severity = severity_of(alarm.kind)
    body = f"{mask(alarm.message)}\n\nWhat to do: {mask(alarm.cure)}\n\n({alarm.kind})"
    title = f"[{severity}] connector: {mask(alarm.about)}"
    return Message(title=title, body=body, severity=severity, at_once=alarm.kind in OPT_OUTS)


def ended_message(kind: str, about: str, message: str) -> Message:
    """The message that the cause of an alarm no longer exists."""
    title = f"[ended] connector: {mask(about)}"
    body = f"No longer so: {mask(message)}\n\n({kind})"
    return Message(title=title, body=body, severity=severity_of(kind), at_once=kind in OPT_OUTS)


def is_quiet(quiet: QuietHours | None, now: datetime) -> bool:
    """Whether messages that can wait have to; `now` is in the time zone of the config."""
    if quiet is None:
        return False
    begin, end, here = time.fromisoformat(quiet.begin), time.fromisoformat(quiet.end), now.time()
    return begin <= here < end if begin <= end else here >= begin or here < end
