"""A database of version 0.1.0, with every state in it, opens in this version and goes on. make_0_1_0.py made it."""

import gzip
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from admin.scene import Scene, make_home

from connector.model.errors import StoreUnavailable
from connector.model.states import EventState, UnitState
from connector.store.store import Store

HERE = Path(__file__).parent
MADE = json.loads((HERE / "connector-0.1.0.json").read_text())


@pytest.fixture
async def scene(tmp_path):
    make_home(tmp_path)
    (config,) = tmp_path.rglob("config.yaml")
    database = Scene.open(config)
    target = database.store.path
    await database.store.close()
    for one in target.parent.glob(f"{target.name}*"):
        one.unlink()
    target.write_bytes(gzip.decompress((HERE / "connector-0.1.0.db.gz").read_bytes()))
    made = Scene.open(config)
    yield made
    await made.store.close()


def test_the_old_database_has_every_state_of_events_and_units():
    assert set(MADE["events"]) == {state.value for state in EventState}
    assert set(MADE["units"]) == {state.value for state in UnitState}


def test_the_old_database_is_small():
    assert (HERE / "connector-0.1.0.db.gz").stat().st_size < 20_000


async def test_all_events_and_units_are_there_in_their_states(scene):
    said = await scene.ask("status")
    assert said["balanced"]
    assert {state: n for state, n in said["states"].items() if n} == MADE["events"]
    (salesforce,) = [one for one in said["sinks"] if one["sink"] == "salesforce"]
    assert {state: n for state, n in salesforce["units"].items() if n} == MADE["units"]


async def test_every_event_can_be_explained(scene):
    for event in range(1, scene.store.inbox.received() + 1):
        assert (await scene.ask("explain", event=event))["event"]


async def test_consents_are_kept_and_open_opt_outs_are_still_owed(scene):
    assert scene.store.consents.decided_since(datetime(2026, 11, 1, tzinfo=UTC)) == (8, 2)
    assert [one.event_key for one in scene.store.consents.open_opt_outs(scene.now)] == ["opt-out-under-way"]


async def test_what_was_under_way_goes_on(scene):
    await scene.store.outbox.free_claims("this start", scene.now)  # of the start that was killed
    await scene.plan()  # the pending event
    counts = scene.store.inbox.counts()
    assert counts.get(EventState.PENDING, 0) == 0
    assert counts[EventState.DELIVERING] == MADE["events"]["delivering"] + 1
    assert scene.store.outbox.counts("salesforce")[UnitState.CLAIMED] == 0
    sent = await scene.settle("salesforce")
    assert len(sent) >= 3


async def test_a_dead_letter_is_retried_and_a_parked_event_released(scene):
    dead = await scene.ask("dead_list")
    assert len(dead["letters"]) == 2
    assert await scene.ask("dead_retry", all=True)
    assert len((await scene.ask("parked_list"))["parked"]) == 1
    assert await scene.ask("parked_release", all=True)
    assert scene.store.inbox.counts().get(EventState.DEAD, 0) <= 1


async def test_a_file_of_a_newer_version_is_refused_with_the_way_back(scene):
    path = scene.store.path
    await scene.store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'm999_later' WHERE name = 'm001_first'")
    with pytest.raises(StoreUnavailable, match=r"a newer version of the connector \(it has m999_later\)"):
        Store.open(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'm001_first' WHERE name = 'm999_later'")
    again = Store.open(path)
    assert again.inbox.received() == sum(MADE["events"].values())
    await again.close()


def test_an_update_that_fails_leaves_the_file_to_the_version_from_before(tmp_path):
    path = tmp_path / "connector.db"
    path.write_bytes(gzip.decompress((HERE / "connector-0.1.0.db.gz").read_bytes()))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE erased_records (of_somebody_else TEXT)")  # the newest step makes this table
        before = list(connection.iterdump())
    with pytest.raises(StoreUnavailable, match=r"erased_records already exists\. It is unchanged"):
        Store.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
