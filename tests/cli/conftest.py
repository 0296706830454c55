"""A directory with a config, and the command line in it."""

import asyncio
import json
import os
import threading
from contextlib import contextmanager

import pytest
from admin.scene import Scene, make_home
from click.testing import CliRunner

from connector.cli.main import cli
from connector.sandbox.serve import serving


class Home:
    """Where a command runs. What it needs of the pipeline is done on the store before, as the daemon does."""

    def __init__(self, directory):
        self.directory = directory
        self.config = make_home(directory)
        self.store = directory / "connector.db"
        self.mappings = directory / "mappings"

    def run(self, *words, config=True):
        before = ("--config", str(self.config)) if config else ()
        return CliRunner().invoke(cli, [*before, *(str(word) for word in words)], prog_name="connector")

    def json(self, *words, code=0):
        result = self.run(*words, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def on_the_road(self, work):
        """Run `await work(scene)`, with the store open; returns what it returns."""

        async def run():
            scene = Scene.open(self.config)
            try:
                return await work(scene)
            finally:
                await scene.store.close()

        return asyncio.run(run())

    def edit(self, name, old, new):
        path = self.mappings / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CONNECTOR_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    assert not any(name.startswith("SCENE_") for name in os.environ)
    return Home(tmp_path)


@contextmanager
def in_a_thread(app):
    """Serves the app in a thread of its own, for commands that run a loop themselves; yields its address."""
    ready, loop, stop, urls = threading.Event(), asyncio.new_event_loop(), asyncio.Event(), []

    async def serve():
        async with serving(app) as url:
            urls.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@pytest.fixture
def threaded():
    return in_a_thread
