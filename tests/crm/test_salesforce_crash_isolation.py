"""A record that makes Salesforce fail: found at its second failure, and then isolated from the others."""

import pytest
from crm.salesforce_writes import contact, deliver, event, reasons, sink

from connector.crm.salesforce.write.send import Composite
from connector.model.outcome import Delivered, Reason


async def crashing(org, *keys):
    await org.fault("server_error", records=list(keys), times=10_000)


def batch(count=400):
    return [contact(f"key-{n:04}") for n in range(count)] + [event(f"event-{n:04}", f"key-{n:04}") for n in range(50)]


@pytest.mark.parametrize("composite", [Composite.UNTRIED, Composite.WORKS, Composite.REFUSED])
async def test_a_crashing_record_is_found_at_the_second_try_and_the_others_are_written(org, composite):
    await crashing(org, "key-0123")
    salesforce = sink(composite=composite)
    first = await deliver(org, *batch(), by=salesforce)
    assert Reason.SERVER_ERROR in set(reasons(first))
    second = await deliver(org, *batch(), by=salesforce)
    assert [index for index, one in enumerate(second) if not isinstance(one, Delivered)] == [123]
    assert second[123].reason is Reason.UNKNOWN
    assert second[123].in_doubt


async def test_a_known_crasher_is_sent_alone(org):
    await crashing(org, "key-0123", "key-0321")
    salesforce = sink()
    for _ in range(2):
        await deliver(org, *batch(), by=salesforce)
    org.sent.clear()
    third = await deliver(org, *batch(), by=salesforce)
    assert [index for index, one in enumerate(third) if not isinstance(one, Delivered)] == [123, 321]
    assert len(org.sent) <= 4
    await org.calm()
    assert {type(one) for one in await deliver(org, *batch(), by=salesforce)} == {Delivered}
    org.sent.clear()
    await deliver(org, *batch(), by=salesforce)
    assert len(org.sent) == 1


async def test_a_child_of_a_crashing_record_waits(org):
    await crashing(org, "key-0007")
    salesforce = sink()
    await deliver(org, *batch(), by=salesforce)
    second = await deliver(org, *batch(), by=salesforce)
    assert reasons(second)[7] is Reason.UNKNOWN
    assert reasons(second)[407] in {Reason.PARENT_WAITING, Reason.UNKNOWN}


async def test_a_permanently_failing_org_gets_a_limited_number_of_requests(org):
    await org.fault("server_error", times=10_000)
    salesforce = sink()
    for most in (1, 15, 1, 15):
        org.sent.clear()
        outcomes = await deliver(org, *batch(), by=salesforce)
        assert set(reasons(outcomes)) == {Reason.SERVER_ERROR}
        assert len(org.sent) <= most


async def test_a_single_server_error_splits_no_request(org):
    await org.fault("server_error")
    salesforce = sink()
    await deliver(org, *batch(), by=salesforce)
    org.sent.clear()
    assert {type(one) for one in await deliver(org, *batch(), by=salesforce)} == {Delivered}
    assert len(org.sent) == 1


async def test_a_known_crasher_that_fails_alone_is_not_yet_rejected(org):
    await crashing(org, "key-0001")
    salesforce = sink()
    for _ in range(2):
        await deliver(org, *batch(3), by=salesforce)
    (alone,) = await deliver(org, contact("key-0001"), by=salesforce)
    assert alone.reason is Reason.SERVER_ERROR
