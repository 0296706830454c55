"""Planning events again by corrected mappings, as the commands do it: what is chosen, what is shown, what changes."""

import json

import pytest
from admin.scene import DONOR, OTHER, Scene, make_home, report

from connector.model.errors import ConnectorError
from connector.model.outcome import Reason
from connector.model.states import UnitState


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


def edit(scene, name, old, new):
    path = scene.loaded.resolve_path(scene.loaded.settings.mappings) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    scene.rules = scene.read_rules()


async def dead(scene, **about):
    event_id = await scene.receive(report("Unsubscribe", **about))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.TOO_LONG, detail="too long")
    return event_id


def words(said):
    return [(one["what"], one["kind"]) for one in said["preview"]["changes"]]


async def test_a_retry_shows_what_the_corrected_mappings_change(scene):
    event_id = await dead(scene)
    edit(scene, "strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {keyword?}"')
    said = await scene.ask("dead_retry", ids=[event_id], dry_run=True)
    assert scene.state(event_id) == "dead"
    (change,) = said["preview"]["changes"]
    assert change["what"] == "salesforce Contact.SMS_Opt_Out_Source__c"
    assert (change["kind"], change["concerns_opt_out"]) == ("changed", True)
    assert change["rule"] == "strex-subscription.yaml: donor opted out"
    assert change["examples"] == [{"event": event_id, "before": "Strex KATT", "after": "SMS KATT"}]
    said = await scene.ask("dead_retry", ids=[event_id])
    assert (said["retried"], said["planned_again"]) == (1, 1)
    await scene.plan()
    (unit,) = await scene.settle("salesforce")
    assert "SMS KATT" in [one.set.get("SMS_Opt_Out_Source__c") for one in unit.operations]


async def test_the_option_as_planned_sends_the_old_plan(scene):
    event_id = await dead(scene)
    edit(scene, "strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {keyword?}"')
    said = await scene.ask("dead_retry", ids=[event_id], as_planned=True)
    assert ("preview" in said, said["planned_again"]) == (False, 0)
    (unit,) = await scene.settle("salesforce")
    assert "Strex KATT" in [one.set.get("SMS_Opt_Out_Source__c") for one in unit.operations]


async def test_a_dead_letter_of_the_mappings_in_use_is_not_planned_again(scene):
    event_id = await dead(scene)
    said = await scene.ask("dead_retry", ids=[event_id])
    assert ("preview" in said, said["retried"], scene.state(event_id)) == (False, 1, "delivering")


async def test_examples_are_masked_unless_reveal_is_set(scene):
    event_id = await dead(scene)
    edit(scene, "strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {msisdn}"')
    hidden = await scene.ask("dead_retry", ids=[event_id], dry_run=True)
    assert DONOR not in json.dumps(hidden)
    shown = await scene.ask("dead_retry", ids=[event_id], dry_run=True, reveal=True)
    assert f"SMS {DONOR}" in json.dumps(shown)


@pytest.fixture
async def unmatched(scene):
    """Two events that no rule takes, and one that is delivered."""
    path = scene.loaded.resolve_path(scene.loaded.settings.mappings) / "strex-subscription.yaml"
    path.write_text(path.read_text().partition("\ntests:")[0] + "\n")
    edit(scene, "strex-subscription.yaml", "  - name: another service than subscriptions\n    ignore: true\n", "")
    (scene.loaded.resolve_path(scene.loaded.settings.mappings) / "strex-log.yaml").unlink()
    scene.rules = scene.read_rules()
    ids = [
        await scene.receive(report("Fancy", transaction="t-1")),
        await scene.receive(report("Other", transaction="t-2", phone=OTHER, keyword="MYKEYWORD")),
    ]
    scene.later(days=1)
    ids.append(await scene.receive(report("Unsubscribe", transaction="t-3")))
    await scene.plan()
    await scene.settle("salesforce")
    assert [scene.state(one) for one in ids] == ["unmatched", "unmatched", "delivered"]
    return ids


def correct(scene):
    rule = (
        "  - name: fancy\n    when: {action: Fancy}\n    do:\n      - upsert: Contact\n"
        '        key: {SMS_Key__c: "{msisdn}"}\n        set: {LastName: Unknown}\n'
    )
    edit(scene, "strex-subscription.yaml", "  # A report of a message", rule + "  # A report of a message")


async def test_a_replay_of_many_events_plans_only_those_that_change_and_shows_the_changes(scene, unmatched):
    correct(scene)
    said = await scene.ask("replay", state="unmatched", dry_run=True)
    assert (said["found"], said["to_replay"], said["replayed"]) == (2, 1, 0)
    # The donor has opted out since.
    flag = "salesforce Contact.SMS_Opt_Out__c (only for a new record)"
    assert words(said) == [("salesforce Contact.LastName", "added"), (flag, "added")]
    assert scene.state(unmatched[0]) == "unmatched"
    said = await scene.ask("replay", state="unmatched")
    assert (said["replayed"], said["refused"]) == (1, [])
    assert [scene.state(one) for one in unmatched] == ["pending", "unmatched", "delivered"]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"state": ["unmatched"]}, 2),
        ({"state": "unmatched", "provider": "Strex"}, 2),
        ({"state": "unmatched", "provider": "sumotext"}, 0),
        ({"state": "unmatched", "keyword": "katt"}, 1),
        ({"state": "unmatched", "action": "fancy"}, 1),
        ({"state": "unmatched", "phone": OTHER}, 1),
        ({"state": "unmatched", "phone": "90 00 00 01"}, 1),
        ({"since": "12h"}, 1),
        ({"since": "7d"}, 3),
        ({"since": "2026-11-23T12:00"}, 1),
        ({"until": "12h"}, 2),
        ({"rule": "strex-subscription.yaml: donor opted out"}, 1),
        ({"rule": "strex-subscription.yaml"}, 2),  # what it wrote, and what it would take now
        ({"rule": "strex-subscription"}, 0),
    ],
)
async def test_a_replayed_event_meets_all_conditions(scene, unmatched, conditions, found):
    correct(scene)
    assert (await scene.ask("replay", **conditions, dry_run=True))["found"] == found
    if "rule" not in conditions:
        assert len((await scene.ask("events_list", **conditions))["events"]) == found


