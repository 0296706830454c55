"""The mappings that were accepted last, kept for a start whose files have errors; and the last refused reload."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from connector.store.sql import micros, moment
from connector.store.writer import Writer

KEEP = """INSERT INTO mappings (id, version, files, accepted_at) VALUES (1, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, files = excluded.files, accepted_at = excluded.accepted_at,
        problems = NULL, refused_at = NULL"""
ACCEPTED = "SELECT version, files, accepted_at FROM mappings WHERE version IS NOT NULL"
TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'mappings'"
REFUSE = """INSERT INTO mappings (id, problems, refused_at) VALUES (1, ?, ?)
    ON CONFLICT (id) DO UPDATE SET problems = excluded.problems, refused_at = excluded.refused_at"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedMappings:
    """Mapping files that were accepted, as they were written."""

    version: str
    files: Mapping[str, str]  # name → text
    accepted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMappings:
    """Mapping files that were refused: the problems, one line each."""

    problems: Sequence[str]
    refused_at: datetime


class AcceptedFiles:
    """Reads and writes the one row: what was accepted last, and what was refused after it."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def accepted(self) -> AcceptedMappings | None:
        """The mappings that were accepted last; None if none ever were, or if an older version wrote the file that is only read."""
        row = self._reader.execute(ACCEPTED).fetchone() if self._reader.execute(TABLE).fetchone() else None
        if row is None:
            return None
        version, files, accepted_at = row
        return AcceptedMappings(version=version, files=orjson.loads(files), accepted_at=moment(accepted_at))

    def refused(self) -> RefusedMappings | None:
        """The problems of the files that were refused since; None if the files are in use."""
        row = self._reader.execute("SELECT problems, refused_at FROM mappings WHERE refused_at IS NOT NULL").fetchone()
        if row is None:
            return None
        return RefusedMappings(problems=orjson.loads(row[0]), refused_at=moment(row[1]))

    async def accept(self, version: str, files: Mapping[str, str], now: datetime) -> None:
        """Keep files that are in use from now on."""
        row = version, orjson.dumps(files), micros(now)
        await self._writer.run(lambda connection: connection.execute(KEEP, row))

    async def refuse(self, problems: Sequence[str], now: datetime) -> None:
        """Keep the problems of files that were refused."""
        row = orjson.dumps(problems), micros(now)
        await self._writer.run(lambda connection: connection.execute(REFUSE, row))
