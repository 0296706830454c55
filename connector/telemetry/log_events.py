"""What is worth telling, as values. Code tells facts; observe/ turns them into log lines and metrics. No phone numbers, no texts."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct, field


class Level(StrEnum):
    """How loud."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class CallbackReceived(Struct, frozen=True, kw_only=True):
    """A callback was kept (or recognised as a repeat)."""

    provider: str
    shape: str
    event: str  # key
    known: bool = False
    id_reused: bool = False  # the sender used its id before, for another person or another meaning
    unreadable: str | None = None


NOT_HTTP = "not HTTP"  # `why` of a TurnedAway, where a caller spoke TLS or nothing known
# The same, where a connection was not taken at all: counted each time, and told in the log once a minute.
TOO_MANY_CONNECTIONS = "too many connections"
OUT_OF_DESCRIPTORS = "no file descriptor left"

NOT_STORED = "not stored"  # `why` of a TurnedAway, where an alarm tells what is the matter with the database


class RequestRejected(Struct, frozen=True, kw_only=True):
    """A callback was not kept: refused, or there was no room for it. Provider and door are blank where it named none."""

    provider: str
    endpoint: str
    status: int
    why: str


class Planned(Struct, frozen=True, kw_only=True):
    """An event was planned."""

    event: str
    provider: str
    state: str
    operations: int
    detail: str | None = None
    reason: str | None = None
    left_out: int = 0  # fields whose value could not be made


class Settled(Struct, frozen=True, kw_only=True):
    """A unit came back from its sink."""

    event: str
    sink: str
    state: str  # of the unit
    reason: str | None = None
    detail: str | None = None
    attempts: int = 0
    seconds: float = 0.0  # since the event was received


class BatchSent(Struct, frozen=True, kw_only=True):
    """One batch went to a sink."""

    sink: str
    operations: int
    calls: int
    seconds: float
    batch: int = 0  # operations that the next one may hold


class FeedPolled(Struct, frozen=True, kw_only=True):
    """One page of a feed."""

    feed: str
    rows: int
    changes: int
    last: bool = True  # of its round
    baseline: bool = False


class EnricherCalled(Struct, frozen=True, kw_only=True):
    """A question about an event was put to its provider."""

    provider: str
    event: str  # key
    outcome: str  # answered, not_yet, gave_up
    reason: str | None = None  # why asking itself did not work


class ChannelPaused(Struct, frozen=True, kw_only=True):
    """A sink, feed or asker is left alone for a while."""

    name: str
    reason: str
    detail: str
    seconds: float


class ChannelResumed(Struct, frozen=True, kw_only=True):
    """It works again."""

    name: str


class Alarm(Struct, frozen=True, kw_only=True):
    """A person should look. Raised once; `cure` says what to do."""

    # closed, for metrics: opt_out_late, opt_out_without_rule, commands_parked, needs_person, mapping_stopped, maybe_stop,
    # disk_full, disk_error, no_memory, database_locked, database_read_only, database_unusable, database_missing,
    # claimed_by_nobody, loop_failing, provider_disagrees, price_not_changed, unanswered, schema_drift, feed_failing,
    # flag_rewritten, opt_outs_not_sent, reconcile_failed, backup_failed, backup_damaged, backup_missing, backup_overdue,
    # and the sink's reasons
    kind: str
    about: str  # which one: a sink, an event
    message: str
    cure: str
    lasts: bool = True  # whether a Cleared will follow


class Cleared(Struct, frozen=True, kw_only=True):
    """The cause of an alarm is gone."""

    kind: str
    about: str


class Reloaded(Struct, frozen=True, kw_only=True):
    """Mappings were read again."""

    accepted: bool
    version: str
    problems: int = 0


class WorkerFailed(Struct, frozen=True, kw_only=True):
    """A bug in a step of a loop; it goes on after a pause."""

    worker: str
    error: str  # type and place, never the message: it may hold data
    seconds: float


class Lifecycle(Struct, frozen=True, kw_only=True):
    """Start and stop of the daemon and its parts."""

    message: str
    level: Level = Level.INFO
    details: Mapping[str, str] = field(default_factory=dict)


Fact = (
    CallbackReceived
    | RequestRejected
    | Planned
    | Settled
    | BatchSent
    | FeedPolled
    | EnricherCalled
    | ChannelPaused
    | ChannelResumed
    | Alarm
    | Cleared
    | Reloaded
    | WorkerFailed
    | Lifecycle
)
Emit = Callable[[Fact], None]