@pytest.mark.parametrize(
    ("payload", "cure"),
    [
        ({}, "say which"),
        ({"dry_run": True}, "say which"),
        ({"state": "unmached"}, "did you mean `unmatched`"),
        ({"since": "last week"}, "such as 12h or 7d"),
        ({"phone": "12"}, "not a phone number"),
        ({"id": 1, "state": "dead"}, "not known here"),
        ({"sate": "dead"}, "did you mean `state`"),
    ],
)
async def test_an_unclear_selection_replays_nothing(scene, unmatched, payload, cure):
    with pytest.raises(ConnectorError, match=cure):
        await scene.ask("replay", **payload)
    assert scene.state(unmatched[0]) == "unmatched"


async def test_a_replayed_delivered_event_is_delivered_again_only_where_the_mappings_changed(scene, unmatched):
    edit(scene, "strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {keyword?}"')
    said = await scene.ask("replay", id=unmatched[2])
    assert words(said) == [("salesforce Contact.SMS_Opt_Out_Source__c", "changed")]
    await scene.plan()
    (unit,) = await scene.settle("salesforce")
    assert [dict(one.set) for one in unit.operations if one.set] == [{"SMS_Opt_Out_Source__c": "SMS KATT"}]
    assert scene.state(unmatched[2]) == "delivered"
    assert [one.phase.value for one in scene.store.consents.of(DONOR)].count("decided") == 1


async def test_an_event_that_waits_for_a_decision_is_not_replayed(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.NEEDS_PERSON)
    edit(scene, "strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {keyword?}"')
    assert (await scene.ask("replay", state="dead"))["found"] == 0
    assert scene.state(event_id) == "dead"


# The list.


async def test_events_are_listed_newest_first_with_phone_keyword_state_and_rules(scene, unmatched):
    said = await scene.ask("events_list", limit=2)
    assert [one["id"] for one in said["events"]] == [unmatched[2], unmatched[1]]
    assert (said["total"], said["more"]) == (3, True)
    newest = said["events"][0]
    assert (newest["action"], newest["keyword"], newest["phone"]) == ("Unsubscribe", "KATT", "+47…008")
    assert newest["rules"] == ["strex-subscription.yaml: donor opted out"]
    assert DONOR not in json.dumps(said)
    assert DONOR in json.dumps(await scene.ask("events_list", reveal=True))
