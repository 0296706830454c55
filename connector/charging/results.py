"""Computes from a provider's or a person's answer a charge's next state, and the events that the mappings see."""

from datetime import date, datetime, timedelta

from msgspec.structs import replace

from connector.charging.calendar import DAY, began_on, due_day, next_period
from connector.charging.checks import amount_of, retry_on
from connector.model.charge import (
    CHARGE,
    CHARGED,
    ENDED,
    Charge,
    ChargeAnswer,
    ChargeChange,
    ChargeRules,
    ChargeState,
    Verdict,
)
from connector.model.event import Event, Result, event_key

FIRST_ASK = timedelta(seconds=5)
NOT_SENT_PAUSE = timedelta(hours=12)  # of a charge that was refused for a reason that a person must correct


def conclude(charge: Charge, answer: ChargeAnswer, rules: ChargeRules, now: datetime) -> ChargeChange:
    """The change that an answer leads to."""
    change = _change(charge, answer, rules, now)
    if charge.attempt > 1 and answer.verdict in {Verdict.TAKEN, Verdict.FAILED}:
        # A charge that failed before is likely to fail again: its result says nothing about the run.
        change = replace(change, failure=None)
    return replace(change, transaction_id=answer.transaction_id or charge.transaction_id, status=answer.status)


def _change(charge: Charge, answer: ChargeAnswer, rules: ChargeRules, now: datetime) -> ChargeChange:
    match answer.verdict:
        case Verdict.TAKEN:
            event = _event(charge, answer, rules, now, CHARGED, next_charge=_next_due(charge, rules))
            return ChargeChange(
                state=ChargeState.TAKEN,
                detail=answer.detail or f"{charge.amount} {rules.currency} taken",
                failure=False,
                failed_periods=0,
                events=(event,),
            )
        case Verdict.FAILED:
            return _failed(charge, answer, rules, now)
        case Verdict.PENDING if answer.transaction_id or charge.transaction_id:
            detail = f"no final status yet ({answer.status})"
            return ChargeChange(state=ChargeState.ASKING, detail=detail, wait=FIRST_ASK)
        case Verdict.NOT_SENT:
            wait = None if answer.concerns_all else NOT_SENT_PAUSE
            failure = None if answer.concerns_all else True
            return ChargeChange(state=ChargeState.DUE, detail=answer.detail, wait=wait, unsent=True, failure=failure)
        case _:
            detail = answer.detail or "no final status, and no transaction id to ask for it"
            return ChargeChange(state=ChargeState.IN_DOUBT, detail=detail, failure=True)


def _failed(charge: Charge, answer: ChargeAnswer, rules: ChargeRules, now: datetime) -> ChargeChange:
    today = now.astimezone(rules.zone).date()
    status = answer.status or "not taken"
    retry, limit = retry_on(charge, answer.status, rules, today), _last_day_before_next_period(charge, rules)
    if retry is not None and retry <= limit:
        return ChargeChange(
            state=ChargeState.DUE,
            detail=f"{status}; it is tried again on {retry}",
            due_day=retry,
            last_day=min(retry + rules.late, limit),
            failure=True,
            events=(_event(charge, answer, rules, now, CHARGED, retry=retry, next_charge=retry),),
        )
    agreement, recurring = charge.agreement, rules.offers.get(charge.agreement.service_id)
    # Only the provider's own status counts against the donor.
    periods = agreement.failed_periods + (answer.status is not None)
    ended_why = None
    if recurring is not None and answer.status is not None and periods >= recurring.stop_after:
        ended_why = f"{periods} periods in a row were not paid; the last status was {status}"
    following = None if ended_why else _next_due(charge, rules)
    events = [_event(charge, answer, rules, now, CHARGED, periods=periods, next_charge=following)]
    if ended_why is not None:
        events.append(_event(charge, answer, rules, now, ENDED, periods=periods))
    return ChargeChange(
        state=ChargeState.FAILED,
        detail=answer.detail or status,
        failure=True,
        failed_periods=periods,
        ended_why=ended_why,
        events=tuple(events),
    )


def try_again(rules: ChargeRules, now: datetime) -> ChargeChange:
    """The change by which a person lets the period be charged again."""
    today = now.astimezone(rules.zone).date()
    detail = "a person decided to charge it again"
    return ChargeChange(state=ChargeState.DUE, detail=detail, due_day=today, last_day=today + rules.late)


def _last_day_before_next_period(charge: Charge, rules: ChargeRules) -> date:
    """The last day before the next period is due."""
    following = _next_due(charge, rules)
    return charge.last_day if following is None else following - DAY


def _event(
    charge: Charge,
    answer: ChargeAnswer,
    rules: ChargeRules,
    now: datetime,
    action: str,
    *,
    retry: date | None = None,
    periods: int | None = None,
    next_charge: date | None = None,
) -> Event:
    agreement = charge.agreement
    amount = answer.price if answer.price is not None else charge.amount
    # The same attempt may have been reported before: a person decides about it after a restore.
    decided = () if answer.status is not None else (answer.verdict.value,)
    properties = {
        "period": charge.period,
        "due_day": charge.due_day.isoformat(),
        "attempt": charge.attempt,
        "next_charge": next_charge.isoformat() if next_charge else None,
        "retry_on": retry.isoformat() if retry else None,
        "failed_periods": periods,
        "offer": rules.offers[agreement.service_id].offer if agreement.service_id in rules.offers else None,
    }
    return Event(
        key=event_key(agreement.provider, action, charge.reference, str(charge.attempt), *decided),
        provider=agreement.provider,
        shape=CHARGE,
        received_at=now,
        action=action,
        msisdn=agreement.phone,
        keyword=agreement.keyword,
        service_id=agreement.service_id,
        short_number=agreement.short_number,
        # A charge of before a restore has no stored amount.
        price=amount if amount is not None else amount_of(agreement, rules),
        currency=rules.currency,
        status=answer.status,
        status_detail=answer.status_detail,
        result=Result.OK if answer.verdict is Verdict.TAKEN else Result.FAILED,
        # A person who says that it was taken may not know the provider's id.
        transaction_id=answer.transaction_id or charge.transaction_id or f"charge-{charge.reference}-{charge.attempt}",
        subscription_id=agreement.subscription_id,
        occurred_at=charge.sent_at or now,
        properties={name: value for name, value in properties.items() if value is not None},
    )


def _next_due(charge: Charge, rules: ChargeRules) -> date | None:
    """The day of the next period; None if the subscription has ended, or the offer is not charged any more."""
    agreement, recurring = charge.agreement, rules.offers.get(charge.agreement.service_id)
    if recurring is None or agreement.ended_at is not None:
        return None
    return due_day(next_period(charge.period), began_on(agreement, rules), recurring)
