"""A record that cannot be parsed or decided blocks neither the rest of its poll nor later ones."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from connector.delivery.channels import FeedChannel
from connector.delivery.http_client import FixedCredentials, Transport
from connector.model.crm_traits import PLAIN
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.ports import Notice, Page, Row
from connector.store.store import Store

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
OF_CONTACTS = ("salesforce", "Contact")


class Feed:
    """Shows one record a page; the second one of each round, and the one that is pointed at, cannot be read."""

    crm, object, name = *OF_CONTACTS, "salesforce.Contact"
    fields, key_fields, every = ("A",), (), timedelta(0)
    traits = PLAIN

    async def ask(self, http, position):
        if position == "1":
            raise RuntimeError("unreadable")
        return Page(rows=(Row(record_id="003A", stamp=NOW, fields={"A": 1}),), position="1", last=False)

    async def look(self, http, record_ids):
        raise RuntimeError("unreadable")


@pytest.fixture
async def pipeline(tmp_path):
    store = Store.open(tmp_path / "c.db")
    around = Runtime(emit=lambda _: None, now=lambda: NOW, monotonic=time.monotonic, wake=lambda _: None)
    made = Pipeline(store, None, PipelineConfig(), around)  # following asks no rule
    yield made
    await store.close()


@pytest.fixture
async def channel():
    async with Transport() as transport:
        yield FeedChannel(Feed(), transport.client(FixedCredentials("http://127.0.0.1:9")))


async def test_events_of_a_round_are_planned_although_the_round_fails(pipeline, channel):
    assert await pipeline.follow(channel) == 1
    assert pipeline.open_polls == {channel.poll}
    with pytest.raises(RuntimeError):
        await pipeline.follow(channel)
    assert (pipeline.open_polls, channel.poll) == (set(), None)


async def test_a_change_notice_for_an_unreadable_record_does_not_stop_the_feed(pipeline, channel):
    store = pipeline._store
    await store.following.set_cursor(
        channel.feed.name, '{"fields": ["A"], "consent": [], "position": "0", "baseline": false}'
    )
    await store.change_notices.add_new(
        "salesforce", [Notice(id="n", object="Contact", record_id="003B")], expires=NOW + timedelta(1)
    )
    with pytest.raises(RuntimeError):
        await pipeline.follow(channel)
    assert store.change_notices.waiting(*OF_CONTACTS, 9) == []
    assert await pipeline.follow(channel) == 1
