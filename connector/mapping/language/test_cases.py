"""The `tests:` of a mapping file: their models, and the event and the known facts that a case describes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from msgspec.structs import fields
from pydantic import AfterValidator, Field

from connector.config.validation import Strict, wrong
from connector.mapping.language.expectations import Expect
from connector.mapping.language.field_forms import Name
from connector.mapping.language.paths import OTHER_NAMES
from connector.mapping.values.numbers import EventNumbers
from connector.mapping.values.values import text
from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.event import KEY_FORM, Event, Result, Verdict
from connector.model.operation import ID_FIELD
from connector.model.phone import Phone, parse_phone
from connector.model.plan import Known

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)  # a case's result must not depend on the day
EARLIER = timedelta(days=30)  # how long before NOW the given subscriptions began
RECORD_ID = "003000000000001AAA"


class GivenSubscription(Strict):
    """A subscription that the person has, or had."""

    provider: str | None = None
    """Whose; left out where there is only one provider."""
    short_number: str | None = None
    """The short number."""
    keyword: str | None = None
    """The keyword."""
    keyword_id: str | None = None
    """The provider's id of the keyword."""
    service_id: str | None = None
    """The provider's id of the service."""
    subscription_id: str | None = None
    """The provider's id of this joining."""
    active: bool = True
    """`false`: the person has left it."""


class Given(Strict):
    """What is known before the event."""

    subscriptions: tuple[GivenSubscription, ...] = ()
    """The person's subscriptions."""
    records: tuple[dict[str, Any], ...] = ()
    """Other records of the CRM with the same number, as field: value."""


def _number(written: str) -> str:
    if parse_phone(written) is None:
        raise wrong("bad-phone", "`msisdn` is not a phone number", 'write it with its country code: "+4790000001"')
    return written


class CaseEvent(Strict):
    """The event; what is left out has a usual value."""

    other_words: ClassVar[Mapping[str, str]] = OTHER_NAMES

    key: Annotated[str, Field(pattern=f"^{KEY_FORM.pattern}$")] = "case-1"
    """Its key."""
    provider: str | None = None
    """Who sent it; from `on` where left out."""
    shape: str | None = None
    """What arrived; from `on` where left out."""
    verdict: Verdict | None = None
    """What the provider says it means for consent."""
    action: str | None = None
    """The provider's word, such as Subscribe."""
    msisdn: Annotated[str, AfterValidator(_number)] | None = None
    """The person's number with its country code; in quotes."""
    keyword: str | None = None
    """The keyword."""
    keyword_id: str | None = None
    """The provider's id of the keyword."""
    service_id: str | None = None
    """The provider's id of the service."""
    short_number: str | None = None
    """The short number."""
    text: str | None = None
    """The message."""
    price: Decimal | None = None
    """What was charged."""
    currency: str | None = None
    """In which currency."""
    status: str | None = None
    """The provider's status."""
    status_detail: str | None = None
    """The provider's finer status."""
    result: Result = Result.OK
    """pending, ok, failed or reversed."""
    final: bool = True
    """Whether the status is the last."""
    transaction_id: str | None = None
    """The provider's id of the transaction."""
    subscription_id: str | None = None
    """The provider's id of this joining."""
    occurred_at: datetime = NOW
    """When it happened."""
    time_from_arrival: bool = False
    """Whether the sender tells no time, so that the time of arrival stands for it."""
    received_at: datetime | None = None
    """When it arrived; when it happened, where left out."""
    service_command: bool = False
    """Whether a command of ours caused it."""
    known_to_provider: bool | None = None
    """Of an opt-out: whether the provider says that it has taken it for one itself."""
    properties: dict[str, Any] = Field(default_factory=dict)
    """The provider's properties."""
    lookup: dict[str, Any] = Field(default_factory=dict)
    """The person's registered name and address."""
    object: str | None = None
    """Of a change in the CRM: the object; from `feed` where left out."""
    record: dict[str, Any] = Field(default_factory=dict)
    """Of a change in the CRM: the record's fields as they are now."""
    changed: tuple[str, ...] | None = None
    """Of a change in the CRM: which fields changed; all of `record` where left out."""


