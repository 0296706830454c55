"""A backup is complete, consistent, verified and private; an invalid one is rejected and leaves no files."""

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta

import pytest
from store.conftest import NOW

from connector.model.errors import StoreUnavailable
from connector.model.states import EventState
from connector.store.backups import (
    BackupDamaged,
    BackupFailed,
    NoBackup,
    backup_name,
    kept,
    make_backup,
    still_sound,
    verify,
)
from connector.store.console_sessions import StoredSession
from connector.store.migrations import STEPS
from connector.store.restore import restore
from connector.store.store import Store


def spoil(path):
    """Destroy the last page of the inbox's leaves, as a disk does."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'inbox'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


async def test_a_backup_is_a_whole_store(scene, tmp_path):
    await scene.unit("a")
    target = tmp_path / "there" / "copy.db"
    made = make_backup(scene.store.path, target, now=NOW)
    await scene.keep("b")
    assert (made.taken_at, made.last_event_at, made.events, made.open_units) == (NOW, NOW, 1, 1)
    assert verify(target) == made
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    assert [stat.S_IMODE(one.stat().st_mode) for one in (target, target.parent)] == [0o600, 0o700]
    copy = Store.open(target)
    assert [copy.inbox.received(), copy.inbox.get("a").state] == [1, EventState.DELIVERING]
    await copy.close()


async def test_a_backup_never_replaces_an_existing_file(scene, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(BackupFailed, match="name a new file"):
        make_backup(scene.store.path, target, now=NOW)
    assert target.read_text() == "mine"


async def test_writes_continue_during_a_backup_and_the_copy_is_one_snapshot(scene, tmp_path):
    await scene.store.inbox.keep([scene.entry(f"k{n}", phone=None, raw=os.urandom(8000)) for n in range(3000)])
    loop, steps = asyncio.get_running_loop(), []

    def write_meanwhile(remaining, _):
        steps.append(remaining)
        if remaining:
            asyncio.run_coroutine_threadsafe(scene.keep(f"late-{remaining}", phone=None), loop).result(5)

    made = await asyncio.to_thread(
        make_backup, scene.store.path, tmp_path / "copy.db", now=NOW, progress=write_meanwhile
    )
    assert len(steps) > 2  # in steps, each followed by a commit: it did not begin again
    assert steps == sorted(steps, reverse=True)
    assert made.events == 3000
    assert scene.store.inbox.received() == 3000 + len(steps) - 1


async def test_a_backup_that_would_use_the_reserve_of_the_disk_is_refused(scene, tmp_path):
    size = scene.store.path.stat().st_size
    with pytest.raises(BackupFailed, match="free some space"):
        make_backup(
            scene.store.path, tmp_path / "b" / "copy.db", now=NOW, reserve=1 << 20, free=lambda _: size + (1 << 19)
        )
    assert list((tmp_path / "b").iterdir()) == []


async def test_an_interrupted_backup_leaves_no_file(scene, tmp_path):
    with pytest.raises(BackupFailed, match="stops"):
        make_backup(scene.store.path, tmp_path / "b" / "copy.db", now=NOW, stopped=lambda: True)
    assert list((tmp_path / "b").iterdir()) == []


async def test_a_damaged_database_gives_no_backup(tmp_path):
    path = tmp_path / "c.db"
    await Store.open(path).close()
    spoil(path)
    with pytest.raises(BackupDamaged, match="is damaged"):
        make_backup(path, tmp_path / "b" / "copy.db", now=NOW)
    assert list((tmp_path / "b").iterdir()) == []


async def test_files_that_cannot_be_restored_are_refused_with_the_right_reason(scene, tmp_path):
    await scene.store.inbox.keep([scene.entry(f"k{n}", phone=None) for n in range(500)])
    good, text, other, newer = (tmp_path / name for name in ("good.db", "text.db", "other.db", "newer.db"))
    make_backup(scene.store.path, good, now=NOW)
    make_backup(scene.store.path, newer, now=NOW)
    text.write_text("no database at all " * 100)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE x (y)")
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'm999_later' WHERE name = ?", (next(iter(STEPS)),))
    for path, why in (
        (tmp_path / "none.db", "no file"),
        (text, "not a database"),
        (other, "not a database"),
        (newer, "newer version"),
    ):
        with pytest.raises(NoBackup, match=why):
            verify(path)
    assert still_sound(good) is None
    spoil(good)
    assert still_sound(good)
    with pytest.raises(BackupDamaged):
        verify(good)


def test_backups_are_found_by_their_file_names(tmp_path):
    names = [backup_name("c", NOW + timedelta(days=n)) for n in range(3)]
    for name in (*names, "c-mine.db", "d-20261122T120000Z.db", f"{names[0]}.part"):
        (tmp_path / name).touch()
    assert [one.path.name for one in kept(tmp_path, "c")] == names[::-1]
    assert kept(tmp_path, "c")[0].taken_at == NOW + timedelta(days=2)
    assert kept(tmp_path / "none", "c") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
async def test_files_that_root_makes_belong_to_the_owner_of_the_store(tmp_path):
    home, nobody = tmp_path / "home", 65534
    home.mkdir()
    path = home / "c.db"
    await Store.open(path).close()
    for one in (home, *home.iterdir()):
        os.chown(one, nobody, nobody)
    copy = home / "backups" / "copy.db"
    make_backup(path, copy, now=NOW)
    restore(copy, path, now=NOW + timedelta(minutes=1))
    assert {one.name: one.stat().st_uid for one in home.rglob("*") if one.stat().st_uid != nobody} == {}
    assert len(list(home.rglob("*.db"))) == 3


async def test_nobody_is_signed_in_to_the_console_after_a_restore(tmp_path):
    path, copy = tmp_path / "c.db", tmp_path / "copy.db"
    store = Store.open(path)
    session = StoredSession(
        hash="h", user="kari", role="admin", how="link", created_at=NOW, seen_at=NOW, reveal_until=NOW
    )
    await store.console_sessions.add(session, oldest=NOW)
    make_backup(path, copy, now=NOW)
    await store.console_sessions.delete("h")
    await store.close()
    restore(copy, path, now=NOW)
    store = Store.open(path)
    assert store.console_sessions.get("h") is None
    await store.close()


async def test_a_restore_that_fails_leaves_the_database_as_it_was(scene, tmp_path):
    await scene.unit("a")
    path = scene.store.path
    with pytest.raises(StoreUnavailable):
        restore(tmp_path / "none.db", path, now=NOW)
    assert scene.store.inbox.received() == 1
    assert not list(path.parent.glob("*restor*"))
