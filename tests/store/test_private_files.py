"""Other users of the machine can neither read the stored data nor hold its lock."""

import fcntl
import os
import stat
from contextlib import contextmanager

import pytest

from connector.crm.backfill.backfill_file import BackfillFile
from connector.model.errors import AlreadyRunning
from connector.store.database import FileLock
from connector.store.private_files import create_private, create_private_directory, is_open_to_others
from connector.store.store import Store

MIB = 1 << 20


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def modes(directory):
    return {path.name: oct(mode(path)) for path in directory.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277])
async def test_only_the_owner_can_read_the_files_of_the_store_whatever_the_umask(tmp_path, mask):
    with umask(mask):
        store = Store.open(tmp_path / "c.db", ballast=MIB)
        await store.writer.run(lambda connection: connection.execute("CREATE TABLE x (y)") and None)
        file = BackfillFile.open(tmp_path / "c.backfill")
        try:
            assert {"c.db", "c.db-wal", "c.db-shm", "c.db.lock", "c.db.ballast", "c.backfill"} <= modes(tmp_path).keys()
            assert set(modes(tmp_path).values()) == {oct(0o600)}
        finally:
            file.discard()
            await store.close()
    assert store.tightened == ()


async def test_files_that_others_could_read_are_made_private_at_the_start(tmp_path):
    path = tmp_path / "c.db"
    await Store.open(path, ballast=MIB).close()
    for name in ("c.db", "c.db.lock", "c.db.ballast"):
        (tmp_path / name).chmod(0o644)
    store = Store.open(path)
    try:
        assert {one.name for one in store.tightened} == {"c.db", "c.db.ballast"}
        assert set(modes(tmp_path).values()) == {oct(0o600)}
    finally:
        await store.close()
    again = Store.open(path)
    await again.close()
    assert again.tightened == ()


def test_a_process_with_the_old_lock_file_open_cannot_hold_the_new_one(tmp_path):
    path, name = tmp_path / "c.db", tmp_path / "c.db.lock"
    name.touch()
    name.chmod(0o644)
    with name.open() as strangers:
        lock = FileLock(path)
        lock.release()
        fcntl.flock(strangers, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock = FileLock(path)
        with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\b") as refused:
            FileLock(path)
        lock.release()
    assert "another user" not in str(refused.value)
    assert modes(tmp_path) == {"c.db.lock": oct(0o600)}


def test_the_cure_for_a_lock_that_another_user_holds_works(tmp_path):
    path, name = tmp_path / "c.db", tmp_path / "c.db.lock"
    name.touch()
    name.chmod(0o644)
    with name.open() as strangers:
        fcntl.flock(strangers, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning, match="remove the file once no connector runs"):
            FileLock(path)
        name.unlink()
        FileLock(path).release()
    assert mode(name) == 0o600


async def test_deleted_values_are_overwritten_in_the_file(tmp_path):
    path, canary = tmp_path / "c.db", "canary-of-a-text"
    store = Store.open(path)
    await store.writer.run(lambda connection: connection.execute("CREATE TABLE x (y)") and None)
    await store.writer.run(lambda connection: connection.execute("INSERT INTO x VALUES (?)", (canary,)) and None)
    await store.close()
    assert canary.encode() in path.read_bytes()
    store = Store.open(path)
    await store.writer.run(lambda connection: connection.execute("DELETE FROM x") and None)
    await store.close()
    assert canary.encode() not in path.read_bytes()


def test_new_directories_are_private_and_existing_ones_are_left_alone(tmp_path):
    above = tmp_path / "there"
    with umask(0o000):
        above.mkdir(0o755)
        create_private_directory(above / "backups" / "old")
    assert [oct(mode(one)) for one in (above, above / "backups", above / "backups" / "old")] == [
        "0o755",
        "0o700",
        "0o700",
    ]
    create_private_directory(above)
    assert mode(above) == 0o755


def test_an_existing_file_keeps_its_content(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    create_private(path)
    assert path.read_text() == "kept"
    assert not is_open_to_others(tmp_path / "nothing")
