"""Actions on what waits for a person, what became of each event, and the page of one person."""

import json

import pytest
from admin.scene import DONOR, OTHER, Scene, make_home, report

from connector.model.errors import ConnectorError
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store.units import Settlement

REFUSED = {"reason": Reason.VALIDATION, "detail": f"Ask Kari about {DONOR}", "rule": "a.yaml: b", "code": "X"}


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


async def dead(scene, *, phone=DONOR, action="Unsubscribe", transaction="t-1"):
    event_id = await scene.receive(report(action, phone=phone, transaction=transaction))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, **REFUSED)
    return event_id


async def maybe_stop(scene, text="stopp ulven", *, phone=DONOR, transaction="m-1"):
    body = {"transactionId": transaction, "sender": phone, "recipient": "2002", "content": text}
    event_id = await scene.receive(json.dumps(body).encode(), "strex/mo")
    await scene.plan()
    return event_id


async def group_of(scene):
    (group,) = (await scene.ask("needs_list"))["dead"]
    return group


async def test_a_retry_shows_the_result_of_each_event(scene):
    first = await dead(scene)
    second = await dead(scene, phone=OTHER, transaction="t-2")
    group = await group_of(scene)
    assert (group["count"], group["first"], group["words"]) == (2, first, "Ask Kari about +47…008")
    seen = await scene.ask("action_preview", what="retry", group=group["group"])
    assert (seen["events"], seen["open_opt_outs"], scene.state(first)) == (2, 2, "dead")
    done = await scene.ask("action_do", what="retry", group=group["group"], who="olga")
    shown = await scene.ask("action_show", id=done["action"])
    assert (shown["who"], shown["summary"], shown["finished"]) == ("olga", "2 of 2 under way", False)
    claimed, refused = await scene.store.outbox.claim("salesforce", 10, "test", scene.now)
    await scene.store.outbox.settle(
        [
            Settlement(unit_id=claimed.id, state=UnitState.DELIVERED),
            Settlement(unit_id=refused.id, state=UnitState.DEAD, **REFUSED),
        ],
        now=scene.now,
    )
    shown = await scene.ask("action_show", id=done["action"])
    assert shown["summary"] == "1 of 2 done, 1 refused again, because Ask Kari about +47…008"
    assert shown["finished"]
    assert [(one["event"], one["state"]) for one in shown["lines"]] == [(second, "dead"), (first, "delivered")]
    assert "connector dead retry" in shown["lines"][0]["cure"]
    json.dumps(shown)


async def test_the_preview_of_a_discard_counts_unconfirmed_opt_outs(scene):
    event_id = await dead(scene)
    seen = await scene.ask("action_preview", what="discard", ids=[event_id])
    assert (seen["words"], seen["open_opt_outs"]) == ("Discard the dead letters of 1 event", 1)
    done = await scene.ask("action_do", what="discard", ids=[event_id])
    shown = await scene.ask("action_show", id=done["action"])
    assert (shown["summary"], shown["finished"], shown["who"]) == ("1 of 1 discarded", True, "a person")


async def test_an_answer_holds_for_all_equal_texts(scene):
    first = await maybe_stop(scene)
    second = await maybe_stop(scene, phone=OTHER, transaction="m-2")
    (question,) = (await scene.ask("needs_list"))["stop_questions"]
    assert (question["event"], question["count"], question["text"]) == (first, 2, "stopp ulven")
    assert [one["what"] for one in question["answers"]] == ["was", "was-not"]
    seen = await scene.ask("action_preview", what="was", ids=[first])
    assert seen["words"] == "Answer for 2 events: it was a stop"
    done = await scene.ask("action_do", what="was", ids=[first])
    assert done["events"] == 2
    await scene.plan()
    await scene.settle("salesforce")
    assert (await scene.ask("action_show", id=done["action"]))["summary"].startswith("2 of 2 ")
    assert (await scene.ask("needs_list"))["stop_questions"] == []
    person = await scene.ask("person_find", phone="90000001")
    one = await scene.ask("person_overview", id=person["id"])
    assert [(each["event"], each["answer"]) for each in one["answered"]] == [(second, "It was a stop")]
    assert [each["id"] for each in one["actions"]] == [done["action"]]


async def test_a_parked_event_is_released_or_dropped_by_an_action(scene):
    for number in range(2):
        await scene.receive(report("Unsubscribe", transaction=f"t-{number}", phone=f"+479000020{number}"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.NEEDS_PERSON, detail="2 records have this number")
    first, second = (await scene.ask("needs_list"))["parked"]
    assert {one["what"] for one in first["answers"]} == {"release", "drop"}
    seen = await scene.ask("action_preview", what="release", ids=[first["event"]])
    assert [one["event"] for one in seen["operations"]] == [first["event"]]
    assert "+47900002" not in json.dumps(seen)
    done = await scene.ask("action_do", what="release", ids=[first["event"]])
    assert (await scene.ask("action_show", id=done["action"]))["summary"] == "1 of 1 under way"
    done = await scene.ask("action_do", what="drop", ids=[second["event"]])
    assert (await scene.ask("action_show", id=done["action"]))["summary"] == "1 of 1 discarded"
    assert (await scene.ask("needs_list"))["parked"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"what": "erase", "ids": [1]},
        {"what": "retry"},
        {"what": "retry", "group": "abcdef"},
        {"what": "discard", "ids": []},
        {"what": "discard", "ids": [99]},
        {"what": "release"},
        {"what": "was", "ids": [1, 2]},
        {"what": "replay"},
        {"what": "retry", "ids": [1], "all": True},
    ],
)
async def test_a_wrong_action_changes_nothing_and_is_not_kept(scene, wrong):
    event_id = await dead(scene)
    with pytest.raises(ConnectorError):
        await scene.ask("action_do", **wrong)
    assert scene.state(event_id) == "dead"
    assert (await scene.ask("actions_list"))["actions"] == []


