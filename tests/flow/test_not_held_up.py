"""A donor's consent change is never delayed by another field of its write or another part of its event."""

import shutil

import pytest
from flow.test_suspended_rules import pass_time
from flow.world import CONFIG, ROOT, a_world

from connector.model.consent import Phase
from connector.telemetry.log_events import Alarm

ONE, TWO, THREE = "+4790000001", "+4790000002", "+4790000003"
CONSENT = """
on: strex.delivery_report
rules:
  - name: out
    when: {action: Unsubscribe}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        create: {LastName: "{lookup.lastName?}Unknown", FirstName: "{properties.first}"}
        set:
          MobilePhone: "{msisdn}"
          Description: "{properties.note}"
          Gift_Interest__c: "{properties.interest}"
          Birthdate: BIRTHDATE
          SMS_Opt_Out__c: true
          SMS_Opt_Out_At__c: "{occurred_at}"
          SMS_Opt_Out_Source__c: "Strex {keyword?}"
      LOG
    consent: opt_out
  - name: in
    when: {action: Subscribe}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        create: {LastName: Unknown}
        set:
          MobilePhone: "{msisdn}"
          Description: "{properties.note}"
          SMS_Opt_Out__c: false
    consent: opt_in
"""
BIRTHDATE = "{from: properties.born, date: {from: dd.MM.yyyy}, required: true}"
LOG = """- upsert: SMS_Event__c
        key: {Event_Key__c: "{key}"}
        set: {Action__c: "{action}", Contact__r: {SMS_Key__c: "{msisdn}"}}"""


def mapped(directory, *, birthdate=BIRTHDATE, log="", match=""):
    directory.mkdir(exist_ok=True)
    text = CONSENT.replace("BIRTHDATE", birthdate).replace("LOG", log)
    if match:
        text = text.replace(
            '        key: {SMS_Key__c: "{msisdn}"}\n        create',
            f'        key: {{SMS_Key__c: "{{msisdn}}"}}\n        match: {match}\n        create',
        )
    (directory / "consent.yaml").write_text(text)
    others = ROOT / "mappings" / ("more/match-by-phone" if match else ".")
    for path in (others / "strex-messages.yaml", ROOT / "mappings" / "salesforce-to-strex.yaml"):
        shutil.copy(path, directory)
    return directory


@pytest.fixture
async def world(tmp_path, secrets):
    async with a_world(tmp_path, mappings=mapped(tmp_path / "mappings")) as made, made.running():
        await made.poll()
        yield made


async def report(world, number, action, turn=1, **properties):
    body = {
        "transactionId": f"{number[1:]}-{turn}-{action.lower()}",
        "created": f"2026-11-22T{turn:02}:00:00Z",
        "received": f"2026-11-22T{turn:02}:00:00Z",
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "delivered": True,
        "properties": {"SystemAction": action, "Keyword": "KATT", "ServiceId": "42", **properties},
    }
    assert await world.callback("dlr", body) == 200


async def field(world, name, of="Contact", **change):
    await world.post(f"{world.salesforce}/_sandbox/fields/{of}/{name}", change, method="PATCH")


def open_opt_outs(world):
    return world.app.store.consents.open_opt_outs(world.clock.now())


def confirmed(world, number):
    return [one.sink for one in world.app.store.consents.of(number) if one.phase is Phase.CONFIRMED]


def letters(world):
    return world.app.store.dead_letters.listing()


async def out(world, number):
    return await world.until(lambda: is_out(world, number))


async def is_out(world, number):
    found = await world.contact(number)
    return found if found and found["SMS_Opt_Out__c"] else None


async def too_long(world):
    await field(world, "Description", length=10)


async def picklist(world):
    """The list has no such value, as it is."""


async def validation_rule(world):
    await field(world, "Description", rule="Notes are for people.")


async def read_only(world):
    await field(world, "Description", read_only=True)


async def too_long_beside_the_flag(world):
    await field(world, "SMS_Opt_Out_Source__c", length=3)


async def duplicate_rule(world):
    """Another contact has this description, and a rule blocks that."""
    rule = {"object": "Contact", "fields": ["Description"], "action": "block", "on_edit": True}
    await world.post(f"{world.salesforce}/_sandbox/duplicate_rules", rule)
    await world.person(LastName="Other", Description=PLAIN["note"])


async def no_such_field(world):
    async with world.http.delete(f"{world.salesforce}/_sandbox/fields/Contact/Description") as response:
        assert response.status == 200


