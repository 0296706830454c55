"""`match:` in a mapping: its compiled form, and what is rejected because it could create a person twice."""

import pytest

from connector.mapping.language.expectations import Expect, compare
from connector.model.operation import IfMany, IfNone, Match
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.plan import Plan
from connector.model.states import EventState

DONOR = Phone("+4798079008")
WITH_KEY = 'upsert: Contact, key: {Key__c: "{msisdn}"}'
LIKE_THAT = "phone: [MobilePhone, HomePhone], none: create, many: oldest"
MATCHED = f"{WITH_KEY}, match: {{{LIKE_THAT}}}"


def file(*items, name="a"):
    return f"on: strex.delivery_report\nrules:\n  - name: {name}\n    do:\n" + "".join(
        f"      - {{{item}}}\n" for item in items
    )


def test_a_write_with_a_match_has_the_phone_number(ask):
    (write,) = ask(file(f"{MATCHED}, create: {{LastName: x}}")).operations
    assert write.match == Match(
        phone=DONOR, fields=("MobilePhone", "HomePhone"), none=IfNone.CREATE, many=IfMany.OLDEST
    )
    assert (write.key_field, write.key, write.keyed, write.may_create) == ("Key__c", DONOR.e164, True, True)


def test_a_match_without_a_key_finds_records_by_number_and_creates_none(ask):
    (write,) = ask(file("upsert: Contact, match: {phone: [MobilePhone]}, set: {A__c: 1}")).operations
    assert (write.key_field, write.key, write.keyed) == ("match:MobilePhone", DONOR.e164, False)
    assert (write.match.none, write.match.many, write.may_create) == (IfNone.PARK, IfMany.PARK, False)


@pytest.mark.parametrize("item", [MATCHED, "update: Contact, match: {phone: [MobilePhone]}, set: {A__c: 1}"])
def test_an_event_without_a_number_matches_nobody(ask, item):
    assert ask(file(item), msisdn=None).problem[0] is Reason.MISSING_KEY
    assert ask(file(f"{item}, if_missing: skip"), msisdn=None).operations == ()


def test_a_key_that_is_not_the_number_still_needs_the_number_to_match(ask):
    item = f'upsert: Contact, key: {{Key__c: "{{properties.no}}"}}, match: {{{LIKE_THAT}}}'
    assert ask(file(item), msisdn=None, properties={"no": "7"}).problem == (
        Reason.MISSING_KEY,
        "1.yaml: a: upsert Contact: the event has no phone number to match by",
    )


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (f"upsert: Contact, match: {{{LIKE_THAT}}}", "a record is made without an external ID"),
        (f'update: Contact, key: {{Key__c: "{{msisdn}}"}}, match: {{{LIKE_THAT}}}', "`update` never creates"),
        (f"{WITH_KEY}, match: {{phone: [MobilePhone]}}, create: {{A__c: 1}}", "none: park never creates"),
        ('upsert: Contact, id: "{key}", match: {phone: [MobilePhone]}', "a record is named by `key`, by `match` or by"),
        (f"{WITH_KEY}, match: {{phone: []}}", "`phone` needs at least 1"),
        (f"{WITH_KEY}, match: {{phone: [MobilePhone], none: make}}", "`make` is not known here"),
        (f"{WITH_KEY}, match: {{none: create}}", "`phone` is missing here"),
    ],
)
def test_an_ambiguous_or_useless_match_is_refused(problems, item, problem):
    (found,) = problems(file(item))
    assert found.startswith("1.yaml:5:")
    assert problem in found


def test_a_write_by_key_alone_beside_a_match_is_refused_in_any_file(problems):
    (found,) = problems(file(MATCHED), file(f"{WITH_KEY}, create: {{LastName: x}}"))
    assert found.startswith("2.yaml:5:9: 1.yaml:5 matches Contact by phone")
    assert "give it the same `match:`" in found


@pytest.mark.parametrize(
    "other",
    [
        f"{WITH_KEY}, match: {{phone: [MobilePhone], none: create, many: oldest}}",
        f"{WITH_KEY}, match: {{phone: [MobilePhone, HomePhone], none: create, many: newest}}",
        'upsert: Contact, key: {Other__c: "{msisdn}"}, match: {phone: [MobilePhone, HomePhone], none: create, many: oldest}',
        "update: Contact, match: {phone: [MobilePhone, HomePhone], many: oldest}",
    ],
)
def test_two_ways_of_matching_one_object_are_refused(problems, other):
    (found,) = problems(file(MATCHED), file(other))
    assert "1.yaml:5 matches Contact in another way" in found


@pytest.mark.parametrize(
    "other",
    [
        'update: Contact, key: {Key__c: "{msisdn}"}, set: {A__c: 1}',
        'update: Contact, id: "{properties.Id}", set: {A__c: 1}',
        f"{WITH_KEY}, match: {{phone: [MobilePhone, HomePhone], none: skip, many: oldest}}",
        'upsert: Lead, key: {Key__c: "{msisdn}"}',
    ],
)
def test_a_write_that_cannot_create_a_duplicate_is_accepted_beside_a_match(compiled, other):
    assert compiled(file(MATCHED), file(other))


def test_a_test_case_can_expect_the_number_of_a_match(ask):
    made = ask(file(MATCHED)).operations
    plan = Plan(state=EventState.DELIVERING, operations=made)

    def differences(**operation):
        return compare(Expect(operations=[{"upsert": "Contact", **operation}]), plan, {})

    assert differences(match=DONOR.e164, key={"Key__c": DONOR.e164}) == []
    assert differences(match="+4790000001") == ["operation 1: match: expected '+4790000001', got '+4798079008'"]


def test_a_feed_reads_the_key_of_a_match_if_it_has_one(compiled):
    change = "on: sf.change\nfeed: {object: Contact, fields: [MobilePhone]}\nrules: [{name: a, ignore: true}]\n"
    assert compiled(file(MATCHED), change).feeds["sf"]["Contact"].key_fields == ("Key__c",)
    alone = file("update: Contact, match: {phone: [MobilePhone]}")
    assert compiled(alone, change).feeds["sf"]["Contact"].key_fields == ()
