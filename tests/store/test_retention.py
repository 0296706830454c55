from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from store.conftest import keep as keep_of

from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.store.inbox import Kept
from connector.store.retention import Kind, Swept
from connector.store.units import Planned

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = "+4790000001", "+4790000002"
DAYS = timedelta(days=1)


async def sweep(scene, *, keep=90 * DAYS, raw=30 * DAYS):
    return await scene.store.retention.sweep(scene.now, keep_of(delivered=keep, ignored=keep, raw=raw))


async def deliver(scene, key, **about):
    await scene.unit(key, **about)
    for unit in await scene.claim():
        await scene.settle(unit)


def decision():
    return Decision(
        phone=Phone(ANNA),
        word=Verdict.OPT_IN,
        scope=Scope.SUBSCRIPTION,
        subscription=Subscription(provider="strex"),
        origin="strex",
        occurred_at=None,
    )


async def test_old_delivered_events_are_deleted_and_the_ledger_stays(scene):
    await deliver(scene, "a", decisions=(decision(),))
    await scene.later(days=90)
    assert (await sweep(scene)).events == 0
    await scene.later(days=1)
    assert (await sweep(scene)).events == 1
    assert scene.store.inbox.get("a") is None
    assert await scene.rows("SELECT * FROM units") == []
    assert len(scene.store.consents.of(ANNA)) == 1


async def test_the_totals_are_right_after_a_sweep(scene):
    await deliver(scene, "a")
    await scene.keep("b")
    await scene.store.plans.commit([Planned(event_id=2, state=EventState.IGNORED)], now=NOW)
    await scene.later(days=100)
    await sweep(scene)
    assert scene.store.inbox.received() == 2
    assert scene.store.inbox.counts()[EventState.DELIVERED] == 1
    assert scene.store.inbox.swept() == {EventState.DELIVERED: 1, EventState.IGNORED: 1}


async def test_open_events_stay_and_dead_or_unreadable_ones_are_deleted_after_a_year(scene):
    await scene.keep("pending")
    await scene.keep("unreadable", unreadable="no")
    await scene.unit("dead")
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION)
    await scene.unit("open")
    await scene.unit("parked", parked=True)
    await scene.later(days=365)
    assert await sweep(scene) == Swept(0, 0, 0)
    for event in range(1, 6):
        assert scene.store.inbox.raw(event) is not None
    await scene.later(days=1)
    assert await sweep(scene) == Swept(3, 0, 0)  # the parked one is a dead letter too
    assert scene.store.inbox.swept() == {EventState.DEAD: 2, EventState.UNREADABLE: 1}


async def test_an_undelivered_or_undecided_opt_out_is_never_deleted(scene):
    await scene.keep("question", verdict=Verdict.MAYBE_STOP, text="stop the war")
    question = Planned(event_id=1, state=EventState.DEAD, reason=Reason.NEEDS_PERSON)
    await scene.store.plans.commit([question], now=NOW)
    await scene.unit("out", urgent=True, decisions=(replace(decision(), word=Verdict.OPT_OUT),))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION)
    await scene.later(days=5000)
    assert (await sweep(scene)).events == 0


async def test_stored_kinds_are_listed_with_what_the_next_sweep_deletes(scene):
    await deliver(scene, "old")
    await scene.later(days=91)
    await scene.keep("new", received_at=scene.now)
    await scene.plan(2)
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await scene.keep("unreadable", unreadable="no", received_at=scene.now)
    held = {one.kind: one for one in await scene.store.retention.held(scene.now, keep_of())}
    assert (held[Kind.DELIVERED].count, held[Kind.DELIVERED].due, held[Kind.DELIVERED].oldest) == (2, 1, NOW)
    assert (held[Kind.RAW].count, held[Kind.RAW].due) == (2, 1)
    assert (held[Kind.UNREADABLE].count, held[Kind.UNREADABLE].due, held[Kind.UNREADABLE].soon) == (1, 0, 0)
    await scene.later(days=352)
    (unreadable,) = [
        one for one in await scene.store.retention.held(scene.now, keep_of()) if one.count == 1 and one.soon
    ]
    assert (unreadable.kind, unreadable.due) == (Kind.UNREADABLE, 0)


async def test_a_discarded_unreadable_body_is_deleted_after_its_retention(scene):
    await scene.keep("unreadable", unreadable="no")
    assert await scene.store.dead_letters.give_up([1], now=NOW) == 1
    assert scene.state(1) is EventState.IGNORED
    await scene.later(days=91)
    assert (await sweep(scene)).events == 1


async def test_a_repeat_is_recognised_for_72_hours_however_short_the_retention(scene):
    await deliver(scene, "a")
    await scene.later(hours=72)
    await sweep(scene, keep=timedelta(0))
    assert await scene.store.inbox.keep([scene.entry("a")]) == (Kept(1, True),)


async def test_raw_bodies_are_deleted_before_their_events(scene):
    await deliver(scene, "a")
    await scene.later(days=31)
    assert await sweep(scene) == Swept(0, 1, 0)
    assert scene.store.inbox.raw(1) is None
    assert scene.store.inbox.get("a").event is not None
    assert await sweep(scene) == Swept(0, 0, 0)


async def test_a_sweep_skips_rows_that_must_stay(scene):
    await scene.store.inbox.keep([scene.entry(f"k{n}", phone=None) for n in range(2500)])
    plans = [Planned(event_id=n, state=EventState.IGNORED) for n in range(1001, 2501)]
    await scene.store.plans.commit(plans, now=NOW)
    await scene.later(days=100)
    assert (await sweep(scene)).events == 1500
    assert scene.store.inbox.counts()[EventState.PENDING] == 1000


async def test_nonces_are_deleted_when_they_expire(scene):
    await scene.store.inbox.keep([scene.entry("a")], nonce="n", nonce_expires=NOW + timedelta(minutes=5))
    assert (await sweep(scene)).nonces == 0
    await scene.later(minutes=6)
    assert (await sweep(scene)).nonces == 1