PLAIN = {"note": "a note that is long", "born": "01.02.1990", "first": "Kari"}
FAULTS = {
    "STRING_TOO_LONG": (too_long, PLAIN),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (picklist, {**PLAIN, "interest": "Ponies"}),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": (validation_rule, PLAIN),
    "DUPLICATES_DETECTED": (duplicate_rule, PLAIN),
    "STRING_TOO_LONG: SMS Opt Out Source": (too_long_beside_the_flag, PLAIN),
}


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("code", FAULTS)
async def test_an_opt_out_is_written_at_once_although_another_field_is_refused(world, code, known):
    fault, properties = FAULTS[code]
    if known:
        await world.person(LastName="Nord", SMS_Key__c=ONE, MobilePhone=ONE)
    await fault(world)
    await report(world, ONE, "Unsubscribe", **properties)
    contact = await out(world, ONE)
    await world.until(lambda: world.counts() == {"dead": 1})
    assert contact["LastName"] == ("Nord" if known else "Unknown")
    assert contact["Birthdate"] is None
    assert open_opt_outs(world) == []
    assert "salesforce" in confirmed(world, ONE)
    (letter,) = letters(world)
    assert code in letter.detail
    assert "the consent fields went out without the rest" in letter.detail
    (cause,) = world.app.store.dead_letters.causes()
    assert cause.rule == "consent.yaml: out"


async def test_a_value_of_the_wrong_type_stops_only_its_own_fields(tmp_path, secrets):
    """Salesforce refuses the whole request for it, others' records too."""
    mappings = mapped(tmp_path / "mappings", birthdate='"{properties.born}"')
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await world.fault(world.salesforce, fault="unavailable", times=1000, only="writes")
        await report(world, ONE, "Unsubscribe", born="in spring")
        await report(world, TWO, "Unsubscribe", born="1990-01-02")
        await world.until(lambda: world.told_paused("salesforce"))
        await world.no_faults(world.salesforce)
        await pass_time(world)
        await out(world, ONE)
        assert (await out(world, TWO))["Birthdate"] == "1990-01-02"
        await world.until(lambda: world.counts() == {"dead": 1, "delivered": 1})
        assert open_opt_outs(world) == []


async def test_a_retry_writes_the_other_fields_and_does_not_set_the_flag_again(world):
    await too_long(world)
    await report(world, ONE, "Unsubscribe", **PLAIN)
    contact = await out(world, ONE)
    await world.until(lambda: world.counts() == {"dead": 1})
    await world.poll()
    await world.person(Id=contact["Id"], SMS_Opt_Out__c=False)
    await world.poll()
    await field(world, "Description", length=1000)
    await world.retry_dead()
    world.app.wake("salesforce")
    await world.until(lambda: "dead" not in world.counts())
    await world.settled()
    contact = await world.contact(ONE)
    assert contact["Description"] == PLAIN["note"]
    assert contact["FirstName"] == "Kari"
    assert contact["Birthdate"] == "1990-02-01"
    assert contact["SMS_Opt_Out__c"] is False


async def test_a_retry_of_the_other_fields_does_not_revert_a_later_opt_in(world):
    await too_long(world)
    await report(world, ONE, "Unsubscribe", 1, **PLAIN)
    await out(world, ONE)
    await world.until(lambda: world.counts() == {"dead": 1})
    await report(world, ONE, "Subscribe", 2)
    await world.until(lambda: world.counts() == {"dead": 1, "delivered": 1})
    assert (await world.contact(ONE))["SMS_Opt_Out__c"] is False
    await field(world, "Description", length=1000)
    await world.retry_dead()
    world.app.wake("salesforce")
    await world.until(lambda: world.counts() == {"delivered": 2})
    contact = await world.contact(ONE)
    assert (contact["SMS_Opt_Out__c"], contact["Description"]) == (False, PLAIN["note"])


async def test_an_opt_in_is_written_although_another_field_is_refused(world):
    await report(world, ONE, "Unsubscribe", 1, born="01.02.1990")
    await out(world, ONE)
    await too_long(world)
    await report(world, ONE, "Subscribe", 2, note=PLAIN["note"])
    await world.until(lambda: world.counts() == {"dead": 1, "delivered": 1})
    assert (await world.contact(ONE))["SMS_Opt_Out__c"] is False


