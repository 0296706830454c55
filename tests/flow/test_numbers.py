"""The owner of a number, over HTTP: the same parser for callbacks and CRM fields, with one country and with two."""

import json
import shutil

import pytest
from flow.world import CONFIG, ROOT, SECRETS, a_world
from yarl import URL

NORWEGIAN, DANE = "+4790000677", "+4590000677"
AT_HOME = "90 00 06 77"
ONE = CONFIG
TWO = CONFIG.replace(
    "crm:\n",
    "  onlinefundraising: {{path_secrets: [{{env: HOOK_SECRET}}]}}\n  sumotext: {{path_secrets: [{{env: HOOK_SECRET}}]}}\ncrm:\n",
)
WITH_COUNTRY = TWO.replace("phone: MobilePhone,", "phone: MobilePhone, country: MailingCountryCode,")
MATCH = "match: {phone: [MobilePhone, HomePhone], none: create, many: oldest}"


@pytest.fixture
def mappings(tmp_path):
    """Strex's with `match:`, and OnlineFundraising's and Sumotext's with it too."""
    here = tmp_path / "mappings"
    here.mkdir()
    for path in (*(ROOT / "mappings").glob("*.yaml"), *(ROOT / "mappings/more/match-by-phone").glob("*.yaml")):
        shutil.copy(path, here)
    for name in ("onlinefundraising", "sumotext"):
        text = (ROOT / f"mappings/more/{name}.yaml").read_text()
        # As an item of a rule, and as a record that rules name.
        for first, indent in (("      - ", "        "), ("    ", "    ")):
            head = f'{first}upsert: Contact\n{indent}key: {{SMS_Key__c: "{{msisdn}}"}}\n'
            text = text.replace(f"\n{head}", f"\n{head}{indent}{MATCH}\n")
        (here / f"{name}.yaml").write_text(text)
    return here


def a_world_with(config):
    @pytest.fixture
    async def made(tmp_path, secrets, mappings):
        if config is ONE:
            for name in ("onlinefundraising", "sumotext"):
                (mappings / f"{name}.yaml").unlink()
        async with a_world(tmp_path, mappings=mappings, config=config) as world, world.running():
            await world.poll()
            yield world

    return made


world = a_world_with(ONE)
two = a_world_with(TWO)
emitted = a_world_with(WITH_COUNTRY)


async def danish(world, text, number=DANE, written=None):
    """A donor texts the Danish short number."""
    message = {
        "messageGuid": f"m-{text}-{number}-{written}".replace(" ", "-").replace("+", ""),
        "createdTs": "2026-01-02 04:00:00 +0100",
        "channel": "1217",
        "keyword": "TIFO",
        "receivedText": text,
        "msisdn": written or number.removeprefix("+"),
    }
    url = f"{world.app.url}/hooks/onlinefundraising/sms/{SECRETS['HOOK_SECRET']}"
    async with world.http.post(url, data=json.dumps([message])) as response:
        assert response.status == 200
    await world.settled()


async def american(world, endpoint, query):
    """Sumotext calls, its query byte for byte."""
    url = URL(f"{world.app.url}/hooks/sumotext/{endpoint}/{SECRETS['HOOK_SECRET']}?{query}", encoded=True)
    async with world.http.get(url) as response:
        assert response.status == 200
    await world.settled()


async def sends(world, number, text):
    await world.phone(number, text)
    await world.settled()


async def of(world, record_id):
    return next(one for one in await world.records() if one["Id"] == record_id)


async def commanded(world):
    return sorted({one["phone"] for one in await world.orders()})


async def active(world, number):
    return [one["keyword"] for one in await world.subscribers() if one["phone"] == number and one["active"]]


def letters(world):
    """What waits for a cure or for a person: reason and detail."""
    dead_letters = world.app.store.dead_letters
    return sorted(
        {(one.reason.value, one.detail) for parked in (False, True) for one in dead_letters.listing(parked=parked)}
    )


async def released(world):
    """A person has fixed the cause, the feed has looked, and what waited is sent."""
    await world.poll()
    assert await world.app.store.dead_letters.release(None, now=world.clock.now())
    for name in ("plan", "salesforce", "strex"):
        world.app.wake(name)
    await world.settled()


