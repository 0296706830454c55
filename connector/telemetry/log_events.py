"""Log events: what the code reports of its work. telemetry/ turns them into log lines and metrics. No phone numbers, no texts."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct, field


class Level(StrEnum):
    """The severity of a log line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class CallbackReceived(Struct, frozen=True, kw_only=True):
    """A callback was stored, or recognised as a repeat."""

    provider: str
    shape: str
    event: int  # its number, which `connector explain` takes
    known: bool = False
    id_reused: bool = False  # the sender used its id before, for another person or another meaning
    unreadable: str | None = None


NOT_HTTP = "not HTTP"  # `why` of a RequestRejected, if a caller spoke TLS or an unknown protocol
# The same, if a connection was not accepted at all: counted each time, and logged once a minute.
TOO_MANY_CONNECTIONS = "too many connections"
OUT_OF_DESCRIPTORS = "no file descriptor left"

NOT_STORED = "not stored"  # `why` of a RequestRejected, if an alarm says what is wrong with the database


class RequestRejected(Struct, frozen=True, kw_only=True):
    """A callback was not stored: rejected, or there was no room for it. Provider and endpoint are blank if it named none."""

    provider: str
    endpoint: str
    status: int
    why: str


class Planned(Struct, frozen=True, kw_only=True):
    """An event was planned."""

    event: int
    provider: str
    state: str
    operations: int
    detail: str | None = None
    reason: str | None = None
    left_out: int = 0  # fields whose value could not be computed


class Settled(Struct, frozen=True, kw_only=True):
    """A unit was settled after its sink's answer."""

    event: int
    sink: str
    state: str  # of the unit
    reason: str | None = None
    detail: str | None = None
    attempts: int = 0
    seconds: float = 0.0  # since the event was received


class BatchSent(Struct, frozen=True, kw_only=True):
    """One batch was sent to a sink."""

    sink: str
    operations: int
    calls: int
    seconds: float
    batch: int = 0  # the number of operations that the next batch may hold


class FeedPolled(Struct, frozen=True, kw_only=True):
    """One page of a feed was read."""

    feed: str
    rows: int
    changes: int
    last: bool = True  # of its round
    baseline: bool = False


class EnricherCalled(Struct, frozen=True, kw_only=True):
    """A look-up for an event was made at its provider."""

    provider: str
    event: int
    outcome: str  # answered, not_yet, gave_up
    reason: str | None = None  # why the look-up itself failed


class Charged(Struct, frozen=True, kw_only=True):
    """A charge was sent, or asked about, and has a new state."""

    provider: str
    charge: int  # its id
    state: str
    status: str | None = None  # the provider's
    detail: str = ""


class ChannelPaused(Struct, frozen=True, kw_only=True):
    """A sink, feed or enricher is paused."""

    name: str
    reason: str
    detail: str
    seconds: float
    calls: str = ""  # what is paused, in words: `deliveries to my_crm`


class ChannelResumed(Struct, frozen=True, kw_only=True):
    """A paused sink, feed or enricher works again."""

    name: str
    calls: str = ""  # what is resumed, in words


class Alarm(Struct, frozen=True, kw_only=True):
    """Something that a person should look at. Raised once; `cure` says what to do."""

    # A closed list, for metrics: opt_out_late, opt_out_without_rule, commands_parked, needs_person, mapping_stopped,
    # maybe_stop, unreadable, disk_full, disk_error, no_memory, database_locked, database_read_only, database_unusable,
    # database_missing, claimed_by_nobody, loop_failing, provider_disagrees, price_not_changed, unanswered,
    # schema_drift, feed_failing, flag_rewritten, opt_outs_not_sent, reconcile_failed, backup_failed, backup_damaged,
    # backup_missing, backup_overdue, mappings_refused, mappings_missing, charge_run_waiting, charge_run_stopped,
    # charge_in_doubt, charges_not_sent, person_key_missing, deletion_near, and the sink's reasons.
    kind: str
    about: str  # the subject: a sink, an event
    message: str
    cure: str
    lasts: bool = True  # whether a Cleared will follow


class Cleared(Struct, frozen=True, kw_only=True):
    """The cause of an alarm no longer exists."""

    kind: str
    about: str


class Reloaded(Struct, frozen=True, kw_only=True):
    """The mappings were reloaded, or the reload was refused."""

    accepted: bool
    version: str
    problems: tuple[str, ...] = ()  # of the files that were refused, each with its place
    changes: str = ""  # of the rules, in words


class WorkerFailed(Struct, frozen=True, kw_only=True):
    """A worker's step failed with a bug; the worker continues after a pause."""

    worker: str
    error: str  # type and place, never the message, which may hold data
    seconds: float


class Lifecycle(Struct, frozen=True, kw_only=True):
    """Start and stop of the daemon and its parts."""

    message: str
    level: Level = Level.INFO
    details: Mapping[str, str] = field(default_factory=dict)


LogEvent = (
    CallbackReceived
    | RequestRejected
    | Planned
    | Settled
    | BatchSent
    | FeedPolled
    | EnricherCalled
    | Charged
    | ChannelPaused
    | ChannelResumed
    | Alarm
    | Cleared
    | Reloaded
    | WorkerFailed
    | Lifecycle
)
Emit = Callable[[LogEvent], None]
