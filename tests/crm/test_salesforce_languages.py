"""Orgs whose integration user does not speak English, and the forms of DUPLICATE_VALUE."""

import pytest
from crm.conftest import an_org
from crm.salesforce_writes import contact, deliver, event, reasons, sink
from msgspec.structs import replace

from connector.crm.salesforce.client.error_codes import classify
from connector.crm.salesforce.client.record_ids import comparable, in_full, last_in
from connector.crm.salesforce.write.duplicate_values import holder, unclear
from connector.model.operation import ID_FIELD
from connector.model.outcome import Delivered, Reason, Rejected
from connector.sandbox.salesforce.identifiers import record_id

LANGUAGES = ["en", "fr", "pt", "ja", "no"]
FORMS = ["long_id", "short_id", "several", "unknown", "unnamed"]
NEW = {"FirstName": "New", "LastName": "New"}


@pytest.fixture(params=LANGUAGES)
async def org(request):
    async with an_org(language=request.param) as org:
        yield org


def donor(key, **fields):
    """A contact of which the name is only for new ones, so that it is inserted first."""
    return replace(contact(key, create=NEW), set=fields)


async def test_a_missing_parent_is_waited_for_and_suspends_no_rule(org):
    await deliver(org, contact("known"))
    assert reasons(await deliver(org, event("a", "k"), event("b", "known"))) == [Reason.PARENT_MISSING, None]
    await deliver(org, contact("k"))
    assert reasons(await deliver(org, event("a", "k"))) == [None]


async def test_a_merged_parent_is_replaced_by_the_kept_record(org):
    lost, kept = await org.load("Contact", [{"LastName": "A", "SMS_Key__c": "k"}, {"LastName": "B"}])
    await org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": lost})
    assert reasons(await deliver(org, event("a", "k"))) == [None]
    (emitted,) = await org.records("SMS_Event__c")
    assert emitted["Contact__c"] == kept


@pytest.mark.parametrize("column", ["Missing__c", "Nickname"])
async def test_a_missing_field_is_a_configuration_error_and_found_at_once(org, column):
    writes = [contact(f"k{n}") for n in range(50)] + [contact("bad", **{column: "x"})]
    outcomes = await deliver(org, *writes)
    assert reasons(outcomes) == [None] * 50 + [Reason.CONFIGURATION]
    assert outcomes[-1].field == column
    assert len(org.sent) == 2


async def test_a_missing_field_of_a_child_is_not_read_as_a_missing_parent(org):
    await deliver(org, contact("k"))
    org.sent.clear()
    (outcome,) = await deliver(org, event("e", "k", Missing__c="x"))
    assert (outcome.reason, outcome.field) == (Reason.CONFIGURATION, "Missing__c")
    assert len(org.sent) == 1


async def test_a_read_only_field_is_named(org):
    outcomes = await deliver(org, contact("k", CreatedDate="2026-01-01T00:00:00Z"))
    assert [(one.reason, one.field) for one in outcomes] == [(Reason.CONFIGURATION, "CreatedDate")]


async def test_a_record_that_somebody_created_meanwhile_is_updated_at_the_next_try(org):
    await org.fault("overtaken", records=["k"], times=1)
    assert reasons(await deliver(org, contact("k"))) == [Reason.RACE]
    assert reasons(await deliver(org, contact("k"))) == [None]


@pytest.mark.parametrize("form", FORMS)
async def test_an_existing_record_that_was_assumed_new_is_found_in_every_wording(org, form):
    crm = sink()
    await deliver(org, donor("told"), by=crm)
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    await org.control("PUT", "wording", json={"duplicates": form})
    assert await deliver(org, donor("k", Phone="1"), by=crm) == [Delivered(record_id=known)]
    (row,) = [row for row in await org.records("Contact") if row["Id"] == known]
    assert (row["LastName"], row["Phone"]) == ("Old", "1")


