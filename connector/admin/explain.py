"""Explains one person or one event: what came, which rules were checked, the result, and the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.admin import labels
from connector.admin.context import AdminContext, get_flag, reject_unknown
from connector.admin.explain_documents import became_document, event_document, plan_document
from connector.admin.masking import Masked, iso_time
from connector.consent.ledger_state import fold_ledger
from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import Subscription
from connector.model.errors import ConnectorError
from connector.model.event import Event
from connector.model.phone import Phone
from connector.model.plan import Known, Plan
from connector.pipeline.known import known_before
from connector.pipeline.plan import with_known_number
from connector.pipeline.planning import plan
from connector.store.inbox import StoredEvent


async def explain(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """An event by `event` (id or key), a person by `phone`, or either of them by `what`."""
    reject_unknown(payload, "event", "phone", "what", "reveal")
    reveal = get_flag(payload, "reveal")
    if len(payload.keys() & {"event", "phone", "what"}) == 1 and "what" in payload:
        found = context.event_or_phone(str(payload["what"]))
        return (
            person_document(context, found, reveal=reveal)
            if isinstance(found, Phone)
            else explain_event(context, found, context.rules(), reveal=reveal)
        )
    if ("event" in payload) == ("phone" in payload):
        raise ConnectorError("say what to explain: an event by its id or key, or a phone number")
    if "phone" in payload:
        return person_document(context, context.phone(payload["phone"]), reveal=reveal)
    return explain_event(context, context.event(payload["event"]), context.rules(), reveal=reveal)


async def consents_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger holds about a phone number."""
    reject_unknown(payload, "phone", "reveal")
    phone = context.phone(payload.get("phone"))
    return _consent_state(context, phone, Masked(reveal=get_flag(payload, "reveal"), person=phone))


def explain_unstored(
    event: Event, rules: Ruleset, configured: Sequence[Subscription], *, reveal: bool
) -> dict[str, Any]:
    """An event that is not stored, such as one of a file: what it would lead to for an unknown person."""
    masked = Masked(reveal=reveal, person=event.msisdn)
    event_plan = plan(event, rules, Known(configured=tuple(configured)), tracing=True)
    return {
        "event": event_document(event, masked),
        "plan": plan_document(event_plan, event, rules, masked),
        "became": None,
    }


def explain_event(context: AdminContext, stored: StoredEvent, rules: Ruleset, *, reveal: bool) -> dict[str, Any]:
    """A stored event: what came, what these rules plan for it, and what became of it."""
    event = stored.event
    masked = Masked(reveal=reveal, person=event.msisdn if event else None)
    units = context.store.overview.units_of(stored.id)
    became = became_document(
        stored, units, masked, present=rules.version, now=context.now(), notes=context.store.notes.of(stored.id)
    )
    if event is None:
        return {"event": _unread(stored), "plan": None, "became": became}
    event_plan = _plan_again(context, stored.id, with_known_number(event, context.store), rules)
    return {
        "event": event_document(event, masked),
        "plan": plan_document(event_plan, event, rules, masked),
        "became": became,
    }


def _plan_again(context: AdminContext, event_id: int, event: Event, rules: Ruleset) -> Plan:
    """The plan by what was known before the event; the sinks' later answers do not affect a plan."""
    ledger = context.store.consents.of(event.msisdn.e164) if event.msisdn is not None else ()
    known_then = known_before(context.store, event_id, event, ledger, context.configured)
    return plan(event, rules, known_then, tracing=True)


def _unread(stored: StoredEvent) -> dict[str, Any]:
    return {
        "key": stored.key,
        "source": f"{stored.provider}/{stored.shape}",
        "words": f"A callback from {stored.provider} that was accepted but could not be read: {stored.detail}",
        "received_at": iso_time(stored.received_at),
        "occurred_at": None,
        "phone": None,
        "verdict": None,
        "action": None,
        "fields": {},
    }


def person_document(context: AdminContext, phone: Phone, *, reveal: bool) -> dict[str, Any]:
    """What is stored about a person: consent, and each event with what became of it."""
    masked = Masked(reveal=reveal, person=phone)
    ledger_state = _consent_state(context, phone, masked)
    entries: dict[int, list[dict[str, Any]]] = {}
    for one in ledger_state["ledger"]:
        entries.setdefault(one["event"], []).append(one)
    history: list[dict[str, Any]] = []
    for stored in context.store.inbox.of_phone(phone.e164):
        units = context.store.overview.units_of(stored.id)
        became = became_document(
            stored, units, masked, present=None, now=context.now(), notes=context.store.notes.of(stored.id)
        )
        event = stored.event
        history.append(
            {
                **became,
                "key": stored.key,
                "received_at": iso_time(stored.received_at),
                "event": event_document(event, masked) if event else _unread(stored),
                "ledger": entries.pop(stored.id, []),
            }
        )
    # Events are deleted after a while; their decisions are kept.
    history += [
        {"id": event_id, "key": several[0]["key"], "received_at": several[0]["at"], "event": None, "ledger": several}
        for event_id, several in entries.items()
    ]
    return {**ledger_state, "history": sorted(history, key=lambda one: int(one["id"]))}


def _consent_state(context: AdminContext, phone: Phone, masked: Masked) -> dict[str, Any]:
    ledger = context.store.consents.of(phone.e164)
    ledger_state = fold_ledger(ledger)
    return {
        "phone": masked.phone(phone),
        "last_word": None if ledger_state.last is None else labels.decision_sentence(ledger_state.last.decision),
        "subscriptions": [
            {
                "words": labels.subscription_name(one.subscription),
                "active": one.active,
                "provider": one.subscription.provider,
                "short_number": one.subscription.short_number,
                "keyword": one.subscription.keyword,
                "since": iso_time(one.entry.recorded_at),
                "event": one.entry.event_id,
            }
            for one in ledger_state.memberships
        ],
        "open_opt_outs": [
            {"event": one.event_id, "sink": one.sink, "since": iso_time(one.since), "failed": one.failed is not None}
            for one in context.store.consents.open_of([one.event_id for one in ledger], context.now())
        ],
        "ledger": [
            {
                "event": one.event_id,
                "key": one.event_key,
                "at": iso_time(one.recorded_at),
                "phase": one.phase.value,
                "word": one.decision.word.value,
                "scope": one.decision.scope.value,
                "words": masked.text(labels.entry_sentence(one)),
            }
            for one in ledger
        ],
    }
