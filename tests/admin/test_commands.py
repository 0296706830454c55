import json
from datetime import timedelta

import pytest
from admin.scene import DONOR, NOW, OTHER, Scene, make_home, report

from connector.admin import AdminContext, commands_for
from connector.admin.advice import cure
from connector.admin.masking import Masked
from connector.admin.retention import keep_of
from connector.delivery.cures import CURES
from connector.delivery.suspended_rules import Suspension, SuspensionChanges
from connector.model.errors import ConnectorError
from connector.model.event import Event, Verdict
from connector.model.http import HttpRequest
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.pipeline.receive import entry
from connector.store.records import ShadowWrite
from connector.store.units import Planned


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


def request(body):
    return HttpRequest(
        method="POST",
        instance="strex",
        endpoint="dlr",
        secret=None,
        url="",
        query="",
        headers={},
        body=body,
        peer="127.0.0.1",
        received_at=NOW,
    )


async def dead_opt_out(scene, *, rule="", code="", **about):
    event_id = await scene.receive(report("Unsubscribe", **about))
    await scene.plan()
    detail = f"no access for {DONOR}"
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.NO_ACCESS, detail=detail, rule=rule, code=code)
    return event_id


# Status.


async def test_status_counts_add_up_and_every_sink_is_listed(scene):
    await scene.receive(report("Unsubscribe"))
    await scene.plan()
    await scene.receive(report("Subscribe", transaction="t-2", phone=OTHER))
    scene.later(minutes=6)
    said = await scene.ask("status")
    assert (said["received"], said["balanced"]) == (2, True)
    assert {state: n for state, n in said["states"].items() if n} == {"pending": 1, "delivering": 1}
    assert set(said["states"]) == {state.value for state in EventState}
    assert said["oldest_pending_seconds"] == 360
    by_name = {one["sink"]: one for one in said["sinks"]}
    assert set(by_name) == {"salesforce", "strex"}
    assert by_name["salesforce"]["units"]["ready"] == 1
    assert by_name["salesforce"]["oldest_open_seconds"] == 360
    assert by_name["strex"]["oldest_open"] is None
    nothing = {"accepted_at": None, "refused_at": None, "refused_for": []}
    assert said["mapping"] == {"version": scene.rules.version, "problems": 0, **nothing}
    json.dumps(said)


async def test_status_lists_only_opt_outs_past_the_deadline(scene):
    await scene.receive(report("Unsubscribe"))
    await scene.plan()
    scene.later(minutes=4)
    assert (await scene.ask("status"))["late_opt_outs"] == []
    scene.later(minutes=2)
    (late,) = (await scene.ask("status"))["late_opt_outs"]
    assert (late["sink"], late["seconds"], late["failed"]) == ("salesforce", 360, False)


async def test_status_shows_the_position_of_each_feed(scene):
    (feed,) = (await scene.ask("status"))["feeds"]
    assert (feed["feed"], feed["begun"]) == ("salesforce.Contact", False)
    cursor = json.dumps({"fields": [], "position": "2026-01-02", "baseline": False})
    await scene.store.following.set_cursor("salesforce.Contact", cursor)
    (feed,) = (await scene.ask("status"))["feeds"]
    assert (feed["first_look_over"], feed["position"]) == (True, "2026-01-02")


async def test_status_works_with_broken_mappings(scene):
    path = scene.loaded.resolve_path("mappings") / "strex-log.yaml"
    path.write_text("on: strex.mesage\nrules: []\n")

    context = AdminContext.of(scene.store, rules=scene.read_rules, loaded=scene.loaded, now=lambda: scene.now)
    said = await commands_for(context)["status"]({})
    assert (said["mapping"]["version"], said["mapping"]["problems"]) == (None, 1)


# Dead letters.


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_cure(reason):
    assert cure(reason) == CURES[reason].dead_letter
    assert len(CURES[reason].dead_letter) > 30


def test_the_cure_of_an_opt_out_without_a_number_does_not_leave_it_out():
    advice = cure(Reason.MISSING_KEY, "31") or ""
    assert "`connector explain 31` shows who sent it" in advice
    assert "`connector dead discard 31`" in advice
    assert "`connector explain EVENT`" in (cure(Reason.MISSING_KEY, "--group 3fa20c") or "")


