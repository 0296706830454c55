"""An operator's commands, on the store itself and through the admin listener of a running daemon."""

import asyncio
import os
import socket
from datetime import timedelta

import pytest
from admin.scene import DONOR, Scene, make_home, report
from aiohttp import web

from connector.admin import commands_for
from connector.cli.client import TOKEN_FILE
from connector.model.outcome import Reason
from connector.model.problem import Position, Problem, ProblemsFound
from connector.model.states import UnitState
from connector.store.database import FileLock
from connector.web.admin_api import AdminHandler, write_token
from connector.web.listener import Listener


async def dead_letter(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.NO_ACCESS, detail="no access")
    return event_id


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def state_of(scene, event_id=1):
    return scene.state(event_id)


def test_status_shows_the_counts(home):
    home.on_the_road(dead_letter)
    done = home.run("status")
    assert done.exit_code == 3
    assert done.stdout.startswith("daemon: NOT RUNNING")
    for words in (
        "Events: 1 received",
        "1 dead letter waits for a person",
        "salesforce.Contact",
        "not started",
        "connector dead list",
    ):
        assert words in done.stdout
    assert home.json("status", code=3)["balanced"] is True


def test_dead_letters_are_listed_and_retried(home):
    event_id = home.on_the_road(dead_letter)
    listed = home.run("dead", "list")
    assert "2026-11-22 13:00" in listed.stdout  # in the config's time zone
    assert "strex-dlr-t-1" not in listed.stdout  # a key is no help at 80 columns: the number names the event
    assert "1 of no_access" in listed.stdout
    assert "cure: the integration user may not do this" in listed.stdout
    assert "connector dead retry --group " in listed.stdout
    shown = home.run("dead", "show", event_id)
    assert "salesforce: upsert Contact" in shown.stdout
    assert "cure: the integration user may not do this" in shown.stdout
    assert home.json("dead", "list", "--reason", "bug")["letters"] == []
    retried = home.run("dead", "retry", "--reason", "no_access")
    assert (retried.exit_code, "1 dead letter(s) will be retried" in retried.stdout) == (0, True)
    assert "takes effect when it starts" in retried.stderr
    assert home.on_the_road(state_of) == "delivering"


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("--all", "--reason", "bug")])
def test_a_retry_needs_exactly_one_selection(home, words):
    home.on_the_road(dead_letter)
    assert home.run("dead", "retry", *words).exit_code == 2
    assert home.on_the_road(state_of) == "dead"


@pytest.mark.parametrize(
    "words", [("dead", "show", "77"), ("dead", "retry", "77"), ("parked", "release", "--all"), ("replay", "77")]
)
def test_an_unknown_event_or_unit_ends_with_1_and_a_cure(home, words):
    home.on_the_road(dead_letter)
    done = home.run(*words)
    assert done.exit_code == 1
    assert "connector events" in done.stderr or "parked list" in done.stderr


async def question(scene):
    body = (
        b'{"transactionId": "m-1", "sender": "+4798079008", "recipient": "2002", "content": "stopp ulven +4790000001"}'
    )
    event_id = await scene.receive(body, "strex/mo")
    await scene.plan()
    return event_id


def test_a_text_that_may_be_a_stop_is_answered_by_the_printed_commands(home):
    event_id = home.on_the_road(question)
    listed = home.run("parked", "list").stdout
    assert "stopp ulven +47…001" in listed
    assert f"it was:     connector parked answer {event_id} was\n" in listed
    assert f"it was not: connector parked answer {event_id} was-not\n" in listed
    answered = home.run("parked", "answer", event_id, "was")
    assert (answered.exit_code, "1 event(s) with this text are now planned as opt-outs" in answered.stdout) == (0, True)
    assert "check that the subscription has ended there too" in answered.stdout
    assert "takes effect when it starts" in answered.stderr
    assert home.on_the_road(state_of) == "pending"
    assert "nothing is parked" in home.run("parked", "list").stdout
    given = home.run("parked", "answers").stdout
    assert f"connector parked answer {event_id} was-not" in given
    assert home.run("parked", "answer", event_id, "was-not").exit_code == 0
    assert home.json("parked", "answers")["answers"][0]["answer"] == "was-not"


def test_an_answer_must_be_was_or_was_not(home):
    event_id = home.on_the_road(question)
    assert home.run("parked", "answer", event_id, "perhaps").exit_code == 2
    assert home.run("parked", "answer", 77, "was").exit_code == 1
    assert "no answers yet" in home.run("parked", "answers").stdout


