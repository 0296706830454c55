"""The unused space of pages is overwritten, and nothing that SQLite reads is changed."""

import random
import sqlite3
import struct

import pytest

from connector.store.free_space import FreeSpace, gap_of

SECRETS = [f"secret-{number:05}" for number in random.Random(1).sample(range(100_000), 4000)]


async def distributed(scene):
    """Rows that SQLite has distributed over pages again and again, of which some are deleted."""

    dice = random.Random(2)

    def work(connection):
        connection.execute("CREATE TABLE hidden (name TEXT PRIMARY KEY, more TEXT, state TEXT)")
        connection.execute("CREATE INDEX hidden_state ON hidden (state, name)")
        connection.executemany("INSERT INTO hidden VALUES (?, ?, 'new')", [(one, one * 9) for one in SECRETS])
        for state in ("ready", "claimed", "done"):
            for one in dice.sample(SECRETS, len(SECRETS)):
                connection.execute("UPDATE hidden SET state = ? WHERE name = ?", (state, one))
        connection.execute("DELETE FROM hidden WHERE rowid % 3 = 0")

    await scene.store.writer.run(work)


@pytest.mark.slow
async def test_deleted_values_in_free_space_of_pages_are_overwritten(scene):
    await distributed(scene)
    rows = await scene.rows("SELECT name, more FROM hidden ORDER BY name")
    kept = {name for name, _ in rows}
    assert await scene.store.writer.empty_log()
    data = scene.store.path.read_bytes()
    assert [one for one in SECRETS if one not in kept and one.encode() in data], "this version of SQLite leaves nothing"
    scene.store.forgetting.log_holds_erased = True
    assert await scene.store.forgetting.empty_log()
    data = scene.store.path.read_bytes()
    assert [one for one in SECRETS if one not in kept and one.encode() in data] == []
    assert list(FreeSpace(scene.store.path).unclean()) == []
    # What the connections had in memory brings nothing back.
    await scene.rows("UPDATE hidden SET more = upper(more)")
    assert await scene.store.writer.empty_log()
    data = scene.store.path.read_bytes()
    assert [one for one in SECRETS if one not in kept and one.encode() in data] == []
    assert await scene.rows("PRAGMA integrity_check") == [("ok",)]
    assert await scene.rows("SELECT name, lower(more) FROM hidden ORDER BY name") == rows
    await scene.rows("DROP TABLE hidden")


async def test_free_space_is_not_overwritten_while_a_reader_needs_the_log(scene):
    await distributed(scene)
    reader = sqlite3.connect(scene.store.path, isolation_level=None)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM hidden").fetchone()
        await scene.rows("DELETE FROM hidden WHERE rowid % 5 = 0")
        assert not await scene.store.forgetting.empty_log()
    finally:
        reader.close()
    assert await scene.store.forgetting.empty_log()


@pytest.mark.parametrize(
    "page",
    [
        bytes(4096),  # empty, or an overflow page at the end of a chain
        struct.pack(">I", 700) + b"+4790000001".ljust(4092, b"x"),  # an overflow page
        bytes([13, 0, 0, 0, 9, 0, 10, 0]).ljust(4096, b"x"),  # more cells than there is space for
        bytes([13, 0, 0, 0, 1, 15, 0, 0]) + struct.pack(">H", 99) + bytes(4086),  # a cell within the gap
    ],
)
def test_a_page_that_is_not_a_btree_page_is_left_alone(page):
    assert gap_of(page, 7) is None
