"""A backlog: callbacks that are stored and planned while the daemon is down, so that it finds them at its start."""

import time
from datetime import UTC, datetime

import orjson
from flow.crowd import report

from connector.mapping.compile.ruleset import load_mappings
from connector.model.http import HttpRequest
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.receive import entries
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.registry import build_providers, mapping_context
from connector.store.store import Store


def _request(body):
    return HttpRequest(
        method="POST",
        instance="strex",
        endpoint="dlr",
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
    loaded = world.load()
    (endpoint,) = (one for one in build_providers(loaded)["strex"].endpoints if one.name == "dlr")
    store = Store.open(loaded.database)
    try:
        await store.inbox.keep([entry for body in bodies for entry in entries(endpoint, _request(body))])
        rules = load_mappings(loaded.resolve_path(loaded.settings.mappings), mapping_context(loaded))
        around = Runtime(emit=world.emit, now=world.clock.now, monotonic=time.monotonic, wake=lambda _: None)
        pipeline = Pipeline(store, rules, PipelineConfig(), around)
        while await pipeline.plan():
            pass
    finally:
        await store.close()
