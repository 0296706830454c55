"""A flag that a write in doubt has cleared, and that a person sets again before the connector knows that the write was done."""

from contract.crms import EACH_CRM
from flow.test_whose_number import DONOR, active, joined, last_word
from flow.world import a_world

from connector.telemetry.log_events import BatchSent

pytestmark = EACH_CRM


async def cleared_in_doubt(world):
    """A donor who left joins again. The flag is cleared in the CRM, but its answer does not arrive."""
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.fault(world.crm_url, fault="dropped", only="writes", after=1)
    await world.phone(DONOR, "KATT")
    await world.until(lambda: world.struck(world.crm_url, "dropped"))
    assert not await world.flag(contact)
    return contact


async def test_an_opt_out_of_a_person_after_a_write_in_doubt_is_not_cleared(world):
    contact = await cleared_in_doubt(world)
    await world.person(id=contact, opted_out=True)
    await world.settled()
    await world.poll()
    assert await world.flag(contact)
    assert last_word(world, DONOR) == "opt_out"
    assert await active(world) == set()
    assert world.balanced()


async def test_an_opt_out_of_a_person_while_the_connector_is_stopped_is_not_cleared_after_the_start(
    tmp_path, secrets, crm
):
    async with a_world(tmp_path, crm=crm) as world:
        async with world.running():
            await world.poll()
            contact = await cleared_in_doubt(world)
        await world.person(id=contact, opted_out=True)
        async with world.running():
            await world.settled()
            await world.poll()
            assert await world.flag(contact)
            assert last_word(world, DONOR) == "opt_out"
            assert await active(world) == set()


async def test_a_write_in_doubt_is_sent_again_after_its_record_was_read(world):
    contact = await cleared_in_doubt(world)
    await world.settled()
    assert not await world.flag(contact)
    assert last_word(world, DONOR) == "opt_in"
    assert await active(world) == {DONOR}
    assert len([one for one in world.emitted(BatchSent) if one.sink == world.crm.name]) < 20
