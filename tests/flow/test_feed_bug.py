"""A record that nobody can read, or judge, holds up neither the rest of its round nor what comes after it."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from connector.delivery.peers import Watch
from connector.delivery.transport import FixedCredentials, Transport
from connector.model.roles import Notice, Page, Row
from connector.pipeline import Around, Road, Terms
from connector.store.store import Store

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
OF_CONTACTS = ("salesforce", "Contact")


class Feed:
    """Shows one record a page; the second one of each round, and the one that is pointed at, cannot be read."""

    crm, object, name = *OF_CONTACTS, "salesforce.Contact"
    fields, key_fields, every = ("A",), (), timedelta(0)

    def ask(self, position):
        if position == "1":
            raise RuntimeError("unreadable")
        return Page(rows=(Row(record_id="003A", stamp=NOW, fields={"A": 1}),), position="1", last=False)
        yield

    def look(self, record_ids):
        raise RuntimeError("unreadable")
        yield


@pytest.fixture
async def road(tmp_path):
    store = Store.open(tmp_path / "c.db")
    around = Around(tell=lambda _: None, now=lambda: NOW, monotonic=time.monotonic, wake=lambda _: None)
    made = Road(store, None, Terms(), around)  # following asks no rule
    yield made
    await store.close()


@pytest.fixture
async def watch():
    async with Transport() as transport:
        yield Watch(Feed(), transport.client(FixedCredentials("http://127.0.0.1:9")))


async def test_what_a_round_has_brought_is_planned_though_it_cannot_go_on(road, watch):
    assert await road.follow(watch) == 1
    assert road.open_polls == {watch.poll}
    with pytest.raises(RuntimeError):
        await road.follow(watch)
    assert (road.open_polls, watch.poll) == (set(), None)


async def test_a_record_that_was_pointed_at_and_cannot_be_read_does_not_keep_the_feed_from_its_round(road, watch):
    store = road._store
    await store.following.set_cursor(
        watch.feed.name, '{"fields": ["A"], "consent": [], "position": "0", "baseline": false}'
    )
    await store.pointers.take(
        "salesforce", [Notice(id="n", object="Contact", record_id="003B")], expires=NOW + timedelta(1)
    )
    with pytest.raises(RuntimeError):
        await road.follow(watch)
    assert store.pointers.waiting(*OF_CONTACTS, 9) == []
    assert await road.follow(watch) == 1
