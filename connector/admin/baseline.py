"""The opt-outs that the CRM held before the connector was installed: what they would send, and sending it on request.

The first poll of a feed sends nothing. Here a person can decide otherwise, once, and for all of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.admin.context import AdminContext, get_flag, get_limit, reject_unknown
from connector.admin.masking import Masked
from connector.consent.changes import CHANGED
from connector.consent.ledger_state import decisions, fold_ledger
from connector.model.event import Event, Verdict, joined_key
from connector.model.operation import ID_FIELD, ServiceCommand
from connector.model.phone import Phone
from connector.model.plan import Plan
from connector.pipeline.planning import plan_in_order
from connector.pipeline.receive import entry
from connector.store.records import OptedOut

KEPT_AT_ONCE = 500  # events in a transaction: callbacks are stored in between


@dataclass(frozen=True, slots=True)
class _Found:
    events: Sequence[Event]
    records: int
    without_number: int
    already_out: int
    same_number: int


async def baseline(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the existing opt-outs would send. With `send` they are stored as events and planned as usual."""
    reject_unknown(payload, "send", "limit", "reveal")
    send, limit = get_flag(payload, "send"), get_limit(payload)
    masked = Masked(reveal=get_flag(payload, "reveal"))
    found = _find(context)
    planned = plan_in_order(
        list(enumerate(found.events)),
        context.rules(),
        ledgers=context.store.consents.of_many([one.msisdn.e164 for one in found.events if one.msisdn]),
        configured=context.configured,
        others_opted_out=lambda _event: False,
    )
    sending = [(event, event_plan) for _, event, event_plan in planned if _commands(event_plan)]
    answer = {
        "opted_out_records": found.records,
        "without_number": found.without_number,
        "already_out": found.already_out,
        "same_number": found.same_number,
        "send_nothing": len(planned) - len(sending),
        "people": len(sending),
        "commands": sum(len(_commands(event_plan)) for _, event_plan in sending),
        "lines": [_line(event, event_plan, masked) for event, event_plan in sending[:limit]],
        "left_off": max(0, len(sending) - limit),
        "sent": 0,
    }
    return answer | {"sent": await _keep(context, [event for event, _ in sending])} if send else answer


async def _keep(context: AdminContext, events: Sequence[Event]) -> int:
    fresh = 0
    for start in range(0, len(events), KEPT_AT_ONCE):
        kept = await context.store.inbox.keep([entry(one, b"") for one in events[start : start + KEPT_AT_ONCE]])
        fresh += sum(not one.known for one in kept)
    return fresh


def _find(context: AdminContext) -> _Found:
    """One event for each number: the provider knows numbers, not records."""
    flags = {(crm, name): one.flag for crm, objects in context.consent.items() for name, one in objects.items()}
    # A field that the config no longer lists as consent is not an opt-out any more.
    records = [one for one in context.store.records.opted_out() if (one.crm, one.object) in flags]
    ledgers = context.store.consents.of_many(sorted({one.phone for one in records if one.phone}))
    events: dict[str, Event] = {}
    without = already = same = 0
    for one in records:
        if one.phone is None:
            without += 1
            continue
        standing = fold_ledger(decisions(ledgers[one.phone]))
        if standing.last is not None and standing.last.decision.word is Verdict.OPT_OUT and not standing.active:
            already += 1
        elif one.phone in events:
            same += 1
        else:
            last = standing.last.event_key if standing.last is not None else ""
            events[one.phone] = _event(context, one, Phone(one.phone), flags[one.crm, one.object], last)
    return _Found(list(events.values()), len(records), without, already, same)


def _event(context: AdminContext, record: OptedOut, phone: Phone, flag: str, last: str) -> Event:
    """As if a person had set the flag just now. It belongs to no poll, because a person's own order is not parked.

    `last` is the key of the person's last decision: sent twice it is one opt-out, but after a new opt-in another one.
    """
    digest = hashlib.sha256(f"{phone.e164}={record.fields.get(flag)!r} {last}".encode()).hexdigest()[:16]
    return Event(
        key=joined_key(record.crm, "baseline", record.record_id, digest),
        provider=record.crm,
        shape=CHANGED,
        action=CHANGED,
        verdict=Verdict.OPT_OUT,
        received_at=context.now(),
        msisdn=phone,
        object=record.object,
        record={ID_FIELD: record.record_id, **record.fields},
        changed=(flag,),
    )


def _commands(event_plan: Plan) -> list[ServiceCommand]:
    return [operation for operation in event_plan.operations if isinstance(operation, ServiceCommand)]


def _line(event: Event, event_plan: Plan, masked: Masked) -> dict[str, Any]:
    return {
        "record": event.record[ID_FIELD],
        "object": event.object,
        "phone": masked.phone(event.msisdn),
        "commands": [f"{one.action} {one.keyword} on {one.short_number} ({one.sink})" for one in _commands(event_plan)],
    }
