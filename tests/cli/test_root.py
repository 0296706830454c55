"""Commands of root while the service is down: they go on as the owner of the database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534


# Another user must be able to read Python itself, as it can on a server.
READABLE = all(parent.stat().st_mode & 0o005 for parent in Path(sys.base_prefix).resolve().parents)


@pytest.mark.skipif(os.geteuid() != 0 or not READABLE, reason="needs root, and a Python that others can read")
def test_root_reads_the_database_of_another_user_and_leaves_nothing_of_its_own(home):
    home.on_the_road(_nothing)
    for path in [home.directory, *home.directory.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    for parent in home.directory.parents:
        if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    words = [sys.executable, "-m", "connector", "--config", str(home.config), "status"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, 3}, done.stderr
    assert "Events: 0 received" in done.stdout
    assert {path.stat().st_uid for path in home.directory.rglob("*")} == {NOBODY}


async def _nothing(scene):
    assert scene.store.inbox.received() == 0
