import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from connector.model.errors import HttpRejected, Unreadable
from connector.model.event import Verdict
from connector.model.states import EventState
from connector.store.inbox import Kept

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=10)
ANNA, BERIT = "+4790000001", "+4790000002"


async def test_an_event_is_stored_and_read_unchanged(scene):
    (kept,) = await scene.store.inbox.keep([scene.entry("a", raw=b"as it came")])
    assert kept == Kept(1, False)
    stored = scene.store.inbox.get("a")
    assert stored.event == scene.event("a")
    assert stored.state is EventState.PENDING
    assert stored.received_at == NOW
    assert scene.store.inbox.raw(stored.id) == b"as it came"
    assert scene.store.inbox.get(stored.id) == stored


async def test_a_repeat_is_recognised_and_changes_nothing(scene):
    await scene.store.inbox.keep([scene.entry("a", raw=b"first")])
    (kept,) = await scene.store.inbox.keep([scene.entry("a", raw=b"second")])
    assert kept == Kept(1, True)
    assert scene.store.inbox.raw(1) == b"first"
    assert scene.store.inbox.received() == 1


async def test_repeats_within_one_commit_and_one_request_are_recognised(scene):
    answers = await asyncio.gather(*(scene.store.inbox.keep([scene.entry("a"), scene.entry("a")]) for _ in range(5)))
    assert {kept.id for answer in answers for kept in answer} == {1}
    assert [kept.known for answer in answers for kept in answer].count(False) == 1


async def test_an_unreadable_body_is_stored_and_its_repeat_is_recognised(scene):
    entry = scene.entry("digest", unreadable="not JSON", raw=b"\xff")
    assert await scene.store.inbox.keep([entry]) == (Kept(1, False),)
    assert await scene.store.inbox.keep([entry]) == (Kept(1, True),)
    stored = scene.store.inbox.get(1)
    assert (stored.state, stored.detail, stored.event) == (EventState.UNREADABLE, "not JSON", None)
    assert scene.store.inbox.raw(1) == b"\xff"
    assert scene.store.inbox.pending(9) == []


async def test_a_nonce_is_accepted_only_once(scene):
    keep = scene.store.inbox.keep
    await keep([scene.entry("a")], nonce="n", nonce_expires=SOON)
    with pytest.raises(HttpRejected) as refused:
        await keep([scene.entry("b")], nonce="n", nonce_expires=SOON)
    assert (refused.value.status, refused.value.why) == (401, "nonce used")
    assert scene.store.inbox.get("b") is None


async def test_a_repeat_of_a_stored_event_with_the_same_nonce_is_not_refused(scene):
    await scene.store.inbox.keep([scene.entry("a")], nonce="n", nonce_expires=SOON)
    assert await scene.store.inbox.keep([scene.entry("a")], nonce="n", nonce_expires=SOON) == (Kept(1, True),)