async def unmatched(scene):
    (scene.loaded.resolve_path("mappings") / "strex-log.yaml").unlink()
    path = scene.loaded.resolve_path("mappings") / "strex-subscription.yaml"
    rules = path.read_text().partition("\ntests:")[0] + "\n"
    path.write_text(rules.replace("  - name: another service than subscriptions\n    ignore: true\n", ""))
    scene.rules = scene.read_rules()
    event_id = await scene.receive(report("SomethingNew"))
    await scene.plan()
    assert scene.state(event_id) == "unmatched"
    return event_id


def test_an_event_is_replayed(home):
    event_id = home.on_the_road(unmatched)
    assert home.run("replay", event_id).exit_code == 0
    assert home.on_the_road(state_of) == "pending"


def test_many_events_are_replayed_only_after_confirmation(home):
    event_id = home.on_the_road(unmatched)
    home.edit(
        "strex-subscription.yaml",
        "  - name: donor opted out\n    when: {verdict: opt_out}",
        "  - name: donor opted out\n    when: {action: [Unsubscribe, SomethingNew]}",
    )
    shown = home.run("replay", "--state", "unmatched", "--since", "10000d")
    assert shown.exit_code == 0
    assert "1 events; 1 of them would change" in shown.stdout
    assert "salesforce Contact.SMS_Opt_Out__c added, by strex-subscription.yaml: donor opted out" in shown.stdout
    assert "add --yes" in shown.stdout
    assert home.on_the_road(state_of) == "unmatched"
    assert home.json("replay", "--state", "unmatched", "--dry-run")["to_replay"] == 1
    assert home.on_the_road(state_of) == "unmatched"
    assert home.json("replay", "--state", "unmatched", "--yes")["replayed"] == 1
    assert home.on_the_road(state_of) == "pending"
    assert home.run("replay", event_id, "--state", "dead").exit_code == 2
    assert home.run("replay").exit_code == 2


def test_events_of_any_state_are_listed(home):
    home.on_the_road(unmatched)
    listed = home.run("events", "--state", "unmatched")
    for words in ("SomethingNew KATT", "+47…008", "2026-11-22 13:00", "connector replay --state unmatched"):
        assert words in listed.stdout
    assert home.json("events", "--keyword", "nothing") == {"events": [], "total": 0, "more": False}
    assert home.run("events", "--since", "soon").exit_code == 1


async def opted_out_contact(scene):
    await scene.shadow("003-1")


async def received(scene):
    return scene.store.inbox.received()


def test_the_baseline_is_shown_first_and_sent_on_request(home):
    home.on_the_road(opted_out_contact)
    shown = home.run("consents", "baseline")
    assert "unsubscribe KATT on 2002 (strex)" in shown.stdout
    assert "nothing was sent" in shown.stdout
    assert DONOR not in shown.stdout
    assert home.on_the_road(received) == 0
    assert "1 new events will be sent" in home.run("consents", "baseline", "--send").stdout
    assert home.on_the_road(received) == 1


def test_the_consents_of_a_number_are_shown(home):
    home.on_the_road(dead_letter)
    done = home.run("consents", "show", DONOR)
    assert "last decision: opted out of KATT on 2002 (strex)" in done.stdout
    assert "not confirmed yet by salesforce, which refused it" not in done.stdout
    assert home.run("consents", "show", "nobody").exit_code == 1


def test_a_command_without_a_database_says_how_to_start(home):
    done = home.run("status")
    assert done.exit_code == 3
    assert "start it: `systemctl start connector`, or `connector run`" in done.stderr
    assert not home.store.exists()


def test_a_locked_database_without_a_listener_is_reported_as_unreachable(home):
    home.on_the_road(dead_letter)
    lock = FileLock(home.store)
    try:
        done = home.run("status")
    finally:
        lock.release()
    assert done.exit_code == 3
    assert f"process {os.getpid()}" in done.stderr
    assert "try again" in done.stderr


def test_commands_read_the_database_after_the_daemon_has_ended(home):
    home.on_the_road(dead_letter)
    write_token(home.store.with_name(TOKEN_FILE))
    make_home(home.directory, port=free_port())
    assert home.json("status", code=3)["received"] == 1


def test_a_listener_of_another_program_is_reported(home, threaded):
    home.on_the_road(dead_letter)
    write_token(home.store.with_name(TOKEN_FILE))
    with threaded(web.Application()) as url:
        make_home(home.directory, port=int(url.rpartition(":")[2]))
        done = home.run("status")
    assert (done.exit_code, "another program answers" in done.stderr) == (3, True)


def test_a_reload_needs_a_daemon(home):
    done = home.run("reload")
    assert (done.exit_code, "the connector is not running" in done.stderr) == (3, True)


