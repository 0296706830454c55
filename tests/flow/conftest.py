"""Fixtures for flow tests."""

import pytest
from contract.crms import SALESFORCE
from flow.world import SECRETS, a_world


@pytest.fixture
def secrets(monkeypatch):
    """The environment holds our own made-up secrets and nothing of the machine's."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def crm():
    """The CRM of a test's world. Tests with the mark EACH_CRM run on every one."""
    return SALESFORCE


@pytest.fixture
async def world(tmp_path, secrets, crm):
    """The sandboxes and the daemon, up; its first look at the CRM is over."""
    async with a_world(tmp_path, crm=crm) as made, made.running():
        await made.poll()
        yield made