FORMS = [
    "(+47) {0}",
    "+47 (0) {0}",
    "00 47 {0}",
    "{0} (mobil)",
    "Mob: {0}",
    "{0},",
    "{0};",
    "tel:+47{0}",
    "0 {0}",
    "\u202a+47 {0}\u202c",
    "\u2066{0}\u2069",
    "+47\u00a0{0}",
]
GROUPS = ["{0}{1}{2}", "{0} {1} {2}", "{0}/{1} {2}", "{0}\u2013{1}\u2013{2}", "{0}.{1}.{2}", "{0}\u200b{1}\u00ad{2}"]


async def test_a_contact_is_found_and_its_subscription_ended_in_any_spelling_of_its_number(world):
    people = {}
    for place, form in enumerate(FORMS):
        number = f"900003{place:02}"
        written = form.format(GROUPS[place % len(GROUPS)].format(number[:3], number[3:5], number[5:]))
        people[f"+47{number}"] = {"LastName": str(place), "MobilePhone": written}
    ids = await world.people(list(people.values()))
    await world.poll()
    for number in people:
        await world.phone(number, "KATT")
    await world.settled()
    contacts = await world.records()
    assert {one["SMS_Key__c"]: one["MobilePhone"] for one in contacts} == {
        number: one["MobilePhone"] for number, one in people.items()
    }
    for record_id in ids:
        await world.person(Id=record_id, SMS_Opt_Out__c=True)
    await world.poll()
    assert await commanded(world) == sorted(people)
    assert [await active(world, number) for number in people] == [[]] * len(people)
    assert letters(world) == []


async def test_a_command_goes_only_to_the_number_that_was_matched(world):
    await sends(world, "+4790000204", "KATT")
    await world.person(Id=(await world.contact("+4790000204"))["Id"], MobilePhone="+47 (0) 900 00 204")
    await world.poll()
    await world.person(Id=(await world.contact("+4790000204"))["Id"], SMS_Opt_Out__c=True)
    await world.poll()
    assert await commanded(world) == ["+4790000204"]
    assert await active(world, "+4790000204") == []


async def test_a_number_in_another_spelling_needs_no_person(world):
    ids = await world.people(
        [{"LastName": "x", "MobilePhone": f"+479000010{n}", "SMS_Opt_Out__c": True} for n in range(5)]
    )
    await world.poll()
    before = world.counts()
    await world.people([{"Id": one, "MobilePhone": f"(0047) 900 00 10{n} (mob)"} for n, one in enumerate(ids)])
    await world.poll()
    assert world.counts() == before


async def test_an_opt_out_is_set_on_all_contacts_with_the_number_in_any_spelling(world):
    forms = ["+47 900 00 677 (Kari)", "Mob. 900 00 677", "\u202d90000677\u202c", "+47 (0) 900 00 677"]
    ids = await world.people([{"LastName": "Ås", "MobilePhone": form} for form in forms])
    stranger = await world.person(LastName="By", MobilePhone="900 00 678 / 900 00 679")
    await world.poll()
    await sends(world, NORWEGIAN, "STOPP")
    assert [await world.flag(one) for one in (*ids, stranger)] == [True] * len(ids) + [False]


async def test_two_numbers_in_one_field_match_nobody_until_one_is_removed(world):
    both = await world.person(LastName="Ås", MobilePhone="900 00 677 / 900 00 678")
    await world.poll()
    await sends(world, NORWEGIAN, "STOPP")
    assert len(await world.records()) == 1
    assert not await world.flag(both)
    assert {reason for reason, _ in letters(world)} == {"needs_person"}
    await world.person(Id=both, MobilePhone="900 00 677")
    await released(world)
    assert await world.flag(both)
    assert letters(world) == []
    assert [one["Id"] for one in await world.records()] == [both]


async def test_a_stop_from_norway_does_not_opt_out_a_danish_contact(two):
    dane = await two.person(LastName="Dorte", MobilePhone=AT_HOME)
    await two.poll()
    await sends(two, NORWEGIAN, "STOPP")
    assert not await two.flag(dane)
    assert (await of(two, dane))["SMS_Key__c"] is None
    assert len(await two.records()) == 1
    assert {reason for reason, _ in letters(two)} == {"needs_person"}
    assert all(dane in detail for _, detail in letters(two))
    assert not any("0677" in detail.replace(dane, "") for _, detail in letters(two))
    await two.person(Id=dane, MobilePhone="+45 90 00 06 77")
    await released(two)
    assert letters(two) == []
    assert not await two.flag(dane)
    assert (await two.contact(NORWEGIAN))["SMS_Opt_Out__c"]


