"""Polls for what the webhook missed (ports.py, Poller): messages from the API's list, and keywords that are new or changed.

Source: SMS Inbound API, Inbound SMS (`GET /SmsMO?pageNumber&pageSize`) and Keyword. The order of the list is not
documented.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

import orjson

from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.errors import Unreadable
from connector.model.event import Event, Part, event_key
from connector.model.http import Http, HttpError, HttpReply
from connector.model.outcome import Reason, Retry
from connector.ports import PollPage
from connector.providers.onlinefundraising.api import failure_of, failure_without_answer, get_call, json_content
from connector.providers.onlinefundraising.keywords import LIST, as_keyword, detail_call
from connector.providers.onlinefundraising.values import as_text
from connector.providers.onlinefundraising.webhook import MESSAGE, Reader
from connector.providers.strict_json import parse_object

KEYWORD = "keyword"
ACTION = "Keyword"
WEBHOOK = "webhookEndpointUrl"
PAGES_IN_A_STEP = 40  # keywords' own pages; a shutdown waits for one step
CALLS_AT_ONCE = 8  # no rate limit is documented
DIGEST = 12  # hex digits; they distinguish two states of one keyword, never two keywords
NOT_DOCUMENTED = Retry(
    reason=Reason.UNEXPECTED_ANSWER,
    detail="the answer is not what OnlineFundraising documents",
    cure=SOMETHING_ELSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    """The position of a poll of the messages, as it is stored."""

    since: datetime  # messages older than this are known
    page: int = 1
    newest: datetime | None = None  # newest message of this poll
    rising: bool = False  # the list has proved to be sorted oldest first
    before: str = ""  # digest of the previous page

    @classmethod
    def from_text(cls, position: str) -> Self:
        stored = orjson.loads(position)
        stored["since"] = datetime.fromisoformat(stored["since"])
        stored["newest"] = datetime.fromisoformat(stored["newest"]) if stored["newest"] else None
        return cls(**stored)

    def as_text(self) -> str:
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
            return PollPage(position=_Position(since=now).as_text())
        poll = _Position.from_text(position)
        try:
            reply = await http.call(get_call(f"/SmsMO?pageNumber={poll.page}&pageSize={self.page_size}"))
        except HttpError as error:
            return failure_without_answer(error)
        failure = failure_of(reply)
        if failure is not None and poll.page > 1 and failure.reason is Reason.WRONG_ADDRESS:
            return PollPage(position=self._next_poll(poll, now))  # this page does not exist: the list has ended
        messages = _list(reply) if failure is None else None
        if messages is None:
            return failure or NOT_DOCUMENTED
        digest = _digest(messages)
        if not messages or digest == poll.before:
            return PollPage(position=self._next_poll(poll, now))
        parts = [self.reader.part(_as_json(one), now) for one in messages]
        times = [part.event.occurred_at for part in parts if part.event and part.event.occurred_at]
        oldest_wanted = poll.since - self.overlap
        poll = _Position(
            since=poll.since,
            page=poll.page + 1,
            newest=max(times + ([poll.newest] if poll.newest else []), default=None),
            rising=poll.rising or (len(times) > 1 and times[0] < times[-1]),
            before=digest,
        )
        new_parts = tuple(part for part in parts if not _is_older(part, oldest_wanted))
        # Only in a list sorted newest first does an old page prove that all pages after it are old too.
        if times and max(times) < oldest_wanted and not poll.rising:
            return PollPage(parts=new_parts, position=self._next_poll(poll, now))
        return PollPage(parts=new_parts, position=poll.as_text(), last=False)

    @staticmethod
    def _next_poll(poll: _Position, now: datetime) -> str:
        """The position from which the next poll begins."""
        # A time in the future, from a wrong clock at the provider, must not hide later messages.
        return _Position(since=max(poll.since, min(poll.newest or poll.since, now))).as_text()


class _KnownKeyword(NamedTuple):
    """What the position of a poll of the keywords holds about one of them."""

    changes: int  # how often it was new or changed
    digest: str  # of all its members
    entry_digest: str  # of its entry in the list, and of the day on which its own page was read


NEVER_READ = _KnownKeyword(0, "", "")


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
        known = {one: _KnownKeyword(*stored) for one, stored in orjson.loads(position or "{}").items()}
        try:
            reply = await http.call(get_call(LIST))
        except HttpError as error:
            return failure_without_answer(error)
        failure = failure_of(reply)
        listed = _list(reply) if failure is None else None
        if listed is None:
            return failure or NOT_DOCUMENTED
        today = now.astimezone(UTC).date().isoformat()
        entries = {keyword.id: entry for entry in listed if (keyword := as_keyword(entry)) is not None}
        due = [
            keyword_id
            for keyword_id, entry in entries.items()
            if known.get(keyword_id, NEVER_READ).entry_digest != _digest(entry, today)
        ]
        parts: list[Part] = []
        in_this_step = due[:PAGES_IN_A_STEP]
        for start in range(0, len(in_this_step), CALLS_AT_ONCE):
            keyword_ids = in_this_step[start : start + CALLS_AT_ONCE]
            pages = await _read_pages(http, keyword_ids)
            if isinstance(pages, Retry):
                return pages
            for keyword_id in keyword_ids:
                entry, before = entries[keyword_id], known.get(keyword_id, NEVER_READ)
                members = entry | pages[keyword_id]
                digest, changes = _digest(members), before.changes
                if digest != before.digest:
                    changes += 1
                    parts.append(self._part(members, f"{changes}-{digest}", now))
                known[keyword_id] = _KnownKeyword(changes, digest, _digest(entry, today))
        stored = {keyword_id: tuple(one) for keyword_id, one in known.items()}
        return PollPage(parts=tuple(parts), position=orjson.dumps(stored).decode(), last=len(due) <= PAGES_IN_A_STEP)

    def _part(self, keyword_members: Mapping[str, Any], state: str, now: datetime) -> Part:
        # The webhook's address contains our secret, and a CRM does not need it.
        raw = _as_json({name: value for name, value in keyword_members.items() if name != WEBHOOK})
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


async def _read_pages(http: Http, keyword_ids: Sequence[str]) -> dict[str, dict[str, Any]] | Retry:
    """The keywords' own pages by id, empty where a keyword no longer exists; or why one of them cannot be read."""
    pages: dict[str, dict[str, Any]] = {}
    replies = await http.call_all([detail_call(keyword_id) for keyword_id in keyword_ids])
    for keyword_id, reply in zip(keyword_ids, replies, strict=True):
        if isinstance(reply, HttpError):
            return failure_without_answer(reply)
        failure = failure_of(reply)
        if failure is not None and failure.reason is not Reason.WRONG_ADDRESS:
            return failure
        page = _keyword_members(reply) if failure is None else {}
        if failure is None and as_text(page.get("keywordGuid")) != keyword_id:
            return NOT_DOCUMENTED  # not a keyword, or the page of another keyword
        pages[keyword_id] = page
    return pages


def _as_json(value: Any) -> bytes:
    """JSON of a value as Python's reader parsed it. Whoever parses it again judges what is odd in it."""
    return json.dumps(value).encode()


def _list(reply: HttpReply) -> list[Any] | None:
    """The list in an answer, as it is or as its member `list`; None if it is not one of objects."""
    try:
        content = json_content(reply)
    except ValueError:
        return None
    if isinstance(content, dict):
        content = content.get("list")
    if not isinstance(content, list) or (content and not any(isinstance(one, dict) for one in content)):
        return None
    return content


def _keyword_members(reply: HttpReply) -> dict[str, Any]:
    """The members of the keyword in an answer; empty if there is none."""
    try:
        members = json_content(reply)
    except ValueError:
        return {}
    return members if isinstance(members, dict) and as_keyword(members) is not None else {}


def _digest(*values: Any) -> str:
    return hashlib.sha256(_as_json(values)).hexdigest()[:DIGEST]


def _is_older(part: Part, than: datetime) -> bool:
    return part.event is not None and part.event.occurred_at is not None and part.event.occurred_at < than
