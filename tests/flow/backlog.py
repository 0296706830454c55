"""A backlog: callbacks that are stored and planned while the daemon is down, so that it finds all of them at its start."""

import time
from datetime import UTC, datetime

import orjson
from flow.crowd import report

from connector.adapters import build_providers, load_config, mapping_context
from connector.mapping.compile import load_mappings
from connector.model.exchange import HttpRequest
from connector.pipeline import Around, Road, Terms
from connector.steps.keeping import entries
from connector.store.store import Store


def _request(body):
    return HttpRequest(
        method="POST",
        instance="strex",
        door="dlr",
        secret=None,
        url="",
        query="",
        headers={},
        body=orjson.dumps(body),
        peer="",
        received_at=datetime.now(UTC),
    )


async def backlog(world, events):
    """Store and plan a delivery report for each of these (person, turn)."""
    await reports(world, [report(*one) for one in events])


async def reports(world, bodies):
    """Store and plan these delivery reports."""
    loaded = load_config(world.base / "config.yaml")
    (door,) = (one for one in build_providers(loaded)["strex"].doors if one.name == "dlr")
    store = Store.open(loaded.at(loaded.settings.store.path))
    try:
        await store.inbox.keep([entry for body in bodies for entry in entries(door, _request(body))])
        rules = load_mappings(loaded.at(loaded.settings.mappings), mapping_context(loaded))
        around = Around(tell=world.tell, now=world.clock.now, monotonic=time.monotonic, wake=lambda _: None)
        road = Road(store, rules, Terms(), around)
        while await road.plan():
            pass
    finally:
        await store.close()
