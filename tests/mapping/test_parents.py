"""Parents with several possible names: the mapping syntax, and the resulting plan."""

from dataclasses import replace

import pytest
from mapping.crm_schema import CRM

from connector.model.operation import Parent

FILE = """
on: strex.delivery_report
rules:
  - name: one
    do: [{upsert: Task, key: {SMS_Key__c: "{key}"}, set: {Contact__r: %s}}]
"""
BOTH = '[{Id: "{properties.id}"}, {SMS_Key__c: "{msisdn}"}]'
BY_NUMBER = Parent("SMS_Key__c", "+4798079008")


@pytest.fixture
def parent(ask):
    def find(written, **properties):
        (write,) = ask(FILE % written, properties=properties).operations
        return write.set.get("Contact__r")

    return find


def test_alternative_parents_with_a_value_are_kept_in_order(parent):
    assert parent(BOTH, id="003A") == Parent("Id", "003A", otherwise=(BY_NUMBER,))
    assert parent(BOTH, id=7) == Parent("Id", "7", otherwise=(BY_NUMBER,))
    assert parent(BOTH) == BY_NUMBER
    assert parent('[{Id: "{properties.id}"}, null]', id="003A") == Parent("Id", "003A", or_none=True)
    assert parent('[{Id: "{properties.id}"}, {type: Lead, SMS_Key__c: "{properties.lead}"}]') is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('[null, {Id: "{properties.id}"}]', "null stands last"),
        ('[{Id: "{properties.id}"}]', "at least 2"),
        ('[{Id: "{propertys.id}"}, null]', "an event has no field `propertys`"),
        ("[{Id: a, SMS_Key__c: b}, null]", "a parent is named by one key field"),
    ],
)
def test_an_invalid_list_of_parents_is_reported(problems, written, problem):
    assert any(problem in one for one in problems(FILE % written)), problems(FILE % written)


def test_each_alternative_parent_is_checked_against_its_object(problems, context):
    known = replace(context, schemas={"sf": CRM})
    found = problems(
        FILE % '[{Id: "{properties.id}"}, {Nonsense__c: "{msisdn}"}, {FirstName: "{msisdn}"}]', context=known
    )
    assert any("`Contact` has no field `Nonsense__c`" in one for one in found)
    assert any("`Contact.FirstName` is not an external ID" in one for one in found)
