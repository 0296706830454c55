"""The mapping schema with the CRM's own names."""

import json

import pytest
from mapping.crm_schema import CRM
from mapping.json_schema import fits_in

from connector.config.yaml_document import parse
from connector.mapping.language.editor_schema import own_schema

SCHEMA = json.loads(json.dumps(own_schema([CRM])))
FILE = """
on: strex.message
rules:
  - name: one
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        create: {LastName: x, Origin__c: x}
        set:
          FirstName: {from: lookup.firstName, truncate: 40}
          Interest__c: "{properties.interest}"
          Account: {Account_Key__c: "{service_id}"}
      - update: Campaign
        key: {Anything__c: x}
        set: {Whatever__c: x}
"""
FEED = "on: sf.change\nfeed: {object: Contact, fields: [MobilePhone]}\nrules: [{name: x}]\n"


def fits(text):
    return fits_in(SCHEMA, parse(text, "f.yaml").value, SCHEMA)


def test_known_fields_and_unknown_objects_are_valid_in_the_editor_schema():
    assert fits(FILE)
    assert fits(FEED)
    assert fits(FEED.replace("Contact", "Campaign").replace("MobilePhone", "Whatever__c"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FirstName:", "FristName:"),
        ("{SMS_Key__c:", "{LastName:"),
        ("Origin__c: x", "Name: x"),
        ("FirstName: {from", "Origin__c: {from"),
        ("trunc", "trunk"),
    ],
)
def test_a_missing_or_misplaced_name_is_invalid_in_the_editor_schema(old, new):
    assert old in FILE
    assert not fits(FILE.replace(old, new))


def test_a_watched_field_must_exist_in_the_editor_schema():
    assert not fits(FEED.replace("MobilePhone", "MobilPhone"))


def test_the_editor_schema_offers_objects_values_and_descriptions():
    definitions = SCHEMA["$defs"]
    offered = definitions["Upsert"]["properties"]["upsert"]["anyOf"][0]["enum"]
    assert offered == ["Contact", "Account", "Task"]
    field = definitions["Contact.set"]["properties"]
    assert field["Interest__c"]["anyOf"][0]["enum"] == ["Children", "Climate"]
    assert "at most 40 characters" in field["FirstName"]["description"]
    assert list(field["Account"]["properties"]) == ["Account_Key__c"]
    assert definitions["Task.set"]["properties"]["Who"]["properties"]["type"]["enum"] == ["Contact", "Lead"]
    assert list(definitions["Contact.key"]["properties"]) == ["Email", "SMS_Key__c", "Number__c"]
