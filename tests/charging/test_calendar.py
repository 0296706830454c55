"""Periods and days: month ends, daylight saving, the first gap, what was missed."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from connector.charging.calendar import began_on, due_day, due_periods, next_period
from connector.charging.checks import is_open
from connector.model.charge import Agreement, ChargeRules, Recurring
from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.store.agreements import begun_by

OSLO = ZoneInfo("Europe/Oslo")


def rules(day=None, late=7):
    return ChargeRules(
        enabled=True,
        zone=OSLO,
        opens=time(9),
        closes=time(20),
        currency="NOK",
        max_amount=Decimal(500),
        max_per_run=100,
        late=timedelta(days=late),
        ask_until=timedelta(hours=48),
        offers={"s-1": Recurring(offer="katt", service_id="s-1", day=day)},
    )


def agreement(began_at, **more):
    return Agreement(
        id=1,
        provider="messagecloud",
        phone=Phone("+4790000001"),
        service_id="s-1",
        short_number="2172",
        keyword="KATT",
        subscription_id="w-1",
        amount=Decimal(100),
        event_id=1,
        began_at=began_at,
        **more,
    )


def noon(day):
    return datetime.combine(day, time(12), OSLO)


def found(began, today, *, since=date(2000, 1, 1), day=None, **more):
    return list(due_periods(agreement(noon(began), **more), rules(day), since=since, today=today))


@pytest.mark.parametrize(
    ("period", "began", "expected"),
    [
        ("2026-02", date(2026, 1, 31), date(2026, 2, 28)),
        ("2028-02", date(2028, 1, 31), date(2028, 2, 29)),
        ("2026-04", date(2026, 1, 31), date(2026, 4, 30)),
        ("2026-05", date(2026, 1, 31), date(2026, 5, 31)),
        ("2026-03", date(2026, 1, 5), date(2026, 3, 5)),
        ("2026-02", date(2025, 12, 30), date(2026, 2, 28)),
        ("2026-02", date(2025, 12, 29), date(2026, 2, 28)),
        ("2026-02", date(2025, 12, 28), date(2026, 2, 28)),
        ("2028-02", date(2027, 12, 30), date(2028, 2, 29)),
        ("2028-02", date(2027, 12, 29), date(2028, 2, 29)),
        ("2025-02", date(2024, 2, 29), date(2025, 2, 28)),
        ("2028-02", date(2024, 2, 29), date(2028, 2, 29)),
        ("2025-03", date(2024, 2, 29), date(2025, 3, 29)),
        ("2100-02", date(2099, 12, 31), date(2100, 2, 28)),
        ("2026-06", date(2026, 5, 31), date(2026, 6, 30)),
        ("2026-12", date(2026, 8, 31), date(2026, 12, 31)),
        ("2027-01", date(2026, 12, 31), date(2027, 1, 31)),
    ],
)
def test_the_due_day_in_a_short_month_is_its_last_day(period, began, expected):
    assert due_day(period, began, rules().offers["s-1"]) == expected


def test_a_year_has_twelve_periods():
    period = "2026-11"
    assert [period := next_period(period) for _ in range(3)] == ["2026-12", "2027-01", "2027-02"]


def test_the_due_day_is_a_day_of_the_donors_time_zone():
    late_evening = datetime(2026, 1, 9, 23, 30, tzinfo=UTC)  # the 10th in Oslo
    (charge,) = due_periods(agreement(late_evening), rules(), since=date(2026, 1, 1), today=date(2026, 2, 10))
    assert charge.due_day == date(2026, 2, 10)
    assert list(due_periods(agreement(late_evening), rules(), since=date(2026, 1, 1), today=date(2026, 2, 9))) == []


@pytest.mark.parametrize(
    ("began", "day", "first"),
    [
        (date(2026, 1, 18), 1, date(2026, 2, 1)),  # 14 days
        (date(2026, 1, 19), 1, date(2026, 3, 1)),  # 13 days
        (date(2026, 1, 31), 14, date(2026, 2, 14)),
        (date(2026, 1, 31), 13, date(2026, 3, 13)),
        (date(2026, 1, 31), None, date(2026, 2, 28)),
        (date(2026, 2, 28), None, date(2026, 3, 28)),
        (date(2024, 2, 29), None, date(2024, 3, 29)),
        (date(2026, 12, 31), 1, date(2027, 2, 1)),
        (date(2026, 1, 1), 28, date(2026, 2, 28)),  # not on 28 January: that month is paid
    ],
)
def test_the_first_charge_is_two_weeks_after_the_payment_and_in_another_month(began, day, first):
    days = (began + timedelta(days=number) for number in range(100))
    assert next(each for each in days if any(not one.skipped for one in found(began, each, day=day))) == first


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Europe/Oslo", datetime(2026, 3, 28, 23, 30, tzinfo=UTC), date(2026, 3, 29)),  # before the clock goes forward
        ("Europe/Oslo", datetime(2026, 3, 29, 21, 59, tzinfo=UTC), date(2026, 3, 29)),
        ("Europe/Oslo", datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        ("Europe/Oslo", datetime(2026, 10, 25, 22, 30, tzinfo=UTC), date(2026, 10, 25)),  # after it went back
        ("Europe/Oslo", datetime(2026, 10, 25, 23, 0, tzinfo=UTC), date(2026, 10, 26)),
        ("Pacific/Auckland", datetime(2026, 1, 30, 11, 0, tzinfo=UTC), date(2026, 1, 31)),
        ("America/St_Johns", datetime(2026, 2, 1, 3, 29, tzinfo=UTC), date(2026, 1, 31)),
        ("Pacific/Kiritimati", datetime(2026, 12, 31, 10, 0, tzinfo=UTC), date(2027, 1, 1)),
    ],
)
def test_the_day_on_which_a_subscription_began_is_the_donors(zone, moment, day):
    assert began_on(agreement(moment), structs.replace(rules(), zone=ZoneInfo(zone))) == day


@pytest.mark.parametrize(
    ("occurred", "began"),
    [
        (timedelta(), timedelta()),
        (timedelta(hours=-20), timedelta(hours=-20)),
        (timedelta(days=-40), timedelta(days=-1)),  # the provider's clock is wrong
        (timedelta(days=40), timedelta()),
        (None, timedelta()),
    ],
)
def test_a_subscription_began_about_when_its_window_was_made(occurred, began):
    arrival = noon(date(2026, 2, 20))
    event = Event(
        key="w",
        provider="messagecloud",
        shape="subscription",
        received_at=arrival,
        occurred_at=None if occurred is None else arrival + occurred,
    )
    bound = Subscription(provider="messagecloud", service_id="s-1", subscription_id="w-1")
    decision = Decision(
        phone=Phone("+4790000001"),
        word=Verdict.OPT_IN,
        scope=Scope.SUBSCRIPTION,
        subscription=bound,
        origin="messagecloud",
        occurred_at=arrival,
    )
    (begun,) = begun_by(event, 1, [decision])
    assert begun.began_at == arrival + began


def test_charging_hours_follow_the_donors_clock_when_daylight_saving_changes():
    for day in (date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25)):
        open_hours = [hour for hour in range(24) if is_open(datetime.combine(day, time(hour), OSLO), rules())]
        assert open_hours == list(range(9, 20))


def test_a_due_day_soon_after_the_first_payment_is_covered_by_it():
    (charge,) = found(date(2026, 1, 20), date(2026, 2, 1), day=1)
    assert charge.skipped == "the payment of 2026-01-20, which began the subscription, counts for this period"
    (charge,) = found(date(2026, 1, 18), date(2026, 2, 1), day=1)
    assert charge.skipped == ""


def test_only_the_newest_of_several_missed_periods_is_charged():
    charges = found(date(2026, 1, 10), date(2026, 4, 12))
    assert [(one.period, bool(one.skipped)) for one in charges] == [
        ("2026-02", True),
        ("2026-03", True),
        ("2026-04", False),
    ]


def test_a_charge_is_never_sent_on_the_day_of_the_next_period():
    (charge,) = list(
        due_periods(agreement(noon(date(2026, 1, 10))), rules(late=40), since=date(2026, 2, 1), today=date(2026, 2, 10))
    )
    assert charge.last_day == date(2026, 3, 9)


def test_nothing_is_due_twice_and_nothing_after_the_end():
    assert found(date(2026, 1, 10), date(2026, 2, 12), last_period="2026-02") == []
    assert found(date(2026, 1, 10), date(2026, 2, 12), ended_at=noon(date(2026, 2, 1)), ended_why="x") == []


def test_charges_due_before_a_restore_are_in_doubt():
    charges = due_periods(
        agreement(noon(date(2026, 1, 10))),
        rules(),
        since=date(2026, 1, 1),
        today=date(2026, 2, 11),
        restored=date(2026, 2, 10),
    )
    assert ["restored" in one.in_doubt for one in charges] == [True]


@given(
    began=st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    day=st.one_of(st.none(), st.integers(1, 28)),
    looks=st.lists(st.integers(1, 70), min_size=1, max_size=30),
)
def test_each_period_is_due_once_and_in_order(began, day, looks):
    last, today, seen = None, began, []
    for days in looks:
        today += timedelta(days=days)
        for charge in found(began, today, day=day, last_period=last):
            seen.append(charge.period)
            assert charge.due_day <= today
            assert charge.due_day <= charge.last_day
            last = charge.period
    assert seen == sorted(set(seen))
    if seen:
        assert len(seen) == len({*_months(seen[0], seen[-1])})


def _months(first, last):
    while first <= last:
        yield first
        first = next_period(first)