async def test_a_dead_letter_is_listed_with_its_cure_and_without_the_number(scene):
    event_id = await dead_opt_out(scene)
    said = await scene.ask("dead_list")
    (letter,) = said["letters"]
    assert (letter["id"], letter["reason"], letter["sink"]) == (event_id, "no_access", "salesforce")
    assert letter["cure"] == cure(Reason.NO_ACCESS, str(event_id))
    assert said["reasons"] == {"no_access": {"count": 1, "cure": cure(Reason.NO_ACCESS, "--reason no_access")}}
    assert DONOR not in json.dumps(said)
    assert (await scene.ask("dead_list", reason="bug"))["letters"] == []


async def test_a_dead_letter_is_shown_by_id_or_key_with_what_it_was_to_do(scene):
    event_id = await dead_opt_out(scene)
    by_id = await scene.ask("dead_show", id=event_id)
    assert by_id == await scene.ask("dead_show", id=str(event_id))
    assert by_id == await scene.ask("dead_show", id=by_id["letters"][0]["key"])
    (letter,) = by_id["letters"]
    assert [one["upsert"] for one in letter["operations"]] == ["Contact", "SMS_Event__c", "Contact"]
    assert DONOR not in json.dumps(by_id)
    assert DONOR in json.dumps(await scene.ask("dead_show", id=event_id, reveal=True))


async def test_dead_letters_are_listed_by_their_causes_with_the_line_of_the_rule(scene):
    rule = scene.rules.files[-1].rules[-1]
    event_id = await dead_opt_out(scene, rule=rule.label, code="INSUFFICIENT_ACCESS")
    (group,) = (await scene.ask("dead_list"))["groups"]
    assert (group["count"], group["code"], group["rule"]) == (1, "INSUFFICIENT_ACCESS", rule.label)
    assert group["place"] == f"{scene.rules.files[-1].name}:{rule.line}"
    assert group["cure"] == cure(Reason.NO_ACCESS, f"--group {group['group']}")
    with pytest.raises(ConnectorError, match="no group"):
        await scene.ask("dead_retry", group="ffffff")
    assert (await scene.ask("dead_retry", group=group["group"]))["retried"] == 1
    assert scene.state(event_id) == "delivering"


async def test_events_that_could_not_be_planned_are_grouped_by_their_rule(scene):
    rule = scene.rules.files[0].rules[0]
    event_id = await scene.receive(report("Unsubscribe"))
    dead = Planned(event_id=event_id, state=EventState.DEAD, reason=Reason.MISSING_KEY, detail=f"{rule.label}: no key")
    await scene.store.plans.commit([dead], now=scene.now)
    (group,) = (await scene.ask("dead_list"))["groups"]
    assert (group["rule"], group["place"]) == (rule.label, f"{scene.rules.files[0].name}:{rule.line}")
    assert (await scene.ask("dead_retry", rule=scene.rules.files[0].name))["retried"] == 1
    assert scene.state(event_id) == "pending"


async def test_a_suspended_rule_is_listed_and_retried_on_request(scene):
    rule = scene.rules.files[0].rules[0]
    stop = Suspension(
        sink="salesforce",
        rule=rule.label,
        object="Contact",
        field="X__c",
        detail=f"No such column {DONOR}",
        since=scene.now,
        probe_at=scene.now + timedelta(minutes=3),
    )
    await scene.store.suspensions.change(SuspensionChanges(began=(stop,)), now=scene.now)
    (seen,) = (await scene.ask("status"))["stopped"]
    assert (seen["rule"], seen["place"]) == (rule.label, f"{scene.rules.files[0].name}:{rule.line}")
    assert DONOR not in seen["detail"]
    with pytest.raises(ConnectorError):
        await scene.ask("dead_retry", rule="another.yaml")
    for payload in (
        {"rule": rule.label},
        {"rule": scene.rules.files[0].name},
        {"reason": "configuration"},
        {"all": True},
    ):
        said = await scene.ask("dead_retry", **payload)
        assert (said["retried"], said["stops_tried"]) == (0, 1)
    assert scene.store.suspensions.all()[0].due(scene.now)


