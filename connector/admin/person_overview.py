"""One person as a page: what holds now and who said it, what they give, what is asked about them, and their events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.admin import labels
from connector.admin.charges import charge_document
from connector.admin.context import AdminContext, get_field, get_flag, reject_unknown
from connector.admin.explain_documents import became_document, event_document
from connector.admin.masking import Masked, iso_time
from connector.admin.open_questions import open_questions_of
from connector.consent.ledger_state import fold_ledger
from connector.consent.stop_questions import text_to_judge
from connector.model.charge import Agreement
from connector.model.consent import LedgerEntry, Phase
from connector.model.errors import ConnectorError
from connector.model.event import Event, Result, Verdict
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.registry import record_address
from connector.store.consents import OpenOptOut
from connector.store.inbox import StoredEvent

PAGE = 25  # events on a page
GIFTS = 500  # of the newest events in which gifts are looked for
LEDGER = 100  # entries that are listed, the newest
CHARGES = 24  # two years of months


async def person_find(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The opaque id of the person with a number, written in any form. Raises ConnectorError, which does not repeat it."""
    reject_unknown(payload, "phone")
    phone = context.phone(get_field(payload, "phone", str, "").strip(), plus_optional=True)
    return {"id": await context.store.people.id_of(phone.e164)}


def phone_of(context: AdminContext, person_id: object) -> Phone:
    """The number of a person by the opaque id. Raises ConnectorError if nobody has it."""
    found = context.store.people.phone_of(person_id) if isinstance(person_id, str) else None
    if found is None:
        raise ConnectorError("there is no such person, or the person was forgotten")
    return Phone(found)


