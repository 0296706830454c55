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


def test_the_ways_that_have_a_value_are_kept_in_their_order(parent):
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
def test_an_invalid_list_of_ways_is_reported(problems, written, problem):
    assert any(problem in one for one in problems(FILE % written)), problems(FILE % written)


def test_each_way_is_held_against_the_parent_s_object(problems, context):
    known = replace(context, schemas={"sf": CRM})
    found = problems(
        FILE % '[{Id: "{properties.id}"}, {Nonsense__c: "{msisdn}"}, {FirstName: "{msisdn}"}]', context=known
    )
    assert any("`Contact` has no field `Nonsense__c`" in one for one in found)
    assert any("`Contact.FirstName` is not an external ID" in one for one in found)
