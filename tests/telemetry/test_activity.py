from datetime import UTC, datetime, timedelta

import pytest

from connector.model.errors import StoreUnavailable
from connector.store.store import Store
from connector.telemetry.activity import FAILED, IN, OUT, Activity
from connector.telemetry.log_events import CallbackReceived, FeedPolled, Settled

BEGIN = datetime(2026, 11, 28, 10, 30, tzinfo=UTC)
CAME = CallbackReceived(provider="strex", shape="message", event=1)
WENT = Settled(event=1, sink="crm", state="delivered")


class Time:
    def __init__(self):
        self.now = BEGIN

    def __call__(self):
        return self.now


def test_what_comes_and_goes_is_counted_by_the_hour():
    time = Time()
    activity = Activity(time)
    for fact in (CAME, CAME, CallbackReceived(provider="strex", shape="message", event=1, known=True), WENT):
        activity(fact)
    time.now += timedelta(hours=1)
    activity(Settled(event=2, sink="crm", state="dead", reason="too_long"))
    activity(Settled(event=3, sink="crm", state="resting"))
    activity(FeedPolled(feed="crm.Contact", rows=9, changes=3))
    activity(FeedPolled(feed="crm.Contact", rows=9, changes=9, baseline=True))
    assert [n for _, n in activity.by_hour(IN, 3)] == [0, 2, 3]
    assert [n for _, n in activity.by_hour(OUT, 3)] == [0, 1, 0]
    assert [n for _, n in activity.by_hour(FAILED, 3)] == [0, 0, 1]
    assert (activity.last(IN, "strex"), activity.last(IN, "crm")) == (BEGIN, time.now)
    assert activity.last(OUT, "strex") is None


async def test_the_counts_survive_a_restart_and_old_ones_go(tmp_path):
    time = Time()
    activity = Activity(time)
    store = Store.open(tmp_path / "c.db")
    activity(CAME)
    activity(WENT)
    await store.activity.save(activity)
    activity(WENT)
    await store.activity.save(activity)
    await store.activity.save(activity)
    assert [n for _, n in Activity(time, store.activity.all()).by_hour(OUT, 1)] == [2]

    time.now += timedelta(days=3)
    activity(WENT)
    await store.activity.save(activity)
    kept = store.activity.all()
    assert sorted((one.kind, one.n) for one in kept) == [("in", 1), ("out", 1)]
    again = Activity(time, kept)
    assert (again.last(IN, "strex"), again.last(OUT, "crm")) == (BEGIN, time.now)
    assert sum(n for _, n in again.by_hour(IN, 24)) == 0
    await store.close()


async def test_counts_that_cannot_be_stored_are_stored_later(tmp_path):
    time = Time()
    activity = Activity(time)
    store = Store.open(tmp_path / "c.db")
    activity(CAME)
    with pytest.raises(StoreUnavailable):
        await Store.open_to_read(tmp_path / "c.db").activity.save(activity)
    activity(CAME)
    await store.activity.save(activity)
    assert [one.n for one in store.activity.all()] == [2]
    await store.close()
