"""Writes each log event as one line, text or JSON. The sentences are in messages.py; mask.py removes phone numbers."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, TextIO

import orjson

from connector.model.terminal_text import escaped, on_one_line
from connector.telemetry.error_location import place_in
from connector.telemetry.log_events import Level, Lifecycle, LogEvent
from connector.telemetry.mask import mask
from connector.telemetry.messages import Detail, Message, level_of, message_of

Form = Literal["auto", "text", "json"]
LEVEL_ORDER = {Level.DEBUG: 0, Level.INFO: 1, Level.WARNING: 2, Level.ERROR: 3}
# sd-daemon(3): a line with this prefix has this syslog priority in the journal.
PRIORITIES = {Level.DEBUG: "<7>", Level.INFO: "<6>", Level.WARNING: "<4>", Level.ERROR: "<3>"}
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/@+…,")


class Log:
    """Writes log events to a stream. It is an Emit."""

    def __init__(
        self,
        *,
        stream: TextIO = sys.stderr,
        level: str = "info",
        form: Form = "auto",
        journal: bool | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = stream
        self._least = LEVEL_ORDER[Level(level)]
        self._journal = "JOURNAL_STREAM" in os.environ if journal is None else journal
        self._json = form == "json" or (form == "auto" and not self._journal and not stream.isatty())
        self._now = now

    def __call__(self, log_event: LogEvent) -> None:
        """Write the event, if its level is high enough."""
        if LEVEL_ORDER[level_of(log_event)] >= self._least:
            self.write(type(log_event).__name__, message_of(log_event))

    def write(self, kind: str, message: Message) -> None:
        """Write one line. If the stream is closed, only the line is lost: nothing else may stop."""
        details = {name: mask(value) if isinstance(value, str) else value for name, value in message.details.items()}
        sentence = mask(message.sentence)
        line = (
            self._as_json(kind, message.level, sentence, details)
            if self._json
            else self._as_text(message.level, sentence, details)
        )
        with suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    def _as_json(self, kind: str, level: Level, sentence: str, details: Mapping[str, Detail]) -> str:
        described = {name: value for name, value in details.items() if value is not None}
        line = {"time": self._time(), "level": level.value, "fact": kind, "message": sentence, **described}
        prefix = PRIORITIES[level] if self._journal else ""
        return prefix + escaped(orjson.dumps(line, default=str).decode())

    def _as_text(self, level: Level, sentence: str, details: Mapping[str, Detail]) -> str:
        # The journal adds its own time and level.
        prefix = PRIORITIES[level] if self._journal else f"{self._time()} {level.value.upper():<7} "
        described = "".join(f" {name}={_quoted(value)}" for name, value in details.items() if value is not None)
        return f"{prefix}{on_one_line(' '.join(sentence.split()))}{described}"

    def _time(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LibraryLog(logging.Handler):
    """Log records of libraries as our lines: the logger's name and its message; of an error only type and place.

    aiohttp's server quotes the bytes of bad requests, which come from a caller, so only the error of its records is
    logged.
    """

    WITHOUT_TEXT = ("aiohttp.server", "aiohttp.access", "asyncio")

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        hide_text = record.name.startswith(self.WITHOUT_TEXT)
        level = Level.ERROR if record.levelno >= logging.ERROR and not hide_text else Level.WARNING
        details: dict[str, str] = {}
        if record.exc_info and record.exc_info[0]:
            details["error"] = place_in(record.exc_info[0], record.exc_info[2])
        words = "error in a connection or task" if hide_text else _words(record)
        self._log(Lifecycle(message=f"{record.name}: {words}", level=level, details=details))


def take_over_libraries(log: Log) -> LibraryLog:
    """Send the libraries' log records through this log only. Returns the handler, to be removed at the end."""
    handler = LibraryLog(log)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    return handler


def _words(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _quoted(value: Detail) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if text and PLAIN.issuperset(text) else escaped(orjson.dumps(text, default=str).decode())
