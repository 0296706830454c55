"""Writes and queries as Salesforce's JSON, SOQL and paths."""

import orjson
import pytest

from connector.crm.salesforce.client.api import Api, BadName, Collection, Unencodable, identifier, literal, record
from connector.model.operation import Parent

API = Api(version="62.0", client="tests")


def body(fields, **how):
    return orjson.loads(
        record(**({"object_name": "SMS_Event__c", "key_field": "Event_Key__c", "key": "k"} | how), fields=fields)
    )


def test_a_record_is_encoded_with_type_key_and_fields():
    assert body({"Action__c": "Stop", "Amount__c": 2.5, "Flag__c": False, "Text__c": None}) == {
        "attributes": {"type": "SMS_Event__c"},
        "Event_Key__c": "k",
        "Action__c": "Stop",
        "Amount__c": 2.5,
        "Flag__c": False,
        "Text__c": None,
    }


def test_an_update_by_id_is_encoded_with_the_id():
    assert body({}, key_field="Id", key="003000000000001")["id"] == "003000000000001"


def test_a_parent_is_named_by_its_external_id():
    assert body({"Contact__r": Parent("SMS_Key__c", "p")})["Contact__r"] == {"SMS_Key__c": "p"}


def test_a_parent_of_a_polymorphic_relationship_names_its_type():
    who = body({"Who": Parent("SMS_Key__c", "p", "Contact")})["Who"]
    assert who == {"attributes": {"type": "Contact"}, "SMS_Key__c": "p"}


def test_a_parent_by_id_is_written_to_the_id_field():
    sent = body({"Contact__r": Parent("Id", "003a"), "Account": Parent("Id", "001a")})
    assert sent["Contact__c"] == "003a"
    assert sent["AccountId"] == "001a"
    assert "Contact__r" not in sent


def test_a_relationship_is_cleared_by_its_id_field():
    sent = body({"Contact__r": None})
    assert sent["Contact__c"] is None
    assert "Contact__r" not in sent


@pytest.mark.parametrize("name", ["", "1st", "a b", "A'--", "Contact/../User", "Größe", "_x", "A\n", "attributes.type"])
def test_an_invalid_api_name_is_refused(name):
    with pytest.raises(BadName):
        identifier(name)
    for how in ({"object_name": name}, {"key_field": name}):
        with pytest.raises(BadName):
            body({}, **how)
    for fields in ({name: 1}, {"P__r": Parent(name, "k")}, {"P__r": Parent("K__c", "k", name)}):
        with pytest.raises(BadName):
            body(fields)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", 2**70, object()])
def test_a_value_that_json_cannot_hold_is_refused(value):
    with pytest.raises(Unencodable) as refused:
        body({"Amount__c": value})
    assert str(value) not in str(refused.value)


def test_quotes_in_soql_texts_are_escaped():
    assert literal("O'Brien\\") == r"'O\'Brien\\'"
    assert literal("a\nb") == r"'a\nb'"


def test_a_composite_has_its_collections_in_order():
    one = Collection(object="Contact", key_field="SMS_Key__c", records=[b'{"a":1}'])
    two = Collection(records=[b'{"b":2}', b'{"c":3}'])
    call = API.collections([one, two])
    assert (call.method, call.path, call.repeatable) == ("POST", "/services/data/v62.0/composite", False)
    assert call.headers["Sforce-Call-Options"] == "client=tests"
    sent = orjson.loads(call.body)
    assert sent["allOrNone"] is False
    assert [part["url"] for part in sent["compositeRequest"]] == [
        "/services/data/v62.0/composite/sobjects/Contact/SMS_Key__c",
        "/services/data/v62.0/composite/sobjects",
    ]
    assert [part["body"] for part in sent["compositeRequest"]] == [
        {"allOrNone": False, "records": [{"a": 1}]},
        {"allOrNone": False, "records": [{"b": 2}, {"c": 3}]},
    ]


def test_the_url_of_a_look_up_does_not_contain_its_keys():
    call = API.queries(["SELECT Id FROM Contact WHERE SMS_Key__c IN ('+4790000001')"])
    assert call.path == "/services/data/v62.0/composite"
    assert b"4790000001" in call.body
