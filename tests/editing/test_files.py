"""Replacing a mapping file: whole or not at all, and the file from before is kept."""

from datetime import UTC, datetime

import pytest

from connector.editing.files import (
    MAX_BYTES,
    NEW,
    ChangedOnDiskError,
    check_name,
    may_write,
    put_back,
    read_file,
    replace_file,
)
from connector.mapping.compile.files import mapping_files, unread_files
from connector.model.errors import ConnectorError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.yaml").write_text("on: x\n")
    (tmp_path / "a.yaml").chmod(0o640)
    return tmp_path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_file_from_before_is_kept_where_nothing_loads_it(folder):
    opened = read_file(folder, "a.yaml").digest
    done = replace_file(folder, "a.yaml", "on: y\n", opened=opened, now=NOW)
    assert (folder / "a.yaml").read_text() == "on: y\n"
    assert (folder / "a.yaml").stat().st_mode & 0o777 == 0o640
    assert done.kept.read_text() == "on: x\n"
    assert names(folder) == [".replaced/a.yaml.2026-11-22T12-00-00Z", "a.yaml"]
    assert mapping_files(folder) == [folder / "a.yaml"]
    assert unread_files(folder) == []


def test_two_in_one_second_are_both_kept(folder):
    for text in ("on: y\n", "on: z\n"):
        replace_file(folder, "a.yaml", text, opened=read_file(folder, "a.yaml").digest, now=NOW)
    kept = folder / ".replaced"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {
        "a.yaml.2026-11-22T12-00-00Z": "on: x\n",
        "a.yaml.2026-11-22T12-00-00Z.2": "on: y\n",
    }


def test_put_back_restores_the_very_file(folder):
    before = (folder / "a.yaml").stat()
    done = replace_file(folder, "a.yaml", "on: y\n", opened=read_file(folder, "a.yaml").digest, now=NOW)
    put_back(done)
    after = (folder / "a.yaml").stat()
    assert (after.st_ino, after.st_mode, (folder / "a.yaml").read_text()) == (before.st_ino, before.st_mode, "on: x\n")
    assert names(folder) == ["a.yaml"]


def test_a_new_file_is_made_and_put_back_by_deleting_it(folder):
    done = replace_file(folder, "b.yaml", "on: y\n", opened=NEW, now=NOW)
    assert (done.kept, (folder / "b.yaml").read_text()) == (None, "on: y\n")
    put_back(done)
    assert names(folder) == ["a.yaml"]


@pytest.mark.parametrize("opened", [NEW, "0" * 64])
def test_a_file_that_is_another_one_now_is_not_overwritten(folder, opened):
    with pytest.raises(ChangedOnDiskError, match="changed on disk") as refused:
        replace_file(folder, "a.yaml", "on: y\n", opened=opened, now=NOW)
    assert refused.value.on_disk.text == "on: x\n"
    assert names(folder) == ["a.yaml"]


def test_a_file_that_was_deleted_meanwhile_is_not_made_again(folder):
    opened = read_file(folder, "a.yaml").digest
    (folder / "a.yaml").unlink()
    with pytest.raises(ChangedOnDiskError):
        replace_file(folder, "a.yaml", "on: y\n", opened=opened, now=NOW)
    assert names(folder) == []


def test_the_ends_of_lines_stay_those_of_the_file(folder):
    (folder / "a.yaml").write_bytes(b"\xef\xbb\xbfon: x\r\nrules: []\r\n")
    found = read_file(folder, "a.yaml")
    assert found.text == "on: x\nrules: []\n"
    replace_file(folder, "a.yaml", "on: y\nrules: []\n", opened=found.digest, now=NOW)
    assert (folder / "a.yaml").read_bytes() == b"on: y\r\nrules: []\r\n"


def test_a_disk_that_fails_leaves_the_file_in_place(folder):
    (folder / ".replaced").write_text("no folder")
    opened = read_file(folder, "a.yaml").digest
    with pytest.raises(ConnectorError, match="the file from before is in place"):
        replace_file(folder, "a.yaml", "on: y\n", opened=opened, now=NOW)
    assert (folder / "a.yaml").read_text() == "on: x\n"
    assert names(folder) == [".replaced", "a.yaml"]


def test_a_link_is_not_replaced(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("git") / "b.yaml"
    target.write_text("on: x\n")
    (folder / "b.yaml").symlink_to(target)
    with pytest.raises(ConnectorError, match="link to another file"):
        replace_file(folder, "b.yaml", "on: y\n", opened=read_file(folder, "b.yaml").digest, now=NOW)


@pytest.mark.parametrize(
    "name", ["../a.yaml", "a/b.yaml", ".a.yaml", "a.txt", "a.yaml\n", "", "a" * 70 + ".yaml", "-.yaml"]
)
def test_other_names_are_refused(folder, name):
    with pytest.raises(ConnectorError):
        check_name(name)
    with pytest.raises(ConnectorError):
        replace_file(folder, name, "on: y\n", opened=NEW, now=NOW)
    with pytest.raises(ConnectorError):
        read_file(folder, name)


def test_what_is_no_text_or_too_long_is_not_opened(folder):
    (folder / "a.yaml").write_bytes(b"\xff\xfe")
    (folder / "b.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, words in (("a.yaml", "UTF-8"), ("b.yaml", "larger than 256 KiB")):
        with pytest.raises(ConnectorError, match=words):
            read_file(folder, name)
    with pytest.raises(ConnectorError, match="larger than 256 KiB"):
        replace_file(folder, "c.yaml", "#" * (MAX_BYTES + 1), opened=NEW, now=NOW)


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path):
    assert may_write(tmp_path)
    assert not may_write(tmp_path / "missing")
