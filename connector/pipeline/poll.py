"""What a provider says, when asked, that it has told us: gathered page by page, and taken in at the end of the round, oldest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector.delivery.channels import CircuitBreaker
from connector.delivery.http_client import Client
from connector.delivery.retry import MAX_RETRY_AFTER
from connector.mapping.compile.ruleset import Ruleset
from connector.model.event import Part
from connector.model.outcome import Retry
from connector.pipeline.receive import part_entry, received
from connector.pipeline.runtime import Runtime, back_off
from connector.ports import Poller, PollPage
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.telemetry.log_events import FeedPolled

TOGETHER = (
    500  # entries a transaction: callbacks that come meanwhile are not kept waiting behind a whole day's messages
)
NO_TIME = datetime.min.replace(tzinfo=UTC)  # of what tells no time: nothing of its person can be told to be older


@dataclass(slots=True)
class PollState:
    """A catch-up, and what its round has brought so far."""

    poller: Poller
    client: Client
    due: float = 0.0  # monotonic seconds: when the next round begins
    position: str | None = None  # of the round that is under way
    parts: list[Part] = field(default_factory=list)
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(self.poller.name, longest=MAX_RETRY_AFTER, calls=f"polls of {self.poller.name}")

    @property
    def source(self) -> str:
        """What a mapping's `on:` names."""
        return f"{self.poller.provider}.{self.poller.shape}"

    def take(self, page: PollPage) -> None:
        """Remember a page until its round is over."""
        self.parts += page.parts
        self.position = page.position

    def end(self, received_at: datetime) -> list[Entry]:
        """All that the round has brought, oldest first: a person's messages take effect in the order in which they are kept."""
        # Most lists stand newest first, so that of two within a second the later one came up first.
        parts = self.parts[::-1]
        parts.sort(key=_time)
        self.parts, self.position = [], None
        return [
            part_entry(one, provider=self.poller.provider, endpoint=self.poller.endpoint, received_at=received_at)
            for one in parts
        ]


def portions(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The entries, as many at a time as go into one transaction."""
    for start in range(0, len(entries), TOGETHER):
        yield entries[start : start + TOGETHER]


def _time(part: Part) -> datetime:
    return (part.event.occurred_at if part.event else None) or NO_TIME


async def poll(poll_state: PollState, store: Store, rules: Ruleset, runtime: Runtime) -> int:
    """Ask a provider for its events, page by page. At the end of the round, store those that never came, oldest first."""
    now, monotonic = runtime.now(), runtime.monotonic()
    if monotonic < max(poll_state.due, poll_state.breaker.open_until) or poll_state.source not in rules.sources:
        return 0
    name = poll_state.poller.name
    position = poll_state.position or store.following.cursor(name)
    page = await poll_state.poller.ask(poll_state.client, position, now)
    if isinstance(page, Retry):
        back_off(runtime, poll_state.breaker, page)
        return 0
    poll_state.breaker.close(runtime.emit)
    poll_state.take(page)
    if not page.last:
        return 1
    brought, new = poll_state.end(now), 0
    for some in portions(brought):
        kept = [*zip(some, await store.inbox.keep(some), strict=True)]
        fresh = [received(entry, one) for entry, one in kept if not one.known]
        for fact in fresh:
            runtime.emit(fact)
        new += len(fresh)
    await store.following.set_cursor(name, page.position)
    poll_state.due = monotonic + poll_state.poller.every.total_seconds()
    runtime.emit(FeedPolled(feed=name, rows=len(brought), changes=new))
    runtime.wake("plan")
    return 0