async def person_overview(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about a person by their opaque `id`. Events come page by page: `before` is the last event of the page before."""
    reject_unknown(payload, "id", "before", "reveal")
    phone = phone_of(context, payload.get("id"))
    masked = Masked(reveal=get_flag(payload, "reveal"), person=phone)
    before = get_field(payload, "before", int)
    store, now = context.store, context.now()
    with store.snapshot():
        ledger = store.consents.of(phone.e164)
        open_ones = store.consents.open_of([one.event_id for one in ledger], now)
        events = store.inbox.page_of_phone(phone.e164, limit=PAGE + 1, before=before)
        return {
            "id": payload["id"],
            "phone": masked.phone(phone),
            **_consent(ledger, open_ones, masked),
            "ledger": [_entry(one, masked) for one in reversed(ledger[-LEDGER:])],
            "ledger_more": len(ledger) > LEDGER,
            "open_opt_outs": [_open_opt_out(one, masked) for one in open_ones],
            "questions": open_questions_of(context, phone.e164, masked),
            "answered": _answered(context, phone, masked),
            "actions": _actions(context, [one.id for one in events[:PAGE]]),
            "records": _records(context, phone),
            "agreements": [_agreement(one) for one in store.agreements.of_phone(phone.e164)],
            "charges": [charge_document(one, masked) for one in store.charges.listed(phone=phone.e164, limit=CHARGES)],
            "gifts": _gifts(context, phone),
            "events": [_event(one, masked, now) for one in events[:PAGE]],
            "older": events[PAGE - 1].id if len(events) > PAGE else None,
        }


def _consent(ledger: Sequence[LedgerEntry], open_ones: Sequence[OpenOptOut], masked: Masked) -> dict[str, Any]:
    """What holds now: the last decision, and each subscription."""
    state = fold_ledger(ledger)
    return {
        "now": None if state.last is None else _decision_document(state.last, ledger, open_ones, masked),
        "out": state.out,
        "subscriptions": [
            {
                "words": labels.subscription_name(one.subscription),
                "active": one.active,
                **_decision_document(one.entry, ledger, open_ones, masked),
            }
            for one in state.memberships
        ],
    }


def _decision_document(
    entry: LedgerEntry, ledger: Sequence[LedgerEntry], open_ones: Sequence[OpenOptOut], masked: Masked
) -> dict[str, Any]:
    """A decision: since when, who said it, and which systems have confirmed it."""
    answers: dict[str, LedgerEntry] = {
        one.sink: one
        for one in ledger
        if one.of == entry.id and one.sink is not None and one.phase is not Phase.DECIDED
    }
    return {
        "decision": labels.decision_sentence(entry.decision),
        "opt_out": entry.decision.word is Verdict.OPT_OUT,
        "since": iso_time(entry.recorded_at),
        "said_by": entry.decision.origin,
        "rule": entry.decision.rule,
        "event": entry.event_id,
        "confirmed": [
            {"sink": sink, "at": iso_time(one.recorded_at)}
            for sink, one in answers.items()
            if one.phase is Phase.CONFIRMED
        ],
        "failed": [
            {"sink": sink, "at": iso_time(one.recorded_at), "detail": masked.text(one.detail or "")}
            for sink, one in answers.items()
            if one.phase is Phase.FAILED
        ],
        "waits_for": [one.system for one in open_ones if one.event_id == entry.event_id],
    }


def _entry(entry: LedgerEntry, masked: Masked) -> dict[str, Any]:
    return {
        "event": entry.event_id,
        "at": iso_time(entry.recorded_at),
        "words": masked.text(labels.entry_sentence(entry)),
    }


def _open_opt_out(opt_out: OpenOptOut, masked: Masked) -> dict[str, Any]:
    return {
        "event": opt_out.event_id,
        "system": opt_out.system,
        "since": iso_time(opt_out.since),
        "seconds": round(opt_out.age.total_seconds()),
        "failed": masked.text(opt_out.failed) if opt_out.failed else None,
        "without_rule": opt_out.without_rule,
    }


def _answered(context: AdminContext, phone: Phone, masked: Masked) -> list[dict[str, Any]]:
    """The texts of the person that might have been stops, with the answer that a person gave and what became of each."""
    found: list[dict[str, Any]] = []
    for one in context.store.inbox.maybe_stops_of(phone.e164, limit=PAGE):
        answer = context.store.stop_answers.of(one.event) if one.event is not None else None
        if answer is not None and one.event is not None:
            found.append(
                {
                    "event": one.id,
                    "text": masked.text(text_to_judge(one.event)),
                    "answer": "It was a stop" if answer.answer is Verdict.OPT_OUT else "It was not a stop",
                    "answered_at": iso_time(answer.answered_at),
                    "words": labels.EVENT_STATES[one.state],
                }
            )
    return found


def _actions(context: AdminContext, event_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The newest actions of people that concerned these events."""
    return [
        {"id": one.id, "at": iso_time(one.at), "who": one.who, "words": one.words}
        for one in context.store.actions.of_events(event_ids)
    ]


def _records(context: AdminContext, phone: Phone) -> list[dict[str, Any]]:
    """The CRM's records with the number, as last written or seen."""
    return [
        {
            "crm": crm,
            "object": name,
            "record": record_id,
            "opted_out": out,
            "address": record_address(context.loaded, crm, name, record_id),
        }
        for crm, objects in context.consent.items()
        for name in objects
        for record_id, out in context.store.records.with_phone(crm, name, phone.e164)
    ]


def _agreement(agreement: Agreement) -> dict[str, Any]:
    return {
        "provider": agreement.provider,
        "keyword": agreement.keyword,
        "short_number": agreement.short_number,
        "amount": None if agreement.amount is None else str(agreement.amount),
        "began_at": iso_time(agreement.began_at),
        "event": agreement.event_id,
        "last_period": agreement.last_period,
        "failed_periods": agreement.failed_periods,
        "ended_at": iso_time(agreement.ended_at),
        "ended_why": agreement.ended_why,
    }


def _gifts(context: AdminContext, phone: Phone) -> list[dict[str, Any]]:
    """Events that name an amount and are final, the newest first."""
    return [
        {
            "event": one.id,
            "at": iso_time(one.event.occurred_at or one.event.received_at),
            "amount": str(one.event.price),
            "currency": one.event.currency,
            "keyword": one.event.keyword,
            "result": one.event.result.value,
        }
        for one in context.store.inbox.page_of_phone(phone.e164, limit=GIFTS)
        if one.event is not None and _is_gift(one.event)
    ]


def _is_gift(event: Event) -> bool:
    return bool(event.price) and event.final and event.result is not Result.PENDING and event.object is None


def _event(stored: StoredEvent, masked: Masked, now: datetime) -> dict[str, Any]:
    became = became_document(stored, (), masked, present=None, now=now)
    event = event_document(stored.event, masked) if stored.event else None
    return {
        "id": stored.id,
        "received_at": iso_time(stored.received_at),
        "came": event["words"] if event else f"A callback from {stored.provider} that could not be read",
        "text": event["fields"].get("text") if event else None,
        "state": stored.state.value,
        "words": became["words"],
        "detail": None if stored.state is EventState.DELIVERED else became["detail"],  # of an earlier try
    }
