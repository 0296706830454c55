import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from connector.model.errors import AlreadyRunning, StoreUnavailable
from connector.store import database
from connector.store.database import open_reader, open_writer
from connector.store.store import Store

HOLDER = """
import asyncio, sys
from pathlib import Path
from connector.store.store import Store

async def main():
    store = Store.open(Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.read()
    await store.close()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_second_process_is_refused_and_the_error_names_the_pid(tmp_path):
    path = tmp_path / "c.db"
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop that could wait for it.
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(AlreadyRunning, match=rf"process {holder.pid}\b"):
            Store.open(path)
        beside = Store.open_to_read(path)
        assert beside.inbox.received() == 0
        await beside.close()
        holder.stdin.close()
    again = Store.open(path)
    await again.close()


@pytest.mark.slow
async def test_a_killed_process_leaves_the_file_free(tmp_path):
    path = tmp_path / "c.db"
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop that could wait for it.
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "open\n"
        os.kill(holder.pid, signal.SIGKILL)
    await Store.open(path).close()


async def test_every_pragma_is_in_force(store):
    got = await store.writer.run(
        lambda connection: {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in database.PRAGMAS}
    )
    assert got == database.PRAGMAS
    assert (got["journal_mode"], got["synchronous"], got["foreign_keys"]) == ("wal", 2, 1)


def test_a_database_that_does_not_accept_a_pragma_is_refused():
    with pytest.raises(StoreUnavailable, match="local file system"):
        database._connect("file::memory:", database.PRAGMAS)


async def test_a_store_opened_to_read_writes_nothing(store):
    beside = Store.open_to_read(store.path)
    with pytest.raises(StoreUnavailable, match="only to be read"):
        await beside.following.set_cursor("a", "1")
    with pytest.raises(sqlite3.OperationalError):
        beside._reader.execute("DELETE FROM inbox")
    await beside.close()


async def test_a_closed_store_can_be_read_without_a_daemon(tmp_path, store):
    await store.following.set_cursor("a", "1")
    await store.close()
    beside = Store.open_to_read(store.path)
    assert beside.following.cursor("a") == "1"
    await beside.close()


def test_a_missing_database_cannot_be_opened_to_read(tmp_path):
    with pytest.raises(StoreUnavailable, match="after the connector has run once"):
        Store.open_to_read(tmp_path / "none.db")


def test_a_missing_directory_is_named_in_the_error(tmp_path):
    with pytest.raises(StoreUnavailable, match="directory"):
        Store.open(tmp_path / "none" / "c.db")


async def test_a_damaged_file_is_found_after_an_unclean_stop(tmp_path):
    path = tmp_path / "c.db"
    store = Store.open(path)

    def fill(connection):
        connection.executemany("INSERT INTO cursors VALUES (?, ?)", [(f"feed {n}", "x" * 100) for n in range(500)])
        return connection.execute(
            "SELECT max(pageno) FROM dbstat WHERE name = 'cursors' AND pagetype = 'leaf'"
        ).fetchone()

    (page,) = await store.writer.run(fill)
    await store.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    # Nothing that a start needs is hurt: only who looks finds it.
    await Store.open(path).close()
    (tmp_path / "c.db-wal").write_bytes(b"left behind")
    with pytest.raises(StoreUnavailable, match="is damaged"):
        Store.open(path)


async def test_closing_the_store_leaves_no_log_file(tmp_path):
    path = tmp_path / "c.db"
    store = Store.open(path)
    await store.following.set_cursor("a", "1")
    assert database.left_behind(path)
    await store.close()
    await store.close()
    assert not database.left_behind(path)


async def test_migrations_run_only_once(tmp_path):
    path = tmp_path / "c.db"
    await Store.open(path).close()
    store = Store.open(path)
    steps = await store.writer.run(
        lambda connection: connection.execute("SELECT name FROM _sqlite_migrations").fetchall()
    )
    assert [name for (name,) in steps] == [
        "m001_first",
        "m002_gone_records_and_pointers",
        "m003_stops_and_causes",
        "m004_calls",
        "m005_stop_answers",
        "m006_last_writes",
        "m007_unmade_operations_and_notes",
        "m008_meaning",
        "m009_replan_and_search",
        "m010_accepted_mappings",
        "m011_charges",
        "m012_suspended_units",
        "m013_sent_alarms",
        "m014_console",
        "m015_people",
        "m016_activity",
        "m017_actions",
        "m018_forgotten",
        "m019_event_pages",
        "m020_erased_records",
        "m021_charge_transactions",
        "m022_merged_records",
    ]
    await store.close()


async def test_a_transition_that_the_model_does_not_know_is_refused(scene):
    await scene.unit("a")
    with pytest.raises(sqlite3.IntegrityError, match="not a transition of units"):
        await scene.rows("UPDATE units SET state = 'delivered', open = 0")
    with pytest.raises(sqlite3.IntegrityError, match="not a transition of inbox"):
        await scene.rows("UPDATE inbox SET state = 'pending'")


@pytest.mark.slow
async def test_a_start_without_migrations_does_not_import_the_migration_library(tmp_path):
    path = tmp_path / "c.db"
    await Store.open(path).close()
    code = (
        "import sqlite3, sys; from connector.store.migrations import migrate\n"
        "migrate(sqlite3.connect(sys.argv[1])); sys.exit('sqlite_utils' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0  # noqa: ASYNC221 - the same.


def test_what_is_no_database_is_reported_with_the_cure_that_helps(tmp_path):
    (tmp_path / "garbage.db").write_bytes(b"this is no database" * 300)
    (tmp_path / "folder.db").mkdir()
    for connect in (open_writer, open_reader):
        with pytest.raises(StoreUnavailable, match="not a database: `connector restore FILE` puts a backup"):
            connect(tmp_path / "garbage.db")
        with pytest.raises(StoreUnavailable, match=r"it is a folder: name a file .*folder.db/connector.db"):
            connect(tmp_path / "folder.db")
    with pytest.raises(StoreUnavailable, match="Check that its directory exists"):
        open_writer(tmp_path / "nowhere" / "connector.db")
    with pytest.raises(StoreUnavailable, match="after the connector has run once"):
        open_reader(tmp_path / "nowhere" / "connector.db")
