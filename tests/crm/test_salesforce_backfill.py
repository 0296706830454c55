"""Which contacts get their number as external ID: considered alone, with others, and after Salesforce's response."""

import pytest

from connector.crm.backfill.decide import SHOWN, Many, Settled, Verdict, settle
from connector.crm.salesforce.client.api import BadName
from connector.crm.salesforce.setup.backfill import Contacts, result_of_error
from connector.model.record_number import NO_REGION, NumberReader

CONTACTS = Contacts(
    key_field="SMS_Key__c",
    phone_fields=("MobilePhone", "HomePhone"),
    numbers=NumberReader(default="NO"),
    key=lambda phone: phone.e164,
)


def read(contacts=CONTACTS, **fields):
    return contacts.read({"Id": "003A", "SMS_Key__c": "", "MobilePhone": "", "HomePhone": "", **fields})


@pytest.mark.parametrize(
    "written", ["+4790000001", "+47 900 00 001", "0047 90000001", "900 00 001", "90000001", "(+47) 90-00-00-01"]
)
def test_a_number_is_read_in_any_spelling(written):
    found = read(MobilePhone=written)
    assert (found.verdict, found.wanted, found.shown) == (Verdict.OPEN, "+4790000001", "+47…001")


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, Verdict.NO_PHONE),
        ({"MobilePhone": "unknown"}, Verdict.UNREADABLE),
        ({"MobilePhone": "12", "HomePhone": "  "}, Verdict.UNREADABLE),
        ({"MobilePhone": "unknown", "HomePhone": "90000001"}, Verdict.OPEN),
        ({"SMS_Key__c": "+4790000001", "MobilePhone": "90000001"}, Verdict.FILLED),
        ({"SMS_Key__c": "+4790000001", "MobilePhone": "90000002", "HomePhone": "90000001"}, Verdict.FILLED),
        ({"SMS_Key__c": "+4790000001", "MobilePhone": "90000002"}, Verdict.DIFFERENT),
        ({"SMS_Key__c": "x-1"}, Verdict.FILLED),
        ({"SMS_Key__c": "x-1", "MobilePhone": "unknown"}, Verdict.FILLED),
    ],
)
def test_each_contact_gets_a_verdict_by_its_own_fields(fields, verdict):
    assert read(**fields).verdict is verdict


def test_the_first_readable_phone_field_is_used():
    assert read(MobilePhone="90000002", HomePhone="90000001").wanted == "+4790000002"
    assert read(MobilePhone="?", HomePhone="90000001").wanted == "+4790000001"


def test_only_international_numbers_are_read_without_a_region():
    abroad = Contacts(
        key_field="SMS_Key__c", phone_fields=("MobilePhone",), numbers=NO_REGION, key=lambda phone: phone.e164
    )
    assert read(abroad, MobilePhone="90000001").verdict is Verdict.UNREADABLE
    assert read(abroad, MobilePhone="+47 90000001").verdict is Verdict.OPEN


def test_an_ambiguous_number_gets_no_external_id():
    contacts = Contacts(
        key_field="SMS_Key__c",
        phone_fields=("MobilePhone", "HomePhone"),
        numbers=NumberReader(default="NO", others=("DK",)),
        key=lambda phone: phone.e164,
        country="MailingCountry",
    )
    assert read(contacts, MobilePhone="90000001").verdict is Verdict.UNCLEAR
    assert read(contacts, MobilePhone="90000001 / 90000002", MailingCountry="NO").verdict is Verdict.UNCLEAR
    assert read(contacts, MobilePhone="90000001", MailingCountry="Denmark").wanted == "+4590000001"
    assert read(contacts, MobilePhone="90000001", SMS_Key__c="+4590000001").verdict is Verdict.FILLED
    assert read(contacts, MobilePhone="90000001", HomePhone="+47 90000002").wanted == "+4790000002"
    assert "MailingCountry" in contacts.soql


def test_the_external_id_equals_that_of_the_mappings_in_any_letter_case():
    made = Contacts(
        key_field="K__c",
        phone_fields=("Phone",),
        numbers=NumberReader(default="NO"),
        key=lambda phone: f"SMS-{phone.e164[1:]}",
    )
    row = {"Id": "003A", "Phone": "90000001"}
    assert made.read(row).wanted == "SMS-4790000001"
    assert made.read({**row, "K__c": "sms-4790000001"}).verdict is Verdict.FILLED
    assert made.read({**row, "K__c": "+4790000001"}).verdict is Verdict.DIFFERENT


def test_the_queries_read_the_needed_fields_and_refuse_an_invalid_name():
    assert CONTACTS.soql == "SELECT Id, SMS_Key__c, MobilePhone, HomePhone, CreatedDate, AccountId FROM Contact"
    assert CONTACTS.changed_since("2026-11-22T04:00:00Z").endswith(
        "HomePhone FROM Contact WHERE SystemModstamp >= 2026-11-22T04:00:00Z"
    )
    bad = Contacts(
        key_field="K, Name FROM Lead", phone_fields=("Phone",), numbers=NO_REGION, key=lambda phone: phone.e164
    )
    with pytest.raises(BadName):
        _ = bad.soql


def test_a_contact_is_filled_unless_another_has_the_external_id():
    assert list(settle(["a"], None, Many.SKIP)) == [Settled("a", Verdict.FILL)]
    assert list(settle(["a"], "h", Many.OLDEST)) == [Settled("a", Verdict.TAKEN, ("h",))]


@pytest.mark.parametrize(("many", "filled"), [(Many.SKIP, None), (Many.OLDEST, "a"), (Many.NEWEST, "c")])
def test_at_most_one_of_several_contacts_with_a_number_is_filled(many, filled):
    found = list(settle(["a", "b", "c"], None, many))
    assert [one.id for one in found if one.verdict is Verdict.FILL] == ([filled] if filled else [])
    assert {one.verdict for one in found if one.id != filled} == {Verdict.SHARED}
    assert found[0].others == ("b", "c")


def test_only_a_few_of_hundreds_of_contacts_with_a_number_are_named():
    found = list(settle([f"c{number}" for number in range(500)], None, Many.SKIP))
    assert len(found) == 500
    assert {len(one.others) for one in found} == {SHOWN}
    assert all(one.id not in one.others for one in found)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ("DUPLICATE_VALUE:duplicate value found: SMS_Key__c duplicates value on record with id: 003:--", Verdict.TAKEN),
        ("ENTITY_IS_DELETED:entity is deleted:--", Verdict.GONE),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION:call +4790000001:--", Verdict.REFUSED),
    ],
)
def test_a_refused_row_keeps_the_code_and_not_the_message(error, meaning):
    assert result_of_error(error) == (meaning, error.partition(":")[0], False)


def test_a_locked_row_may_be_tried_again():
    assert result_of_error("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--") == (
        Verdict.REFUSED,
        "UNABLE_TO_LOCK_ROW",
        True,
    )
