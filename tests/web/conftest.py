import aiohttp
import pytest
from web.listening import Listening


@pytest.fixture
async def app():
    opened = []

    async def make(**settings):
        opened.append(await Listening().open(**settings))
        return opened[-1]

    yield make
    for one in opened:
        one.gate.set()
        await one.listener.stop()


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session
