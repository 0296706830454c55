"""The enrichment queue: what waits for an outside response, and what does not wait with it."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from connector.model.event import Verdict
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.store.enrichment_queue import MIN_GAP, Question
from connector.store.store import Store
from connector.store.units import Planned

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = "+4790000001", "+4790000002"
SOON, DAYS = timedelta(seconds=5), timedelta(days=2)


async def ask(scene, key, *, phone=None, first=SOON, **about):
    entry = replace(scene.entry(key, phone=phone, **about), question=Question(first=first, deadline=DAYS))
    (kept,) = await scene.store.inbox.keep([entry])
    return kept.id


def pending(scene):
    return [stored.key for stored in scene.store.inbox.pending(99)]


def due(scene, now, limit=99):
    return [one.event.key for one in scene.store.questions.due("strex", limit, now)]


async def test_an_event_with_an_open_question_is_pending_and_not_planned(scene):
    await ask(scene, "a")
    await scene.keep("b")
    assert pending(scene) == ["b"]
    assert scene.state("a") is EventState.PENDING
    assert scene.store.questions.counts() == {"strex": 1}


async def test_later_events_of_the_same_person_wait_and_others_do_not(scene):
    await scene.keep("earlier", phone=ANNA)
    await ask(scene, "a", phone=ANNA)
    await scene.keep("later", phone=ANNA)
    await scene.keep("other", phone=BERIT)
    await scene.keep("nobody", phone=None)
    assert pending(scene) == ["earlier", "other", "nobody"]
    assert [one.key for one in scene.store.inbox.pending_of([ANNA])] == ["earlier"]


async def test_an_opt_out_waits_for_no_answer(scene):
    await ask(scene, "a", phone=ANNA)
    await scene.keep("later", phone=ANNA)
    await scene.keep("stop", phone=ANNA, verdict=Verdict.OPT_OUT)
    assert [one.key for one in scene.store.inbox.urgent(9)] == ["stop"]
    assert [one.key for one in scene.store.inbox.pending_of([ANNA])] == ["stop"]
    assert pending(scene) == ["stop"]


async def test_an_opt_out_that_has_itself_a_question_waits_for_its_answer(scene):
    await ask(scene, "stop", phone=ANNA, verdict=Verdict.OPT_OUT)
    assert scene.store.inbox.urgent(9) == []
    assert pending(scene) == []


async def test_an_answer_replaces_the_event_which_is_planned_in_its_old_place(scene):
    event_id = await ask(scene, "a")
    await scene.keep("b", phone=ANNA)
    known = scene.event("a", phone=BERIT, verdict=Verdict.OPT_IN, price=Decimal("1.50"))
    assert await scene.store.questions.answer(event_id, known)
    assert next(stored.event for stored in scene.store.inbox.pending(9)) == known
    assert pending(scene) == ["a", "b"]
    assert [one.key for one in scene.store.inbox.of_phone(BERIT)] == ["a"]
    assert scene.store.questions.counts() == {}
    done = Planned(event_id=event_id, state=EventState.IGNORED)
    await scene.store.plans.commit([done], now=NOW)


async def test_an_event_that_waited_for_an_answer_is_planned_after_it(scene):
    event_id = await ask(scene, "a", phone=ANNA)
    await scene.keep("later", phone=ANNA)
    await scene.store.questions.answer(event_id, scene.event("a", phone=ANNA))
    assert pending(scene) == ["a", "later"]


async def test_an_event_that_becomes_an_opt_out_by_its_answer_is_urgent(scene):
    event_id = await ask(scene, "a")
    await scene.store.questions.answer(event_id, scene.event("a", verdict=Verdict.OPT_OUT))
    assert [one.key for one in scene.store.inbox.urgent(9)] == ["a"]


async def test_a_second_answer_changes_nothing(scene):
    event_id = await ask(scene, "a")
    assert await scene.store.questions.answer(event_id, scene.event("a", phone=ANNA))
    assert not await scene.store.questions.answer(event_id, scene.event("a", phone=BERIT))
    assert scene.store.inbox.get("a").event.msisdn == Phone(ANNA)


async def test_an_answer_about_another_event_is_refused_and_the_question_stays(scene):
    event_id = await ask(scene, "a")
    with pytest.raises(ValueError, match="another event"):
        await scene.store.questions.answer(event_id, scene.event("b"))
    assert scene.store.questions.counts() == {"strex": 1}
    assert pending(scene) == []


async def test_a_question_is_due_after_its_first_pause_and_again_after_the_next(scene):
    event_id = await ask(scene, "a")
    assert due(scene, NOW) == []
    (one,) = scene.store.questions.due("strex", 9, NOW + SOON)
    assert (one.event_id, one.asked, one.overdue) == (event_id, 0, False)
    await scene.store.questions.again(event_id, timedelta(minutes=1), now=NOW + SOON)
    assert due(scene, NOW + SOON + timedelta(seconds=59)) == []
    (one,) = scene.store.questions.due("strex", 9, NOW + SOON + timedelta(minutes=1))
    assert (one.asked, one.overdue) == (1, False)
    assert scene.store.questions.due("strex", 9, NOW + DAYS)[0].overdue


async def test_due_questions_are_of_one_provider_and_the_longest_due_come_first(scene):
    await ask(scene, "late", first=timedelta(seconds=9))
    await ask(scene, "early", first=timedelta(seconds=1))
    assert due(scene, NOW + timedelta(minutes=1)) == ["early", "late"]
    assert due(scene, NOW + timedelta(minutes=1), limit=1) == ["early"]
    assert scene.store.questions.due("messagecloud", 9, NOW + DAYS) == []


async def test_a_question_is_still_asked_after_the_clock_is_set_back(scene):
    event_id = await ask(scene, "a")
    await scene.store.questions.again(event_id, timedelta(hours=1), now=NOW)
    assert due(scene, NOW + timedelta(minutes=30)) == []
    assert due(scene, NOW - timedelta(days=300)) == ["a"]


async def test_a_hint_makes_a_question_due_but_not_before_the_minimum_gap(scene):
    event_id = await ask(scene, "a")
    await scene.store.questions.again(event_id, timedelta(hours=1), now=NOW)
    assert await scene.store.questions.make_due("a", now=NOW + timedelta(seconds=1))
    assert due(scene, NOW + timedelta(seconds=1)) == []
    assert due(scene, NOW + MIN_GAP) == ["a"]
    assert not await scene.store.questions.make_due("a", now=NOW + timedelta(seconds=2))
    await scene.store.questions.again(event_id, timedelta(hours=1), now=NOW)
    assert await scene.store.questions.make_due("a", now=NOW + timedelta(minutes=9))
    assert due(scene, NOW + timedelta(minutes=9)) == ["a"]


async def test_a_hint_about_an_event_without_an_open_question_does_nothing(scene):
    await scene.keep("b")
    assert not await scene.store.questions.make_due("b", now=NOW)
    assert not await scene.store.questions.make_due("nobody knows", now=NOW)


async def test_a_repeat_opens_no_second_question(scene):
    event_id = await ask(scene, "a")
    await ask(scene, "a")
    assert scene.store.questions.counts() == {"strex": 1}
    await scene.store.questions.answer(event_id, scene.event("a"))
    await ask(scene, "a")
    assert scene.store.questions.counts() == {}


async def test_a_replay_can_open_the_question_again(scene):
    event_id = await ask(scene, "a")
    await scene.store.questions.answer(event_id, scene.event("a"))
    await scene.store.plans.commit([Planned(event_id=event_id, state=EventState.IGNORED)], now=NOW)
    later = NOW + timedelta(days=9)
    await scene.store.inbox.replay(event_id, question=Question(first=SOON, deadline=DAYS), now=later)
    assert pending(scene) == []
    (one,) = scene.store.questions.due("strex", 9, later + SOON)
    assert not one.overdue
    await scene.store.questions.answer(event_id, one.event)
    assert pending(scene) == ["a"]


async def test_an_event_that_waits_for_an_answer_is_not_the_oldest_pending_event(scene):
    await ask(scene, "a")
    assert scene.store.inbox.oldest_pending() is None


async def test_ten_thousand_open_questions_do_not_slow_down_the_planner(scene):
    entries = [scene.entry(f"q{number}", phone=None) for number in range(10_000)]
    asking = [replace(entry, question=Question(first=SOON, deadline=DAYS)) for entry in entries]
    await scene.store.inbox.keep([scene.entry(f"e{number}", phone=f"+479{number:07}") for number in range(100)])

    def steps():
        """How many steps SQLite takes to find what is to be planned."""
        taken = []
        scene.store.inbox._reader.set_progress_handler(lambda: taken.append(1), 1)
        scene.store.inbox.pending(500)
        scene.store.inbox._reader.set_progress_handler(None, 0)
        return len(taken)

    before = steps()
    await scene.store.inbox.keep(asking)
    assert scene.store.questions.counts() == {"strex": 10_000}
    assert 0 < steps() < before * 2, "the planner walks through what waits"


ENRICHER = """
import asyncio, os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from connector.store.store import Store

async def main():
    store = Store.open(Path(sys.argv[1]))
    (question,) = store.questions.due("strex", 9, datetime(2027, 1, 1, tzinfo=UTC))
    os.write(1, b"asked\\n")
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_crash_between_asking_and_answering_leaves_the_question_open(tmp_path, scene):
    path = tmp_path / "killed.db"
    store = Store.open(path)
    entry = replace(scene.entry("a"), question=Question(first=SOON, deadline=DAYS))
    await store.inbox.keep([entry])
    await store.close()
    with subprocess.Popen([sys.executable, "-c", ENRICHER, str(path)], stdout=subprocess.PIPE) as enricher:  # noqa: ASYNC220 - nothing else runs in this loop that could wait for it.
        assert enricher.stdout.readline() == b"asked\n"
        enricher.send_signal(signal.SIGKILL)
    store = Store.open(path)
    assert [one.event.key for one in store.questions.due("strex", 9, NOW + SOON)] == ["a"]
    assert store.inbox.pending(9) == []
    assert store.inbox.get("a").state is EventState.PENDING
    await store.close()
