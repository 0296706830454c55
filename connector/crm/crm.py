"""What a CRM brings to the house, whichever it is. How it is put together is the CRM's own affair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.delivery.api_quota import Quota, Usage
from connector.delivery.http_client import Credentials
from connector.model.consent_fields import ConsentFields
from connector.model.crm_schema import ObjectSchema
from connector.model.crm_traits import CrmTraits
from connector.model.finding import Finding
from connector.model.http import Exchange
from connector.model.outcome import Retry
from connector.ports import Feed, Sink, WebhookEndpoint

# An object as the CRM tells of it, why it could not be asked, or None: it has no such object, or none that we may see.
DescribeResult = ObjectSchema | Retry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the mappings need of one object of a CRM."""

    object: str
    key_fields: tuple[str, ...] = ()  # by which records are written
    insert_keys: tuple[str, ...] = ()  # those of them by which a record is written otherwise when it is new
    written: tuple[str, ...] = ()
    read: tuple[str, ...] = ()  # by a feed
    parents: tuple[
        tuple[str, str | None], ...
    ] = ()  # relationships that are written, and the parent's type where it is told


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSpec:
    """What a feed is to show."""

    object: str
    fields: tuple[str, ...]
    key_fields: tuple[str, ...]
    every: timedelta
    look_back: timedelta = timedelta(minutes=15)  # how late a change that says "out" may become visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """A configured CRM."""

    name: str
    credentials: Credentials
    sink: Sink
    traits: CrmTraits
    prepare: Callable[
        [Sequence[Needs]], Exchange[None]
    ]  # the sink learns beforehand what its first batch would have to ask
    feed: Callable[[FeedSpec], Feed]
    quota: Quota  # of API calls
    usage: Callable[[Mapping[str, str]], Usage | None]  # the org's own count of them, from the headers of an answer
    describe: Callable[[Sequence[str]], Exchange[Mapping[str, DescribeResult]]]  # objects, by the names asked for
    preflight: Callable[[Sequence[Needs]], Exchange[list[str]]]  # what it lacks of them, one sentence each
    # A look at it and at our way to it; the function tells our own time, aware.
    checkup: Callable[[Sequence[Needs], Callable[[], datetime]], Exchange[list[Finding]]]
    endpoints: tuple[WebhookEndpoint, ...] = ()  # at which it tells of changes by itself
    consent_fields: Mapping[str, ConsentFields] = field(default_factory=dict)  # by object
