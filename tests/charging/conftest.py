import pytest
from charging.scene import a_scene


@pytest.fixture
async def scene(tmp_path):
    async with a_scene(tmp_path) as made:
        yield made
