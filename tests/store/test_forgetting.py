"""Forgetting a person: what goes, what stays under a hash, and that no opt-out, gift or count is lost."""

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from store.conftest import ANNA, BERIT, CRM, NOW, Scene, keep, make_entry, write

from connector.consent.ledger_state import fold_ledger
from connector.model.consent import Decision, Phase, Scope, Subscription
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.store.backups import make_backup
from connector.store.inbox import Kept
from connector.store.mentions import Mentions
from connector.store.people import forget_id
from connector.store.person_key import PersonKeyMissing, key_file
from connector.store.personal_data import TREATMENTS
from connector.store.records import Link, ShadowWrite
from connector.store.restore import restore
from connector.store.store import Store
from connector.store.units import Confirmation, NewUnit, Planned, Settlement

PERSON = Phone(ANNA)
FORMS = ("4790000001", "90000001", "900 00 001", "90 00 00 01", "%2B4790000001")
NAME, WORDS = "Annabella", "whispered-words"
LONG = timedelta(days=90)


def decision(word=Verdict.OPT_OUT, phone=ANNA):
    return Decision(
        phone=Phone(phone),
        word=word,
        scope=Scope.SUBSCRIPTION,
        subscription=Subscription(provider="strex", short_number="2002", keyword="KATT"),
        origin="strex",
        occurred_at=NOW,
    )


def raw_of(phone=ANNA):
    return json.dumps({"from": phone, "text": WORDS, "again": f"%2B{phone[1:]}", "name": NAME}).encode()


async def life(scene, *, settled=True):
    """An opt-in, an opt-out, a record with its keys, and somebody else who names the number."""
    for key, word in (("in", Verdict.OPT_IN), ("out", Verdict.OPT_OUT)):
        await scene.store.inbox.keep(
            [
                make_entry(
                    key, verdict=word, text=WORDS, lookup={"firstName": NAME, "mobile": "900 00 001"}, raw=raw_of()
                )
            ]
        )
    urgent = {1: False, 2: True}
    for event, word in ((1, Verdict.OPT_IN), (2, Verdict.OPT_OUT)):
        await scene.plan(
            event, urgent=urgent[event], operations=(write(ANNA, FirstName=NAME),), decisions=(decision(word),)
        )
    await scene.store.inbox.keep(
        [make_entry("other", phone=BERIT, text=f"ring 900 00 001, {BERIT}", raw=b'{"t": "ring +47 900 00 001"}')]
    )
    await scene.plan(3, lane=BERIT)
    await scene.store.inbox.keep([make_entry("unread", unreadable="no JSON", raw=f"from={FORMS[-1]}".encode())])
    shadow = ShadowWrite(
        crm=CRM, object="Contact", record_id="003A", fields={"FirstName": NAME, "MobilePhone": "+47 900 00 001"},
        key_field="SMS_Key__c", key=ANNA, phone=ANNA,
    )  # fmt: skip
    child = ShadowWrite(crm=CRM, object="Gift__c", record_id="a01", fields={"Note__c": "fra 90000001"})
    await scene.store.records.write([shadow, child], now=NOW)
    await scene.store.people.id_of(ANNA)
    if settled:
        for unit in await scene.claim():
            confirmations = (Confirmation(phase=Phase.CONFIRMED, detail=f"{NAME} 003A"),)
            await scene.settle(unit, links=(Link(crm=CRM, object="Gift__c", key_field="Key__c", key="out", record_id="a02"),),
                               confirmations=confirmations)  # fmt: skip


async def forget(scene, phone=PERSON):
    await scene.store.forgetting.ask(phone, now=scene.now)
    return await scene.store.forgetting.erase(phone, now=scene.now, recognise=LONG)


def found_in(path, *words):
    """Which of the words are in which of the database's files, byte for byte."""
    files = [one for one in path.parent.iterdir() if one.name.startswith(path.name)]
    return {(one.name, word) for one in files for word in words if word.encode() in one.read_bytes()}


async def test_nothing_of_the_person_is_left_in_any_file(scene):
    await life(scene)
    assert found_in(scene.store.path, *FORMS, NAME, WORDS)
    assert not (await forget(scene)).waits
    assert await scene.store.forgetting.empty_log()
    assert found_in(scene.store.path, *FORMS, NAME, WORDS) == set()
    assert scene.store.inbox.get("other").event.text == f"ring 0, {BERIT}"
    assert scene.store.forgetting.forgotten(PERSON).erased_at == NOW
    assert scene.store.forgetting.unfinished() == []