@pytest.mark.parametrize("payload", [{"rule": "x", "all": True}, {"rule": "x", "group": "y"}, {"group": 3}])
async def test_a_retry_needs_exactly_one_kind_of_selection(scene, payload):
    with pytest.raises(ConnectorError):
        await scene.ask("dead_retry", **payload)


@pytest.mark.parametrize("how", ["ids", "keys", "reason", "all"])
async def test_dead_letters_are_retried_by_id_reason_or_all(scene, how):
    event_id = await dead_opt_out(scene)
    key = scene.store.inbox.get(event_id).key
    payload = {
        "ids": {"ids": [event_id]},
        "keys": {"ids": [key]},
        "reason": {"reason": "no_access"},
        "all": {"all": True},
    }
    assert (await scene.ask("dead_retry", **payload[how]))["retried"] == 1
    assert scene.state(event_id) == "delivering"


@pytest.mark.parametrize(
    ("payload", "cure_words"),
    [
        ({}, "say which"),
        ({"ids": [1], "all": True}, "say which"),
        ({"ids": []}, "at least one event"),
        ({"ids": [77]}, "connector events"),
        ({"ids": ["nothing"]}, "connector events"),
        ({"ids": [True]}, "id or its key"),
        ({"ids": [2**70]}, "connector events"),
        ({"reason": "no_acces"}, "did you mean `no_access`"),
        ({"reason": "bug"}, "dead list"),
        ({"all": "yes"}, "kind bool"),
        ({"id": [1]}, "did you mean `ids`"),
    ],
)
async def test_an_unclear_selection_changes_nothing(scene, payload, cure_words):
    event_id = await dead_opt_out(scene)
    with pytest.raises(ConnectorError, match=cure_words):
        await scene.ask("dead_retry", **payload)
    assert scene.state(event_id) == "dead"


