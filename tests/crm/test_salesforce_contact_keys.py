"""The external IDs that mappings build from a phone number."""

from pathlib import Path

import pytest

from connector.crm.backfill.contact_keys import keys_by_number
from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import load_mappings
from connector.model.errors import ConnectorError
from connector.model.phone import Phone

CONTEXT = Context(sources={"strex.delivery_report": False, "strex.message": False}, crms=("salesforce",))
DONOR = Phone("+4790000001")


def rules(directory: Path, *items: str):
    text = "on: strex.delivery_report\nrules:\n" + "".join(
        f"  - name: r{number}\n    when: {{action: A{number}}}\n    do:\n      - {item}\n"
        for number, item in enumerate(items)
    )
    (directory / "m.yaml").write_text(text + "  - name: rest\n    ignore: true\n")
    return load_mappings(directory, CONTEXT)


def keys(directory, *items):
    return {name: key(DONOR) for name, key in keys_by_number(rules(directory, *items), "salesforce", "contact").items()}


def test_the_key_is_made_by_the_rule_of_the_mapping(tmp_path):
    plain = '{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, set: {LastName: x}}'
    digits = "{upsert: Contact, key: {Other__c: {from: msisdn, phone: digits, prefix: S}}, set: {LastName: x}}"
    assert keys(tmp_path, plain, plain) == {"SMS_Key__c": "+4790000001"}
    assert keys(tmp_path, plain, digits) == {"SMS_Key__c": "+4790000001", "Other__c": "S4790000001"}


def test_keys_that_are_not_the_phone_number_of_a_contact_are_ignored(tmp_path):
    assert not keys(
        tmp_path,
        '{upsert: Contact, key: {SMS_Key__c: "{transaction_id}"}, set: {LastName: x}}',
        '{upsert: Contact, key: {SMS_Key__c: "{msisdn} {keyword}"}, set: {LastName: x}}',
        '{upsert: Lead, key: {SMS_Key__c: "{msisdn}"}, set: {LastName: x}}',
        '{update: Contact, id: "{properties.SfContactId}", set: {LastName: x}}',
    )


def test_two_rules_that_make_different_keys_of_one_number_are_an_error(tmp_path):
    with pytest.raises(ConnectorError, match="r1: it makes another SMS_Key__c"):
        keys(
            tmp_path,
            '{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, set: {LastName: x}}',
            "{upsert: Contact, key: {SMS_Key__c: {from: msisdn, phone: digits}}, set: {LastName: x}}",
        )