async def test_an_opt_out_of_a_danish_contact_does_not_end_a_norwegian_subscription(two):
    await sends(two, NORWEGIAN, "KATT")
    dane = await two.person(LastName="Ditte", MobilePhone=AT_HOME)
    await two.poll()
    await two.person(Id=dane, SMS_Opt_Out__c=True)
    await two.poll()
    assert await commanded(two) == []
    assert await active(two, NORWEGIAN) == ["KATT"]
    assert [reason for reason, _ in letters(two)] == ["needs_person"]
    await two.person(Id=dane, MobilePhone="+45 90 00 06 77")
    await released(two)
    assert letters(two) == []
    assert await commanded(two) == [DANE]
    assert await active(two, NORWEGIAN) == ["KATT"]


async def test_an_opt_out_of_a_contact_that_was_deleted_meanwhile_is_carried_out_after_its_cure(two):
    await sends(two, NORWEGIAN, "KATT")
    dane = await two.person(LastName="Ditte", MobilePhone=AT_HOME)
    await two.poll()
    await two.person(Id=dane, SMS_Opt_Out__c=True)
    await two.poll()
    await two.bin(dane)
    await two.poll()
    ((_, detail),) = letters(two)
    assert "If the record was deleted, restore it first" in detail
    await two.unbin(dane)
    await two.poll()
    await two.person(Id=dane, MobilePhone="+45 90 00 06 77")
    await released(two)
    assert letters(two) == []
    assert await commanded(two) == [DANE]
    assert await active(two, NORWEGIAN) == ["KATT"]


async def test_a_question_about_a_deleted_contact_can_be_discarded(two):
    dane = await two.person(LastName="Ditte", MobilePhone=AT_HOME)
    await two.poll()
    await two.person(Id=dane, SMS_Opt_Out__c=True)
    await two.poll()
    await two.bin(dane)
    await two.poll()
    assert "then discard this" in letters(two)[0][1]
    assert await two.app.store.dead_letters.discard(None, now=two.clock.now())
    await two.settled()
    assert letters(two) == []
    assert await commanded(two) == []


async def test_an_opt_out_is_written_to_the_certain_contact_and_a_person_decides_about_the_other(two):
    certain = await two.person(LastName="Ås", MobilePhone="+47 90 00 06 77")
    perhaps = await two.person(LastName="Bø", MobilePhone=AT_HOME)
    await two.poll()
    await sends(two, NORWEGIAN, "KATT")
    assert letters(two) == []
    await sends(two, NORWEGIAN, "STOPP")
    assert [await two.flag(one) for one in (certain, perhaps)] == [True, False]
    assert [reason for reason, _ in letters(two)] == ["needs_person"]
    await two.person(Id=perhaps, MobilePhone="+47 90 00 06 77")
    await released(two)
    assert [await two.flag(one) for one in (certain, perhaps)] == [True, True]
    assert letters(two) == []
    await two.poll()
    assert await two.orders() == []


async def test_the_external_id_decides_the_country_of_a_number(two):
    dane = await two.person(LastName="Ditte", MobilePhone=AT_HOME, SMS_Key__c=DANE)
    await two.poll()
    await sends(two, NORWEGIAN, "STOPP")
    assert not await two.flag(dane)
    assert (await two.contact(NORWEGIAN))["SMS_Opt_Out__c"]
    await danish(two, "TIFO STOP")
    assert await two.flag(dane)
    assert letters(two) == []
    other = await two.person(LastName="Dorte", MobilePhone="90 00 06 78", SMS_Key__c="+4590000678")
    await two.poll()
    await two.person(Id=other, SMS_Opt_Out__c=True)
    await two.poll()
    assert await commanded(two) == ["+4590000678"]
    assert letters(two) == []


