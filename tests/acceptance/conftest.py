"""Fixtures for tests that run the daemon as a separate process."""

import pytest
from acceptance.process import Service
from flow.world import ROOT, SECRETS, a_world


@pytest.fixture
def secrets(monkeypatch):
    """Our own made-up secrets, in the environment that the daemon inherits."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def world(tmp_path, secrets):
    """Both sandboxes, and a config with mappings that may be edited; the daemon is not started."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    for file in (ROOT / "mappings").glob("*.yaml"):
        (mappings / file.name).write_text(file.read_text())
    async with a_world(tmp_path, mappings=mappings) as made:
        yield made


@pytest.fixture
async def service(world):
    """The daemon as a process; whatever the test leaves of it is killed."""
    made = Service(world)
    yield made
    await made.kill()
