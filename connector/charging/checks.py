"""Checks whether a charge may be sent now, and whether a run must wait for a person."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from connector.charging.calendar import began_on, paid_at_window
from connector.consent.ledger_state import covers, decisions, fold_ledger
from connector.model.charge import Agreement, Charge, ChargeFacts, ChargeRules, Control, Obstacle, Run, RunState
from connector.model.consent import LedgerEntry, Subscription
from connector.model.event import Verdict

GROWTH = 1.5  # a run that is larger than the last one by more than a half waits
FAILED_SHARE = 1 / 3  # more failures than this stop a run
MIN_FAILURES = 3  # fewer failures stop nothing: they may be chance
MAX_DAYS = 2  # since the last run; after more, the clock may be wrong


def find_obstacle(agreement: Agreement, period: str, facts: ChargeFacts, rules: ChargeRules) -> Obstacle | None:
    """Why a period of the agreement must not be charged now; None if it may be."""
    ended = f"the subscription has ended: {agreement.ended_why}" if agreement.ended_at is not None else None
    without_offer = (
        None if agreement.service_id in rules.offers else "no offer of the config has `recurring:` for its service"
    )
    flagged = f"the opt-out flag is set in {', '.join(facts.flagged_in)}" if facts.flagged_in else None
    why = (
        ended
        or without_offer
        or _not_in_force(agreement, facts.ledger)
        or _paid_at_window(agreement, period, rules)
        or flagged
        or _wrong_amount(agreement, rules)
    )
    if why is not None:
        return Obstacle(why=why)
    if facts.open_events:
        return Obstacle(why=f"an event of the donor is not dealt with yet: {', '.join(facts.open_events)}", passes=True)
    return None


def _paid_at_window(agreement: Agreement, period: str, rules: ChargeRules) -> str | None:
    """Why the payment at the window counts for this period; None if it does not. A donor may have joined again meanwhile."""
    return paid_at_window(period, began_on(agreement, rules), rules.offers[agreement.service_id])


def _wrong_amount(agreement: Agreement, rules: ChargeRules) -> str | None:
    amount = amount_of(agreement, rules)
    if amount is None:
        return "the amount is not known: set `amount:` of the offer, or change it in the CRM by a mapping"
    if amount > rules.max_amount:
        return f"{amount} {rules.currency} is more than `max_amount` ({rules.max_amount})"
    if amount <= 0 or amount != amount.to_integral_value():
        return f"{amount} {rules.currency} is not a whole amount"
    return None


def amount_of(agreement: Agreement, rules: ChargeRules) -> Decimal | None:
    """What is charged now; None if it is not known."""
    recurring = rules.offers.get(agreement.service_id)
    return recurring.amount if recurring is not None and recurring.amount is not None else agreement.amount


def _not_in_force(agreement: Agreement, ledger: Sequence[LedgerEntry]) -> str | None:
    """Why the donor's payment agreement does not hold; None if it does. Only the opt-in that began it counts."""
    wanted = Subscription(
        provider=agreement.provider,
        short_number=agreement.short_number,
        keyword=agreement.keyword,
        service_id=agreement.service_id,
        subscription_id=agreement.subscription_id,
    )
    membership = fold_ledger(ledger).find(wanted)
    if membership is None or not membership.active:
        return "the subscription is not active"
    began = False
    for entry in decisions(ledger):
        if entry.event_id == agreement.event_id and entry.decision.word is Verdict.OPT_IN:
            began = True
        elif began and entry.decision.word is Verdict.OPT_OUT and covers(entry.decision, wanted):
            return "the donor has opted out since the subscription began"
    return None if began else "the opt-in that began the subscription is not in the ledger"


def why_run_waits(
    size: int, last: Run | None, previous: Run | None, today: date, rules: ChargeRules, control: Control
) -> str:
    """Why a run of this size waits for a person; empty if it need not.

    `last` is the last run with charges, and `previous` the last one of all. Runs that have only waited do not count.
    """
    return (
        control.hold or _doubt_about(previous, today) or _too_large(size, last, rules) or _too_long_ago(previous, today)
    )


def _doubt_about(previous: Run | None, today: date) -> str:
    if previous is None:
        return ""
    if today < previous.day:
        return f"the clock was set back: the last run was on {previous.day}"
    if previous.state is RunState.STOPPED:
        return f"the run of {previous.day} was stopped: {previous.why}"
    return ""


def _too_large(size: int, last: Run | None, rules: ChargeRules) -> str:
    if not size:
        return ""
    if last is None:
        return "it is the first run"
    if size > rules.max_per_run:
        return f"it has {size} charges, more than `max_charges_per_run` ({rules.max_per_run})"
    return f"it has {size} charges, and the last one had {last.size}" if size > last.size * GROWTH else ""


def _too_long_ago(previous: Run | None, today: date) -> str:
    if previous is None or today - previous.day <= timedelta(days=MAX_DAYS):
        return ""
    return f"the last run was on {previous.day}: no run was approved, the connector did not run, or the clock is wrong"


def too_many_failures(run: Run) -> bool:
    """Whether so many charges have failed that the run must stop."""
    return run.failures >= MIN_FAILURES and run.failures > run.results * FAILED_SHARE


def is_open(local: datetime, rules: ChargeRules) -> bool:
    """Whether charges may be sent at this time of the donors' day."""
    return rules.opens <= local.time() < rules.closes


def retry_on(charge: Charge, status: str | None, rules: ChargeRules, today: date) -> date | None:
    """The day of the next attempt after one that failed with this status; None if there is none."""
    recurring = rules.offers.get(charge.agreement.service_id)
    pauses = recurring.retry.get((status or "").upper(), ()) if recurring is not None else ()
    if not 0 < charge.attempt <= len(pauses):
        return None
    return max((charge.first_day or today) + pauses[charge.attempt - 1], today + timedelta(days=1))
