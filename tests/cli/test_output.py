"""Where a command prints: a pipe that ends, a full disk, a closed stream, and an encoding that lacks letters."""

import errno
import json
import os
import subprocess
import sys

import pytest

from connector.cli.exit_codes import Ended, Exit, exit_on_error

COMMAND = (sys.executable, "-m", "connector")
FULL = "/dev/full"  # each write to it fails as on a full disk

needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="needs /dev/full")  # noqa: PTH110 - no file.


def command(*words, **more):
    return subprocess.run([*COMMAND, *words], text=True, check=False, timeout=60, **more)


@needs_full
@pytest.mark.parametrize("words", [("manual",), ("schema", "print", "mapping"), ("check", "--json")])
def test_a_full_disk_is_no_bug(tmp_path, words):
    with open(FULL, "w") as full:  # noqa: PTH123 - the same.
        done = command(*words, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    if words != ("check", "--json"):  # there is no config there
        assert "No space left on device: free some space on the disk" in done.stderr


def test_a_reader_that_ends_early_is_no_bug():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command("manual", stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_closed_streams_are_no_bug():
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *COMMAND, "manual"], check=False, timeout=60, cwd="/"
    )
    assert done.returncode == 0


def test_an_encoding_without_some_letters_prints_others_for_them_and_json_stays_json(home):
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    (home.directory / "mappings" / "strex-log.yaml").write_text("on: strex.delivery_report\nrules:\n  - name: på\n")
    shown = command("--config", str(home.config), "check", env=ascii_only, capture_output=True)
    assert (shown.returncode, "?" in shown.stdout, shown.stderr) == (1, True, "")
    document = command("--config", str(home.config), "check", "--json", env=ascii_only, capture_output=True)
    assert any("på" in line for one in json.loads(document.stdout)["problems"] for line in one["excerpt"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "the port is in use: stop the other program"),
        (OSError(errno.EADDRNOTAVAIL, "not there"), "set `host` in the config to one that it has"),
        (PermissionError(errno.EACCES, "denied"), "ports below 1024 are for root"),
        (PermissionError(errno.EACCES, "denied", "/etc/x"), "/etc/x: denied: run this as root"),
        (NotADirectoryError(errno.ENOTDIR, "not a directory", "/a/b"), "/a/b: not a directory: check the path"),
        (OSError(errno.ENOSPC, "no space", "/a/b"), "/a/b: no space: free some space"),
        (OSError(errno.ENOSPC, "no space"), "the output cannot be written: no space: free some space"),
    ],
)
def test_what_the_system_refuses_has_its_own_cure(error, said):
    with pytest.raises(Ended) as ended, exit_on_error():
        raise error
    assert (ended.value.exit_code, said in ended.value.message) == (Exit.USAGE, True), ended.value.message


def test_a_question_that_nobody_answers_changes_nothing_and_names_the_option(home, tmp_path):
    (tmp_path / "key").write_text("x")
    home.on_the_road(_nothing)
    done = home.run("person", "forget", "+4790000001")
    assert done.exit_code == Exit.NO
    assert "no answer, so nothing was changed: answer at a terminal, or add --yes" in done.stderr


async def _nothing(scene):
    """Make the database."""
