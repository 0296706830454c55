"""Poll: asks a provider page by page for events that a webhook may have missed, and stores them at the end of the round.

They are stored oldest first, because a person's events take effect in the order in which they are stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector.delivery.channels import CircuitBreaker
from connector.delivery.http_client import Client
from connector.delivery.retry import MAX_REQUESTED_PAUSE
from connector.mapping.compile.ruleset import Ruleset
from connector.model.event import Part
from connector.model.outcome import Retry
from connector.pipeline.receive import part_entry, received, unreadable_alarm
from connector.pipeline.runtime import Runtime, back_off
from connector.ports import Poller, PollPage
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.telemetry.log_events import CallbackReceived, FeedPolled

BATCH = 500  # entries in one transaction, so that callbacks do not wait behind the messages of a whole day
NO_TIME = datetime.min.replace(tzinfo=UTC)  # of an event without a time: it is sorted first


@dataclass(slots=True)
class PollState:
    """A poller, and the parts that its current round has read so far."""

    poller: Poller
    client: Client
    due: float = 0.0  # monotonic seconds: when the next round begins
    position: str | None = None  # of the round that is under way
    parts: list[Part] = field(default_factory=list)
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(
            self.poller.name, max_pause=MAX_REQUESTED_PAUSE, calls=f"polls of {self.poller.name}"
        )

    @property
    def source(self) -> str:
        """What a mapping's `on:` names."""
        return f"{self.poller.provider}.{self.poller.shape}"

    def add_page(self, page: PollPage) -> None:
        """Keep a page until its round ends."""
        self.parts += page.parts
        self.position = page.position

    def finish_round(self, received_at: datetime) -> list[Entry]:
        """End the round: all its parts as inbox entries, oldest first."""
        # Most providers list the newest first, so reversing puts events of the same second in order.
        parts = self.parts[::-1]
        parts.sort(key=_time)
        self.parts, self.position = [], None
        return [
            part_entry(part, provider=self.poller.provider, endpoint=self.poller.endpoint, received_at=received_at)
            for part in parts
        ]


def batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The entries in batches of one transaction each."""
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]


def _time(part: Part) -> datetime:
    return (part.event.occurred_at if part.event else None) or NO_TIME


async def poll(poll_state: PollState, store: Store, rules: Ruleset, runtime: Runtime) -> int:
    """Ask for the next page. At the end of the round, store the events that are not known yet, oldest first."""
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
    poll_state.add_page(page)
    if not page.last:
        return 1
    entries = poll_state.finish_round(now)
    new_callbacks: list[CallbackReceived] = []
    for batch in batches(entries):
        for entry, kept in zip(batch, await store.inbox.keep(batch), strict=True):
            if not kept.known:
                new_callbacks.append(received(entry, kept))
                runtime.emit(new_callbacks[-1])
    if (unreadable := next((callback for callback in new_callbacks if callback.unreadable), None)) is not None:
        runtime.emit(unreadable_alarm(unreadable))
    await store.following.set_cursor(name, page.position)
    poll_state.due = monotonic + poll_state.poller.every.total_seconds()
    runtime.emit(FeedPolled(feed=name, rows=len(entries), changes=len(new_callbacks)))
    runtime.wake("plan")
    return 0
