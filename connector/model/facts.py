"""What is worth telling, as values. Code tells facts; observe/ turns them into log lines and metrics. No phone numbers, no texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How loud."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A callback was kept (or recognised as a repeat)."""

    provider: str
    shape: str
    event: str  # key
    known: bool = False
    unreadable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """A callback was not kept: refused, or there was no room for it."""

    provider: str
    door: str
    status: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An event was planned."""

    event: str
    provider: str
    state: str
    operations: int
    detail: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A unit came back from its sink."""

    event: str
    sink: str
    state: str  # of the unit
    reason: str | None = None
    detail: str | None = None
    attempts: int = 0
    seconds: float = 0.0  # since the event was received


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """One batch went to a sink."""

    sink: str
    operations: int
    calls: int
    seconds: float
    batch: int = 0  # operations that the next one may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """One page of a feed."""

    feed: str
    rows: int
    changes: int
    last: bool = True  # of its round
    baseline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question about an event was put to its provider."""

    provider: str
    event: str  # key
    outcome: str  # answered, not_yet, gave_up
    reason: str | None = None  # why asking itself did not work


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A sink, feed or asker is left alone for a while."""

    name: str
    reason: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """It works again."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A person should look. Raised once; `cure` says what to do."""

    # closed, for metrics: opt_out_late, commands_parked, mapping_stopped, provider_disagrees, unanswered, schema_drift, and the
    # sink's reasons
    kind: str
    about: str  # which one: a sink, an event
    message: str
    cure: str
    lasts: bool = True  # whether a Cleared will follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """The cause of an alarm is gone."""

    kind: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """Mappings were read again."""

    accepted: bool
    version: str
    problems: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFailed:
    """A bug in a step of a loop; it goes on after a pause."""

    loop: str
    error: str  # type and place, never the message: it may hold data
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """Start and stop of the daemon and its parts."""

    message: str
    level: Level = Level.INFO
    details: Mapping[str, str] = field(default_factory=dict)


Fact = (
    Received
    | TurnedAway
    | Planned
    | Settled
    | Wrote
    | Followed
    | Asked
    | Paused
    | Resumed
    | Alarm
    | Cleared
    | Reloaded
    | LoopFailed
    | Lived
)
Tell = Callable[[Fact], None]
