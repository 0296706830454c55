"""Fixtures for tests of the console: one browser a process, one daemon a file."""

import pytest_asyncio
from console.harness import Visits, chromium, console_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory):
    async with console_world(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser, world):
    visits = Visits(browser, world)
    yield visits
    await visits.close()
