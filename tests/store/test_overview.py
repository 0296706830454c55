from datetime import timedelta

from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store.records import ShadowWrite


async def test_the_units_of_one_event_are_shown_with_their_states(scene):
    first = await scene.unit("e1", lane="+4790000001", sinks=("salesforce", "strex"))
    await scene.unit("e2", lane="+4790000002")
    (unit, _) = await scene.claim()
    await scene.settle(unit, UnitState.RESTING, reason=Reason.ROW_LOCKED, detail="locked", delay=timedelta(minutes=1))
    resting, ready = scene.store.overview.units_of(first)
    assert (resting.sink, resting.state, resting.reason, resting.attempts) == (
        "salesforce",
        UnitState.RESTING,
        Reason.ROW_LOCKED,
        1,
    )
    assert resting.due_at == scene.now + timedelta(minutes=1)
    assert (ready.sink, ready.state, ready.reason, ready.due_at) == ("strex", UnitState.READY, None, None)
    assert len(ready.operations) == 1
    assert scene.store.overview.sinks() == ["salesforce", "strex"]


async def test_records_that_have_an_opt_out_are_listed_with_their_numbers(scene):
    def shadow(record_id, phone, *, out):
        return ShadowWrite(
            crm="salesforce",
            object="Contact",
            record_id=record_id,
            fields={"Out__c": out},
            phone=phone,
            opted_out=out,
        )

    writes = [
        shadow("003-2", "+4790000002", out=True),
        shadow("003-1", "", out=True),
        shadow("003-3", "+4790000003", out=False),
    ]
    await scene.store.records.write(writes, now=scene.now)
    assert [(one.record_id, one.phone, one.fields) for one in scene.store.records.opted_out()] == [
        ("003-1", None, {"Out__c": True}),
        ("003-2", "+4790000002", {"Out__c": True}),
    ]
