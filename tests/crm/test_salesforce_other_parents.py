"""Parents with several possible names, and numbers for text fields: rejected writes are sent in the form that the org accepts."""

import pytest
from crm.salesforce_writes import contact, deliver, event, reasons, sink
from msgspec.structs import replace

from connector.crm.salesforce.write.other_parents import replaceable, with_next_parents
from connector.model.operation import Parent
from connector.model.outcome import Delivered, Reason, Rejected, Retry

NOBODY = "003000000000009AAA"
BY_KEY = Parent("SMS_Key__c", "k")


def about(key, *ways, or_none=False, **fields):
    first, *others = ways
    parent = replace(first, otherwise=tuple(others), or_none=or_none)
    return event(key, **{"Contact__r": parent, **fields})


@pytest.fixture
async def known(org):
    """The Id of a contact that has the key."""
    (made,) = await deliver(org, contact("k"))
    return made.record_id


async def parents(org):
    return {one["Event_Key__c"]: one["Contact__c"] for one in await org.records("SMS_Event__c")}


async def test_the_first_existing_parent_is_used(org, known):
    absent = Parent("SMS_Key__c", "absent")
    outcomes = await deliver(
        org,
        about("a", Parent("Id", known), absent),
        about("b", Parent("Id", NOBODY), BY_KEY),
        about("c", Parent("Id", "Sent from journey"), BY_KEY),
        about("d", Parent("Id", NOBODY), absent, BY_KEY),
        about("e", absent, Parent("Id", known)),
    )
    assert reasons(outcomes) == [None] * 5
    assert await parents(org) == dict.fromkeys("abcde", known)


async def test_a_contact_in_the_recycle_bin_is_not_used_as_a_parent(org, known):
    await org.control("POST", "delete", json={"object": "Contact", "ids": [known]})
    (made,) = await deliver(org, contact("other"))
    outcomes = await deliver(org, about("a", Parent("Id", known), Parent("SMS_Key__c", "other")))
    assert reasons(outcomes) == [None]
    assert await parents(org) == {"a": made.record_id}


async def test_without_an_existing_parent_a_record_waits_or_is_written_without_one(org):
    absent = Parent("SMS_Key__c", "absent")
    outcomes = await deliver(
        org,
        about("a", Parent("Id", NOBODY), absent),
        about("b", Parent("Id", NOBODY), absent, or_none=True),
        about("c", Parent("Id", NOBODY), or_none=True),
    )
    assert isinstance(outcomes[0], Retry)
    assert reasons(outcomes) == [Reason.PARENT_MISSING, None, None]
    assert await parents(org) == {"b": None, "c": None}


async def test_a_lookup_to_a_missing_record_has_its_own_reason(org):
    outcomes = await deliver(org, event("a", Contact__c=NOBODY))
    assert isinstance(outcomes[0], Rejected)
    assert reasons(outcomes) == [Reason.PARENT_MISSING]


async def test_a_missing_record_by_id_has_its_own_reason(org):
    outcomes = await deliver(org, contact("k").at(NOBODY, {"LastName": "Ås"}))
    assert reasons(outcomes) == [Reason.RECORD_MISSING]


@pytest.mark.parametrize("prepared", [True, False])
async def test_a_text_field_is_given_text(org, prepared):
    by = sink()
    if prepared:
        await by.prepare(org, [], ["SMS_Event__c"])
    others = [event(f"o{number}") for number in range(30)]
    loose = event("a", Text__c=2026, Journey__c=12.5, Keyword__c=True, Amount__c=7, Service_Command__c=True)
    outcomes = await deliver(org, *others, loose, by=by)
    assert all(isinstance(one, Delivered) for one in outcomes)
    (record,) = [one for one in await org.records("SMS_Event__c") if one["Event_Key__c"] == "a"]
    assert (record["Text__c"], record["Journey__c"], record["Keyword__c"]) == ("2026", "12.5", "true")
    assert (record["Amount__c"], record["Service_Command__c"]) == (7, True)
    # From then on nothing is refused.
    before = len(org.sent)
    assert reasons(await deliver(org, event("b", Text__c=2027), by=by)) == [None]
    assert len(org.sent) == before + 1


async def test_a_value_that_cannot_be_converted_stays_refused(org):
    outcomes = await deliver(org, event("a", Occurred_At__c="yesterday", Service_Command__c=True), event("b"))
    assert reasons(outcomes) == [Reason.BAD_VALUE, None]


@pytest.mark.parametrize(
    ("outcome", "names"),
    [
        (
            Rejected(reason=Reason.PARENT_MISSING, code="INVALID_CROSS_REFERENCE_KEY", field="Contact__c"),
            ["Contact__r"],
        ),
        (Rejected(reason=Reason.PARENT_MISSING, code="INVALID_CROSS_REFERENCE_KEY", field="WhoId"), ["Who"]),
        (Rejected(reason=Reason.RECORD_MISSING, code="INVALID_CROSS_REFERENCE_KEY"), ["Contact__r", "Who"]),
        (Rejected(reason=Reason.PARENT_MISSING, code="INVALID_CROSS_REFERENCE_KEY", field="OwnerId"), []),
        (
            Retry(
                reason=Reason.PARENT_MISSING,
                detail="INVALID_FIELD: Foreign key external ID: x not found for field Key__c in entity Lead",
            ),
            ["Lead__r"],
        ),
        (Rejected(reason=Reason.VALIDATION), []),
    ],
)
def test_only_the_refused_parent_is_replaced_by_its_alternative(outcome, names):
    fields = {
        "Contact__r": Parent("Id", NOBODY, otherwise=(BY_KEY,)),
        "Who": Parent("Id", NOBODY, or_none=True),
        "Lead__r": Parent("Key__c", "x", otherwise=(BY_KEY,)),
        "Owner": Parent("Id", NOBODY),
        "Name": "x",
    }
    assert replaceable(fields, outcome) == names
    write = with_next_parents(replace(event("a"), set=fields), names)
    assert write.set == {
        name: BY_KEY if name in names else value
        for name, value in fields.items()
        if not (name in names and name == "Who")
    }
