"""What is stored of our last write to a record, and of opt-outs whose flag the CRM's automation has reset."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.model.consent import Decision, Phase, Scope, Subscription
from connector.model.event import Verdict
from connector.model.phone import Phone
from connector.model.states import UnitState
from connector.store.consents import TAKEN_BACK
from connector.store.feeds import FollowStep
from connector.store.gone_records import Gone
from connector.store.records import ShadowWrite, records_of
from connector.store.units import Confirmation

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = "+4790000001", "+4790000002"
CRM = "salesforce"


def wrote(record_id="003A", person=ANNA, **fields):
    return ShadowWrite(crm=CRM, object="Contact", record_id=record_id, fields=fields, written=True, person=person)


def shown(record_id="003A", **about):
    return ShadowWrite(crm=CRM, object="Contact", record_id=record_id, shown=True, **about)


async def last_write(store, *writes):
    await store.records.write(writes, now=NOW)
    known = await store.writer.run(lambda connection: records_of(connection, CRM, "Contact", ["003A"]))
    return known["003A"].last_write


async def test_a_record_that_we_never_wrote_has_no_last_write(store):
    assert await last_write(store, shown(fields={"A": 1})) is None


async def test_the_last_write_names_its_fields_and_its_person(store):
    known = await last_write(store, wrote(A=1), wrote(B=2, person=None))
    assert (known.fields, known.unseen, known.person) == (("B",), {"A": 1, "B": 2}, ANNA)
    assert (await last_write(store, wrote(person=BERIT))).fields == ()
    assert (await last_write(store)).person == BERIT


async def test_a_value_that_the_crm_has_shown_is_no_longer_unseen(store):
    known = await last_write(store, wrote(A=1), shown(fields={"A": 2}))
    assert (known.fields, known.unseen, known.person) == (("A",), {}, ANNA)


async def test_another_record_with_the_same_number_is_found(store):
    await store.records.write([shown("003A", phone=ANNA), shown("003B", phone=BERIT)], now=NOW)
    assert not store.records.has_phone(CRM, "Contact", ANNA, but="003A")
    await store.records.write([shown("003C", phone=ANNA)], now=NOW)
    assert store.records.has_phone(CRM, "Contact", ANNA, but="003A")
    await follow(store, now=NOW, gone=(Gone(record_id="003C"),))
    assert not store.records.has_phone(CRM, "Contact", ANNA, but="003A")
    assert not store.records.has_phone(CRM, "Contact", "", but="003A")


def decision(phone=ANNA, word=Verdict.OPT_OUT):
    return Decision(
        phone=Phone(phone),
        word=word,
        scope=Scope.EVERYTHING,
        subscription=Subscription(provider="strex"),
        origin="strex",
        occurred_at=NOW,
    )


async def opted_out(scene, key="out", phone=ANNA):
    """An opt-out that the CRM has confirmed; its event's id."""
    event_id = await scene.keep(key, phone=phone)
    await scene.plan(event_id, lane=phone, decisions=(decision(phone),))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DELIVERED, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    return event_id


async def follow(store, *, now, **what):
    step = FollowStep(**what)
    await store.following.follow("feed", lambda _: step, crm=CRM, object="Contact", record_ids=[], now=now)


def open_ones(scene):
    return [(one.event_id, one.sink, one.failed) for one in scene.store.consents.open_opt_outs(scene.now)]


async def test_an_opt_out_that_automation_reverted_is_open_again_and_the_ledger_says_why(scene):
    event_id = await opted_out(scene)
    assert open_ones(scene) == []
    await follow(scene.store, now=scene.now, taken_back={ANNA: "Contact 003A", BERIT: "Contact 003B"})
    assert open_ones(scene) == [(event_id, CRM, f"{TAKEN_BACK}: Contact 003A")]
    last = scene.store.consents.of(ANNA)[-1]
    assert (last.phase, last.detail) == (Phase.FAILED, f"{TAKEN_BACK}: Contact 003A")


@pytest.mark.parametrize("how", ["out", "deleted"])
async def test_a_reverted_opt_out_is_closed_when_the_record_has_it_again_or_is_gone(scene, how):
    await opted_out(scene)
    await follow(scene.store, now=scene.now, taken_back={ANNA: "Contact 003A"})
    await follow(scene.store, now=scene.now, **{how: (BERIT,)})
    assert len(open_ones(scene)) == 1
    await follow(scene.store, now=scene.now, **{how: (ANNA,)})
    assert open_ones(scene) == []
    assert scene.store.consents.of(ANNA)[-1].phase is Phase.CONFIRMED


async def test_an_undelivered_opt_out_is_not_confirmed_by_a_record_with_the_flag(scene):
    event_id = await scene.keep("out")
    await scene.plan(event_id, decisions=(decision(),))
    await follow(scene.store, now=scene.now, out=(ANNA,))
    assert [one[0] for one in open_ones(scene)] == [event_id]


async def test_a_reverted_opt_out_is_closed_when_the_person_opts_in(scene):
    await opted_out(scene)
    await opted_out(scene, "other", BERIT)
    await follow(scene.store, now=scene.now, taken_back={ANNA: "Contact 003A", BERIT: "Contact 003B"})
    await scene.plan(await scene.keep("in"), decisions=(decision(word=Verdict.OPT_IN),))
    assert [one[2] for one in open_ones(scene)] == [f"{TAKEN_BACK}: Contact 003B"]


async def test_a_reverted_flag_of_a_person_who_opted_in_since_opens_no_opt_out(scene):
    await opted_out(scene)
    await scene.plan(await scene.keep("in"), decisions=(decision(word=Verdict.OPT_IN),))
    await follow(scene.store, now=scene.now, taken_back={ANNA: "Contact 003A"})
    assert open_ones(scene) == []


async def test_people_whose_opt_out_is_only_in_the_crm_are_counted(scene):
    await opted_out(scene)
    await scene.later(seconds=1)
    out = {"opted_out": True, "fields": {}}
    rows = [shown("003A", phone=ANNA, **out), shown("003B", phone=BERIT, **out), shown("003C", phone=BERIT, **out)]
    await scene.store.records.write([*rows, shown("003D", phone="", **out)], now=scene.now + timedelta(seconds=1))
    assert scene.store.consents.not_held(CRM, "Contact") == 1
    assert scene.store.consents.not_held(CRM, "Lead") == 0
