"""A person is notified once per question, and again after a restart."""

import json

import pytest
from admin.scene import DONOR, OTHER, Scene, make_home

from connector.consent.stop_questions import question_about
from connector.model.event import Verdict
from connector.pipeline.stop_questions import StopQuestions


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


async def asked(scene, text, *, phone=DONOR, transaction="m-1"):
    """The event of a message, and the batch in which it was planned."""
    body = {"transactionId": transaction, "sender": phone, "recipient": "2002", "content": text}
    event_id = await scene.receive(json.dumps(body).encode(), "strex/mo")
    batch = [(event_id, scene.store.inbox.get(event_id).event)]
    return event_id, batch, await scene.plan()


async def test_equal_texts_raise_one_alarm_that_names_the_event_and_the_commands(scene):
    questions = StopQuestions(scene.store)
    event_id, *planned = await asked(scene, "stopp ulven")
    (alarm,) = await questions.after(*planned)
    assert (alarm.kind, alarm.about, alarm.lasts) == ("maybe_stop", f"event {event_id}", False)
    assert f"event {event_id} " in alarm.message
    assert f"`connector parked answer {event_id} was` or `connector parked answer {event_id} was-not`" in alarm.cure
    assert "ulven" not in f"{alarm}"
    _, *planned = await asked(scene, "STOPP ulven!", phone=OTHER, transaction="m-2")
    assert await questions.after(*planned) == []
    _, *planned = await asked(scene, "stopp gaupa", transaction="m-3")
    assert len(await questions.after(*planned)) == 1


async def test_the_alarm_for_a_waiting_question_is_raised_again_after_a_restart(scene):
    event_id, *_ = await asked(scene, "stopp ulven")
    await asked(scene, "stopp ulven", phone=OTHER, transaction="m-2")
    (alarm,) = StopQuestions(scene.store).waiting()
    assert f"event {event_id} " in alarm.message


async def test_no_alarm_is_raised_for_a_text_that_is_clear_or_answered(scene):
    questions = StopQuestions(scene.store)
    for number, text in enumerate(("hei", "STOPP", "ikke stopp")):
        _, *planned = await asked(scene, text, transaction=f"clear-{number}")
        assert await questions.after(*planned) == []
    event_id, batch, _ = await asked(scene, "stopp ulven")
    await scene.store.stop_answers.answer(question_about(batch[0][1]), Verdict.NONE, event_id, now=scene.now)
    await scene.plan()
    _, *planned = await asked(scene, "stopp ulven", phone=OTHER, transaction="m-2")
    assert await questions.after(*planned) == []
    assert questions.waiting() == []


async def test_an_answer_given_while_its_event_is_planned_is_applied(scene):
    event_id, batch, planned = await asked(scene, "stopp ulven")
    # The answer was given between planning and storing: it found nobody who waits.
    await scene.store.stop_answers.answer(question_about(batch[0][1]), Verdict.OPT_OUT, event_id, now=scene.now)
    await scene.store.writer.run(
        lambda connection: (
            connection.execute(
                "UPDATE inbox SET state = 'dead', reason = 'needs_person', detail = ? WHERE id = ?",
                (planned[0].detail, event_id),
            ).rowcount
        )
    )
    assert await StopQuestions(scene.store).after(batch, planned) == []
    assert scene.state(event_id) == "pending"
