"""The process that tries mapping files (trial.py): started when it is needed, and kept for a few minutes for the next job."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

# -P: nothing is imported from the folder in which the daemon was started.
COMMAND = (sys.executable, "-P", "-m", "connector.editing.trial")
PACKAGES = Path(__file__).parents[2]
MAX_SECONDS = 600.0  # of a job, after which the process is ended
IDLE = 300.0  # seconds without a job, after which it is ended too: it holds 100 MB, and another start takes a second
LINE_LIMIT = 16 * 1024 * 1024  # bytes of one line of its answer
FAILED = {"error": "the process that checks has failed: please report this"}


class TrialProcess:
    """At most one process, which does one job after the other."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None

    async def ask(self, job: Mapping[str, Any], step: Callable[[str], None]) -> Mapping[str, Any]:
        """Do a job; `step` gets how far it is, in words. The answer has a `result` or an `error`."""
        async with self._turn:
            step("starting")
            if self._end is not None:
                self._end.cancel()
            answer: Mapping[str, Any] | None = None
            try:
                async with asyncio.timeout(MAX_SECONDS):
                    answer = await self._do(orjson.dumps(job) + b"\n", step)
            except TimeoutError:
                return {"error": "this took longer than ten minutes and was stopped"}
            except (OSError, ValueError):  # it has ended, or its line is too long
                return FAILED
            finally:
                if answer is None:
                    await self.stop()
            self._end = asyncio.get_running_loop().call_later(IDLE, self._kill)
            return answer

    async def stop(self) -> None:
        """End the process, if there is one."""
        if self._end is not None:
            self._end.cancel()
        process = self._process
        self._kill()
        if process is not None:
            await process.wait()

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process = None

    async def _do(self, job: bytes, step: Callable[[str], None]) -> Mapping[str, Any]:
        if self._process is None or self._process.returncode is not None:
            environ = {**os.environ, "PYTHONPATH": str(PACKAGES)}
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, limit=LINE_LIMIT, env=environ
            )
        reader, writer = self._process.stdout, self._process.stdin
        if reader is None or writer is None:
            raise ValueError("no pipes")
        writer.write(job)
        await writer.drain()
        while line := await reader.readline():
            answer: dict[str, Any] = orjson.loads(line)
            if "step" not in answer:
                return answer
            step(answer["step"])
        raise ConnectionResetError
