"""Recurring charges, for a person: what a run would do, what was done, and the decisions that only a person can make."""

import asyncio
import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connector.admin.context import AdminContext, get_field, get_flag, get_limit, reject_unknown, stored_id
from connector.admin.masking import Masked, iso_time
from connector.charging import checks
from connector.charging.results import FIRST_ASK, conclude, try_again
from connector.config.validation import did_you_mean
from connector.model.charge import (
    Agreement,
    Charge,
    ChargeAnswer,
    ChargeChange,
    ChargeRules,
    ChargeState,
    NewCharge,
    Run,
    RunState,
    Verdict,
)
from connector.model.errors import ConnectorError
from connector.pipeline.charge import new_charges
from connector.telemetry.mask import mask

TAKEN, NOT_TAKEN, AGAIN, ASK = "taken", "not-taken", "again", "ask"
# What a person may decide, by the charge's state.
DECISIONS = {
    ChargeState.IN_DOUBT: (TAKEN, NOT_TAKEN, AGAIN, ASK),
    ChargeState.FAILED: (AGAIN,),
    ChargeState.SKIPPED: (AGAIN,),
}
DAY = timedelta(days=1)
MAX_AHEAD = timedelta(days=366)  # a run of a later day is not foreseen
LINES_AT_ONCE = 200  # of a preview: about 30 ms
MAX_TRANSACTION = 200  # characters of a transaction id
PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


