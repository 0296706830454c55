import asyncio
import sqlite3
import threading
from datetime import timedelta

import pytest

from connector.model.errors import StoreUnavailable
from connector.store.database import open_writer
from connector.store.disk import Disk, OpenFiles, free_bytes
from connector.store.store import Store
from connector.store.writer import CHECKPOINT, Checkpoints, Writer

MIB = 1 << 20


@pytest.fixture
async def writer(tmp_path):
    path = tmp_path / "w.db"
    connection = open_writer(path)
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    made = Writer(connection, Disk(path))
    made.start()
    yield made
    await made.close()


def put(number, body="x"):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?, ?)", (number, body)).rowcount


def rows(connection):
    return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY a").fetchall()]


async def held(writer):
    """Keep the thread in hand, so that what is given meanwhile becomes one group."""
    begun, go = threading.Event(), threading.Event()

    def work(connection):
        begun.set()
        assert go.wait(30)

    task = asyncio.create_task(writer.run(work))
    await asyncio.to_thread(begun.wait, 30)
    return task, go


async def test_a_job_returns_after_its_commit(writer, tmp_path):
    assert await writer.run(put(1)) == 1
    with sqlite3.connect(tmp_path / "w.db") as other:
        assert rows(other) == [1]
    other.close()


async def test_waiting_jobs_share_one_commit_and_only_the_bad_one_fails(writer):
    first, go = await held(writer)

    def bad(connection):
        connection.execute("INSERT INTO t VALUES (2, 'gone')")
        raise LookupError("mine alone")

    tasks = [asyncio.create_task(writer.run(work)) for work in (put(1), bad, put(3))]
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert answers[0:2] == [None, 1]
    assert isinstance(answers[2], LookupError)
    assert answers[3] == 1
    assert await writer.run(rows) == [1, 3]


async def test_jobs_of_one_group_share_one_transaction(writer, tmp_path):
    outside = sqlite3.connect(tmp_path / "w.db", check_same_thread=False)
    first, go = await held(writer)
    tasks = [asyncio.create_task(writer.run(work)) for work in (put(1), rows, lambda _: rows(outside))]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(first, *tasks) == [None, 1, [1], []]
    assert rows(outside) == [1]
    outside.close()


async def test_each_shared_job_gets_its_own_result_or_exception(writer):
    calls = []

    def works(connection, items):
        calls.append(list(items))
        return [KeyError(item) if item == "bad" else item.upper() for item in items]

    first, go = await held(writer)
    tasks = [asyncio.create_task(writer.run_together(works, item)) for item in ("a", "bad", "c")]
    await asyncio.sleep(0)
    go.set()
    _, *answers = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert calls == [["a", "bad", "c"]]
    assert (answers[0], answers[2]) == ("A", "C")
    assert isinstance(answers[1], KeyError)


async def test_shared_jobs_run_again_one_by_one_when_they_raise(writer):
    def works(connection, items):
        for item in items:
            put(item)(connection)
        if 2 in items:
            raise ValueError("two")
        return items

    first, go = await held(writer)
    tasks = [asyncio.create_task(writer.run_together(works, item)) for item in (1, 2, 3)]
    await asyncio.sleep(0)
    go.set()
    _, *answers = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert (answers[0], answers[2]) == (1, 3)
    assert isinstance(answers[1], ValueError)
    assert await writer.run(rows) == [1, 3]


async def test_a_failed_commit_fails_for_all_jobs_and_the_next_succeeds(writer):
    # A deferred constraint is only met by the commit itself.
    await writer.run(
        lambda connection: (
            connection.execute("CREATE TABLE child (a REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)").rowcount
        )
    )
    first, go = await held(writer)
    orphan = lambda connection: connection.execute("INSERT INTO child VALUES (99)").rowcount  # noqa: E731 - one line says it.
    tasks = [asyncio.create_task(writer.run(work)) for work in (put(1), orphan)]
    await asyncio.sleep(0)
    go.set()
    _, *answers = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert await writer.run(rows) == []
    assert await writer.run(put(1)) == 1


async def test_a_cancelled_caller_does_not_affect_the_others(writer):
    first, go = await held(writer)
    gone = asyncio.create_task(writer.run(put(1)))
    stays = asyncio.create_task(writer.run(put(2)))
    await asyncio.sleep(0)
    gone.cancel()
    go.set()
    assert await stays == 1
    await first
    assert await writer.run(rows) == [1, 2]