class Case(Strict):
    """An example: what is given, what happens, what must come of it."""

    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("expected", "then", "assert", "output", "result"), "expect"),
        **dict.fromkeys(("input", "when"), "event"),
        **dict.fromkeys(("title", "description"), "name"),
    }

    name: Name
    """What it shows."""
    given: Given = Given()
    """What is known before."""
    event: CaseEvent
    """What happens."""
    expect: Expect
    """What must come of it; only what is named is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a file says about all its cases: the events it sees, the object it watches, the provider of commands."""

    sources: Sequence[str]
    object: str | None = None
    provider: str | None = None  # the only one that accepts commands
    consent: ConsentFields | None = None  # of the watched object
    numbers: EventNumbers = field(default_factory=EventNumbers)  # how numbers in the events are read


def build_case(case: Case, frame: Frame) -> tuple[Event, Known]:
    """The event of a case and what is known about its person."""
    given = case.event
    first_provider, _, first_shape = frame.sources[0].partition(".")
    provider, shape = given.provider or first_provider, given.shape or first_shape
    plain = {
        one.name: getattr(given, one.name)
        for one in fields(Event)
        if one.name in CaseEvent.model_fields and getattr(given, one.name) is not None
    }
    plain |= {"provider": provider, "shape": shape, "msisdn": parse_phone(given.msisdn)}
    plain["occurred_at"] = _aware(given.occurred_at)
    plain["received_at"] = plain["occurred_at"] if given.received_at is None else _aware(given.received_at)
    if shape == "change":
        plain |= _change(given, frame)
    event = Event(**plain)
    phone = event.msisdn
    ledger = tuple(
        _entry(one, number, phone, one.provider or (frame.provider if shape == "change" else provider) or provider)
        for number, one in enumerate(case.given.subscriptions, start=1)
        if phone is not None
    )
    return event, Known(ledger=ledger, others_opted_out=_others_out(case.given.records, frame, phone))


def _change(given: CaseEvent, frame: Frame) -> dict[str, Any]:
    changed = tuple(given.record) if given.changed is None else given.changed
    made: dict[str, Any] = {
        "action": given.action or "change",
        "object": given.object or frame.object,
        "record": {ID_FIELD: RECORD_ID, **given.record},
        "changed": changed,
    }
    consent = frame.consent
    if consent is None:
        return made
    if given.msisdn is None:
        number = frame.numbers.of_record(given.record)
        made |= {"msisdn": number.phone, "number_is_unclear": number.is_unclear}
    if given.verdict is None and consent.flag in changed:
        out = text(given.record.get(consent.flag)) == text(consent.opted_out)
        made["verdict"] = Verdict.OPT_OUT if out else Verdict.OPT_IN
    return made


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _entry(one: GivenSubscription, number: int, phone: Phone, provider: str) -> LedgerEntry:
    subscription = Subscription(
        provider=provider,
        **one.model_dump(include={"short_number", "keyword", "keyword_id", "service_id", "subscription_id"}),
    )
    decision = Decision(
        phone=phone,
        word=Verdict.OPT_IN if one.active else Verdict.OPT_OUT,
        scope=Scope.SUBSCRIPTION,
        subscription=subscription,
        origin=provider,
        occurred_at=NOW - EARLIER,
    )
    return LedgerEntry(
        id=number,
        event_id=number,
        event_key=f"given-{number}",
        phase=Phase.DECIDED,
        decision=decision,
        recorded_at=NOW - EARLIER,
    )


def _others_out(records: Sequence[Mapping[str, Any]], frame: Frame, phone: Phone | None) -> bool:
    consent = frame.consent
    if consent is None or phone is None:
        return False
    return any(
        frame.numbers.of_record(record).phone == phone and text(record.get(consent.flag)) == text(consent.opted_out)
        for record in records
    )