# Through a running daemon's listener, which holds the store and its lock.


class Daemon:
    def __init__(self, home, scene):
        self.home = home
        self.scene = scene
        self.problems = []

    async def reload(self, payload):
        if self.problems:
            raise ProblemsFound(self.problems)
        return {"version": "v2"}

    async def bug(self, payload):
        raise KeyError(DONOR)

    async def run(self, *words):
        return await asyncio.to_thread(self.home.run, *words)


@pytest.fixture
async def daemon(home):
    scene = Scene.open(home.config)
    here = Daemon(home, scene)
    commands = here.commands = {**commands_for(scene.context), "reload": here.reload, "dead_list": here.bug}
    token = write_token(home.store.with_name(TOKEN_FILE))
    admin = AdminHandler(
        commands,
        token=token,
        unhealthy=list,
        not_ready=list,
        metrics=lambda: (b"", "text/plain"),
        emit=lambda fact: None,
    )
    listener = Listener(admin.handle, host="127.0.0.1", port=0, linger=timedelta())
    base = await listener.start()
    make_home(home.directory, port=int(base.rpartition(":")[2]))
    yield here
    await listener.stop()
    await scene.store.close()


async def test_commands_ask_the_daemon_while_it_runs(daemon):
    event_id = await dead_letter(daemon.scene)
    done = await daemon.run("dead", "retry", event_id)
    assert (done.exit_code, done.stderr) == (0, "")
    assert daemon.scene.state(event_id) == "delivering"
    assert "Events: 1 received" in (await daemon.run("status")).stdout


async def test_a_refusal_of_the_daemon_is_reported(daemon):
    done = await daemon.run("dead", "retry", "77")
    assert (done.exit_code, "there is no event 77" in done.stderr) == (1, True)


async def test_a_reload_shows_its_problems(daemon):
    assert "mappings v2 are in use" in (await daemon.run("reload")).stdout
    daemon.problems = [Problem(file="a.yaml", position=Position(1, 2), code="x", message="wrong", hint="cure")]
    done = await daemon.run("reload")
    assert done.exit_code == 1
    assert "a.yaml:1:2: wrong (cure)" in done.stderr
    assert "nothing was changed" in done.stderr


async def test_a_bug_in_the_daemon_is_reported_as_a_bug(daemon):
    done = await daemon.run("dead", "list")
    assert (done.exit_code, DONOR in done.output) == (4, False)
    assert "please report" in done.stderr


async def test_a_stale_token_is_rejected(daemon):
    daemon.home.store.with_name(TOKEN_FILE).write_text("stale\n")
    done = await daemon.run("status")
    assert done.exit_code == 3
    assert "rejects our token" in done.stderr


def test_cli_and_daemon_use_the_same_token_file():
    from connector import daemon as daemon_module  # noqa: PLC0415 - the name `daemon` is a fixture of this file.

    assert daemon_module.TOKEN_FILE == TOKEN_FILE


def a_feed(**about):
    one = dict.fromkeys(("compared", "differing", "changes", "people", "noted", "noted_out", "missing"), 0)
    return one | {"feed": "salesforce.Contact", "total": None, "many_people": False, "why": ""} | about


async def reconciled(daemon, feed, *words):
    """Run the command beside a daemon whose comparison is over at the second question."""
    asked = []

    async def command(payload):
        asked.append(payload)
        return {"running": len(asked) == 1, "dry_run": "--dry-run" in words, "feeds": [feed]}

    daemon.commands["reconcile"] = command
    return await daemon.run("reconcile", *words), asked


async def test_a_comparison_is_started_and_waited_for(daemon):
    feed = a_feed(
        compared=10_001, differing=3, changes=60, people=60, many_people=True, noted=2, noted_out=1, missing=1
    )
    done, asked = await reconciled(daemon, feed)
    assert (done.exit_code, asked) == (0, [{"start": True, "dry_run": False, "accept_missing": False}, {}])
    for words in (
        "10,001 records compared",
        "60 handled as changes, of 60 people",
        "connector parked list",
        "consents baseline",
    ):
        assert words in done.stdout


async def test_a_failed_comparison_ends_with_1_and_the_reason(daemon):
    done, asked = await reconciled(daemon, a_feed(why="the API calls are used up"), "--dry-run")
    assert (done.exit_code, asked[0]["dry_run"]) == (1, True)
    assert "not finished: the API calls are used up" in done.stdout


def test_a_comparison_needs_the_daemon(home):
    done = home.run("reconcile")
    assert (done.exit_code, "connector run" in done.stderr) == (3, True)
