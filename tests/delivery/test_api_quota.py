"""An API call budget as a table: what is left, the consequence, and how long it lasts."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.delivery.throttle import MAX_GAP, MAX_POLL, ApiBudget, BudgetState, Quota, Usage, UsageLimits
from connector.model.http import Failure, HttpError, HttpReply
from connector.telemetry.log_events import Alarm, Cleared

HALF = Quota(share=0.5, reserve=500)
CALM, SPENT = UsageLimits(), UsageLimits(gap=MAX_GAP, only_opt_outs=True)


def standing(used, ours=0, *, maximum=110_000, quota=HALF, hours=None):
    return BudgetState(
        quota=quota, usage=Usage(used=used, maximum=maximum), hours={0: ours} if hours is None else hours
    )


@pytest.mark.parametrize(
    ("now", "left", "limits"),
    [
        pytest.param(standing(0), 54_500, CALM, id="nothing used"),
        pytest.param(standing(27_000, 27_000), 27_500, CALM, id="half of it left"),
        pytest.param(
            standing(33_000, 33_000), 21_500, UsageLimits(gap=timedelta(days=2) / 21_500), id="less than half left"
        ),
        pytest.param(standing(54_499, 54_499), 1, UsageLimits(gap=MAX_GAP), id="one left"),
        pytest.param(standing(54_500, 54_500), 0, SPENT, id="all but the reserve used"),
        pytest.param(standing(60_000, 60_000), -5500, SPENT, id="the share was made smaller"),
        pytest.param(standing(80_000), 29_500, CALM, id="others use much, and our part is there"),
        pytest.param(standing(109_400), 100, UsageLimits(gap=MAX_GAP), id="others have left us little"),
        pytest.param(standing(110_000), -500, SPENT, id="others have used up everything"),
        pytest.param(standing(0, maximum=1000), 400, CALM, id="in a small org the reserve is a fifth"),
        pytest.param(standing(0, maximum=0), 0, SPENT, id="an org without API calls"),
        pytest.param(BudgetState(quota=HALF, usage=None, hours={0: 9}), None, CALM, id="nobody has told"),
    ],
)
def test_the_calls_left_decide_which_limits_apply(now, left, limits):
    assert now.left == left
    assert now.limits == limits


@pytest.mark.parametrize(
    ("now", "lasts"),
    [
        pytest.param(standing(0), None, id="nothing is used"),
        pytest.param(standing(2000, hours={0: 100, 1: 2000}), None, id="at this pace it comes back as fast as it goes"),
        pytest.param(standing(10_000, hours={1: 10_000}), timedelta(hours=4.45), id="ten thousand an hour"),
        pytest.param(standing(54_500, 54_500), timedelta(0), id="it is over"),
        pytest.param(standing(99_500, hours={0: 2500}), timedelta(hours=4), id="the org's end comes before ours"),
        pytest.param(
            standing(50_000, hours={1: 3000, 20: 47_000}), timedelta(hours=1.5), id="what comes back is too late"
        ),
        pytest.param(
            standing(50_000, hours={1: 3000, 23: 47_000}), timedelta(hours=17.17), id="what comes back counts"
        ),
        pytest.param(BudgetState(quota=HALF, usage=None, hours={0: 9}), None, id="nobody has told"),
    ],
)
def test_the_time_that_a_budget_lasts_is_estimated(now, lasts):
    assert (now.lasts is None) == (lasts is None)
    assert lasts is None or abs(now.lasts - lasts) < timedelta(minutes=2)


def test_feeds_poll_less_often_under_pressure_but_within_the_deadline_of_opt_outs():
    every = timedelta(seconds=30)
    assert CALM.poll(every) == every
    assert UsageLimits(gap=timedelta(seconds=10)).poll(every) == every
    assert UsageLimits(gap=timedelta(seconds=90)).poll(every) == timedelta(seconds=90)
    assert SPENT.poll(every) == MAX_POLL
    assert SPENT.poll(timedelta(hours=1)) == timedelta(hours=1)


class Scene:
    """A budget of five calls in 24 hours, and a clock."""

    def __init__(self):
        self.now = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
        self.facts = []
        self.budget = ApiBudget("crm", Quota(share=0.5, reserve=1), self._read, lambda: self.now)

    @staticmethod
    def _read(headers):
        return Usage(used=int(headers["used"]), maximum=10) if "used" in headers else None

    def call(self, used=None):
        self.budget.record_call(HttpReply(status=200, headers={} if used is None else {"used": str(used)}, body=b""))

    def limits(self):
        return self.budget.limits(self.facts.append)


def test_one_alarm_is_raised_when_the_budget_is_used_up_and_cleared_when_calls_are_left_again():
    scene = Scene()
    for used in (1, 2, 3, 4, 5):
        scene.call(used)
        scene.limits()
    assert scene.limits().only_opt_outs
    assert [type(fact) for fact in scene.facts] == [Alarm]
    scene.now += timedelta(hours=24)
    scene.call(1)
    assert not scene.limits().only_opt_outs
    assert [type(fact) for fact in scene.facts] == [Alarm, Cleared]


def test_calls_that_did_not_reach_the_crm_are_not_counted():
    scene = Scene()
    for failure in Failure:
        scene.budget.record_call(HttpError(failure))
    assert scene.budget.state().ours == 3  # a time-out, a lost connection and an unreadable answer may have been calls


def test_calls_of_an_earlier_start_count_for_a_day():
    scene, later = Scene(), Scene()
    scene.call(1)
    noted = scene.budget.unsaved()
    assert scene.budget.unsaved() == {}
    later.budget.remember(noted)
    later.now += timedelta(hours=23)
    assert later.budget.state().ours == 1
    later.now += timedelta(hours=1)
    assert later.budget.state().ours == 0


def test_setting_the_clock_back_loses_no_calls():
    scene = Scene()
    scene.call()
    scene.now -= timedelta(hours=3)
    scene.call()
    assert scene.budget.state().ours == 2


def test_calls_that_could_not_be_saved_are_saved_with_the_next_ones():
    scene = Scene()
    scene.call()
    scene.budget.not_saved(scene.budget.unsaved())
    scene.call()
    assert sum(scene.budget.unsaved().values()) == 2
    assert not scene.budget.unsaved()