async def test_an_event_that_is_not_dead_has_no_dead_letter_to_show(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    with pytest.raises(ConnectorError, match="it is pending: see `connector dead list`"):
        await scene.ask("dead_show", id=event_id)


async def test_a_dead_letter_is_discarded_only_by_the_id_of_its_event(scene):
    event_id = await dead_opt_out(scene)
    with pytest.raises(ConnectorError, match="all"):
        await scene.ask("dead_discard", all=True)
    assert await scene.ask("dead_discard", ids=[event_id]) == {"discarded": 1}
    assert scene.state(event_id) == "ignored"
    with pytest.raises(ConnectorError, match="no such dead letter"):
        await scene.ask("dead_discard", ids=[event_id])


# What is parked.


async def parked(scene):
    """Two changes of one poll, where one command is allowed."""
    events = [
        Event(
            key=f"change-{number}",
            provider="salesforce",
            shape="change",
            action="change",
            verdict=Verdict.OPT_OUT,
            received_at=scene.now,
            msisdn=Phone(phone),
            object="Contact",
            record={"Id": f"003-{number}", "MobilePhone": phone, "SMS_Opt_Out__c": True},
            changed=("SMS_Opt_Out__c",),
            batch="poll-1",
        )
        for number, phone in enumerate([DONOR, OTHER])
    ]
    kept = await scene.store.inbox.keep([entry(event, b"") for event in events])
    await scene.plan(max_people=1)
    return [one.id for one in kept]


async def test_parked_events_are_listed_apart_from_dead_letters(scene):
    ids = await parked(scene)
    said = await scene.ask("parked_list")
    assert [one["id"] for one in said["parked"]] == ids
    assert {one["command"] for line in said["parked"] for one in line["operations"]} == {"unsubscribe"}
    assert DONOR not in json.dumps(said)
    assert (await scene.ask("dead_list"))["letters"] == []


async def test_a_parked_event_is_released_or_discarded(scene):
    first, second = await parked(scene)
    assert await scene.ask("parked_release", ids=[first]) == {"released": 1}
    assert await scene.ask("parked_discard", all=True) == {"discarded": 1}
    assert (scene.state(first), scene.state(second)) == ("delivering", "ignored")
    with pytest.raises(ConnectorError, match="parked list"):
        await scene.ask("parked_release", all=True)


async def test_a_retry_of_all_dead_letters_releases_nothing_parked(scene):
    await parked(scene)
    with pytest.raises(ConnectorError, match="parked list"):
        await scene.ask("dead_retry", all=True)


# Texts that may be opt-outs.


async def message(scene, text, *, phone=DONOR, transaction="m-1"):
    body = {"transactionId": transaction, "sender": phone, "recipient": "2002", "content": text}
    event_id = await scene.receive(json.dumps(body).encode(), "strex/mo")
    await scene.plan()
    return event_id


async def test_equal_texts_that_may_be_opt_outs_are_one_question_with_the_commands_that_answer_it(scene):
    first = await message(scene, f"stopp ulven {OTHER}")
    await message(scene, f"STOPP ulven!! {OTHER}", phone=OTHER, transaction="m-2")
    other = await message(scene, "cancel culture", transaction="m-3")
    said = await scene.ask("parked_list")
    assert [(one["event"], one["count"]) for one in said["questions"]] == [(first, 2), (other, 1)]
    question = said["questions"][0]
    assert (question["provider"], question["short_number"], question["keyword"]) == ("strex", "2002", None)
    assert question["text"] == "stopp ulven +47…001"
    assert question["answers"] == {
        "was": f"connector parked answer {first} was",
        "was-not": f"connector parked answer {first} was-not",
    }
    assert said["parked"] == []
    assert OTHER not in json.dumps(said)


@pytest.mark.parametrize(
    ("answer", "decided", "words"),
    [
        ("was", ["opted out of everything on 2002 (strex)"], "it was an opt-out"),
        ("was-not", [], "it was not an opt-out"),
    ],
)
async def test_an_answer_holds_for_what_waits_and_for_what_comes_later_and_is_explained(scene, answer, decided, words):
    first = await message(scene, "stopp ulven")
    second = await message(scene, "Stopp ulven!", phone=OTHER, transaction="m-2")
    said = await scene.ask("parked_answer", id=first, answer=answer)
    assert (said["planned"], said["done_before"], said["text"]) == ([first, second], [], "stopp ulven")
    await scene.plan()
    later = await message(scene, "stopp ulven 🐺", transaction="m-3")
    for event_id in (first, second, later):
        assert scene.state(event_id) == "delivering"
        became = await scene.ask("explain", event=event_id)
        assert words in became["became"]["detail"]
        assert [one for one in became["plan"]["consent"] if "person said" not in one] == decided
        assert (became["event"]["verdict"], words in " ".join(became["plan"]["consent"])) == ("maybe_stop", True)
    assert (await scene.ask("parked_list"))["questions"] == []


async def test_the_ledger_does_not_say_that_a_provider_holds_what_only_a_person_saw(scene):
    event_id = await message(scene, "stopp ulven")
    await scene.ask("parked_answer", id=event_id, answer="was")
    await scene.plan()
    assert [one.phase for one in scene.store.consents.of(DONOR)] == ["decided"]


async def test_answers_are_listed_and_can_be_changed(scene):
    event_id = await message(scene, f"stopp ulven {OTHER}")
    await scene.ask("parked_answer", id=str(event_id), answer="was-not")
    (given,) = (await scene.ask("parked_answers"))["answers"]
    assert (given["event"], given["answer"], given["text"]) == (event_id, "was-not", "stopp ulven")
    assert given["change"] == f"connector parked answer {event_id} was"
    await scene.plan()
    await scene.settle("salesforce")
    said = await scene.ask("parked_answer", id=event_id, answer="was")
    assert (said["planned"], said["done_before"]) == ([], [event_id])
    (given,) = (await scene.ask("parked_answers"))["answers"]
    assert given["answer"] == "was"


async def test_an_answer_can_be_changed_when_its_event_is_no_longer_kept(scene):
    event_id = await message(scene, "stopp ulven")
    await scene.ask("parked_answer", id=event_id, answer="was-not")
    await scene.plan()
    await scene.settle("salesforce")
    await scene.store.retention.sweep(NOW + timedelta(days=100), keep_of(scene.loaded))
    assert scene.store.inbox.get(event_id) is None
    assert (await scene.ask("parked_answer", id=event_id, answer="was"))["answer"] == "was"


async def test_an_answer_needs_an_event_with_an_open_question_and_one_of_two_words(scene):
    event_id = await message(scene, "stopp ulven")
    for payload in ({"id": event_id}, {"id": event_id, "answer": "perhaps"}):
        with pytest.raises(ConnectorError, match=r"`was` .* or `was-not`"):
            await scene.ask("parked_answer", **payload)
    ordinary = await message(scene, "hei", transaction="m-2")
    with pytest.raises(ConnectorError, match="has no open question"):
        await scene.ask("parked_answer", id=ordinary, answer="was")
    with pytest.raises(ConnectorError, match="no event"):
        await scene.ask("parked_answer", id=77, answer="was")
    assert scene.state(event_id) == "dead"


async def test_an_event_with_an_open_question_can_be_neither_released_nor_discarded(scene):
    event_id = await message(scene, "stopp ulven")
    for command in ("parked_discard", "parked_release"):
        with pytest.raises(ConnectorError, match=f"connector parked answer {event_id} was"):
            await scene.ask(command, ids=[event_id])
        with pytest.raises(ConnectorError, match="no such parked event"):
            await scene.ask(command, all=True)
    cure = (await scene.ask("explain", event=event_id))["became"]["cure"]
    assert cure == f"`connector parked answer {event_id} was` or `connector parked answer {event_id} was-not`"
    assert scene.state(event_id) == "dead"


# Replay.


async def test_an_unreadable_event_is_read_again(scene):
    body = report("Unsubscribe")
    event_id = await scene.receive_raw(request(b"Properties: {}"))
    assert scene.state(event_id) == "unreadable"
    with pytest.raises(ConnectorError, match="still cannot be read"):
        await scene.ask("replay", id=event_id)
    assert scene.state(event_id) == "unreadable"
    # A fixed reader would be at the same endpoint; here the body is fixed instead.
    await scene.store.writer.run(
        lambda connection: connection.execute("UPDATE inbox SET raw = ? WHERE id = ?", (body, event_id))
    )
    said = await scene.ask("replay", id=event_id)
    assert (said["id"], said["key"], said["state"]) == (event_id, "strex-dlr-t-1-Ok-Delivered", "pending")
    await scene.plan()
    assert scene.state(event_id) == "delivering"


@pytest.mark.parametrize("named", [77, "no-such-key", None, [], 1.5])
async def test_only_a_known_event_is_replayed(scene, named):
    with pytest.raises(ConnectorError):
        await scene.ask("replay", id=named)


# Consents.


async def test_consents_show_subscriptions_ledger_and_what_is_open(scene):
    await scene.receive(report("Subscribe", transaction="t-1", keyword="KATT", joined="j-1"))
    await scene.plan()
    await scene.receive(report("Unsubscribe", transaction="t-2", keyword="KATT", joined="j-1"))
    await scene.plan()
    said = await scene.ask("consents_show", phone=DONOR)
    assert [(one["words"], one["active"]) for one in said["subscriptions"]] == [("KATT on 2002 (strex)", False)]
    assert said["last_word"] == "opted out of KATT on 2002 (strex)"
    assert [one["phase"] for one in said["ledger"]] == ["decided", "decided", "confirmed"]
    assert [one["sink"] for one in said["open_opt_outs"]] == ["salesforce"]
    assert DONOR not in json.dumps(said)
    assert said == await scene.ask("consents_show", phone="98 07 90 08")


async def test_an_unknown_number_has_an_empty_ledger_and_a_bad_one_is_not_repeated(scene):
    assert (await scene.ask("consents_show", phone=OTHER))["last_word"] is None
    with pytest.raises(ConnectorError, match="country code") as caught:
        await scene.ask("consents_show", phone="12345678901234567890")
    assert "123456" not in str(caught.value)


async def test_the_baseline_sends_nothing_unless_send_is_set(scene):
    await scene.shadow("003-1", phone=DONOR)
    await scene.shadow("003-2", phone=DONOR)
    await scene.shadow("003-3", phone=None)
    await scene.shadow("003-4", phone=OTHER, out=False)
    said = await scene.ask("consents_baseline")
    assert (said["opted_out_records"], said["without_number"], said["same_number"]) == (3, 1, 1)
    assert (said["people"], said["commands"], said["sent"]) == (1, 2, 0)
    (line,) = said["lines"]
    assert line["commands"] == ["unsubscribe MYKEYWORD on 2002 (strex)", "unsubscribe KATT on 2002 (strex)"]
    assert DONOR not in json.dumps(said)
    assert scene.store.inbox.received() == 0


async def test_the_baseline_is_sent_once_and_never_parked(scene):
    phones = [f"+479000000{number}" for number in range(1, 5)]
    for number, phone in enumerate(phones):
        await scene.shadow(f"003-{number}", phone=phone)
    assert (await scene.ask("consents_baseline", send=True))["sent"] == 4
    assert (await scene.ask("consents_baseline", send=True))["sent"] == 0
    await scene.plan(max_people=1)
    assert (await scene.ask("parked_list"))["parked"] == []
    units = await scene.settle("strex")
    assert sorted(unit.lane for unit in units) == phones
    again = await scene.ask("consents_baseline", send=True)
    assert (again["already_out"], again["commands"], again["sent"]) == (4, 0, 0)


async def test_the_baseline_is_sent_again_for_a_person_who_has_joined_since(scene):
    await scene.shadow("003-1", phone=DONOR)
    assert (await scene.ask("consents_baseline", send=True))["sent"] == 1
    await scene.plan()
    await scene.receive(report("Subscribe", keyword="HUND", joined="j-1"))
    await scene.plan()
    said = await scene.ask("consents_baseline", send=True)
    assert (said["people"], said["sent"]) == (1, 1)


async def test_a_person_who_opted_out_by_sms_is_not_in_the_baseline(scene):
    await scene.receive(report("Unsubscribe"))
    await scene.plan()
    await scene.shadow("003-1", phone=DONOR)
    assert (await scene.ask("consents_baseline"))["already_out"] == 1


async def test_the_baseline_goes_to_the_subscriptions_that_the_ledger_knows(scene):
    await scene.receive(report("Subscribe", keyword="HUND", joined="j-1"))
    await scene.plan()
    await scene.shadow("003-1", phone=DONOR)
    (line,) = (await scene.ask("consents_baseline"))["lines"]
    assert line["commands"] == ["unsubscribe HUND on 2002 (strex)"]


# Explain.


async def test_an_event_is_explained_with_input_rules_consent_and_result(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.NO_ACCESS, detail="no access")
    said = await scene.ask("explain", event=event_id)
    assert said["event"]["words"] == (
        "A delivery report from strex (Unsubscribe) for +47…008 about KATT on 2002; it calls this an opt-out"
    )
    asked = said["plan"]["rules"]
    assert (asked[0]["rule"], asked[0]["matched"]) == ("still under way", False)
    assert asked[0]["why"] == "result is ok, the rule wants pending"
    rules = {one["rule"]: one for one in asked}
    assert rules["donor opted out"]["matched"] is True
    values = {one["field"]: one for one in rules["donor opted out"]["operations"][0]["values"]}
    assert values["SMS_Opt_Out_Source__c"] == {
        "field": "SMS_Opt_Out_Source__c",
        "source": "Strex {keyword?}",
        "value": "Strex KATT",
    }
    assert said["plan"]["consent"] == ["opted out of KATT on 2002 (strex)"]
    (sink,) = said["became"]["sinks"]
    assert (sink["sink"], sink["state"], sink["reason"], sink["cure"]) == (
        "salesforce",
        "dead",
        "no_access",
        cure(Reason.NO_ACCESS, str(event_id)),
    )
    assert said["became"]["mapping_changed"] is False


async def test_an_explanation_masks_all_numbers_unless_reveal_is_set(scene):
    body = report("Subscribe").replace(
        b'"Keyword"', b'"phone": "98079008", "note": "call 4798079008 or +4790000001", "Keyword"'
    )
    event_id = await scene.receive(body)
    await scene.plan()
    for asked in ({"event": event_id}, {"phone": DONOR}):
        hidden = json.dumps(await scene.ask("explain", **asked))
        assert "98079008" not in hidden
        assert "90000001" not in hidden
        assert DONOR in json.dumps(await scene.ask("explain", **asked, reveal=True))


async def test_an_event_is_planned_again_with_what_was_known_before_it(scene):
    """The flag of one who leaves one of two subscriptions stays; by the whole ledger, with both left, it would be set."""
    await scene.receive(report("Subscribe", transaction="a", keyword="KATT", joined="j-1"))
    await scene.receive(report("Subscribe", transaction="b", keyword="MYKEYWORD", joined="j-2"))
    await scene.plan()
    first = await scene.receive(report("Unsubscribe", transaction="c", keyword="KATT", joined="j-1"))
    await scene.plan()
    await scene.receive(report("Unsubscribe", transaction="d", keyword="MYKEYWORD", joined="j-2"))
    await scene.plan()
    said = (await scene.ask("explain", event=first))["plan"]
    assert any("1 other subscription(s)" in one for one in said["consent"])
    assert not any("SMS_Opt_Out__c" in one["set"] for one in said["operations"])


async def test_an_explanation_says_that_other_mappings_planned_the_event(scene):
    event_id = await scene.receive(report("AlreadyRegistered"))
    await scene.plan()
    path = scene.loaded.resolve_path("mappings") / "strex-log.yaml"
    path.write_text(path.read_text() + "\n# A remark.\n")
    decided, scene.rules = scene.rules.version, scene.read_rules()
    said = await scene.ask("explain", event=event_id)
    assert said["became"]["mapping_changed"] is True
    assert (said["became"]["mapping"], said["plan"]["mapping"]) == (decided, scene.rules.version)


async def test_an_unreadable_event_is_explained_too(scene):
    event_id = await scene.receive_raw(request(b"{}"))
    said = await scene.ask("explain", event=event_id)
    assert said["plan"] is None
    assert said["became"]["state"] == "unreadable"
    assert "replay" in said["became"]["cure"]


async def test_a_person_is_explained_in_order_with_the_ledger(scene):
    await scene.receive(report("Subscribe", transaction="a", joined="j-1"))
    await scene.plan()
    await scene.settle("salesforce")
    await scene.receive(report("Unsubscribe", transaction="b", joined="j-1"))
    await scene.plan()
    said = await scene.ask("explain", phone=DONOR)
    assert [one["event"]["action"] for one in said["history"]] == ["Subscribe", "Unsubscribe"]
    assert [one["state"] for one in said["history"]] == ["delivered", "delivering"]
    assert said["history"][0]["ledger"][0]["words"].startswith("joined KATT on 2002 (strex); said by strex")
    assert said["subscriptions"][0]["active"] is False


@pytest.mark.parametrize("payload", [{}, {"event": 1, "phone": DONOR}, {"event": 9}, {"phone": "nobody"}, {"evnt": 1}])
async def test_a_question_that_names_no_known_event_or_person_is_refused(scene, payload):
    with pytest.raises(ConnectorError):
        await scene.ask("explain", **payload)


def test_values_are_shown_as_json_can_hold_them():
    shown = Masked(person=Phone(DONOR))
    assert shown.value({"a": [Verdict.OPT_OUT, Phone(DONOR), 4798079008, 250, True, None, 1.5, "x"]}) == {
        "a": ["opt_out", "+47…008", "…008", 250, True, None, 1.5, "x"]
    }


async def test_the_baseline_leaves_out_fields_that_are_not_in_consent_fields(scene):
    write = ShadowWrite(
        crm="salesforce", object="Lead", record_id="00Q-1", fields={"Out__c": True}, phone=DONOR, opted_out=True
    )
    await scene.store.records.write([write], now=scene.now)
    said = await scene.ask("consents_baseline")
    assert (said["opted_out_records"], said["commands"]) == (0, 0)