async def test_one_nonce_in_two_simultaneous_requests_is_accepted_once(scene):
    answers = await asyncio.gather(
        *(scene.store.inbox.keep([scene.entry(key)], nonce="n", nonce_expires=SOON) for key in "ab"),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [tuple, HttpRejected]
    assert scene.store.inbox.received() == 1


async def test_one_bad_entry_in_a_group_fails_alone(scene):
    bad = replace(scene.entry("b"), provider=None)
    answers = await asyncio.gather(
        *(scene.store.inbox.keep([entry]) for entry in (scene.entry("a"), bad, scene.entry("c"))),
        return_exceptions=True,
    )
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert [stored.key for stored in scene.store.inbox.pending(9)] == ["a", "c"]


async def test_a_request_is_kept_as_a_whole_or_not_at_all(scene):
    bad = replace(scene.entry("b"), provider=None)
    with pytest.raises(Exception, match="NOT NULL"):
        await scene.store.inbox.keep([scene.entry("a"), bad])
    assert scene.store.inbox.received() == 0


async def test_an_event_with_half_a_surrogate_pair_is_unreadable(scene):
    entry = replace(scene.entry("a"), event=scene.event("a", text="\ud800"))
    with pytest.raises(Unreadable):
        await scene.store.inbox.keep([entry])


async def test_pending_events_come_in_order_of_arrival_and_only_opt_outs_are_urgent(scene):
    await scene.keep("a")
    await scene.keep("b", verdict=Verdict.OPT_OUT, phone=BERIT)
    await scene.keep("c", verdict=Verdict.OPT_IN, phone=BERIT)
    inbox = scene.store.inbox
    assert [one.key for one in inbox.pending(9)] == ["a", "b", "c"]
    assert [one.key for one in inbox.pending(2)] == ["a", "b"]
    assert [one.key for one in inbox.urgent(9)] == ["b"]
    assert [one.key for one in inbox.pending_of([BERIT])] == ["b", "c"]
    assert [one.key for one in inbox.of_phone(BERIT)] == ["b", "c"]


async def test_the_time_of_the_oldest_event_that_waits_for_its_plan(scene):
    assert scene.store.inbox.oldest_pending() is None
    await scene.keep("a", received_at=NOW - timedelta(hours=1))
    await scene.keep("b")
    assert scene.store.inbox.oldest_pending() == NOW - timedelta(hours=1)


async def test_counts_are_by_state(scene):
    await scene.keep("a")
    await scene.keep("b", unreadable="no")
    counts = scene.store.inbox.counts()
    assert (counts[EventState.PENDING], counts[EventState.UNREADABLE], counts[EventState.DEAD]) == (1, 1, 0)
    assert scene.store.inbox.received() == 2


async def test_an_opt_out_of_a_crm_is_undecided_until_it_is_planned(scene):
    def change(key):
        event = replace(scene.event(key, verdict=Verdict.OPT_OUT), provider="salesforce", shape="change")
        return replace(scene.entry(key), provider="salesforce", shape="change", event=event)

    await scene.store.inbox.keep([change("a"), change("b"), scene.entry("c", verdict=Verdict.OPT_OUT)])
    undecided = partial(scene.store.inbox.undecided_opt_outs, after=0)
    assert undecided("salesforce", [ANNA, BERIT]) == {ANNA: 2}
    assert undecided("dynamics", [ANNA]) == undecided("salesforce", [BERIT]) == {}
    await scene.plan(2)
    assert undecided("salesforce", [ANNA]) == {ANNA: 1}
    assert undecided("salesforce", [ANNA], after=1) == {}


async def test_an_unreadable_event_that_can_be_read_now_is_replayed(scene):
    await scene.keep("digest", unreadable="no")
    event = scene.event("real", verdict=Verdict.OPT_OUT)
    await scene.store.inbox.replay(1, event)
    stored = scene.store.inbox.get("real")
    assert (stored.id, stored.state, stored.event, stored.detail) == (1, EventState.PENDING, event, None)
    assert [one.id for one in scene.store.inbox.urgent(9)] == [1]
    assert await scene.store.inbox.keep([scene.entry("real")]) == (Kept(1, True),)


@pytest.mark.parametrize(
    ("case", "match"),
    [
        ("none", "no event"),
        ("unread", "unreadable"),
        ("pending", "waits to be planned"),
        ("units", "is still being delivered"),
        ("twin", "came again"),
    ],
)
async def test_an_event_that_cannot_be_replayed_says_why(scene, case, match):
    event = None
    if case == "unread":
        await scene.keep("a", unreadable="no")
    elif case == "pending":
        await scene.keep("a")
    elif case == "units":
        await scene.unit("a")
    elif case == "twin":
        await scene.keep("a", unreadable="no")
        await scene.keep("real")
        event = scene.event("real")
    with pytest.raises((LookupError, ValueError), match=match):
        await scene.store.inbox.replay(1, event)


async def test_an_entry_without_an_event_must_have_a_reason(scene):
    entry = replace(scene.entry("a"), event=None)
    with pytest.raises(ValueError, match="says why"):
        await scene.store.inbox.keep([entry])


async def test_a_known_id_with_another_person_or_verdict_is_a_new_event(scene):
    inbox = scene.store.inbox
    await inbox.keep([scene.entry("a", phone=ANNA, text="hei", transaction_id="7")])
    ((stop,), (again,), (other,)) = [
        await inbox.keep([scene.entry("a", **said)])
        for said in (
            {"phone": ANNA, "text": "STOP", "verdict": Verdict.OPT_OUT, "transaction_id": "7"},
            {"phone": ANNA, "text": "STOP", "verdict": Verdict.OPT_OUT, "transaction_id": "7"},
            {"phone": BERIT, "text": "hei", "transaction_id": "7"},
        )
    ]
    assert (stop.known, again, other.known) == (False, Kept(stop.id, True), False)
    events = [inbox.get(one.id).event for one in (stop, other)]
    assert [one.key for one in events] == [stop.reused, other.reused]
    assert len({"a", *(one.key for one in events)}) == 3
    # Only another person's transaction is another one.
    assert events[0].transaction_id == "7"
    assert events[1].transaction_id.startswith("7-")


async def test_a_repeat_with_the_same_person_and_verdict_is_a_repeat(scene):
    inbox = scene.store.inbox
    (first,) = await inbox.keep([scene.entry("a", text="STOP", properties={"attempt": 1})])
    assert await inbox.keep([scene.entry("a", text="STOP ", properties={"attempt": 2})]) == (Kept(first.id, True),)