async def test_the_opt_out_of_a_forgotten_person_holds_until_they_join_again(scene):
    await life(scene)
    await forget(scene)
    kept = scene.store.consents.of(ANNA)
    assert [one.decision.word for one in kept if one.phase is Phase.DECIDED] == [Verdict.OPT_IN, Verdict.OPT_OUT]
    assert fold_ledger(kept).out
    assert scene.store.consents.of_many([ANNA, BERIT]) == {ANNA: kept, BERIT: ()}
    assert scene.store.consents.opted_out([ANNA, BERIT]) == [ANNA]
    assert {one.decision.phone.masked for one in kept} == {"a forgotten person"}
    assert all(one.detail is None for one in kept)
    event = await scene.keep("joins again")
    await scene.plan(event, decisions=(decision(Verdict.OPT_IN),))
    assert not fold_ledger(scene.store.consents.of(ANNA)).out
    assert scene.store.consents.opted_out([ANNA]) == []


async def test_a_repeat_of_an_erased_event_is_recognised_and_another_meaning_is_new(scene):
    await life(scene)
    await forget(scene)
    same = make_entry("in", verdict=Verdict.OPT_IN, text=WORDS)
    assert await scene.store.inbox.keep([same]) == (Kept(1, True),)
    other = make_entry("in", verdict=Verdict.OPT_OUT, text="stop")
    (kept,) = await scene.store.inbox.keep([other])
    assert not kept.known
    assert kept.reused
    await scene.later(days=91)
    await scene.store.retention.sweep(scene.now, keep())
    assert await scene.rows("SELECT * FROM erased_events") == []


