"""Runs the daemon as an operator does: as a process, observed by its log lines, exit code and database file."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
from pathlib import Path

import aiohttp
from flow.world import SECRETS, TIMEOUT

from connector.registry import CRMS

TESTS = Path(__file__).parent.parent
REACHED = re.compile(r"listening\W.*hooks\W+(http://[\w.:]+)\W+admin\W+(http://[\w.:]+)")  # in text and in JSON


class Service:
    """One connector of the config; may be started again and again."""

    def __init__(self, world):
        self._world = world
        self._process = None
        self._reader = None
        self.url = None
        self._listening = asyncio.Event()
        self._described = asyncio.Event()
        self.admin_url = None
        self.lines = []  # what it has logged in all its lives
        self.said = b""  # the same, as it came

    @property
    def path(self):
        return self._world.base / "c.db"

    @property
    def pid(self):
        return self._process.pid

    async def start(self):
        """Start it, and wait until it answers."""
        self._process = await self._spawn()
        self._reader = asyncio.create_task(self._read(self._process.stderr))
        async with asyncio.timeout(TIMEOUT):
            await self._listening.wait()

    async def second(self):
        """Start another one on the same file, and wait until it has ended: exit code and last words."""
        process = await self._spawn()
        try:
            async with asyncio.timeout(TIMEOUT):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode, said.decode()

    async def kill(self):
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._listening.clear()
            self._process.kill()
        await self._gone()

    async def stop(self):
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return await self._gone()

    async def ended(self):
        """Wait until it has ended by itself; its exit code."""
        code = await self._gone()
        self._listening.clear()
        return code

    def signal(self, number):
        self._process.send_signal(number)

    async def emitted(self, words, since=0):
        """Wait until a line of the log with these words has come."""
        async with asyncio.timeout(TIMEOUT):
            while not (found := [line for line in self.lines[since:] if words in line.get("message", "")]):
                self._described.clear()
                await self._described.wait()
        return found[0]

    async def callback(self, body, endpoint="dlr"):
        """Post a callback as Strex does: again and again until it is answered 200."""
        while True:
            await self._listening.wait()
            try:
                url = f"{self.url}/hooks/strex/{endpoint}/{SECRETS['HOOK_SECRET']}"
                async with self._world.http.post(url, json=body) as response:
                    if response.status == 200:
                        return
            except (aiohttp.ClientError, ConnectionError):
                continue

    def asked(self, query):
        """A look into the file."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    async def _spawn(self):
        config = str(self._world.base / "config.yaml")
        shipped = self._world.crm.types is CRMS
        words = ("-m", "connector", "--config", config, "run") if shipped else (str(TESTS / "contract/run.py"), config)
        path = os.pathsep.join((str(TESTS), str(TESTS.parent)))
        environment = None if shipped else {**os.environ, "PYTHONPATH": path}
        return await asyncio.create_subprocess_exec(
            sys.executable, *words, stderr=asyncio.subprocess.PIPE, env=environment
        )

    async def _gone(self):
        if self._process is None:
            return None
        async with asyncio.timeout(TIMEOUT):
            await self._reader
            return await self._process.wait()

    async def _read(self, stream):
        async for line in stream:
            self.said += line
            fact = json.loads(line) if line.startswith(b"{") else {"message": line.decode()}
            self.lines.append(fact)
            self._described.set()
            if reached := REACHED.search(line.decode()):
                self.url, self.admin_url = reached.groups()
                self._listening.set()
        self._listening.clear()
