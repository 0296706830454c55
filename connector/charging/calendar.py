"""The day on which a period is charged, and what is due on a day. A period is a calendar month in the donor's time zone."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta

from msgspec.structs import replace

from connector.model.charge import Agreement, ChargeRules, NewCharge, Recurring

# The payment that began a subscription counts for its month. The first charge is at least this much later.
FIRST_GAP = timedelta(days=14)
DAY = timedelta(days=1)
RESTORED = "the database was restored from a backup, and the period may have been charged before that"


def period_of(day: date) -> str:
    """The period that holds a day."""
    return f"{day:%Y-%m}"


def due_day(period: str, began: date, recurring: Recurring) -> date:
    """The day on which a period is charged. In a month that is too short, the last day."""
    first = date.fromisoformat(f"{period}-01")
    wanted = recurring.day or began.day
    return first.replace(day=min(wanted, monthrange(first.year, first.month)[1]))


def next_period(period: str) -> str:
    """The period after this one."""
    return period_of(date.fromisoformat(f"{period}-01") + timedelta(days=32))


def last_day(period: str, earliest: date, began: date, recurring: Recurring, late: timedelta) -> date:
    """The last day on which a period may be charged: before the day of the next period."""
    return min(earliest + late, due_day(next_period(period), began, recurring) - DAY)


def began_on(agreement: Agreement, rules: ChargeRules) -> date:
    """The donor's day on which the subscription began."""
    return agreement.began_at.astimezone(rules.zone).date()


def paid_at_window(period: str, began: date, recurring: Recurring) -> str | None:
    """Why a period is not charged that the payment at the window counts for; None if it does not count for it."""
    if period <= period_of(began) or due_day(period, began, recurring) - began < FIRST_GAP:
        return f"the payment of {began}, which began the subscription, counts for this period"
    return None


def due_periods(
    agreement: Agreement, rules: ChargeRules, *, since: date, today: date, restored: date | None = None
) -> Iterator[NewCharge]:
    """The periods without a charge that are due from `since` to `today`.

    At most one of them, the newest, is to be charged. The others say why they are not. `restored` is the day on which
    the database was replaced with a backup: a period that was due by then may have been charged.
    """
    recurring = rules.offers.get(agreement.service_id)
    if recurring is None or agreement.ended_at is not None:
        return
    began = began_on(agreement, rules)
    period = next_period(max(period_of(began), agreement.last_period or "", _before(period_of(since))))
    while (day := due_day(period, began, recurring)) <= today:
        following = next_period(period)
        until = last_day(period, day, began, recurring, rules.late)
        if day >= since:
            new = NewCharge(agreement_id=agreement.id, period=period, due_day=day, last_day=until)
            if (why := paid_at_window(period, began, recurring)) is not None:
                yield replace(new, skipped=why)
            elif restored is not None and day <= restored:
                yield replace(new, in_doubt=RESTORED)
            elif today > until:
                yield replace(new, skipped=f"not charged by {until}: no run with this offer was approved in time")
            else:
                yield new
        period = following


def _before(period: str) -> str:
    return period_of(date.fromisoformat(f"{period}-01") - DAY)