async def test_an_undelivered_opt_out_is_kept_until_it_is_delivered(scene):
    await life(scene, settled=False)
    done = await forget(scene)
    assert done.waits.delivering == (1, 2, 3)  # 3: of somebody else, and names the number
    assert done.waits.not_confirmed == (2,)
    assert scene.store.forgetting.unfinished() == [PERSON]
    for unit in await scene.claim():
        await scene.settle(unit, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    done = await scene.store.forgetting.erase(PERSON, now=scene.now, recognise=LONG)
    assert not done.waits
    assert await scene.store.forgetting.empty_log()
    assert found_in(scene.store.path, *FORMS, NAME, WORDS) == set()


async def test_a_delivered_opt_out_is_kept_while_an_older_event_could_overwrite_it(scene):
    """The newer opt-out is delivered first; without it the older opt-in would be sent with the flag."""
    await life(scene, settled=False)
    first, *others = await scene.claim()
    assert first.event_key == "out"
    await scene.settle(first, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    await scene.store.outbox.give_back(others, scene.now)
    assert (await forget(scene)).events == 0
    (unit, _) = await scene.claim()
    assert unit.newer


async def test_dead_letters_are_erased_but_an_undecided_opt_out_waits_for_a_person(scene):
    dead = await scene.unit("dead")
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION)
    question = await scene.keep("question", verdict=Verdict.MAYBE_STOP, text="stop the war")
    await scene.store.plans.commit(
        [Planned(event_id=question, state=EventState.DEAD, reason=Reason.NEEDS_PERSON)], now=NOW
    )
    done = await forget(scene)
    assert done.events == 1
    assert done.waits.undecided == (question,)
    assert scene.store.inbox.get(dead) is None


async def test_an_opt_out_that_only_the_crm_record_shows_is_kept(scene):
    shadow = ShadowWrite(crm=CRM, object="Contact", record_id="003A", fields={}, phone=ANNA, opted_out=True)
    await scene.store.records.write([shadow], now=NOW)
    await forget(scene)
    assert fold_ledger(scene.store.consents.of(ANNA)).out


async def test_an_event_that_arrives_after_the_request_is_not_erased(scene):
    await life(scene)
    await scene.store.forgetting.ask(PERSON, now=scene.now)
    event = await scene.unit("later")
    await scene.store.forgetting.erase(PERSON, now=scene.now, recognise=LONG)
    assert scene.store.inbox.get(event).event.msisdn == PERSON
    assert not (await forget(scene)).waits.undecided


async def test_erasing_waits_for_another_open_event_that_names_the_number(scene):
    await scene.store.inbox.keep([make_entry("other", phone=BERIT, text="ring 900 00 001")])
    await scene.plan(1, lane=BERIT, operations=(write(BERIT, Note="ring 900 00 001"),))
    assert (await forget(scene)).waits.delivering == (1,)
    (unit,) = await scene.claim()
    assert unit.operations[0].set["Note"] == "ring 900 00 001"
    await scene.settle(unit)
    assert not (await scene.store.forgetting.erase(PERSON, now=scene.now, recognise=LONG)).waits
    assert scene.store.inbox.get(1).event.text == "ring 0"


async def test_nobody_is_forgotten_while_the_key_file_is_missing(scene):
    await life(scene)
    await forget(scene)
    key_file(scene.store.path).unlink()
    assert scene.store.forgetting.key_is_missing()
    with pytest.raises(PersonKeyMissing, match="person new-key"):
        await scene.store.forgetting.ask(Phone(BERIT), now=scene.now)
    await scene.store.forgetting.make_new_key()
    assert not scene.store.forgetting.key_is_missing()
    await scene.store.forgetting.ask(Phone(BERIT), now=scene.now)


async def test_the_key_file_is_private_and_made_once(tmp_path):
    path = tmp_path / "c.db"
    for _ in range(2):
        store = Store.open(path)
        found = key_file(path).read_bytes(), key_file(path).stat().st_mode & 0o777
        await store.close()
    assert found == (key_file(path).read_bytes(), 0o600)
    assert found[0].strip() not in path.read_bytes()


async def test_forgetting_knows_every_table_and_column(scene):
    """Whoever adds one says in personal_data.py what becomes of a forgotten person's data in it."""
    tables = [
        name
        for (name,) in await scene.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if not name.startswith(("sqlite_", "_sqlite_"))
    ]
    live = {name: {row[1] for row in await scene.rows(f"PRAGMA table_info({name})")} for name in tables}
    assert live == {table: set(columns) for table, columns in TREATMENTS.items()}


@pytest.mark.parametrize(
    "text",
    ["+4790000001", "004790000001", "4790000001", "90000001", "+47 900 00 001", "%2B47%20900%2000%20001", "(+47) 90-00-00-01",
     "+47\u00a0900\u00a000\u00a0001", "tel:+4790000001", "x90000001x", "90000001".encode("utf-16-le"), '{"a":4790000001}'],
)  # fmt: skip
def test_a_phone_number_is_found_in_every_spelling(text):
    assert Mentions(PERSON).are_in(text)
    assert not Mentions(PERSON).are_in(Mentions(PERSON).without(text))


@pytest.mark.parametrize("text", ["190000001", "900000019", "9000000", "+46 900000010", "", None])
def test_a_different_phone_number_is_not_found(text):
    assert not Mentions(PERSON).are_in(text)


def test_json_stays_valid_when_a_number_is_removed():
    text = '{"a":4790000001,"b":"ring 900 00 001, now"}'
    assert json.loads(Mentions(PERSON).without(text)) == {"a": 0, "b": "ring 0, now"}


async def test_the_id_of_a_forgotten_person_finds_nobody(scene):
    number = await scene.store.people.id_of(ANNA)
    await forget(scene)
    assert scene.store.people.phone_of(number) is None
    assert await scene.store.writer.run(lambda connection: forget_id(connection, ANNA)) == 0


async def test_a_person_forgotten_after_a_backup_is_forgotten_again_after_its_restore(tmp_path):
    path, copy, later = tmp_path / "c.db", tmp_path / "copies" / "copy.db", tmp_path / "copies" / "later.db"
    scene = Scene(Store.open(path))
    await life(scene)
    make_backup(path, copy, now=scene.now)
    await scene.later(hours=1)
    await forget(scene)
    await scene.store.close()
    restore(copy, path, now=scene.now).unlink()
    scene = Scene(Store.open(path))
    assert scene.store.forgetting.unfinished() == [PERSON]
    assert not (await scene.store.forgetting.erase(PERSON, now=scene.now, recognise=LONG)).waits
    assert await scene.store.forgetting.empty_log()
    assert found_in(path, *FORMS, NAME, WORDS) == set()
    assert fold_ledger(scene.store.consents.of(ANNA)).out
    await scene.books_balance()
    make_backup(path, later, now=scene.now + timedelta(hours=1))
    await scene.store.close()
    assert found_in(later, *FORMS, NAME, WORDS) == set()
    restore(later, path, now=scene.now)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*), count(number) FROM forgotten").fetchone() == (1, 0)