async def charges_preview(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the run of a day would do, by what is known now. Nothing is stored or sent."""
    reject_unknown(payload, "date", "provider", "reveal")
    provider, rules = _rules(context, payload)
    today = _today(context, rules)
    first = _next_run_day(context, provider, today)
    day = _day(payload, first, today)
    if day < today:
        raise ConnectorError(f"{day} is over: see `connector charges list`")
    masked = Masked(reveal=get_flag(payload, "reveal"))
    charges: list[tuple[Agreement, Charge | NewCharge]] = [
        *((one.agreement, one) for one in _open_charges(context, provider, day, first)),
        *await _new_charges(context, provider, rules, day, first),
    ]
    lines = []
    for number, (agreement, charge) in enumerate(charges):
        if number % LINES_AT_ONCE == 0:
            await asyncio.sleep(0)  # callbacks are answered in between
        lines.append(_line(context, rules, agreement, charge, masked))
    size = sum(line["new"] and line["what"] != "skip" for line in lines)
    return {
        "provider": provider,
        "day": day.isoformat(),
        "enabled": rules.enabled,
        "paused": context.store.charge_runs.control(provider).paused_why,
        "waits": _why_run_waits(context, provider, rules, day, size, is_next=day <= first),
        "hours": f"{rules.opens:%H:%M} to {rules.closes:%H:%M} {rules.zone.key}",
        "charges": lines,
        "count": sum(line["what"] == "charge" for line in lines),
        "total": str(sum((Decimal(line["amount"]) for line in lines if line["what"] == "charge"), Decimal(0))),
        "currency": rules.currency,
    }


async def charges_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Charges, the newest first."""
    reject_unknown(payload, "state", "phone", "period", "limit", "reveal")
    limit, state = get_limit(payload), get_field(payload, "state", str)
    if state is not None and state not in set(ChargeState):
        raise ConnectorError(f"`{mask(state)}` is no state of a charge: {did_you_mean(state, [*ChargeState])}")
    written = payload.get("phone")
    found = context.store.charges.listed(
        states=[ChargeState(state)] if state else (),
        phone=context.phone(written).e164 if written is not None else None,
        period=_period(payload),
        limit=limit,
    )
    masked = Masked(reveal=get_flag(payload, "reveal"))
    return {"charges": [charge_document(one, masked) for one in found], "more": len(found) == limit}


async def charges_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """One charge with its history, its subscription, and what a person may decide."""
    reject_unknown(payload, "id", "reveal")
    charge = _charge(context, payload.get("id"))
    masked = Masked(reveal=get_flag(payload, "reveal"))
    agreement = charge.agreement
    return {
        **charge_document(charge, masked),
        "last_day": charge.last_day.isoformat(),
        "attempts": charge.attempt,
        "sent_at": iso_time(charge.sent_at),
        "subscription": {
            "id": agreement.subscription_id,
            "service_id": agreement.service_id,
            "keyword": agreement.keyword,
            "short_number": agreement.short_number,
            "amount": None if agreement.amount is None else str(agreement.amount),
            "began_at": iso_time(agreement.began_at),
            "failed_periods": agreement.failed_periods,
            "ended_at": iso_time(agreement.ended_at),
            "ended_why": agreement.ended_why,
        },
        "history": [
            {"at": iso_time(one.at), "state": one.state.value, "detail": one.detail}
            for one in context.store.charges.log(charge.id)
        ],
        "decisions": [_resolve_command(charge, decision) for decision in DECISIONS.get(charge.state, ())],
    }


def _resolve_command(charge: Charge, decision: str) -> str:
    which = " --transaction ID" if decision == ASK and charge.transaction_id is None else ""
    return f"connector charges resolve {charge.id} --as {decision}{which}"


async def charges_approve(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Approve a day's run: the one that waits or was stopped, or one of the next days as it is now."""
    reject_unknown(payload, "date", "provider")
    provider, rules = _rules(context, payload)
    today, runs = _today(context, rules), context.store.charge_runs
    day = _day(payload, today, today)
    if day < today:
        raise ConnectorError(f"{day} is over: its charges are in the run of today, see `connector charges preview`")
    run = runs.get(provider, day)
    if run is not None and run.state is RunState.APPROVED:
        raise ConnectorError(f"the run of {day} is approved already: see `connector charges list`")
    if run is None:
        new = await _new_charges(context, provider, rules, day, _next_run_day(context, provider, today))
        size = sum(not one.skipped for _, one in new)
        run = Run(provider=provider, day=day, size=size, state=RunState.WAITING)
    await runs.approve(run, today=today)
    return {"provider": provider, "day": day.isoformat(), "size": run.size, "enabled": rules.enabled}


async def charges_resolve(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Decide what became of charges, or that they are charged again."""
    reject_unknown(payload, "ids", "decision", "transaction")
    decision, transaction = get_field(payload, "decision", str), _transaction(payload)
    if decision not in {TAKEN, NOT_TAKEN, AGAIN, ASK}:
        raise ConnectorError(f"say what was decided: {TAKEN}, {NOT_TAKEN}, {AGAIN} or {ASK}")
    ids = get_field(payload, "ids", list, [])
    if not ids:
        raise ConnectorError("name the charges by their ids: see `connector charges list --state in_doubt`")
    charges = {charge.id: charge for charge in (_charge(context, one) for one in ids)}.values()
    if transaction is not None and len(charges) != 1:
        raise ConnectorError("a transaction belongs to one charge: name one id")
    changes = [(charge, _change_of_decision(context, charge, decision, transaction)) for charge in charges]
    for charge, change in changes:
        if not await context.store.charges.change(charge, change, now=context.now()):
            raise ConnectorError(f"charge {charge.id} has changed meanwhile: see `connector charges show {charge.id}`")
    return {"resolved": [charge.id for charge, _ in changes], "decision": decision}


async def charges_pause(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Send no charges until they are resumed. What is open is still asked about."""
    reject_unknown(payload, "provider", "why")
    provider, _ = _rules(context, payload)
    why = get_field(payload, "why", str) or "a person paused the charges"
    await context.store.charge_runs.pause(provider, why, context.now())
    return {"provider": provider, "paused": why}


async def charges_resume(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Send charges again."""
    reject_unknown(payload, "provider")
    provider, _ = _rules(context, payload)
    if context.store.charge_runs.control(provider).paused_at is None:
        raise ConnectorError(f"the charges of {provider} are not paused")
    await context.store.charge_runs.resume(provider)
    return {"provider": provider}


def charging(context: AdminContext) -> list[dict[str, Any]]:
    """The state of the charges of each provider, for `status`."""
    return [_state(context, name, one) for name, one in _chargers(context).items() if one.offers]


def _state(context: AdminContext, provider: str, rules: ChargeRules) -> dict[str, Any]:
    store = context.store
    run, control = store.charge_runs.newest(provider, _today(context, rules)), store.charge_runs.control(provider)
    agreements, ended = store.agreements.counts(provider)
    counts = store.charges.counts(provider)
    return {
        "provider": provider,
        "enabled": rules.enabled,
        "paused": control.paused_why,
        "waits": control.hold,
        "subscriptions": agreements - ended,
        "ended": ended,
        "charges": {state.value: counts.get(state, 0) for state in ChargeState},
        "run": None
        if run is None
        else {
            "day": run.day.isoformat(),
            "size": run.size,
            "state": run.state.value,
            "why": run.why or None,
            "results": run.results,
            "failures": run.failures,
        },
    }


def _chargers(context: AdminContext) -> dict[str, ChargeRules]:
    return {name: one.charger.rules for name, one in context.providers.items() if one.charger is not None}


def _rules(context: AdminContext, payload: Mapping[str, Any]) -> tuple[str, ChargeRules]:
    """The provider that is meant. Raises ConnectorError if that is not clear."""
    chargers = {name: rules for name, rules in _chargers(context).items() if rules.offers}
    named = get_field(payload, "provider", str)
    if named is None and len(chargers) == 1:
        return next(iter(chargers.items()))
    if named in chargers:
        return named, chargers[named]
    if not chargers:
        raise ConnectorError("no provider charges donors: add `recurring:` to an offer of MessageCloud in the config")
    raise ConnectorError(f"say which provider, with --provider: {', '.join(chargers)}")


def _charge(context: AdminContext, named: object) -> Charge:
    number = stored_id(named)
    charge = None if number is None else context.store.charges.get(number)
    if charge is None:
        raise ConnectorError(f"there is no charge {mask(str(named))}: see `connector charges list`")
    return charge


def _change_of_decision(context: AdminContext, charge: Charge, decision: str, transaction: str | None) -> ChargeChange:
    allowed = DECISIONS.get(charge.state, ())
    if decision not in allowed:
        other = f"only {' or '.join(allowed)} is possible" if allowed else "nothing is to be decided"
        raise ConnectorError(f"charge {charge.id} is {charge.state}: {other}")
    if decision in {AGAIN, ASK} and charge.agreement.phone.is_forgotten:
        raise ConnectorError(f"charge {charge.id} is of a person who was forgotten: nothing can be charged or asked")
    if transaction is not None:
        _check_unused(context, charge, transaction)
    rules = _chargers(context).get(charge.agreement.provider)
    if rules is None:
        raise ConnectorError(f"the config has no provider {charge.agreement.provider} that charges donors any more")
    detail = f"a person decided: {decision}"
    if decision == AGAIN:
        return try_again(rules, context.now())
    if decision == ASK:
        known = transaction or charge.transaction_id
        if known is None:
            raise ConnectorError(
                "no transaction id is known: find it at the provider, and name it (`--transaction`, or its field in the console)"
            )
        return ChargeChange(state=ChargeState.ASKING, detail=detail, transaction_id=known, wait=FIRST_ASK)
    verdict = Verdict.TAKEN if decision == TAKEN else Verdict.FAILED
    return conclude(
        charge, ChargeAnswer(verdict=verdict, transaction_id=transaction, detail=detail), rules, context.now()
    )


def _transaction(payload: Mapping[str, Any]) -> str | None:
    text: str | None = get_field(payload, "transaction", str)
    if text is None:
        return None
    if not (text := text.strip()) or not text.isprintable() or len(text) > MAX_TRANSACTION:
        raise ConnectorError("this is not the id of a transaction: copy it from the provider")
    return text


def _check_unused(context: AdminContext, charge: Charge, transaction: str) -> None:
    """Raise ConnectorError for a transaction that paid something else: it would be booked twice."""
    if (other := context.store.charges.another_of(charge, transaction)) is not None:
        raise ConnectorError(f"this transaction is that of charge {other}: see `connector charges show {other}`")
    if transaction.casefold() == charge.agreement.subscription_id.casefold():
        raise ConnectorError("this transaction is the payment at the window, which began the subscription")


def _today(context: AdminContext, rules: ChargeRules) -> date:
    return context.now().astimezone(rules.zone).date()


def _day(payload: Mapping[str, Any], default: date, today: date) -> date:
    text = get_field(payload, "date", str)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConnectorError("this is not a day: write it like 2026-03-01") from None
    if day > today + MAX_AHEAD:
        raise ConnectorError(f"{day} is too far ahead: name a day until {today + MAX_AHEAD}")
    return day


def _period(payload: Mapping[str, Any]) -> str | None:
    text: str | None = get_field(payload, "period", str)
    if text is not None and not PERIOD.fullmatch(text):
        raise ConnectorError("this is not a month: write it like 2026-03")
    return text


def _next_run_day(context: AdminContext, provider: str, today: date) -> date:
    """The day of the next run that is not planned yet."""
    return today + DAY if context.store.charge_runs.is_planned(provider, today) else today


async def _new_charges(
    context: AdminContext, provider: str, rules: ChargeRules, day: date, first: date
) -> list[tuple[Agreement, NewCharge]]:
    """What is due for the first time. A day after the next run has only its own charges: earlier runs have the others."""
    control, after = context.store.charge_runs.control(provider), 0
    found: list[tuple[Agreement, NewCharge]] = []
    while True:
        page, following = new_charges(context.store, rules, provider, control, day, after=after)
        for new in page:
            agreement = context.store.agreements.get(new.agreement_id)
            if agreement is not None and (day <= first or new.due_day == day):
                found.append((agreement, new))
        if following is None:
            return found
        after = following
        await asyncio.sleep(0)  # callbacks are answered in between


def _open_charges(context: AdminContext, provider: str, day: date, first: date) -> list[Charge]:
    """Charges that are stored already and are due: to be tried again, or not sent yet."""
    due = context.store.charges.due_on(provider, day)
    return [one for one in due if day <= first or one.due_day == day]


def _line(
    context: AdminContext,
    rules: ChargeRules,
    agreement: Agreement,
    charge: Charge | NewCharge,
    masked: Masked,
) -> dict[str, Any]:
    amount = checks.amount_of(agreement, rules)
    why = charge.skipped or charge.in_doubt if isinstance(charge, NewCharge) else ""
    what = "skip" if why else "charge"
    if not why:
        blocked = checks.find_obstacle(agreement, charge.period, context.store.charges.facts(agreement.phone), rules)
        if blocked is not None:
            what, why = "wait" if blocked.passes else "skip", blocked.why
    return {
        "what": what,
        "phone": masked.phone(agreement.phone),
        "keyword": agreement.keyword,
        "period": charge.period,
        "due_day": charge.due_day.isoformat(),
        "amount": None if amount is None else str(amount),
        "attempt": 1 if isinstance(charge, NewCharge) else charge.attempt + 1,
        "new": isinstance(charge, NewCharge),
        "why": why or None,
    }


def _why_run_waits(
    context: AdminContext, provider: str, rules: ChargeRules, day: date, size: int, *, is_next: bool
) -> str | None:
    """Why the run of that day waits, or would wait, for a person."""
    runs = context.store.charge_runs
    run, control = runs.get(provider, day), runs.control(provider)
    if run is not None and run.state is not RunState.APPROVED:
        return run.why or None
    if run is not None:
        return None if runs.is_planned(provider, day) else control.hold
    # Whether the run of a later day must wait depends on runs before it.
    previous = runs.newest_begun(provider) if is_next else None
    return checks.why_run_waits(size, runs.last_with_charges(provider), previous, day, rules, control) or None


def charge_document(charge: Charge, masked: Masked) -> dict[str, Any]:
    """One charge, ready for JSON."""
    return {
        "id": charge.id,
        "provider": charge.agreement.provider,
        "phone": masked.phone(charge.agreement.phone),
        "keyword": charge.agreement.keyword,
        "period": charge.period,
        "state": charge.state.value,
        "due_day": charge.due_day.isoformat(),
        "amount": None if charge.amount is None else str(charge.amount),
        "attempt": charge.attempt,
        "status": charge.status,
        "transaction_id": charge.transaction_id,
        "detail": charge.detail or None,
        "changed_at": iso_time(charge.changed_at),
    }
