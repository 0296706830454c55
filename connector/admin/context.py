"""What a command on the store may need besides the store, read once from the config."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from connector.admin.parse_stored import providers_without_secrets
from connector.config.validation import did_you_mean
from connector.delivery.channels import FeedChannel, SinkChannel
from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.errors import ConnectorError
from connector.model.phone import Phone
from connector.model.record_number import RecordNumber
from connector.providers.provider import Provider
from connector.registry import PROVIDERS, LoadedConfig, number_reader
from connector.store.inbox import StoredEvent
from connector.store.store import Store
from connector.telemetry.activity import Activity
from connector.telemetry.current_alarms import RaisedAlarm
from connector.telemetry.mask import mask

MAX = 1000  # lines of an answer: nobody reads more
ID_DIGITS = 18  # any number of so many digits fits 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminContext:
    """The store, the mappings in use and the config."""

    store: Store
    rules: Callable[[], Ruleset]  # may raise ProblemsFound if there is no valid ruleset
    now: Callable[[], datetime]
    loaded: LoadedConfig
    providers: Mapping[str, Provider]  # without authentication and secrets
    consent: Mapping[str, Mapping[str, ConsentFields]]  # by CRM and object
    configured: tuple[Subscription, ...]
    sinks: tuple[str, ...] = field(default=())
    sink_channels: Mapping[str, SinkChannel] = field(default_factory=dict)  # the sinks in use, if the daemon runs
    feed_channels: Mapping[str, FeedChannel] = field(default_factory=dict)  # the feeds that the daemon follows
    faults: Callable[[], Sequence[str]] = list  # what is wrong with the daemon itself
    alarms: Callable[[], Sequence[RaisedAlarm]] = list  # those that are raised now
    activity: Activity | None = None  # what the running daemon counts; without one, what the store has
    started: datetime | None = None  # when the daemon started; None if none runs

    @classmethod
    def of(
        cls,
        store: Store,
        *,
        rules: Callable[[], Ruleset],
        loaded: LoadedConfig,
        now: Callable[[], datetime],
        sink_channels: Mapping[str, SinkChannel] | None = None,
        feed_channels: Mapping[str, FeedChannel] | None = None,
        faults: Callable[[], Sequence[str]] = list,
        alarms: Callable[[], Sequence[RaisedAlarm]] = list,
        activity: Activity | None = None,
        started: datetime | None = None,
    ) -> Self:
        """Build it from the config alone, without secrets.

        `rules` returns the mappings in use, and may raise ProblemsFound if there are none. `sink_channels` and
        `feed_channels` are those of the running daemon; both change with the mappings. `faults` returns in plain words
        what is wrong with the daemon itself, `alarms` those that are raised now. `activity` is what the daemon counts.
        `started` is when it started; None if none runs.
        """
        providers = providers_without_secrets(loaded)
        takers = [name for name, one in loaded.providers.items() if PROVIDERS[type(one)].commands(one)]
        return cls(
            store=store,
            rules=rules,
            now=now,
            loaded=loaded,
            providers=providers,
            consent={name: one.consent for name, one in loaded.crms.items()},
            configured=tuple(one for provider in providers.values() for one in provider.subscriptions),
            sinks=(*loaded.crms, *takers),
            sink_channels=sink_channels or {},
            feed_channels=feed_channels or {},
            faults=faults,
            alarms=alarms,
            activity=activity,
            started=started,
        )

    def event(self, named: object) -> StoredEvent:
        """A stored event by its id or key. Raises ConnectorError if there is none."""
        if isinstance(named, bool) or not isinstance(named, int | str):
            raise ConnectorError(
                "an event is named by its id or its key: see `connector events` or `connector dead list`"
            )
        found = self._event(named)
        if found is None:
            raise ConnectorError(
                f"there is no event {mask(str(named))}: see `connector events`, or `connector explain +47…` for a person's events"
            )
        return found

    def event_or_phone(self, written: str) -> StoredEvent | Phone:
        """An event by its number or key, else a person by their number in any form. Raises ConnectorError."""
        text = written.strip()
        if not text.startswith("+") and (found := self._event(text)) is not None:
            return found
        number = self._read_number(text, plus_optional=True)
        if number.phone is not None:
            return number.phone
        shown = mask(text)
        if number.is_unclear:
            raise ConnectorError(
                f"{shown} may be a number of several countries: write it with its country code, such as +47…"
            )
        raise ConnectorError(
            f"{shown} is neither an event nor a phone number: see `connector events`, or write the number with its country code"
        )

    def _event(self, named: int | str) -> StoredEvent | None:
        number = stored_id(named)
        if number is not None:
            return self.store.inbox.get(number)
        return self.store.inbox.get(named) if isinstance(named, str) else None

    def phone(self, text: object, *, plus_optional: bool = False) -> Phone:
        """A number as a person writes it. Raises ConnectorError; the message does not repeat it.

        With `plus_optional` digits may begin with a country code without its sign, as many people write them.
        """
        number = self._read_number(text, plus_optional=plus_optional)
        if number.phone is None:
            why = "this number may be of several countries" if number.is_unclear else "this is not a phone number"
            raise ConnectorError(f"{why}: write it with its country code, such as +4790000001")
        return number.phone

    def _read_number(self, text: object, *, plus_optional: bool) -> RecordNumber:
        reader = number_reader(self.loaded)
        number = reader.read(text)
        if number.phone is None and plus_optional and isinstance(text, str) and text.isdigit():
            return reader.read(f"+{text}")
        return number


def stored_id(named: object) -> int | None:
    """The id that a number or its digits name; None for anything else, and for a number that no database can hold."""
    if isinstance(named, str):
        return int(named) if named.isascii() and named.isdigit() and len(named) <= ID_DIGITS else None
    return named if type(named) is int and 0 <= named < 2**63 else None


def get_field(payload: Mapping[str, Any], name: str, kind: type[Any], default: Any = None) -> Any:
    """One field of the request. Raises ConnectorError if it has another type."""
    value = payload.get(name, default)
    if value is None or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
        return value
    raise ConnectorError(f"`{name}` must be of the kind {kind.__name__}")


def get_flag(payload: Mapping[str, Any], name: str) -> bool:
    """A field of the request that is true or false; false without it. Raises ConnectorError if it has another type."""
    return bool(get_field(payload, name, bool, False))


def reject_unknown(payload: Mapping[str, Any], *names: str) -> None:
    """Raises ConnectorError for an unknown field: a misspelled `ids` must not come to mean all."""
    for name in payload:
        if name not in names:
            raise ConnectorError(
                f"`{mask(name)}` is not known here: {did_you_mean(name, names) or 'nothing is expected'}"
            )


def get_limit(payload: Mapping[str, Any]) -> int:
    """How many lines are wanted."""
    limit = get_field(payload, "limit", int, 100)
    if not 1 <= limit <= MAX:
        raise ConnectorError(f"`limit` must be between 1 and {MAX}")
    return int(limit)