@pytest.mark.parametrize("form", FORMS)
async def test_an_upsert_that_lost_a_race_is_delivered_at_a_later_try(org, form):
    await org.control("PUT", "wording", json={"duplicates": form})
    await org.fault("overtaken", records=["k"], times=1)
    (outcome,) = await deliver(org, contact("k"))
    if not isinstance(outcome, Delivered):
        assert outcome.reason is Reason.RACE
        (outcome,) = await deliver(org, contact("k"))
    assert isinstance(outcome, Delivered)
    assert len([row for row in await org.records("Contact") if row["SMS_Key__c"] == "k"]) == 1


async def test_a_duplicate_value_on_an_invisible_record_costs_few_calls_and_no_attempt(org):
    crm = sink()
    await deliver(org, donor("told"), by=crm)
    message = "duplicate value found: <unknown> duplicates value on record with id: <unknown>"
    await org.fault("refuse", code="DUPLICATE_VALUE", message=message, records=["k"])
    org.sent.clear()
    (outcome,) = await deliver(org, donor("k"), by=crm)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.DUPLICATE_RECORD
    assert len(org.sent) == 4


async def test_writes_by_both_lengths_of_an_id_are_sent_in_order(org):
    (known,) = await org.load("Contact", [{"LastName": "Old"}])
    writes = [replace(contact(one, Phone=one), key_field=ID_FIELD, may_create=False) for one in (known, known[:15])]
    assert reasons(await deliver(org, *writes)) == [None, None]
    (row,) = await org.records("Contact")
    assert row["Phone"] == known[:15]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("duplicate value found: SMS_Key__c duplicates value on record with id: 0038M000003uKqq", "0038M000003uKqq"),
        (("duplicate value found: a__c duplicates value on record with id: 003000000000001, SMS_Key__c duplicates value on "
         "record with id: 003000000000002"), "003000000000002"),
        ("valeur en double trouvée : SMS_Key__c duplique une valeur dans l'enregistrement ID : 003000000000002AAA", "003000000000002"),
        ("SMS_Key__c 001000000000001 003000000000002 a0S000000000001", "003000000000002"),
        ("duplicate value found: Other__c duplicates value on record with id: 003000000000002", None),
        ("duplicate value found: <unknown> duplicates value on record with id: <unknown>", None),
        ("SMS_Key__c: internationalisation", None),
    ],
)  # fmt: skip
def test_the_record_with_the_duplicate_value_is_read_from_every_wording(message, found):
    emitted = holder(message, "SMS_Key__c", "Contact")
    assert (emitted and comparable(emitted)) == found
    assert emitted is None or len(emitted) == 18


@pytest.mark.parametrize(
    ("message", "is_unclear"),
    [
        ("duplicate value found: <unknown> duplicates value on record with id: <unknown>", True),
        ("duplicate value found: duplicates value on record with id: ", True),
        ("valeur en double trouvée : Other__c duplique une valeur", True),
        ("valeur en double trouvée : SMS_Key__c duplique une valeur", False),
        ("duplicate value found: Other__c duplicates value on record with id: 003000000000002", False),
        ("Already a campaign member.", False),
    ],
)
def test_a_message_that_names_neither_key_nor_field_is_unclear(message, is_unclear):
    assert unclear(message, "SMS_Key__c") is is_unclear
    assert not unclear(message, "")


@pytest.mark.parametrize(
    ("fields", "reason"), [(["Other__c"], Reason.DUPLICATE_RECORD), (["sms_key__c"], Reason.RACE), ([], Reason.RACE)]
)
def test_the_listed_fields_tell_which_value_is_a_duplicate(fields, reason):
    assert classify("DUPLICATE_VALUE", "valeur en double", key_field="SMS_Key__c", fields=fields).reason is reason


def test_an_id_is_read_in_both_lengths():
    for number in (1, 40, 1_000_000):
        whole = record_id("003", number)
        assert in_full(whole[:15]) == whole == in_full(whole)
    assert last_in("Contacto 003000000000002 e 00Q000000000001", "Contact") == in_full("003000000000002")
    assert last_in("a0X000000000001", "Custom__c") == in_full("a0X000000000001")


def test_a_field_in_the_message_is_used_if_no_field_is_listed():
    assert classify("INVALID_FIELD", "Aucune colonne 'Ny__c' dans le sobject de type Contact").field == "Ny__c"