BATCH = 50  # people whose events come together


class Donors:
    """People whose events arrive, are planned and are delivered in any order, and who are forgotten meanwhile."""

    def __init__(self, scene, seed, people):
        self.scene, self.store, self.dice = scene, scene.store, random.Random(seed)
        self.numbers = [f"+47900{place:05}" for place in range(people)]
        self.stopped = set(self.dice.sample(self.numbers, people // 3))
        self.delivered = set()  # event keys of what has reached the CRM
        self.pending = []

    async def arrive(self, numbers):
        both = [(number, word) for number in numbers for word in (Verdict.OPT_IN, Verdict.OPT_OUT)]
        come = [(number, word) for number, word in both if word is Verdict.OPT_IN or number in self.stopped]
        entries = [
            make_entry(
                f"{word.value}{number[1:]}", phone=number, verdict=word, raw=raw_of(number),
                text=f"{WORDS} {number[:3]} {number[3:6]} {number[6:8]} {number[8:]}",
            )
            for number, word in come
        ]  # fmt: skip
        kept = await self.store.inbox.keep(entries)
        self.pending += [(one.id, *about) for one, about in zip(kept, come, strict=True)]

    async def plan(self):
        several, self.pending = self.pending, []
        plans = [
            Planned(
                event_id=event_id,
                state=EventState.DELIVERING,
                units=(
                    NewUnit(
                        sink=CRM, lane=number, operations=(write(number, Name=NAME),), urgent=word is Verdict.OPT_OUT
                    ),
                ),
                decisions=(decision(word, number),),
            )
            for event_id, number, word in several
        ]
        await self.store.plans.commit(plans, now=self.scene.now)

    async def deliver(self, share):
        units = await self.scene.claim(limit=10_000)
        done = [unit for unit in units if self.dice.random() < share]
        await self.store.outbox.settle([self.settled(unit) for unit in done], now=self.scene.now)
        await self.store.outbox.give_back([unit for unit in units if unit not in done], self.scene.now)
        self.delivered |= {unit.event_key for unit in done}

    def settled(self, unit):
        shadow = ShadowWrite(
            crm=CRM, object="Contact", record_id=f"003{unit.lane[3:]}", fields={"P": unit.lane, "Name": NAME},
            phone=unit.lane, key_field="SMS_Key__c", key=unit.lane,
        )  # fmt: skip
        return Settlement(
            unit_id=unit.id,
            state=UnitState.DELIVERED,
            confirmations=(Confirmation(phase=Phase.CONFIRMED, detail=NAME),),
            shadows=(shadow,),
        )

    async def live(self):
        """Batches of people: they arrive, a part of what waits is planned and delivered, and they are forgotten."""
        for start in range(0, len(self.numbers), BATCH):
            batch = self.numbers[start : start + BATCH]
            await self.arrive(batch)
            if self.dice.random() < 0.7:
                await self.plan()
            await self.deliver(self.dice.random())
            await asyncio.gather(*(forget(self.scene, Phone(number)) for number in batch))
        await self.plan()
        await self.deliver(1)
        rest = self.store.forgetting.unfinished()
        erase = self.store.forgetting.erase
        await asyncio.gather(*(erase(phone, now=self.scene.now, recognise=LONG) for phone in rest))


# A thousand people in all. Each forgetting reads the whole database, so five small ones take a fifth of the time.
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_two_hundred_people_are_forgotten_while_their_events_are_under_way(scene, seed):
    donors = Donors(scene, seed=seed, people=200)
    await donors.live()
    store = scene.store
    assert store.forgetting.counts() == (200, 0)
    assert {f"opt_out{number[1:]}" for number in donors.stopped} <= donors.delivered
    assert await store.forgetting.empty_log()
    data = b"".join(one.read_bytes() for one in store.path.parent.glob("c.db*"))
    assert [number for number in donors.numbers if number[1:].encode() in data] == []
    assert WORDS.encode() not in data
    assert NAME.encode() not in data
    for number in donors.numbers:
        assert fold_ledger(store.consents.of(number)).out == (number in donors.stopped), number
    assert sum(store.inbox.swept().values()) == store.inbox.received() == 200 + len(donors.stopped)
