"""Explains the result of an event, as a document that a command can put into words. Reads only values, never the store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connector.admin import labels
from connector.admin.advice import cure
from connector.admin.masking import Masked, iso_time
from connector.admin.stop_questions import WAS, WAS_NOT, answer_command
from connector.mapping.compile.ruleset import Ruleset
from connector.model.event import Event, Verdict
from connector.model.outcome import Reason
from connector.model.plan import Note, OperationTrace, Plan, RuleTrace
from connector.model.states import EventState
from connector.pipeline.planning import MAY_BE_A_STOP
from connector.store.inbox import StoredEvent
from connector.store.overview import UnitNow

EVENT_FIELDS = (
    "keyword", "keyword_id", "service_id", "short_number", "text", "price", "currency", "status", "status_detail", "result",
    "final", "transaction_id", "subscription_id", "service_command", "known_to_provider", "properties",
    "lookup", "object", "record", "changed",
)  # fmt: skip


def event_document(event: Event, masked: Masked) -> dict[str, Any]:
    """What came, as a mapping sees it, without empty values."""
    fields = {name: getattr(event, name) for name in EVENT_FIELDS}
    phone = masked.phone(event.msisdn)
    return {
        "key": masked.text(event.key),  # a provider may put the number into its ids
        "source": event.source,
        "words": labels.event_sentence(event, phone),
        "received_at": iso_time(event.received_at),
        "occurred_at": iso_time(event.occurred_at),
        "phone": phone,
        "verdict": event.verdict.value,
        "action": event.action,
        "fields": {name: masked.value(value) for name, value in fields.items() if value not in (None, {}, ())},
    }


def plan_document(done: Plan, event: Event, rules: Ruleset, masked: Masked) -> dict[str, Any]:
    """What the current mappings plan for it, rule by rule."""
    no_rule = None
    if not done.trace:
        no_rule = (
            "it was settled before any rule was asked"
            if any(event.source in file.sources for file in rules.files)
            else f"no mapping file is `on: {event.source}`"
        )
    return {
        "mapping": rules.version,
        "no_rule": no_rule,
        "state": done.state.value,
        "words": labels.PLAN_STATES[done.state],
        "detail": masked.text(done.detail) if done.detail else None,
        "reason": done.reason.value if done.reason else None,
        "cure": None if done.detail == MAY_BE_A_STOP else cure(done.reason),  # the detail is the advice
        "rules": [_rule(one, masked) for one in done.trace],
        "consent": [
            *(labels.decision_sentence(one) for one in done.decisions),
            *(masked.text(note) for note in done.notes),
        ],
        "notes": [masked.text(str(note)) for note in done.left_out],
        "operations": [masked.operation(one) for one in done.operations],
    }


def _rule(trace: RuleTrace, masked: Masked) -> dict[str, Any]:
    return {
        "file": trace.file,
        "line": trace.line,
        "rule": trace.rule,
        "matched": trace.matched,
        "why": masked.text(trace.why),
        "operations": [_operation(item, masked) for item in trace.operations],
    }


def _operation(trace: OperationTrace, masked: Masked) -> dict[str, Any]:
    return {
        "label": trace.label,
        "skipped": masked.text(trace.skipped) if trace.skipped else None,
        "values": [
            {"field": value.field, "source": value.source, "value": masked.value(value.value)} for value in trace.values
        ],
    }


def became_document(
    stored: StoredEvent,
    units: Sequence[UnitNow],
    masked: Masked,
    *,
    present: str | None,
    now: datetime,
    notes: Sequence[Note] = (),
) -> dict[str, Any]:
    """What became of a stored event, sink by sink, which mappings decided it, and which fields were left out."""
    return {
        "id": stored.id,
        "state": stored.state.value,
        "words": labels.EVENT_STATES[stored.state],
        "notes": [masked.text(str(note)) for note in notes],
        "detail": masked.text(stored.detail) if stored.detail else None,
        "reason": stored.reason,
        "cure": _cure(stored),
        "sinks": [_unit(unit, masked, now, stored.id) for unit in units],
        "mapping": stored.mapping,
        "mapping_changed": stored.mapping is not None and present is not None and stored.mapping != present,
    }


def _cure(stored: StoredEvent) -> str | None:
    waits = stored.state is EventState.DEAD and stored.reason == Reason.NEEDS_PERSON
    if waits and stored.event is not None and stored.event.verdict is Verdict.MAYBE_STOP:
        return f"`{answer_command(stored.id, WAS)}` or `{answer_command(stored.id, WAS_NOT)}`"
    match stored.state:
        case EventState.UNREADABLE:
            return f"after an update that reads such a body, use `connector replay {stored.id}`"
        case EventState.UNMATCHED:
            return f"add a rule for it, then `connector reload` and `connector replay {stored.id}`"
        case _:
            return cure(stored.reason, str(stored.id))


def _unit(unit: UnitNow, masked: Masked, now: datetime, event_id: int) -> dict[str, Any]:
    return {
        "sink": unit.sink,
        "state": unit.state.value,
        "words": labels.UNIT_STATES[unit.state],
        "reason": unit.reason.value if unit.reason else None,
        "detail": masked.text(unit.detail) if unit.detail else None,
        "cure": cure(unit.reason, str(event_id)),
        "attempts": unit.attempts,
        "may_have_been_done": unit.in_doubt,
        "again_in_seconds": None if unit.due_at is None else max(0, round((unit.due_at - now).total_seconds())),
        "settled_at": iso_time(unit.settled_at),
        "operations": [
            {**masked.operation(one), "done": unit.state.value == "delivered" or place in unit.done}
            for place, one in enumerate(unit.operations)
        ],
    }
