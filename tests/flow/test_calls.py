"""How many of the org's daily API calls a backlog uses, by the org's own count."""

import pytest
from flow.backlog import backlog
from flow.world import a_world

# Signing in, the feed's polls, and what is asked at a start of the keys by which records are made: they cost the same with no event.
BESIDE = {"POST /services/oauth2/token", "GET /queryAll", "GET /sobjects/{object}/describe"}


async def spent(world):
    """Calls for the events so far."""
    emitted = await world.get(f"{world.salesforce}/_sandbox/stats")
    assert sum(emitted["requests"].values()) == emitted["api_calls"] + emitted["logins"]
    return sum(n for route, n in emitted["requests"].items() if route not in BESIDE)


@pytest.mark.parametrize("each", [1, 5])
async def test_a_backlog_of_a_thousand_events_needs_two_calls(tmp_path, secrets, each):
    people = range(1000 // each)
    async with a_world(tmp_path) as world:
        await backlog(world, [(person, turn) for turn in range(1, each + 1) for person in people])
        async with world.running():
            await world.settled()
        assert await spent(world) == 2
        await backlog(world, [(person, turn) for turn in range(each + 1, 2 * each + 1) for person in people])
        async with world.running():
            await world.settled()
        assert await spent(world) == 4
        assert len(await world.records("SMS_Event__c")) == 2000
        assert {one["SMS_Monthly_Amount__c"] for one in await world.records()} == {2 * each * 10}
