"""Recognises repeats of callbacks that have no id, by their content within a window. Events with an id get their keys without it."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.model.event import Verdict, event_key

MAX = 10_000  # callbacks and people that are remembered: far more than arrive within a window, in a few MiB
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Seen:
    content: str
    key: str
    at: datetime


@dataclass(slots=True, kw_only=True)
class Deduplicator:
    """Remembers the latest callbacks.

    The same content is a repeat while the window lasts and nothing else has come from that person in between. Whoever
    votes A, B and A again wants A; whoever writes STOP, START and STOP again wants out. An opt-in is a repeat even
    then, so that one that is sent again late never takes back an opt-out. In doubt an opt-out is new: one too many is
    less harmful than a lost one.

    The memory ends with the process. After a restart the same content still has the same key in the same section of
    time, unless it is an opt-out or something else had come just before it.

    Keys are visible in logs and in the CRM. A number is quickly guessed if all else in a callback is known, so the
    digests in keys are made with the secret of the endpoints.
    """

    window: timedelta
    secret: bytes = b""
    _seen: OrderedDict[str, _Seen] = field(default_factory=OrderedDict)  # by content
    _last: OrderedDict[str, _Seen] = field(default_factory=OrderedDict)  # by person

    def key(
        self, provider: str, endpoint: str, *, person: str, content: Mapping[str, Any], verdict: Verdict, now: datetime
    ) -> str:
        """The key of the event with that content: the same for a repeat, a new one for new content."""
        digest = self._digest([endpoint, person, content])
        seen, last = self._recent(self._seen.get(digest), now), self._recent(self._last.get(person), now)
        if seen is not None and (verdict is Verdict.OPT_IN or (last is not None and last.content == digest)):
            return seen.key
        if verdict is Verdict.OPT_OUT:
            key = event_key(provider, endpoint, digest, str((now - EPOCH) // MICROSECOND))
        else:
            before = last.key if last is not None else ""
            key = event_key(provider, endpoint, self._digest([digest, before]), str((now - EPOCH) // self.window))
        self._remember(person, _Seen(digest, key, now))
        return key

    def remember(self, key: str, *, person: str, now: datetime) -> None:
        """Note that an event with an id of its own has come from that person: what comes after it is no repeat."""
        self._remember(person, _Seen(key, key, now))

    def _recent(self, seen: _Seen | None, now: datetime) -> _Seen | None:
        return seen if seen is not None and now - seen.at < self.window else None

    def _remember(self, person: str, seen: _Seen) -> None:
        for memory, name in ((self._seen, seen.content), (self._last, person)):
            memory[name] = seen
            memory.move_to_end(name)
            if len(memory) > MAX:
                memory.popitem(last=False)

    def _digest(self, content: Any) -> str:
        # Numbers beyond 64 bits cannot occur here: the JSON reader turns them into text.
        return hmac.new(self.secret, orjson.dumps(content, option=orjson.OPT_SORT_KEYS), hashlib.sha256).hexdigest()[
            :32
        ]