async def test_only_the_invalid_one_of_several_writes_becomes_a_dead_letter(world):
    await too_long(world)
    await world.fault(world.salesforce, fault="unavailable", times=1000, only="writes")
    await report(world, ONE, "Subscribe", 1)
    await report(world, ONE, "Unsubscribe", 2, **PLAIN)
    await report(world, TWO, "Subscribe", 1, note="short")
    await world.until(lambda: world.told_paused("salesforce"))
    await world.no_faults(world.salesforce)
    await pass_time(world)
    await out(world, ONE)
    await world.until(lambda: world.counts() == {"dead": 1, "delivered": 2})
    assert (await world.contact(TWO))["Description"] == "short"


@pytest.mark.parametrize("fault", [read_only, no_such_field])
async def test_a_suspended_rule_does_not_delay_consent_fields(world, fault):
    await report(world, THREE, "Unsubscribe", 1, born="01.02.1990")
    await out(world, THREE)
    await world.settled()
    await fault(world)
    await report(world, TWO, "Subscribe", 1, note="a")
    await world.until(lambda: world.app.store.suspensions.all() and world.emitted(Alarm))
    assert [alarm.kind for alarm in world.emitted(Alarm)] == ["mapping_stopped"]
    await report(world, ONE, "Unsubscribe", 1, **PLAIN)
    await out(world, ONE)
    await world.until(lambda: not open_opt_outs(world))
    # Operations that clear a flag do not wait for the fix either.
    await report(world, THREE, "Subscribe", 2, note="b")
    await world.until(lambda: joined(world, THREE))
    await world.until(lambda: world.app.store.suspensions.held("salesforce") == 3)
    assert "dead" not in world.counts()


async def joined(world, number):
    return not await is_out(world, number)


async def test_a_value_that_cannot_be_made_stops_only_the_other_fields(world):
    await report(world, ONE, "Unsubscribe", note="a note", born="13/1/2000", first="Kari")
    contact = await out(world, ONE)
    await world.until(lambda: world.counts() == {"dead": 1})
    assert (contact["LastName"], contact["FirstName"], contact["Description"]) == ("Unknown", None, None)
    assert open_opt_outs(world) == []
    (letter,) = letters(world)
    assert letter.detail == "consent.yaml: out: upsert Contact: Birthdate: a date was expected"
    assert world.app.store.dead_letters.causes()[0].rule == "consent.yaml: out"
    # When the rule is fixed, what was lacking is written, and nothing else.
    mapped(world.base / "mappings", birthdate="{from: properties.born, date: {from: dd/M/yyyy}}")
    mapped(world.base / "mappings", birthdate="{from: properties.other, date: {}}")
    await world.app.reload()
    await world.person(Id=contact["Id"], SMS_Opt_Out__c=False)
    await world.poll()
    await world.retry_dead()
    world.app.wake("salesforce")
    await world.settled()
    assert "dead" not in world.counts()
    contact = await world.contact(ONE)
    assert (contact["Description"], contact["FirstName"], contact["MobilePhone"]) == ("a note", "Kari", ONE)
    assert contact["SMS_Opt_Out__c"] is False


async def test_a_retry_that_cannot_be_planned_stays_a_dead_letter(world):
    await report(world, ONE, "Unsubscribe", born="13/1/2000")
    await world.until(lambda: world.counts() == {"dead": 1})
    await world.retry_dead()
    world.app.wake("salesforce")
    await world.settled()
    assert world.counts() == {"dead": 1}
    (letter,) = letters(world)
    assert letter.detail == "consent.yaml: out: upsert Contact: Birthdate: a date was expected"
    assert len(await world.records()) == 1


async def test_a_missing_parent_does_not_delay_an_opt_out(tmp_path, secrets):
    mappings = mapped(tmp_path / "mappings", birthdate='"2000-01-01"')
    text = (mappings / "consent.yaml").read_text()
    (mappings / "consent.yaml").write_text(
        text.replace(
            '          Description: "{properties.note}"\n',
            '          Account: {SMS_Key__c: "{properties.account}"}\n',
            1,
        )
    )
    async with a_world(tmp_path, mappings=mappings, preset="nonprofit-cloud") as world, world.running():
        await report(world, ONE, "Unsubscribe", account="nobody")
        await out(world, ONE)
        await world.until(lambda: not open_opt_outs(world))
        assert world.counts() == {"delivering": 1}