async def test_close_finishes_accepted_jobs_and_refuses_later_ones(writer, tmp_path):
    first, go = await held(writer)
    tasks = [asyncio.create_task(writer.run(put(number))) for number in range(1000)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    go.set()
    await asyncio.gather(first, *tasks, closing)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await writer.run(rows)
    assert not await writer.alive()
    with sqlite3.connect(tmp_path / "w.db") as other:
        assert rows(other) == list(range(1000))
    other.close()


async def test_a_full_disk_is_reported_and_the_writer_recovers(tmp_path, scene):
    store = scene.store
    await scene.keep("before")

    def pages(limit):
        return lambda connection: connection.execute(f"PRAGMA max_page_count={limit}").fetchone()[0]

    now_used = await store.writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await store.writer.run(pages(now_used + 1))
    with pytest.raises(StoreUnavailable, match="too full"):
        await store.inbox.keep([scene.entry("big", raw=b"x" * MIB)])
    assert await store.writer.alive()
    await store.writer.run(pages(1 << 20))
    assert await scene.keep("big", raw=b"x" * MIB)
    assert [one.key for one in store.inbox.pending(9)] == ["before", "big"]


async def test_with_too_little_free_space_new_events_are_refused_and_stored_work_continues(tmp_path):
    left = {"free": 10 * MIB}
    store = Store.open(tmp_path / "c.db", floor=5 * MIB, free=lambda path: left["free"])
    try:
        from_before = await store.following.set_cursor("a", "1")
        left["free"] = MIB
        with pytest.raises(StoreUnavailable, match="free some space"):
            await store.writer.run_together(lambda connection, items: items, 1)
        await store.following.set_cursor("a", "2")
        assert from_before is None
        assert store.following.cursor("a") == "2"
        left["free"] = 10 * MIB
        assert await store.writer.run_together(lambda connection, items: items, 1) == 1
    finally:
        await store.close()


async def test_a_file_system_that_does_not_answer_counts_as_full(tmp_path):
    store = Store.open(tmp_path / "c.db", floor=MIB, free=lambda path: free_bytes(tmp_path / "gone"))
    with pytest.raises(StoreUnavailable, match="free some space"):
        await store.writer.run_together(lambda connection, items: items, 1)
    assert await store.writer.alive()
    await store.close()


def test_the_ballast_is_released_and_restored_only_with_room_for_two(tmp_path):
    left = {"free": 10 * MIB}
    disk = Disk(tmp_path / "c.db", ballast=MIB, floor=MIB, free=lambda path: left["free"])
    ballast = tmp_path / "c.db.ballast"
    assert ballast.stat().st_size == MIB
    disk.release_ballast()
    assert not ballast.exists()
    left["free"] = 2 * MIB
    disk.load()
    assert not ballast.exists()
    left["free"] = 3 * MIB
    disk.load()
    assert ballast.exists()


def refuse(text, code):
    def work(connection):
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error

    return work


class Bench:
    def __init__(self, connection, path):
        self.now, self.outages, self.broken = 100.0, [], []
        self.path = path
        self.writer = Writer(
            connection,
            Disk(path),
            files=OpenFiles(path),
            on_broken=self.broken.append,
            on_outage=self.outages.append,
            monotonic=lambda: self.now,
        )


@pytest.fixture
async def bench(tmp_path):
    path = tmp_path / "w.db"
    connection = open_writer(path, busy_timeout=timedelta(milliseconds=10))
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    made = Bench(connection, path)
    made.writer.start()
    yield made
    await made.writer.close()


async def test_a_disk_error_of_half_a_minute_breaks_the_store_and_a_shorter_one_does_not(bench):
    torn = refuse("disk I/O error", sqlite3.SQLITE_IOERR_FSYNC)
    with pytest.raises(StoreUnavailable, match=r"the disk failed to read or write .*w\.db"):
        await bench.writer.run(torn)
    assert await bench.writer.run(put(1)) == 1
    bench.now += 29
    with pytest.raises(StoreUnavailable, match="disk failed"):
        await bench.writer.run(torn)
    bench.now += 29
    with pytest.raises(StoreUnavailable, match="disk failed"):
        await bench.writer.run(torn)
    assert bench.broken == []
    bench.now += 1
    with pytest.raises(StoreUnavailable, match="can no longer be written"):
        await bench.writer.run(torn)
    assert len(bench.broken) == 1
    assert not await bench.writer.alive()
    with pytest.raises(StoreUnavailable, match="can no longer be written"):
        await bench.writer.run(rows)


async def test_a_damaged_file_breaks_the_store_at_once(bench):
    with pytest.raises(StoreUnavailable, match="trusted"):
        await bench.writer.run(refuse("database disk image is malformed", sqlite3.SQLITE_CORRUPT))
    assert len(bench.broken) == 1
    assert not await bench.writer.alive()


async def test_a_locked_database_is_reported_once_and_its_end_is_noticed_without_a_write(bench):
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"another program holds a lock on .*w\.db"):
            await bench.writer.run(put(1))
    assert [one.kind for one in bench.outages] == ["database_locked"]
    assert await bench.writer.alive()
    assert bench.writer.outage.kind == "database_locked"
    other.execute("ROLLBACK")
    other.close()
    # What only reads proves nothing.
    assert await bench.writer.run(rows) == []
    assert bench.writer.outage is not None
    assert await bench.writer.alive()
    assert bench.writer.outage is None
    assert await bench.writer.run(put(1)) == 1


