"""The demo's story, without its processes."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest

from connector.charging.calendar import due_periods
from connector.cli.demo.messagecloud import OSLO, joined_last_month
from connector.model.charge import Agreement, ChargeRules, Recurring
from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Verdict
from connector.store.agreements import begun_by

RULES = ChargeRules(
    enabled=True,
    zone=OSLO,
    opens=time(0),
    closes=time(23, 59),
    currency="NOK",
    max_amount=Decimal(500),
    max_per_run=100,
    late=timedelta(days=7),
    ask_until=timedelta(hours=48),
    offers={"demo": Recurring(offer="tiger", service_id="demo", day=None)},
)


@pytest.mark.parametrize("year", [2026, 2028])
def test_a_charge_of_the_demo_is_due_on_each_day_of_a_year(year):
    days = [date(year, 1, 1) + timedelta(days=count) for count in range(366)]
    for day in days:
        event = joined_last_month(datetime.combine(day, time(12), OSLO))
        bound = Subscription(
            provider=event.provider,
            short_number=event.short_number,
            keyword=event.keyword,
            service_id=event.service_id,
            subscription_id=event.subscription_id,
        )
        decision = Decision(
            phone=event.msisdn,
            word=Verdict.OPT_IN,
            scope=Scope.SUBSCRIPTION,
            subscription=bound,
            origin=event.provider,
            occurred_at=event.occurred_at,
        )
        (new,) = begun_by(event, 1, [decision])
        begun = Agreement(
            id=1,
            provider=new.provider,
            phone=decision.phone,
            service_id=new.service_id,
            short_number=new.short_number,
            keyword=new.keyword,
            subscription_id=new.subscription_id,
            amount=new.amount,
            event_id=1,
            began_at=new.began_at,
        )
        (charge,) = due_periods(begun, RULES, since=day, today=day)
        assert (charge.due_day, charge.skipped, charge.in_doubt) == (day, "", ""), day