async def test_an_opt_out_without_a_key_stays_open_with_an_alarm(tmp_path, secrets):
    mappings = mapped(tmp_path / "mappings", log=LOG.replace(', Contact__r: {SMS_Key__c: "{msisdn}"}', ""))
    text = (mappings / "consent.yaml").read_text()
    (mappings / "consent.yaml").write_text(
        text.replace('key: {SMS_Key__c: "{msisdn}"}', 'key: {SMS_Key__c: "{properties.nokey}"}', 1)
    )
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await report(world, ONE, "Unsubscribe", born="01.02.1990")
        await world.until(lambda: world.counts() == {"dead": 1})
        (concerns_consent,) = open_opt_outs(world)
        assert concerns_consent.sink == "salesforce"
        assert "SMS_Key__c has no value" in concerns_consent.failed
        # The log of the event is written all the same.
        assert [one["Action__c"] for one in await world.records("SMS_Event__c")] == ["Unsubscribe"]


async def test_an_opt_out_whose_consent_fields_are_refused_stays_open(world):
    await field(world, "SMS_Opt_Out__c", rule="Nobody leaves.")
    await report(world, ONE, "Unsubscribe", **PLAIN)
    await world.until(lambda: world.counts() == {"dead": 1})
    (letter,) = letters(world)
    assert "the consent fields alone were refused too: FIELD_CUSTOM_VALIDATION_EXCEPTION" in letter.detail
    assert [one.sink for one in open_opt_outs(world)] == ["salesforce"]


async def test_all_contacts_with_the_number_are_opted_out_although_a_field_is_refused(tmp_path, secrets):
    match = "{phone: [MobilePhone, HomePhone], none: create, many: oldest}"
    mappings = mapped(tmp_path / "mappings", match=match)
    async with a_world(tmp_path, mappings=mappings, config=CONFIG) as world, world.running():
        await too_long(world)
        await world.people([{"LastName": name, "MobilePhone": "900 00 001"} for name in ("Nord", "Sør")])
        await report(world, ONE, "Unsubscribe", **PLAIN)
        await world.until(lambda: world.counts() == {"dead": 1})
        assert [one["SMS_Opt_Out__c"] for one in await world.records()] == [True, True]
        assert open_opt_outs(world) == []


async def test_a_match_that_is_sent_again_does_not_set_the_flag_again(tmp_path, secrets):
    """A match goes along once more with what is left of its unit, but what it has said about consent is not said again."""
    match = "{phone: [MobilePhone, HomePhone], none: create, many: oldest}"
    mappings = mapped(tmp_path / "mappings", birthdate='"2000-01-01"', log=LOG, match=match)
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await world.poll()
        await field(world, "Action__c", "SMS_Event__c", rule="No.")
        await report(world, ONE, "Unsubscribe")
        contact = await out(world, ONE)
        await world.until(lambda: world.counts() == {"dead": 1})
        await world.poll()
        await world.person(Id=contact["Id"], SMS_Opt_Out__c=False)
        await world.poll()
        await field(world, "Action__c", "SMS_Event__c", rule="")
        await world.retry_dead()
        world.app.wake("salesforce")
        await world.settled()
        assert "dead" not in world.counts()
        (log,) = await world.records("SMS_Event__c")
        assert log["Contact__c"] == contact["Id"]
        assert (await world.contact(ONE))["SMS_Opt_Out__c"] is False


async def test_a_command_is_sent_although_a_write_of_its_event_cannot_be_planned(tmp_path, secrets):
    mappings = mapped(tmp_path / "mappings", birthdate='"2000-01-01"')
    path = mappings / "salesforce-to-strex.yaml"
    text = path.read_text()
    (mappings / "audit.yaml").write_text(
        "on: salesforce.change\nfeed: {object: Contact, fields: [SMS_Opt_Out__c, MobilePhone]}\nrules:\n"
        "  - name: audit\n    when: {record.SMS_Opt_Out__c: true}\n    do:\n"
        '      - {upsert: SMS_Event__c, key: {Event_Key__c: "{key}"}, set: {Occurred_At__c: '
        "{from: record.MobilePhone, date: {}, required: true}}}\n"
    )
    assert "unsubscribe" in text
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await report(world, ONE, "Subscribe", 1)
        await world.until(lambda: world.counts() == {"delivered": 1})
        await world.poll()
        (contact,) = await world.records()
        await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
        await world.poll()
        await world.until(world.orders)
        assert [one["action"] for one in await world.orders()] == ["unsubscribe"]
        # Strex does not know this subscriber, and may have said so by now: that is a letter of its own.
        (letter,) = await world.until(lambda: [one for one in letters(world) if one.sink == "salesforce"])
        assert letter.detail == "audit.yaml: audit: upsert SMS_Event__c: Occurred_At__c: a date was expected"
