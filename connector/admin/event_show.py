"""One stored event as a page: what came, the ladder of rules, what became of it with links to the records, and it as a test."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.admin.capture import capture, case_text
from connector.admin.context import AdminContext, get_flag, reject_unknown
from connector.admin.explain import explain
from connector.mapping.compile.ruleset import CompiledFile, Ruleset
from connector.model.errors import ConnectorError
from connector.model.event import Event
from connector.model.operation import Operation, RecordWrite
from connector.pipeline.known import known_before
from connector.pipeline.plan import with_known_number
from connector.registry import record_address
from connector.store.inbox import StoredEvent
from connector.store.overview import UnitNow
from connector.telemetry.mask import mask

BODY_SHOWN = 20_000  # characters of a body


async def event_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about one event by its `id` or key.

    That is what `explain` says, the body as it came, the rules that were not asked, the CRM's records, and a test of it.
    """
    reject_unknown(payload, "id", "reveal")
    reveal = get_flag(payload, "reveal")
    stored, rules = context.event(payload.get("id")), context.rules()
    explained = await explain(context, {"event": stored.id, "reveal": reveal})
    units = context.store.overview.units_of(stored.id)
    for sink, unit in zip(explained["became"]["sinks"], units, strict=True):
        records = _records(context, unit)
        for one, record in zip(sink["operations"], records, strict=True):
            one["record"] = record
    raw = context.store.inbox.raw(stored.id)
    body = None if raw is None else raw.decode("utf-8", "replace")
    return {
        **explained,
        "id": stored.id,
        "provider": stored.provider,
        "has_person": stored.event is not None and stored.event.msisdn is not None,
        "ladder": [] if stored.event is None else _files_with_rules(rules, stored.event, explained["plan"]["rules"]),
        "body": None if body is None else (body if reveal else mask(body))[:BODY_SHOWN],
        "test": _test(context, stored, rules),
    }


async def event_person(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The opaque id of the person whom an event is about."""
    reject_unknown(payload, "id")
    stored = context.event(payload.get("id"))
    if stored.event is None or stored.event.msisdn is None:
        raise ConnectorError(f"event {stored.id} names no person")
    return {"id": await context.store.people.id_of(stored.event.msisdn.e164)}


def _records(context: AdminContext, unit: UnitNow) -> list[dict[str, Any] | None]:
    """The record that each operation names, where its id is known."""
    keys: dict[tuple[str, str], list[str]] = {}
    for one in unit.operations:
        if isinstance(one, RecordWrite):
            keys.setdefault((one.object, one.key_field), []).append(one.key)
    ids = {
        (name, key_field): context.store.records.ids_by_key(unit.sink, name, key_field, several)
        for (name, key_field), several in keys.items()
    }
    return [_record(context, unit.sink, one, ids) for one in unit.operations]


def _record(
    context: AdminContext, sink: str, operation: Operation, ids: Mapping[tuple[str, str], Mapping[str, str]]
) -> dict[str, Any] | None:
    record_id = (
        ids[operation.object, operation.key_field].get(operation.key) if isinstance(operation, RecordWrite) else None
    )
    if not isinstance(operation, RecordWrite) or record_id is None:
        return None
    return {
        "object": operation.object,
        "id": record_id,
        "address": record_address(context.loaded, sink, operation.object, record_id),
    }


def _files_with_rules(rules: Ruleset, event: Event, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The files that see the event, each with all its rules in order: taken, refused and why, or not asked any more."""
    return [
        {"file": file.name, "rules": _asked_and_unasked(file, [one for one in asked if one["file"] == file.name])}
        for file in rules.files_for(event)
    ]


def _asked_and_unasked(file: CompiledFile, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    why = "an earlier rule has taken the event" if asked else "the event was settled before any rule was asked"
    return [{**one, "asked": True} for one in asked] + [
        {"rule": one.name, "line": one.line, "asked": False, "matched": False, "why": why, "operations": []}
        for one in file.rules[len(asked) :]
    ]


def _test(context: AdminContext, stored: StoredEvent, rules: Ruleset) -> dict[str, Any]:
    """The event as a test of the mapping file, its personal data replaced; or why there is none."""
    if stored.event is None:
        return {"file": None, "text": None, "why": "it could not be read"}
    event = with_known_number(stored.event, context.store)
    ledger = context.store.consents.of(event.msisdn.e164) if event.msisdn is not None else ()
    known = known_before(context.store, stored.id, event, ledger, context.configured)
    try:
        file, test = capture(rules, event, known, event_id=stored.id, file=None)
    except ConnectorError as error:
        return {"file": None, "text": None, "why": str(error)}
    return {"file": file, "text": case_text(test, "  "), "why": None}