async def test_an_action_is_forgotten_after_a_month(scene):
    done = await scene.ask("action_do", what="discard", ids=[await dead(scene)])
    scene.later(days=31)
    await scene.ask("action_do", what="discard", ids=[await dead(scene, transaction="t-9")])
    with pytest.raises(ConnectorError, match="no such action"):
        await scene.ask("action_show", id=done["action"])


async def test_needs_count_what_no_rule_takes_by_action(scene):
    scene.rules = scene.rules.only("strex-stops.yaml")
    for number in range(3):
        await scene.receive(report("Signup", transaction=f"t-{number}"))
    last = await scene.receive(report("Recurring", transaction="t-9"))
    await scene.plan()
    needs = await scene.ask("needs_list")
    assert [(one["action"], one["count"]) for one in needs["unmatched"]] == [("Signup", 3), ("Recurring", 1)]
    assert needs["unmatched"][1]["event"] == last
    assert (needs["unmatched_count"], needs["total"]) == (4, 0)
    seen = await scene.ask("action_preview", what="replay", state="unmatched", action="Signup")
    assert (seen["events"], seen["to_replay"]) == (3, 0)


async def test_late_opt_outs_come_first_and_count(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    assert (await scene.ask("needs_list"))["late_opt_outs"] == []
    scene.later(minutes=6)
    needs = await scene.ask("needs_list")
    assert next(iter(needs)) == "late_opt_outs"
    assert [one["id"] for one in needs["late_opt_outs"]] == [event_id]
    assert needs["total"] == 1


# A person.


@pytest.mark.parametrize("written", [DONOR, "79 80 90 08", "0047 79809008", "4779809008", "tel:+4779809008"])
async def test_a_number_in_any_form_leads_to_the_same_opaque_id(scene, written):
    number = written.replace("79 80 90 08", "98 07 90 08").replace("79809008", "98079008")
    found = await scene.ask("person_find", phone=number)
    assert found == await scene.ask("person_find", phone=DONOR)
    assert "98079008" not in found["id"]


async def test_an_invalid_number_is_refused_and_not_repeated_in_the_message(scene):
    with pytest.raises(ConnectorError, match="not a phone number") as refused:
        await scene.ask("person_find", phone="hemmelig 12")
    assert "hemmelig" not in str(refused.value)
    with pytest.raises(ConnectorError, match="no such person"):
        await scene.ask("person_overview", id="0" * 24)


async def test_a_persons_page_shows_the_consent_its_origin_and_its_confirmations(scene):
    person = await scene.ask("person_find", phone=DONOR)
    one = await scene.ask("person_overview", id=person["id"])
    assert (one["now"], one["subscriptions"], one["events"]) == (None, [], [])
    joined = await scene.receive(report("Subscribe", joined="s-1"))
    await scene.plan()
    await scene.settle("salesforce")
    scene.later(days=1)
    left = await scene.receive(report("Unsubscribe", transaction="t-2", joined="s-1"))
    await scene.plan()
    one = await scene.ask("person_overview", id=person["id"])
    assert one["phone"] == "+47…008"
    assert one["out"]
    assert (one["now"]["event"], one["now"]["said_by"], one["now"]["since"]) == (left, "strex", "2026-11-23T12:00:00Z")
    assert [each["sink"] for each in one["now"]["confirmed"]] == ["strex"]
    assert one["now"]["waits_for"] == ["salesforce"]
    assert [(each["system"], each["event"]) for each in one["open_opt_outs"]] == [("salesforce", left)]
    assert [(each["active"], each["event"]) for each in one["subscriptions"]] == [(False, left)]
    assert [each["id"] for each in one["events"]] == [left, joined]
    assert DONOR[1:] not in json.dumps(one)
    assert (await scene.ask("person_overview", id=person["id"], reveal=True))["phone"] == DONOR


async def test_events_come_page_by_page(scene):
    person = await scene.ask("person_find", phone=DONOR)
    ids = [await scene.receive(report("Recurring", transaction=f"t-{number}")) for number in range(30)]
    first = await scene.ask("person_overview", id=person["id"])
    assert [one["id"] for one in first["events"]] == ids[:4:-1]
    second = await scene.ask("person_overview", id=person["id"], before=first["older"])
    assert ([one["id"] for one in second["events"]], second["older"]) == (ids[4::-1], None)


async def test_records_of_the_crm_and_gifts_are_listed(scene):
    person = await scene.ask("person_find", phone=DONOR)
    await scene.shadow("0035f0000000001AAA", out=True)
    body = json.loads(report("Recurring"))
    event_id = await scene.receive(json.dumps({**body, "price": 150}).encode())
    one = await scene.ask("person_overview", id=person["id"])
    assert one["records"] == [
        {
            "crm": "salesforce",
            "object": "Contact",
            "record": "0035f0000000001AAA",
            "opted_out": True,
            "address": "https://acme.my.salesforce.com/0035f0000000001AAA",
        }
    ]
    assert [(each["event"], each["amount"], each["currency"]) for each in one["gifts"]] == [(event_id, "150", "NOK")]
