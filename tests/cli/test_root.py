"""Commands of root while the service is down: they go on as the owner of the database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector.cli.setup import Setup

NOBODY = 65534

# Another user must be able to read Python itself, as it can on a server.
READABLE = all(parent.stat().st_mode & 0o005 for parent in Path(sys.base_prefix).resolve().parents)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not READABLE, reason="needs root, and a Python that others can read"
)


@pytest.fixture
def owned(home):
    """A home with a database, all of it another user's."""
    home.on_the_road(_nothing)
    for path in [home.directory, *home.directory.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    for parent in home.directory.parents:
        if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    return home


def command(*words, **more):
    words = [sys.executable, "-m", "connector", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, **more)


def owners(home):
    return {path.stat().st_uid for path in home.directory.rglob("*")}


def test_commands_by_root_leave_no_file_of_root(owned):
    done = command("--config", owned.config, "status")
    assert done.returncode in {0, 3}, done.stderr
    assert "Events: 0 received" in done.stdout
    assert owners(owned) == {NOBODY}


def test_root_may_run_a_command_in_a_folder_that_is_closed_to_the_owner(owned, tmp_path_factory):
    own = tmp_path_factory.mktemp("root")
    own.chmod(0o700)
    config = os.path.relpath(owned.config, own)
    done = command("--config", config, "status", cwd=own)
    assert "Events: 0 received" in done.stdout, done.stderr
    setup = Setup(owned.config)
    first = setup.config()
    owned.config.unlink()
    assert setup.config() is first  # read once: the owner of the database could not read it again


def test_a_daemon_started_by_root_runs_as_the_owner_of_the_folder(owned):
    owned.store.unlink()
    config = owned.config.read_text().replace("{env: SCENE_STREX_SECRET}", "{file: secret}")
    owned.config.write_text(config)
    (owned.directory / "secret").write_text("path-secret")
    (owned.directory / "secret").chmod(0o600)  # root's own, so that its new owner cannot read it
    done = command("--config", owned.config, "run")
    assert "the file secret cannot be read (Permission denied)" in done.stderr


def test_an_unreadable_database_is_not_reported_as_a_port_in_use(owned, tmp_path_factory):
    def as_nobody():
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    shut = tmp_path_factory.mktemp("shut")
    shut.chmod(0o700)
    done = command("--config", owned.config, "backup", shut / "copy.db", preexec_fn=as_nobody)
    assert (done.returncode == 0, "port" in done.stderr) == (False, False), done.stderr
    done = command("status", cwd=shut, preexec_fn=as_nobody)  # looks for ./config.yaml first
    assert "there is no config" in done.stderr
    credentials = owned.directory / "credentials"
    credentials.mkdir()
    credentials.chmod(0o700)  # root's, as nobody meets that of the service's user
    owned.config.write_text(owned.config.read_text().replace("{env: SCENE_STREX_SECRET}", "{credential: path-secret}"))
    done = command("--config", owned.config, "check", preexec_fn=as_nobody)
    assert "the credential path-secret cannot be read (Permission denied)" in done.stdout, done.stderr


async def _nothing(scene):
    assert scene.store.inbox.received() == 0
