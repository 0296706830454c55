"""Answers about texts that may be opt-outs: for whom they hold, and what is planned again."""

import unicodedata

import pytest
from msgspec.structs import replace
from store.conftest import ANNA, BERIT, NOW, make_event

from connector.consent.stop_questions import question_about
from connector.model.errors import StoreUnavailable
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.states import EventState, UnitState
from connector.store import inbox
from connector.store.enrichment_queue import Question
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.store.units import Planned

MAYBE, OUT, NONE = Verdict.MAYBE_STOP, Verdict.OPT_OUT, Verdict.NONE


async def keep(scene, key, text="stopp ulven", *, phone=ANNA, verdict=MAYBE, question=None, **fields):
    event = replace(make_event(key, phone=phone, verdict=verdict, text=text, **fields), shape="message")
    entry = Entry(
        key=key,
        provider=event.provider,
        shape=event.shape,
        msisdn=phone,
        received_at=NOW,
        event=event,
        raw=b"",
        question=question,
    )
    (kept,) = await scene.store.inbox.keep([entry])
    return kept.id


async def asked(scene, *about, state=EventState.DEAD, **more):
    """An event that was planned: it waits for a person, or was done with."""
    event_id = await keep(scene, *about, **more)
    reason = Reason.NEEDS_PERSON if state is EventState.DEAD else None
    await scene.store.plans.commit([Planned(event_id=event_id, state=state, reason=reason)], now=scene.now)
    return event_id


async def answer(scene, event_id, verdict):
    event = scene.store.inbox.get(event_id).event
    return await scene.store.stop_answers.answer(question_about(event), verdict, event_id, now=scene.now)


async def test_an_answer_applies_to_all_waiting_and_later_equal_texts(scene):
    first = await asked(scene, "a")
    second = await asked(scene, "b", "STOPP, ulven! takk 🐺", phone=BERIT)
    other = await asked(scene, "c", "stopp bjørnen")
    assert [event_id for event_id, _ in scene.store.stop_answers.waiting()] == [first, second, other]
    done = await answer(scene, first, OUT)
    assert (done.planned, done.done_before) == ((first, second), ())
    assert [scene.state(one) for one in (first, second, other)] == ["pending", "pending", "dead"]
    later = scene.store.inbox.get(await keep(scene, "d", "Stopp ulven.")).event
    assert scene.store.stop_answers.verdict_of(later) is OUT
    assert scene.store.stop_answers.verdict_of(scene.store.inbox.get(other).event) is None
    await scene.books_balance()


async def test_equal_texts_with_other_providers_or_keywords_are_asked_separately(scene):
    first = await asked(scene, "a", keyword="BL\u00c5")
    same = await asked(scene, "b", keyword=unicodedata.normalize("NFD", "bl\u00e5"))
    for key, fields in (("c", {"keyword": "HUND"}), ("d", {})):
        await asked(scene, key, **fields)
    assert (await answer(scene, first, NONE)).planned == (first, same)


async def test_a_second_answer_replaces_the_first(scene):
    ignored, delivered = await asked(scene, "a"), await asked(scene, "b", phone=BERIT)
    await answer(scene, ignored, NONE)
    nothing = Planned(event_id=ignored, state=EventState.IGNORED)
    await scene.store.plans.commit([nothing], now=scene.now)
    await scene.plan(delivered, lane=BERIT)
    (unit,) = await scene.claim()
    await scene.settle(unit)
    assert (await answer(scene, ignored, NONE)).done_before == ()
    done = await answer(scene, delivered, OUT)
    assert (done.planned, done.done_before) == ((ignored,), (delivered,))
    assert [scene.state(one) for one in (ignored, delivered)] == ["pending", "delivered"]
    (kept,) = scene.store.stop_answers.listing(10)
    assert (kept.answer, kept.event_id, kept.question.text) == (OUT, ignored, "stopp ulven")
    assert scene.store.stop_answers.named_by(ignored) == kept
    assert scene.store.stop_answers.named_by(delivered) is None


async def test_an_event_with_units_does_not_wait_for_an_answer(scene):
    event_id = await keep(scene, "a")
    await scene.plan(event_id)
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.NEEDS_PERSON)
    assert scene.state(event_id) == "dead"
    assert scene.store.stop_answers.waiting() == []
    assert scene.store.stop_answers.count_waiting() == 0
    assert (await answer(scene, event_id, OUT)).planned == ()


async def test_dead_letter_commands_do_not_remove_a_question(scene):
    event_id = await asked(scene, "a")
    letters = scene.store.dead_letters
    assert letters.listing(parked=True) == []
    assert [one.event_id for one in letters.of_event(event_id)] == [event_id]
    assert await letters.discard(now=scene.now) == 0
    assert await letters.release(now=scene.now) == 0
    assert (await letters.retry(now=scene.now)).count == 0
    assert (scene.state(event_id), scene.store.stop_answers.count_waiting()) == ("dead", 1)


async def test_a_text_that_may_be_a_stop_is_urgent_and_waits_for_no_enrichment(scene):
    waiting = Question(first=(NOW - NOW), deadline=(NOW - NOW))
    await keep(scene, "subscription", verdict=NONE, question=waiting)
    await keep(scene, "hei", verdict=NONE)
    event_id = await keep(scene, "maybe")
    assert [one.id for one in scene.store.inbox.urgent(10)] == [event_id]
    assert [one.id for one in scene.store.inbox.pending_of([ANNA])] == [event_id]
    assert [one.id for one in scene.store.inbox.pending(10)] == [event_id]


async def test_the_next_urgent_event_is_found_by_its_index(scene):
    steps = await scene.rows(f"EXPLAIN QUERY PLAN SELECT {inbox.STORED} FROM inbox {inbox.URGENT}", 1)
    assert ["USING INDEX inbox_urgent" in step[3] for step in steps] == [True]


async def test_an_event_that_was_answered_while_it_was_planned_is_planned_again(scene):
    first = await asked(scene, "a")
    await answer(scene, first, OUT)
    late = await asked(scene, "b", phone=BERIT)
    await scene.store.stop_answers.plan_answered([late])
    assert scene.state(late) == "pending"


async def test_a_store_opened_to_read_lists_answers_and_cannot_write_them(scene, tmp_path):
    event_id = await asked(scene, "a")
    await answer(scene, event_id, OUT)
    beside = Store.open_to_read(scene.store.path)
    assert len(beside.stop_answers.listing(10)) == 1
    with pytest.raises(StoreUnavailable):
        await answer(type("AlsoUpdated", (), {"store": beside, "now": NOW}), event_id, NONE)
    await beside.close()
