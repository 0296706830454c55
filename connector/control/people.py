"""One person or one event, explained: what came, which rules were asked, what became of it, and what the ledger holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.consent.standing import stand
from connector.control import words
from connector.control.explain import became_document, event_document, plan_document
from connector.control.house import House, known, word
from connector.control.shown import Shown, when
from connector.mapping.compile import Ruleset
from connector.model.consent import LedgerEntry, Subscription
from connector.model.errors import ConnectorError
from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.model.plan import Known, Plan
from connector.planning import plan
from connector.steps.planned import made_clear
from connector.store.inbox import StoredEvent

ALL = 1_000_000  # open opt-outs: the person's may be any of them


async def explain(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """An event by `event` (id or key), or a person by `phone`."""
    known(payload, "event", "phone", "reveal")
    reveal = bool(word(payload, "reveal", bool, False))
    if ("event" in payload) == ("phone" in payload):
        raise ConnectorError("say what to explain: an event by its id or key, or a phone number")
    if "phone" in payload:
        return _person(house, house.phone(payload["phone"]), reveal=reveal)
    return _event(house, house.event(payload["event"]), reveal=reveal)


async def consents_show(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger holds about a phone number."""
    known(payload, "phone", "reveal")
    phone = house.phone(payload.get("phone"))
    return _standing(house, phone, Shown(reveal=bool(word(payload, "reveal", bool, False)), person=phone))


def draft(event: Event, rules: Ruleset, configured: Sequence[Subscription], *, reveal: bool) -> dict[str, Any]:
    """An event that is not stored, such as one of a file: what would come of it for somebody of whom nothing is known."""
    shown = Shown(reveal=reveal, person=event.msisdn)
    done = plan(event, rules, Known(configured=tuple(configured)), tracing=True)
    return {
        "event": event_document(event, shown),
        "plan": plan_document(done, shown, version=rules.version),
        "became": None,
    }


def _event(house: House, stored: StoredEvent, *, reveal: bool) -> dict[str, Any]:
    event, rules = stored.event, house.rules()
    shown = Shown(reveal=reveal, person=event.msisdn if event else None)
    units = house.store.overview.units_of(stored.id)
    became = became_document(
        stored, units, shown, present=rules.version, now=house.now(), notes=house.store.notes.of(stored.id)
    )
    if event is None:
        return {"event": _unread(stored), "plan": None, "became": became}
    done = _plan_again(house, stored.id, made_clear(event, house.store), rules)
    return {
        "event": event_document(event, shown),
        "plan": plan_document(done, shown, version=rules.version),
        "became": became,
    }


def _plan_again(house: House, event_id: int, event: Event, rules: Ruleset) -> Plan:
    """With the ledger as it was before the event; how sinks answered meanwhile plays no part in a plan."""
    ledger: tuple[LedgerEntry, ...] = ()
    others = False
    if event.msisdn is not None:
        ledger = tuple(one for one in house.store.consents.of(event.msisdn.e164) if one.event_id < event_id)
        if event.verdict is Verdict.OPT_IN and event.object is not None:
            others = house.store.records.opted_out_with_phone(
                event.provider, event.object, event.msisdn.e164, but=str(event.record.get("Id"))
            )
    answer = house.store.stop_answers.verdict_of(event)
    known_then = Known(
        ledger=ledger, configured=house.configured, others_opted_out=others, event_id=event_id, answer=answer
    )
    return plan(event, rules, known_then, tracing=True)


def _unread(stored: StoredEvent) -> dict[str, Any]:
    return {
        "key": stored.key,
        "source": f"{stored.provider}/{stored.shape}",
        "words": f"A callback from {stored.provider} that was let in and not understood: {stored.detail}",
        "received_at": when(stored.received_at),
        "occurred_at": None,
        "phone": None,
        "verdict": None,
        "action": None,
        "fields": {},
    }


def _person(house: House, phone: Phone, *, reveal: bool) -> dict[str, Any]:
    shown = Shown(reveal=reveal, person=phone)
    standing = _standing(house, phone, shown)
    entries: dict[int, list[dict[str, Any]]] = {}
    for one in standing["ledger"]:
        entries.setdefault(one["event"], []).append(one)
    history: list[dict[str, Any]] = []
    for stored in house.store.inbox.of_phone(phone.e164):
        units = house.store.overview.units_of(stored.id)
        became = became_document(
            stored, units, shown, present=None, now=house.now(), notes=house.store.notes.of(stored.id)
        )
        event = stored.event
        history.append(
            {
                **became,
                "key": stored.key,
                "received_at": when(stored.received_at),
                "event": event_document(event, shown) if event else _unread(stored),
                "ledger": entries.pop(stored.id, []),
            }
        )
    # Events are swept after a while; what they decided is kept.
    history += [
        {"id": event_id, "key": several[0]["key"], "received_at": several[0]["at"], "event": None, "ledger": several}
        for event_id, several in entries.items()
    ]
    return {**standing, "history": sorted(history, key=lambda one: int(one["id"]))}


def _standing(house: House, phone: Phone, shown: Shown) -> dict[str, Any]:
    ledger = house.store.consents.of(phone.e164)
    standing = stand(ledger)
    keys = {one.event_key for one in ledger}
    return {
        "phone": shown.phone(phone),
        "last_word": None if standing.last is None else words.decision(standing.last.decision),
        "subscriptions": [
            {
                "words": words.subscription(one.subscription),
                "active": one.active,
                "provider": one.subscription.provider,
                "short_number": one.subscription.short_number,
                "keyword": one.subscription.keyword,
                "since": when(one.entry.recorded_at),
                "event": one.entry.event_id,
            }
            for one in standing.memberships
        ],
        "open_opt_outs": [
            {"event": one.event_id, "sink": one.sink, "since": when(one.since), "failed": one.failed is not None}
            for one in house.store.consents.open_opt_outs(house.now(), limit=ALL)
            if one.event_key in keys
        ],
        "ledger": [
            {
                "event": one.event_id,
                "key": one.event_key,
                "at": when(one.recorded_at),
                "phase": one.phase.value,
                "word": one.decision.word.value,
                "scope": one.decision.scope.value,
                "words": shown.text(words.entry(one)),
            }
            for one in ledger
        ],
    }
