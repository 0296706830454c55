"""Receive: authenticates a webhook request and stores its events as inbox entries."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from connector.delivery.http_client import Client
from connector.mapping.compile.ruleset import Ruleset
from connector.model.errors import StoreUnavailable, Unreadable
from connector.model.event import Event, Part, event_key
from connector.model.http import HttpRequest, HttpResponse
from connector.pipeline.enrich import enrich_worker
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.ports import AuthResult, Enricher, Notice, WebhookEndpoint
from connector.store.enrichment_queue import Question
from connector.store.inbox import Entry, Kept
from connector.store.store import Store
from connector.telemetry import log_events
from connector.telemetry.log_events import Alarm, CallbackReceived, Level, Lifecycle, RequestRejected

NONCE_LIFE = timedelta(days=1)  # far beyond any drift that an endpoint may allow
UNREADABLE_AGAIN = timedelta(hours=1)  # between two alarms of one endpoint about callbacks that cannot be read
NOT_STORED = HttpResponse(status=503, body=b"not stored, please repeat", headers={"Retry-After": "30"})  # seconds

NO_DETAILS = AuthResult()


def entries(
    endpoint: WebhookEndpoint, request: HttpRequest, auth: AuthResult = NO_DETAILS, enricher: Enricher | None = None
) -> tuple[Entry, ...]:
    """The events of the request. An unreadable request or part becomes an entry with its bytes."""
    body = request.body or request.query.encode()
    try:
        return tuple(
            entry(part, body, enricher)
            if isinstance(part, Event)
            else part_entry(
                part,
                provider=endpoint.provider,
                endpoint=endpoint.name,
                received_at=request.received_at,
                enricher=enricher,
            )
            for part in endpoint.read(request, auth)
        )
    except Unreadable as unreadable:
        whole = Part(raw=body, why=unreadable.why)
        return (part_entry(whole, provider=endpoint.provider, endpoint=endpoint.name, received_at=request.received_at),)


def part_entry(
    part: Part, *, provider: str, endpoint: str, received_at: datetime, enricher: Enricher | None = None
) -> Entry:
    """A part of a request as an inbox entry; `endpoint` is where it can be read again."""
    if part.event is not None:
        return entry(part.event, part.raw, enricher)
    return Entry(
        key=event_key(provider, endpoint, "unreadable", hashlib.sha256(part.raw).hexdigest()),
        provider=provider,
        shape=endpoint,
        msisdn=None,
        received_at=received_at,
        event=None,
        raw=part.raw,
        unreadable=part.why,
    )


def entry(event: Event, raw: bytes, enricher: Enricher | None = None) -> Entry:
    """An event as an inbox entry, with its question if it needs a look-up by `enricher`."""
    return Entry.of(event, raw, question(event, enricher))


def question(event: Event, enricher: Enricher | None) -> Question | None:
    """The look-up that the event needs before it is planned; None if it needs none."""
    if enricher is None or not enricher.wants(event):
        return None
    return Question(first=enricher.first_pause, deadline=enricher.deadline)


def received(entry: Entry, kept: Kept) -> CallbackReceived:
    """The log event of an entry that was stored."""
    return CallbackReceived(
        provider=entry.provider,
        shape=entry.shape,
        event=kept.id,
        known=kept.known,
        id_reused=kept.reused is not None,
        unreadable=entry.unreadable,
    )


def unreadable_alarm(callback: CallbackReceived) -> Alarm:
    """The alarm about a callback that cannot be read: it may be an opt-out."""
    return Alarm(
        kind="unreadable",
        about=f"{callback.provider}.{callback.shape}",
        lasts=False,
        message=f"event {callback.event} of {callback.provider}.{callback.shape} cannot be read ({callback.unreadable}) and may "
        "be an opt-out: it is stored as received",
        cure=f"look at it in the console, and opt the donor out in the CRM if it is a stop; `connector replay {callback.event}` "
        "reads it again after an update of the connector",
    )


class Receiver:
    """The stage that takes webhook requests."""

    def __init__(self, store: Store, config: PipelineConfig, runtime: Runtime, rules: Callable[[], Ruleset]) -> None:
        """`rules` returns the rules in force: a reload may replace them during a step."""
        self._store = store
        self._rules = rules
        self._runtime = runtime
        self._emit = runtime.emit
        self._enrichers = config.enrichers
        self._notices_repeat = config.notices_repeat
        self._reused_ids: set[tuple[str, str]] = set()  # kinds of callbacks whose ids were found not to be unique
        self._unreadable: dict[tuple[str, str], datetime] = {}  # when an alarm was last raised, by provider and shape

    async def receive(self, endpoint: WebhookEndpoint, client: Client, request: HttpRequest) -> HttpResponse:
        """Authenticate, parse, store, wake the planner, answer. Raises HttpRejected for a request that is not accepted."""
        try:
            auth = await endpoint.authenticate(client, request)
            arrived = entries(endpoint, request, auth, self._enrichers.get(endpoint.provider))
            expires = request.received_at + NONCE_LIFE if auth.nonce else None
            kept = await self._store.inbox.keep(arrived, nonce=auth.nonce, nonce_expires=expires)
            if auth.notices:
                await self._queue_notices(endpoint.provider, auth.notices, request.received_at)
            if auth.hint and await self._store.questions.make_due(auth.hint, now=self._runtime.now()):
                self._runtime.wake(enrich_worker(endpoint.provider))
        except StoreUnavailable:
            self._emit(
                RequestRejected(
                    provider=endpoint.provider, endpoint=endpoint.name, status=503, why=log_events.NOT_STORED
                )
            )
            return NOT_STORED
        for arrived_entry, kept_entry in zip(arrived, kept, strict=True):
            callback = received(arrived_entry, kept_entry)
            self._emit(callback)
            if callback.unreadable and not callback.known:
                self._raise_unreadable(callback)
            if callback.id_reused:
                self._warn_of_reused_ids(callback.provider, callback.shape)
        self._runtime.wake("plan")
        return endpoint.answer(request, auth)

    def _warn_of_reused_ids(self, provider: str, shape: str) -> None:
        """Warn once for each kind of callback that its ids are not unique. No event is lost."""
        if (provider, shape) not in self._reused_ids:
            self._reused_ids.add((provider, shape))
            message = f"{provider}.{shape}: an id was sent again with another person or meaning; such events are stored as new ones"
            self._emit(Lifecycle(message=message, level=Level.WARNING))

    def _raise_unreadable(self, callback: CallbackReceived) -> None:
        """Raise the alarm about a callback that cannot be read, at most once in an hour for each endpoint."""
        key, now = (callback.provider, callback.shape), self._runtime.now()
        last = self._unreadable.get(key)
        if last is None or now - last >= UNREADABLE_AGAIN:
            self._unreadable[key] = now
            self._emit(unreadable_alarm(callback))

    async def _queue_notices(self, crm: str, notices: Sequence[Notice], received_at: datetime) -> None:
        """Queue the records named by a CRM notification; ignore objects that no feed watches."""
        followed = {name.casefold(): name for name in self._rules().feeds.get(crm, {})}
        watched = [
            replace(notice, object=followed[key]) for notice in notices if (key := notice.object.casefold()) in followed
        ]
        expires = received_at + self._notices_repeat[crm]
        if watched and await self._store.change_notices.add_new(crm, watched, expires=expires):
            for name in {notice.object for notice in watched}:
                self._runtime.wake(f"{crm}.{name}")