async def test_the_country_of_the_contact_decides_the_country_of_its_number(emitted):
    dane = await emitted.person(LastName="Ditte", MobilePhone=AT_HOME, MailingCountryCode="DK")
    norwegian = await emitted.person(LastName="Ås", MobilePhone=AT_HOME, MailingCountryCode="NO")
    await emitted.poll()
    await danish(emitted, "TIFO 100")
    await sends(emitted, NORWEGIAN, "KATT")
    assert {one["Id"]: one["SMS_Key__c"] for one in await emitted.records()} == {dane: DANE, norwegian: NORWEGIAN}
    await sends(emitted, NORWEGIAN, "STOPP")
    assert [await emitted.flag(one) for one in (dane, norwegian)] == [False, True]
    await emitted.person(Id=dane, SMS_Opt_Out__c=True)
    await emitted.poll()
    assert NORWEGIAN not in await commanded(emitted)
    assert letters(emitted) == []


async def test_events_that_waited_for_the_country_are_sent_when_it_is_filled_in(emitted):
    dane = await emitted.person(LastName="Dorte", MobilePhone=AT_HOME)
    await emitted.poll()
    await emitted.person(Id=dane, SMS_Opt_Out__c=True)
    await emitted.poll()
    assert [reason for reason, _ in letters(emitted)] == ["needs_person"]
    await emitted.person(Id=dane, MailingCountryCode="DK")
    await released(emitted)
    assert letters(emitted) == []
    assert await commanded(emitted) == [DANE]


async def test_a_changed_country_is_a_changed_number_and_waits_for_a_person(emitted):
    known = await emitted.person(LastName="Ås", MobilePhone=AT_HOME, MailingCountryCode="NO", SMS_Opt_Out__c=True)
    await emitted.poll()
    await emitted.person(Id=known, MailingCountryCode="DK")
    await emitted.poll()
    assert [reason for reason, _ in letters(emitted)] == ["needs_person"]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("mobile=5551212", None),
        ("mobile=1125550199", None),
        ("mobile=+4790001001", "+4790001001"),
        ("mobile=+4798079008", "+4798079008"),
        ("mobile=4790001001", None),
        ("mobile=+2125551212", "+12125551212"),
        ("mobile=%E2%80%AD2125551212%E2%80%AC", "+12125551212"),
        ("mobile=(212)%20555-1212", "+12125551212"),
    ],
)
async def test_a_number_at_sumotext_finds_its_owner_or_nobody(two, query, number):
    await american(two, "text4info", f"lead=WATER&&{query}&msg=STOP")
    assert [one["SMS_Key__c"] for one in await two.records()] == ([number] if number else [])


@pytest.mark.parametrize(
    ("written", "number"),
    [("90001009", "+4590001009"), ("4790001009", "+4790001009"), ("43123456", None), ("12345", None)],
)
async def test_a_number_at_onlinefundraising_finds_its_owner_or_nobody(two, written, number):
    await danish(two, "TIFO STOP", written=written)
    assert [one["SMS_Key__c"] for one in await two.records()] == ([number] if number else [])


@pytest.mark.parametrize(
    "written", ["4790001004", "tel:+4790001004", 4790001004, "90001004", "\u202d+47 900 01 004\u202c"]
)
async def test_a_number_at_strex_without_a_plus_is_read(world, written):
    body = {"transactionId": "t-1", "sender": written, "recipient": "2002", "content": "STOPP", "properties": {}}
    assert await world.callback("mo", body) == 200
    await world.settled()
    assert [one["SMS_Key__c"] for one in await world.records()] == ["+4790001004"]


async def test_an_opt_in_that_waited_for_a_person_does_not_clear_a_newer_flag(world):
    contact = await world.person(LastName="Two numbers", MobilePhone=f"{AT_HOME} eller 22 22 22 22")
    await world.poll()
    await world.phone(NORWEGIAN, "KATT")
    await world.settled()
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await world.poll()
    letters = world.app.store.dead_letters
    asked = [one.event_id for one in letters.listing(parked=True)]
    assert len(asked) == 3
    # The cure that is told: one number is written there, and all is released, the oldest first.
    await world.person(Id=contact, MobilePhone=NORWEGIAN)
    await world.poll()
    for event in asked:
        assert await letters.release([event], now=world.clock.now()) == 1
        world.app.wake("plan")
        await world.settled()
    await world.poll()
    assert letters.listing(parked=True) == []
    assert await world.flag(contact)
    assert not [one for one in await world.subscribers() if one["active"]]
