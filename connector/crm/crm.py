"""The parts of a configured CRM, whichever it is. Each CRM's own folder decides how they are built."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.delivery.http_client import Credentials
from connector.delivery.throttle import Quota, Usage
from connector.model.consent_fields import ConsentFields
from connector.model.crm_schema import ObjectSchema
from connector.model.crm_traits import CrmTraits
from connector.model.finding import Finding
from connector.model.http import Http
from connector.model.outcome import Retry
from connector.ports import Feed, Sink, WebhookEndpoint

# The described object, the reason why it could not be read, or None: no such object, or none that we may see.
DescribeResult = ObjectSchema | Retry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the mappings need of one object of a CRM."""

    object: str
    key_fields: tuple[str, ...] = ()  # fields by which records are written
    insert_keys: tuple[str, ...] = ()  # those key fields that are sent in another way when the record is new
    written: tuple[str, ...] = ()
    read: tuple[str, ...] = ()  # fields that a feed reads
    # Relationships that are written, with the parent's type where it is known.
    parents: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSpec:
    """What a feed must read."""

    object: str
    fields: tuple[str, ...]
    key_fields: tuple[str, ...]
    every: timedelta
    look_back: timedelta = timedelta(minutes=15)  # how late an opted-out change may become visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """A configured CRM."""

    name: str
    credentials: Credentials
    sink: Sink
    traits: CrmTraits
    # Queries in advance what the sink's first batch would need.
    prepare: Callable[[Http, Sequence[Needs]], Awaitable[None]]
    feed: Callable[[FeedSpec], Feed]
    quota: Quota  # limit of API calls
    usage: Callable[[Mapping[str, str]], Usage | None]  # the org's own count, from a response's headers
    # Describes objects, by the requested names.
    describe: Callable[[Http, Sequence[str]], Awaitable[Mapping[str, DescribeResult]]]
    # Checks the CRM and our access to it. The function returns our own time, timezone-aware.
    diagnose: Callable[[Http, Sequence[Needs], Callable[[], datetime]], Awaitable[list[Finding]]]
    endpoints: tuple[WebhookEndpoint, ...] = ()  # where the CRM sends notifications of changes
    consent_fields: Mapping[str, ConsentFields] = field(default_factory=dict)  # by object
