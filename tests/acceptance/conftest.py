"""Fixtures for tests that run the daemon as a separate process."""

import pytest
from acceptance.process import Service
from contract.crms import SALESFORCE
from flow.world import SECRETS, a_world


@pytest.fixture
def secrets(monkeypatch):
    """Our own made-up secrets, in the environment that the daemon inherits."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def crm():
    """The CRM of a test's world. Tests with the mark EACH_CRM run on every one."""
    return SALESFORCE


@pytest.fixture
async def world(tmp_path, secrets, crm):
    """Both sandboxes, and a config with mappings that may be edited; the daemon is not started."""
    async with a_world(tmp_path, crm=crm) as made:
        yield made


@pytest.fixture
async def service(world):
    """The daemon as a process; whatever the test leaves of it is killed."""
    made = Service(world)
    yield made
    await made.kill()
