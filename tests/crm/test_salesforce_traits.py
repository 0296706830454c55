"""Salesforce's traits as used by the neutral folders, and that a CRM without them does not get them."""

import pytest

from connector.consent.changes import same_value
from connector.crm.salesforce.traits import TRAITS
from connector.model.crm_traits import PLAIN

GUID = "6fb2b4ae-0f4b-4f37-a1e9-0a9a4a6a7b11"


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("0035f00000aBcDe", "0035f00000aBcDeAAK"),
        ("0035f00000AbCdE", "0035f00000AbCdEAAV"),
        ("0035f00000aBcDeAAK", "0035f00000aBcDeAAK"),
        ("fifteen letters", "fifteen letters"),
        ("åååååååååååååååå"[:15], "ååååååååååååååå"),
        ("", ""),
        (GUID, GUID),
    ],
)
def test_an_id_of_15_characters_is_completed_and_other_texts_are_unchanged(written, full):
    assert TRAITS.full_id(written) == full


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Contact__r", "Contact__c"),
        ("contact__R", "contact__c"),
        ("Contact", "Contact"),
        ("SMS_Key__c", "SMS_Key__c"),
        ("", ""),
    ],
)
def test_the_id_column_of_a_relationship_is_found(name, column):
    assert TRAITS.relationship_column(name) == column


def test_ids_of_a_plain_crm_are_compared_whole():
    assert same_value("0035f0000000001", "0035f0000000001AAA", TRAITS)
    assert not same_value("0035f0000000001", "0035f0000000001AAA", PLAIN)
    assert not same_value(GUID, GUID[:-1] + "2", PLAIN)
