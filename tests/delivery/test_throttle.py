"""The batch size as a table: results of a batch, and the size of the next one."""

from datetime import timedelta

import pytest

from connector.delivery.throttle import MIN_BATCH, BatchSize
from connector.model.outcome import Delivered, Reason, Rejected, Retry

DONE, LOCKED = Delivered(), Retry(reason=Reason.ROW_LOCKED)
REFUSED, WAITING = Rejected(reason=Reason.VALIDATION), Retry(reason=Reason.PARENT_WAITING)
QUICK, SLOW = timedelta(seconds=10), timedelta(seconds=10.1)


@pytest.mark.parametrize(
    ("size", "outcomes", "took", "then"),
    [
        pytest.param(1000, [DONE] * 1000, SLOW, 500, id="slow: half"),
        pytest.param(1000, [DONE] * 20, SLOW, 500, id="slow although it was not full: half"),
        pytest.param(1000, [LOCKED] * 50 + [DONE] * 950, QUICK, 500, id="one in twenty locked: half"),
        pytest.param(1000, [LOCKED] * 49 + [DONE] * 951, QUICK, 1000, id="a few locked: as it is, at the most"),
        pytest.param(500, [DONE] * 500, QUICK, 550, id="good and full: a little more"),
        pytest.param(500, [REFUSED] * 250, QUICK, 550, id="refusals say nothing against the size"),
        pytest.param(500, [DONE] * 249, QUICK, 500, id="good but not full: proves nothing"),
        pytest.param(990, [DONE] * 990, QUICK, 1000, id="never more than the config allows"),
        pytest.param(15, [DONE] * 15, SLOW, MIN_BATCH, id="never less than the least"),
        pytest.param(500, [DONE] * MIN_BATCH, SLOW, 500, id="so few are slow for another reason"),
        pytest.param(500, [LOCKED] * MIN_BATCH, QUICK, 500, id="so few are locked whatever their number"),
        pytest.param(500, [WAITING] * 25 + [DONE] * 475, QUICK, 550, id="who waits for a parent is not locked"),
    ],
)
def test_the_outcomes_and_time_of_a_batch_decide_the_next_size(size, outcomes, took, then):
    assert BatchSize(1000, size).after(outcomes, took, QUICK) == BatchSize(1000, then)


def test_a_configured_size_below_the_minimum_is_kept():
    assert BatchSize.of(5).after([DONE] * 11, SLOW, QUICK) == BatchSize(5, 5)


def test_the_batch_size_recovers_within_twenty_good_batches():
    pace, batches = BatchSize(3000, MIN_BATCH), 0
    while pace.size < pace.maximum:
        pace = pace.after([DONE] * pace.size if pace.size > MIN_BATCH else [DONE] * (MIN_BATCH + 1), QUICK, QUICK)
        batches += 1
    assert batches == 20