async def test_a_locked_database_is_noticed_without_a_write(bench):
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await bench.writer.alive()
    assert [one.kind for one in bench.outages] == ["database_locked"]
    other.close()
    assert await bench.writer.alive()
    assert bench.writer.outage is None


async def test_the_health_check_writes_to_the_database(bench):
    log = bench.path.with_name("w.db-wal")
    before = log.stat().st_size
    assert await bench.writer.alive()
    assert log.stat().st_size > before


async def test_the_writer_thread_survives_its_own_bug(bench):
    def gone(path):
        raise RuntimeError("no such thing")

    bench.writer._disk._floor, bench.writer._disk._free = 1, gone
    with pytest.raises(StoreUnavailable, match="RuntimeError"):
        await bench.writer.run(put(1))
    bench.writer._disk._floor = 0
    assert await bench.writer.run(put(1)) == 1


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_write_into_a_deleted_or_replaced_file_fails(bench, ending, replaced):
    assert await bench.writer.run(put(1)) == 1
    file = bench.path.with_name(bench.path.name + ending)
    file.unlink()
    if replaced:
        file.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="another file was put" if replaced else "was deleted or moved away"):
        await bench.writer.run(put(2))
    assert len(bench.broken) == 1
    assert not await bench.writer.alive()


async def test_a_deleted_file_is_noticed_without_a_write(bench):
    assert await bench.writer.alive()
    bench.path.rename(bench.path.with_name("elsewhere.db"))
    assert not await bench.writer.alive()
    assert "w.db was deleted or moved away" in bench.broken[0]


async def test_the_write_ahead_log_stays_small_under_load(writer, tmp_path):
    await writer.run(lambda connection: connection.execute("CREATE TABLE filler (x)") and None)
    largest = 0
    for _ in range(100):
        works = [
            writer.run(lambda connection: connection.execute("INSERT INTO filler VALUES (randomblob(8000))") and None)
            for _ in range(40)
        ]
        await asyncio.gather(*works)
        largest = max(largest, (tmp_path / "w.db-wal").stat().st_size // 4096)
    # 12,000 pages were written; the bound inside a commit is at 4,000.
    assert largest < 2000


def test_a_checkpoint_is_due_after_a_number_of_written_pages():
    checkpoints = Checkpoints()
    for pages in (4, 40, 1):
        for _ in range(3):
            works = 1
            while not checkpoints.due(1):
                works += 1
            checkpoints.done(frames=works * pages, moved=works * pages)
        assert CHECKPOINT - 2 * pages <= works * pages <= CHECKPOINT + pages


def test_a_reader_that_blocks_the_log_causes_no_further_checkpoints():
    checkpoints = Checkpoints()
    assert checkpoints.due(250)
    checkpoints.done(frames=1000, moved=1000)
    assert checkpoints.due(250)
    checkpoints.done(frames=2000, moved=500)
    for _ in range(3):
        assert not checkpoints.due(249)
        assert checkpoints.due(260)
        checkpoints.done(frames=3000, moved=500)
