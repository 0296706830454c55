"""Sinks, feeds and askers as the road holds them: how each is reached, and how it has fared lately."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from connector.delivery.budget import Budget
from connector.delivery.pace import Pace
from connector.delivery.transport import Client
from connector.model.exchange import Exchange
from connector.model.facts import Alarm, Cleared, Paused, Resumed, Tell
from connector.model.outcome import Outcome, Reason
from connector.model.roles import Asker, ConsentFields, Feed, Sink

# What keeps a whole sink waiting and does not pass by itself: a person is called.
CURES = {
    Reason.CREDENTIALS: "check the credentials in the config and the rights of the account; nothing is lost meanwhile",
    Reason.WRONG_ADDRESS: "check the address (`url`) in the config; nothing is lost meanwhile",
    Reason.QUOTA_EXHAUSTED: "the day's API calls are used up: see which integration used them; nothing is lost meanwhile",
    Reason.STORAGE_FULL: "the CRM has no room for new records: make some, or buy more; nothing is lost meanwhile",
}


@dataclass(slots=True)
class Patience:
    """Whether a peer is left alone for a while, and since how many bad answers in a row."""

    name: str
    failures: int = 0
    until: float = 0.0  # monotonic seconds
    alarm: Reason | None = None

    def pause(
        self, reason: Reason, detail: str, pause: timedelta, *, now: float, tell: Tell, known: bool = False
    ) -> None:
        """Leave it alone; call a person once where waiting alone will not mend it, unless somebody else has (`known`)."""
        self.failures += 1
        self.until = now + pause.total_seconds()
        tell(Paused(name=self.name, reason=reason, detail=detail, seconds=pause.total_seconds()))
        if reason in CURES and self.alarm is None and not known:
            self.alarm = reason
            tell(Alarm(kind=reason, about=self.name, message=f"{self.name}: {reason}", cure=CURES[reason]))

    def over(self, tell: Tell) -> None:
        """It works again."""
        if self.failures:
            tell(Resumed(name=self.name))
        if self.alarm is not None:
            tell(Cleared(kind=self.alarm, about=self.name))
        self.failures, self.until, self.alarm = 0, 0.0, None


@dataclass(slots=True)
class Outlet:
    """A sink."""

    sink: Sink
    client: Client
    budget: Budget | None = None  # of API calls, where they are counted
    beforehand: Callable[[], Exchange[None]] | None = None  # what the sink wants to learn before its first batch
    closing: bool = False  # the daemon stops: nothing more goes out
    sent: float = -math.inf  # when the last batch went out, monotonic seconds
    wire: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the batch that is being sent
    pace: Pace = field(init=False)
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace.of(self.sink.batch)
        self.patience = Patience(self.sink.name)

    async def prepare(self) -> None:
        """Once, while there is nothing to do: let the sink learn what its first batch would have to ask."""
        if self.beforehand is not None:
            beforehand, self.beforehand = self.beforehand, None
            await self.client.run(beforehand())

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """A batch has ended so: the next one is as large as that, and the time that its calls took, allow."""
        self.pace = self.pace.after(outcomes, self.client.longest())

    def rests(self, now: float) -> bool:
        """Whether nothing goes out now."""
        return self.closing or now < self.patience.until

    def bears(self, operations: int, now: float) -> bool:
        """Whether a batch of so many may still go out, as it fared with the one before."""
        return not self.rests(now) and operations <= self.pace.size

    def spent(self, tell: Tell) -> bool:
        """Whether the budget is used up, of which a person is told then."""
        return self.budget is not None and self.budget.terms(tell).only_opt_outs


@dataclass(slots=True)
class Watch:
    """A feed, and which of its fields bear consent."""

    feed: Feed
    client: Client
    consent: ConsentFields | None = None
    budget: Budget | None = None  # of API calls, where they are counted
    rests: float = -math.inf  # until when, between two rounds; monotonic seconds
    poll: str | None = None  # of the round that is under way
    between: str = field(
        default_factory=lambda: uuid4().hex
    )  # stands for a poll, of all that is looked at until the next one
    due: float = 0.0  # when the next round is, monotonic seconds
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self.patience = Patience(self.feed.name)

    def rest(self, now: float, tell: Tell) -> None:
        """A round has ended: the next one comes in its time, or later where the budget is short."""
        every = self.feed.every
        pause = every if self.budget is None else self.budget.terms(tell).poll(every)
        self.due = now + pause.total_seconds()
        self.rests = self.due if pause > every else -math.inf


@dataclass(slots=True)
class Asking:
    """An asker."""

    asker: Asker
    client: Client
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self.patience = Patience(f"{self.asker.provider} (questions)")
