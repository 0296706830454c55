"""Settings of the pipeline, and what it needs from outside: time, wake-ups, clients and log events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.delivery.channels import CircuitBreaker
from connector.delivery.http_client import Client
from connector.model.consent import Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.outcome import Retry
from connector.model.record_number import NumberReader
from connector.ports import Enricher
from connector.telemetry.log_events import Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """The settings of the pipeline."""

    configured: tuple[Subscription, ...] = ()  # `subscriptions:` of all providers
    max_people: int = 50  # how many people one poll of a CRM may concern without a person's decision
    numbers: NumberReader = field(default_factory=NumberReader)  # of the CRMs' phone fields
    consent: Mapping[str, Mapping[str, ConsentFields]] = field(default_factory=dict)  # CRM → object → fields
    notices_repeat: Mapping[str, timedelta] = field(default_factory=dict)  # by CRM: how long it repeats a notice
    enrichers: Mapping[str, Enricher] = field(default_factory=dict)  # by provider
    charging: frozenset[str] = frozenset()  # providers whose donors are charged by us


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What the pipeline needs from outside. A test passes its own."""

    emit: Emit
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    wake: Callable[[str], None]  # wakes a worker: `plan`, `deadlines`, a sink, a feed, enrich_worker() of a provider
    clients: Mapping[str, Client] = field(default_factory=dict)  # by provider or CRM


def back_off(runtime: Runtime, breaker: CircuitBreaker, answer: Retry) -> None:
    """Pause calls to a remote system after a failed call."""
    breaker.open(answer, now=runtime.monotonic(), at=runtime.now(), emit=runtime.emit)
