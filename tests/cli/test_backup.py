"""`connector backup` and `connector restore`, in the steps of the operator's guide."""

import sqlite3
import stat
from contextlib import closing

from admin.scene import report

from connector.store.database import FileLock


def keep_one(home, transaction="t-1"):
    async def work(scene):
        await scene.receive(report("Subscribe", transaction=transaction))

    home.on_the_road(work)


def test_a_backup_is_restored_and_the_current_database_kept(home, tmp_path):
    keep_one(home)
    copy = tmp_path / "copies" / "copy.db"
    document = home.json("backup", copy)
    assert (document["file"], document["events"]) == (str(copy), 1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    keep_one(home, "t-2")
    assert home.json("status", code=3)["received"] == 2
    done = home.json("restore", copy, "--yes")
    assert done["missing_events"] == 1
    assert home.json("status", code=3)["received"] == 1
    with closing(sqlite3.connect(done["kept_aside"])) as aside:
        assert aside.execute("SELECT count(*) FROM inbox").fetchone() == (2,)
    assert copy.exists()


def test_a_restore_says_what_will_be_missing_and_asks(home, tmp_path):
    keep_one(home)
    assert home.run("backup", tmp_path / "copy.db").exit_code == 0
    keep_one(home, "t-2")
    done = home.run("restore", tmp_path / "copy.db")
    assert done.exit_code == 1
    for words in ("these events will be missing: from 20", "external IDs", "connector parked list", "the CRM may have"):
        assert words.casefold() in done.stdout.casefold()
    assert home.json("status", code=3)["received"] == 2
    assert not list(home.directory.glob("*before-restore*"))


def test_a_backup_without_a_file_name_joins_the_nightly_ones(home):
    keep_one(home)
    assert "last backup: none yet" in home.run("status").stdout
    done = home.json("backup")
    shown = home.json("status", code=3)["backup"]
    assert done["file"] == f"{shown['directory']}/{shown['file']}"
    assert shown["kept"] == 1
    assert "last backup: " in home.run("status").stdout


def test_a_file_that_is_no_backup_is_refused(home, tmp_path):
    keep_one(home)
    text = tmp_path / "text.db"
    text.write_text("nothing " * 1000)
    for file, why in ((text, "not a database"), (tmp_path / "none.db", "no file"), (home.store, "the database itself")):
        done = home.run("restore", file, "--yes")
        assert done.exit_code in (1, 2)
        assert why in done.stderr
    assert home.json("status", code=3)["received"] == 1


def test_a_running_connector_can_be_backed_up_and_not_restored(home, tmp_path):
    keep_one(home)
    lock = FileLock(home.store)
    try:
        assert home.run("backup", tmp_path / "copy.db").exit_code == 0
        done = home.run("restore", tmp_path / "copy.db", "--yes")
    finally:
        lock.release()
    assert done.exit_code == 3
    assert "systemctl stop connector" in done.stderr


def test_a_damaged_database_is_restored_as_the_alarm_says(home, tmp_path):
    keep_one(home)
    assert home.run("backup", tmp_path / "copy.db").exit_code == 0
    home.store.write_bytes(b"\xff" * home.store.stat().st_size)
    assert home.run("status").exit_code == 3
    done = home.json("restore", tmp_path / "copy.db", "--yes")
    assert done["missing_events"] is None
    assert home.json("status", code=3)["received"] == 1


def test_a_lost_database_is_restored(home, tmp_path):
    keep_one(home)
    assert home.run("backup", tmp_path / "copy.db").exit_code == 0
    home.store.unlink()
    assert home.json("restore", tmp_path / "copy.db", "--yes")["kept_aside"] is None
    assert home.json("status", code=3)["received"] == 1


def test_a_backup_without_a_database_is_refused(home, tmp_path):
    assert home.run("backup", tmp_path / "copy.db").exit_code == 3
    assert not home.store.exists()
