"""Log events as Prometheus metrics in a registry of our own, and gauges that are read on request.

docs/metrics.md lists them. Labels are names from the config and words from closed lists, never anything that a
caller or the CRM has written.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import assert_never

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from connector.telemetry.log_events import (
    Alarm,
    BatchSent,
    CallbackReceived,
    ChannelPaused,
    ChannelResumed,
    Charged,
    Cleared,
    EnricherCalled,
    FeedPolled,
    Lifecycle,
    LogEvent,
    Planned,
    Reloaded,
    RequestRejected,
    Settled,
    WorkerFailed,
)

# Seconds; 300 is the deadline of an opt-out.
DELIVERY_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400)
WRITE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds; 60 is the time-out of a call

Values = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A gauge whose values are read on request, by label values in the order of `labels`."""

    name: str
    help: str
    read: Callable[[], Values]
    labels: tuple[str, ...] = ()


class Metrics:
    """Counts log events. It is an Emit."""

    def __init__(self, readings: Iterable[Reading] = ()) -> None:
        self.registry = CollectorRegistry()
        # `outcome`: new, known, unreadable or id_reused.
        self._received = self._counter(
            "received", "Callbacks that were stored, or were already known", "provider", "shape", "outcome"
        )
        self._refused = self._counter(
            "turned_away", "Callbacks that were rejected", "provider", "door", "status", "why"
        )
        self._planned = self._counter(
            "planned", "Events that were planned, by their state after planning", "provider", "state", "reason"
        )
        self._left_out = self._counter(
            "fields_left_out", "Fields that were left out because their value could not be made", "provider"
        )
        self._settled = self._counter(
            "settled", "Units that a sink has finished, by their new state", "sink", "state", "reason"
        )
        self._delivery = Histogram(
            "connector_delivery_seconds",
            "From a callback's arrival to its delivery",
            ("sink",),
            buckets=DELIVERY_BUCKETS,
            registry=self.registry,
        )
        self._operations = self._counter("written_operations", "Operations that were sent", "sink")
        self._calls = self._counter("calls", "API calls for writing", "sink")
        self._batch = self._gauge("batch_size", "Largest number of operations in the next batch", "sink")
        self._writes = Histogram(
            "connector_write_seconds", "Time of one batch", ("sink",), buckets=WRITE_BUCKETS, registry=self.registry
        )
        self._rows = self._counter("feed_rows", "Rows that a feed returned", "feed")
        self._changes = self._counter("feed_changes", "Changes among the rows of a feed", "feed")
        self._asked = self._counter(
            "asked", "Questions about an event to its provider", "provider", "outcome", "reason"
        )
        self._charged = self._counter(
            "charged", "Answers about charges, by the new state of the charge", "provider", "state"
        )
        self._pauses = self._counter("pauses", "Pauses of a sink or feed", "name", "reason")
        self._paused = self._gauge("paused", "1 while a sink or feed is paused", "name")
        self._raised = self._counter("alarms_raised", "Alarms that were raised", "kind")
        self._alarm = self._gauge("alarms", "Alarms that are raised now", "kind")
        self._lasting: set[tuple[str, str]] = set()
        self._reloads = self._counter("reloads", "Reloads of the mappings", "accepted")
        self._mappings = self._gauge("mappings_info", "The mappings in use", "version")
        self._failures = self._counter("loop_failures", "Bugs in a step of a worker", "loop")
        self.read(readings)

    def read(
        self, readings: Iterable[Reading], *, together: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Add gauges that are read on request, all of them inside `together`."""
        self.registry.register(_Readings(tuple(readings), together))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"connector_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"connector_{name}", documentation, labels, registry=self.registry)

    def render(self) -> tuple[bytes, str]:
        """The text of a scrape, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def __call__(self, log_event: LogEvent) -> None:  # noqa: C901, PLR0912 - one line for each kind, and nothing else.
        """Count the log event."""
        match log_event:
            case CallbackReceived():
                outcome = "unreadable" if log_event.unreadable else "known" if log_event.known else "new"
                outcome = "id_reused" if log_event.id_reused else outcome
                self._received.labels(log_event.provider, log_event.shape, outcome).inc()
            case RequestRejected():
                self._refused.labels(log_event.provider, log_event.endpoint, log_event.status, log_event.why).inc()
            case Planned():
                self._planned.labels(log_event.provider, log_event.state, log_event.reason or "").inc()
                if log_event.left_out:
                    self._left_out.labels(log_event.provider).inc(log_event.left_out)
            case Settled():
                self._settled.labels(log_event.sink, log_event.state, log_event.reason or "").inc()
                if log_event.state == "delivered":
                    self._delivery.labels(log_event.sink).observe(log_event.seconds)
            case BatchSent():
                self._operations.labels(log_event.sink).inc(log_event.operations)
                self._calls.labels(log_event.sink).inc(log_event.calls)
                self._writes.labels(log_event.sink).observe(log_event.seconds)
                self._batch.labels(log_event.sink).set(log_event.batch)
            case FeedPolled():
                self._rows.labels(log_event.feed).inc(log_event.rows)
                self._changes.labels(log_event.feed).inc(log_event.changes)
            case EnricherCalled():
                self._asked.labels(log_event.provider, log_event.outcome, log_event.reason or "").inc()
            case Charged():
                self._charged.labels(log_event.provider, log_event.state).inc()
            case ChannelPaused():
                self._pauses.labels(log_event.name, log_event.reason).inc()
                self._paused.labels(log_event.name).set(1)
            case ChannelResumed():
                self._paused.labels(log_event.name).set(0)
            case Alarm():
                self._raised.labels(log_event.kind).inc()
                self._count_lasting(log_event.kind, log_event.about, lasts=log_event.lasts)
            case Cleared():
                self._count_lasting(log_event.kind, log_event.about, lasts=False)
            case Reloaded():
                self._reloads.labels(str(log_event.accepted).lower()).inc()
                if log_event.accepted:
                    self._mappings.clear()
                    self._mappings.labels(log_event.version).set(1)
            case WorkerFailed():
                self._failures.labels(log_event.worker).inc()
            case Lifecycle():
                pass
            case _:
                assert_never(log_event)

    def _count_lasting(self, kind: str, about: str, *, lasts: bool) -> None:
        """Show how many alarms of this kind last; `lasts` says whether the one about this subject does."""
        if lasts:
            self._lasting.add((kind, about))
        else:
            self._lasting.discard((kind, about))
        self._alarm.labels(kind).set(sum(lasting == kind for lasting, _ in self._lasting))


class _Readings(Collector):
    """Reads gauges for each scrape."""

    def __init__(self, readings: tuple[Reading, ...], together: Callable[[], AbstractContextManager[None]]) -> None:
        self._readings = readings
        self._together = together

    def describe(self) -> list[GaugeMetricFamily]:
        """Names only: nothing is read at registration."""
        return [GaugeMetricFamily(reading.name, reading.help, labels=reading.labels) for reading in self._readings]

    def collect(self) -> list[GaugeMetricFamily]:
        """The current values. A gauge that cannot be read is left out, so that the others are still shown."""
        families = []
        with self._together():
            for reading in self._readings:
                family = GaugeMetricFamily(reading.name, reading.help, labels=reading.labels)
                try:
                    values = reading.read()
                except Exception:  # noqa: BLE001, S112 - a missing series is what the operator's alerts look for.
                    continue
                for labels, value in values.items():
                    family.add_metric(labels, value)
                families.append(family)
        return families
