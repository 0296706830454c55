"""Polls for what the webhook missed (ports.py, Poller): messages from the API's list, and keywords that are new or changed.

Source: SMS Inbound API, Inbound SMS (`GET /SmsMO?pageNumber&pageSize`) and Keyword. The order of the list is not
documented.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import orjson

from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.errors import Unreadable
from connector.model.event import Event, Part, event_key
from connector.model.http import Http, HttpError, HttpReply
from connector.model.outcome import Reason, Retry
from connector.ports import PollPage
from connector.providers.onlinefundraising.api import content, failure_of, failure_without_answer, reading
from connector.providers.onlinefundraising.keywords import LIST, as_keyword, detail_call
from connector.providers.onlinefundraising.values import as_text
from connector.providers.onlinefundraising.webhook import MESSAGE, Reader
from connector.providers.strict_json import parse_object

KEYWORD = "keyword"
ACTION = "Keyword"
WEBHOOK = "webhookEndpointUrl"
DETAILS = 40  # keywords in each step; a shutdown waits for one step
TOGETHER = 8  # calls at once; no rate limit is documented
DIGEST = 12  # hex digits; they distinguish two states of one keyword, never two keywords
NOT_DOCUMENTED = Retry(
    reason=Reason.UNEXPECTED_ANSWER,
    detail="the answer is not what OnlineFundraising documents",
    cure=SOMETHING_ELSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The position of a poll."""

    since: datetime  # messages older than this are known
    page: int = 1
    newest: datetime | None = None  # newest message of this poll
    rising: bool = False  # the list has proved to be sorted oldest first
    before: str = ""  # digest of the previous page

    @classmethod
    def read(cls, position: str) -> Self:
        stored = orjson.loads(position)
        stored["since"] = datetime.fromisoformat(stored["since"])
        stored["newest"] = datetime.fromisoformat(stored["newest"]) if stored["newest"] else None
        return cls(**stored)

    def written(self) -> str:
        return orjson.dumps(asdict(self)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedMessages:
    """Reads the list of received messages back to the start of the previous poll, one page in each step."""

    reader: Reader
    endpoint: str
    every: timedelta
    overlap: timedelta
    page_size: int
    shape: str = MESSAGE

    @property
    def name(self) -> str:
        """`onlinefundraising.messages`."""
        return f"{self.provider}.messages"

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    async def ask(self, http: Http, position: str | None, now: datetime) -> PollPage | Retry:
        """Read the next page. The first poll only records the time: the connector does not replay years of old messages."""
        if position is None:
            return PollPage(position=_Place(since=now).written())
        place = _Place.read(position)
        try:
            reply = await http.call(reading(f"/SmsMO?pageNumber={place.page}&pageSize={self.page_size}"))
        except HttpError as error:
            return failure_without_answer(error)
        bad = failure_of(reply)
        if bad is not None and place.page > 1 and bad.reason is Reason.WRONG_ADDRESS:
            return PollPage(position=self._next_round(place, now))  # this page does not exist: the list has ended
        messages = _list(reply) if bad is None else None
        if messages is None:
            return bad or NOT_DOCUMENTED
        digest = _digest(messages)
        if not messages or digest == place.before:
            return PollPage(position=self._next_round(place, now))
        parts = [self.reader.part(_as_json(one), now) for one in messages]
        times = [part.event.occurred_at for part in parts if part.event and part.event.occurred_at]
        wanted = place.since - self.overlap
        place = _Place(
            since=place.since,
            page=place.page + 1,
            newest=max(times + ([place.newest] if place.newest else []), default=None),
            rising=place.rising or (len(times) > 1 and times[0] < times[-1]),
            before=digest,
        )
        taken = tuple(part for part in parts if not _older(part, wanted))
        # Only in a list sorted newest first does an old page prove that all pages after it are old too.
        if times and max(times) < wanted and not place.rising:
            return PollPage(parts=taken, position=self._next_round(place, now))
        return PollPage(parts=taken, position=place.written(), last=False)

    @staticmethod
    def _next_round(place: _Place, now: datetime) -> str:
        # A time in the future, from a wrong clock at the provider, must not hide later messages.
        return _Place(since=max(place.since, min(place.newest or place.since, now))).written()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedKeywords:
    """Reads the keywords. Each that is new or changed becomes an event, so that a mapping can copy it to the CRM.

    The list does not show everything, so each keyword's own page is read too: when its entry has changed, and once a
    day.
    """

    provider: str
    endpoint: str
    every: timedelta
    shape: str = KEYWORD

    @property
    def name(self) -> str:
        """`onlinefundraising.keywords`."""
        return f"{self.provider}.keywords"

    async def ask(self, http: Http, position: str | None, now: datetime) -> PollPage | Retry:
        """Read the next step: some of the listed keywords whose pages are due."""
        # For each keyword: how often it has changed, what it was then, and what its entry in the list was.
        known: dict[str, tuple[int, str, str]] = orjson.loads(position) if position else {}
        try:
            reply = await http.call(reading(LIST))
        except HttpError as error:
            return failure_without_answer(error)
        bad = failure_of(reply)
        listed = _list(reply) if bad is None else None
        if listed is None:
            return bad or NOT_DOCUMENTED
        today = now.astimezone(UTC).date().isoformat()
        entries: dict[str, dict[str, Any]] = {found.id: one for one in listed if (found := as_keyword(one)) is not None}
        due = [one for one, entry in entries.items() if known.get(one, (0, "", ""))[2] != _digest(entry, today)]
        parts: list[Part] = []
        for start in range(0, len(due[:DETAILS]), TOGETHER):
            some = due[start : min(start + TOGETHER, DETAILS)]
            details = await http.call_all([detail_call(one) for one in some])
            for one, detail in zip(some, details, strict=True):
                if isinstance(detail, HttpError):
                    return failure_without_answer(detail)
                failed = failure_of(detail)
                if failed is not None and failed.reason is not Reason.WRONG_ADDRESS:
                    return failed
                page = _object(detail) if failed is None else {}
                if failed is None and as_text(page.get("keywordGuid")) != one:
                    return NOT_DOCUMENTED  # not a keyword, or the page of another keyword
                whole = entries[one] | page
                changes, before, _ = known.get(one, (0, "", ""))
                digest = _digest(whole)
                if digest != before:
                    changes += 1
                    # The webhook's address contains our secret, and a CRM does not need it.
                    shown = {name: value for name, value in whole.items() if name != WEBHOOK}
                    parts.append(self._part(_as_json(shown), f"{changes}-{digest}", now))
                known[one] = (changes, digest, _digest(entries[one], today))
        return PollPage(parts=tuple(parts), position=orjson.dumps(known).decode(), last=len(due) <= DETAILS)

    def _part(self, raw: bytes, state: str, now: datetime) -> Part:
        try:
            members = parse_object(raw)
        except Unreadable as unreadable:
            return Part(raw=raw, why=unreadable.why)
        keyword = as_keyword(members)
        if keyword is None:
            return Part(raw=raw, why="no keyword")
        event = Event(
            key=event_key(self.provider, KEYWORD, keyword.id, state),
            provider=self.provider,
            shape=KEYWORD,
            action=ACTION,
            received_at=now,
            keyword=keyword.word,
            keyword_id=keyword.id,
            short_number=keyword.short_number or None,
            status=None if keyword.active is None else "active" if keyword.active else "inactive",
            properties=members,
        )
        return Part(raw=raw, event=event)


def _as_json(value: Any) -> bytes:
    """JSON of a value as Python's reader parsed it. Whoever parses it again judges what is odd in it."""
    return json.dumps(value).encode()


def _list(reply: HttpReply) -> list[Any] | None:
    try:
        found = content(reply)
    except ValueError:
        return None
    if isinstance(found, dict):
        found = found.get("list")
    if not isinstance(found, list) or (found and not any(isinstance(one, dict) for one in found)):
        return None
    return found


def _object(reply: HttpReply) -> dict[str, Any]:
    try:
        found = content(reply)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and as_keyword(found) is not None else {}


def _digest(*values: Any) -> str:
    return hashlib.sha256(_as_json(values)).hexdigest()[:DIGEST]


def _older(part: Part, wanted: datetime) -> bool:
    return part.event is not None and part.event.occurred_at is not None and part.event.occurred_at < wanted
