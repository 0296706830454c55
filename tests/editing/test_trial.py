"""What the process says of mapping files that are not in use. Its function is called in this process."""

import json
from datetime import UTC, datetime

import pytest
from admin.scene import DONOR, Scene, make_home, report

from connector.editing.trial import run
from connector.editing.trial_process import TrialProcess
from connector.model.errors import ConnectorError

FILE = "strex-subscription.yaml"


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    await made.store.mappings.accept(made.rules.version, made.rules.texts, made.now)
    yield made
    await made.store.close()


def job(scene, change=lambda text: text, name=FILE, **more):
    text = change((scene.loaded.base / "mappings" / FILE).read_text())
    return {"config": str(scene.loaded.path), "name": name, "text": text, **more}


def web(text):
    """Another source of opt-outs, in the rule and in its test."""
    return text.replace('"Strex {keyword?}"', '"Web {keyword?}"').replace("Strex MYKEYWORD", "Web MYKEYWORD")


def say(_):
    """Nobody listens."""


async def test_the_files_as_they_are_have_no_error_and_pass_their_tests(scene):
    found = run({"config": str(scene.loaded.path), "name": None, "text": None}, say)
    assert (found["ok"], found["errors"], found["tests"]["failed"]) == (True, 0, [])
    assert found["tests"]["passed"] == sum(len(file.cases) for file in scene.rules.files)
    assert not any(found["changes"].values())


async def test_a_problem_has_its_line_with_a_caret(scene):
    found = run(job(scene, lambda text: text.replace("SMS_Opt_Out__c: true", "SMS_Opt_Out__c: {fron: x}", 1)), say)
    assert not found["ok"]
    problem = next(one for one in found["problems"] if one["severity"] == "error")
    assert (problem["file"], problem["excerpt"][0].split(" | ")[1].strip()) == (FILE, "SMS_Opt_Out__c: {fron: x}")
    assert "^" in problem["excerpt"][1]
    assert found["tests"] is found["preview"] is None


async def test_a_text_that_is_no_yaml_is_a_problem_as_well(scene):
    found = run(job(scene, lambda _: "on: [x\n"), say)
    assert found["errors"] >= 1
    assert found["problems"][0]["excerpt"]


async def test_a_text_that_would_lose_opt_outs_is_refused(scene):
    found = run(job(scene, lambda text: text.replace("{verdict: opt_out}", "{action: Signup}", 1)), say)
    assert not found["ok"]
    assert any("opt-out flag" in one["message"] for one in found["problems"])


async def test_a_failing_test_is_named(scene):
    found = run(job(scene, lambda text: text.replace('"Strex {keyword?}"', '"Web {keyword?}"')), say)
    assert (found["ok"], found["errors"]) == (False, 0)
    (failed, *_) = found["tests"]["failed"]
    assert failed["file"] == FILE
    assert failed["differences"]


async def test_a_new_file_counts_with_the_others(scene):
    found = run({**job(scene, name="copy.yaml")}, say)
    assert any("copy.yaml" in one["message"] or one["file"] == "copy.yaml" for one in found["problems"])


async def test_the_last_month_is_compared_and_the_progress_told(scene):
    scene.now = datetime.now(UTC)
    await scene.receive(report("Unsubscribe"))
    await scene.plan()
    steps = []
    change = job(scene, web)
    found = run({**change, "preview": True}, steps.append)
    assert steps[:2] == ["checking the files", "running the tests"]
    assert found["ok"], found["tests"]
    assert (found["preview"]["events"], found["preview"]["changed"], found["preview"]["complete"]) == (1, 1, True)
    assert DONOR[1:] not in json.dumps(found)


async def test_a_stored_event_and_a_body_are_tried(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    found = run({**job(scene), "try": {"event": event_id, "endpoint": None, "body": None}}, say)
    (tried,) = found["tried"]
    assert tried["same"]
    body = report("Unsubscribe").decode()
    change = job(scene, web)
    found = run({**change, "try": {"event": None, "endpoint": "strex/dlr", "body": body}}, say)
    (tried,) = found["tried"]
    assert not tried["same"]
    assert "Web" in json.dumps(tried["plan"])
    assert "Web" not in json.dumps(tried["in_use"])
    assert DONOR[1:] not in json.dumps(found)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"event": 99}, "there is no event"),
        ({"endpoint": "strex/none", "body": "{}"}, "there is no endpoint"),
        ({"endpoint": "strex/dlr", "body": "no json"}, "cannot read this body"),
    ],
)
async def test_what_cannot_be_tried_is_said(scene, wish, words):
    with pytest.raises(ConnectorError, match=words):
        run({**job(scene), "try": {"event": None, "endpoint": None, "body": None, **wish}}, say)


@pytest.mark.slow  # a process is started
async def test_a_bug_in_the_check_names_its_place():
    process = TrialProcess()
    done = await process.ask({"name": None}, say)
    await process.stop()
    assert "KeyError in run (trial.py:" in done["error"]
    assert "please report it with this line" in done["error"]
