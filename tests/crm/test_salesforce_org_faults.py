"""Rejections whose code may concern one record or the whole org: requests are divided, but not endlessly."""

from crm.salesforce_writes import contact, deliver, reasons

from connector.model.outcome import Delivered, Reason


def batch(count):
    return [contact(f"key-{n:04}") for n in range(count)]


async def test_a_request_with_an_unknown_code_is_split_until_the_failing_record_is_alone(org):
    await org.fault("refuse", status=400, code="BRAND_NEW_CODE", records=["key-0123"])
    outcomes = await deliver(org, *batch(400))
    assert [index for index, one in enumerate(outcomes) if not isinstance(one, Delivered)] == [123]
    assert outcomes[123].reason is Reason.UNKNOWN_CODE


async def test_an_org_that_refuses_every_request_gets_a_limited_number(org):
    await org.fault("refuse", status=400, code="BRAND_NEW_CODE", only="writes")
    outcomes = await deliver(org, *batch(1000))
    assert set(reasons(outcomes)) == {Reason.UNKNOWN_CODE}
    assert len(org.sent) <= 20


async def test_a_request_with_a_code_of_the_whole_org_is_not_split(org):
    await org.fault("refuse", status=403, code="ORG_LOCKED", only="writes")
    outcomes = await deliver(org, *batch(1000))
    assert set(reasons(outcomes)) == {Reason.SINK_REFUSES}
    assert len(org.sent) <= 2
    assert not any(one.in_doubt for one in outcomes)
