"""Pure: rules that are suspended because the CRM lacks a field or forbids it, and the operations that wait for them.

No single record is the cause. The operations of the affected rule wait, count no attempts and are not dead letters. One
of them is sent as a probe every few minutes, so that the rule resumes automatically when the cause is corrected.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, field
from msgspec.structs import replace

from connector.delivery.retry import PROBE_EVERY
from connector.delivery.send import ConsentSentAlone, Sent, with_consent_outcome
from connector.model.crm_traits import CrmTraits
from connector.model.operation import Operation, Parent, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.telemetry.log_events import Alarm, Cleared

WAIT = timedelta(hours=1)  # of operations that are held back; they become due when the suspension ends
KIND = "mapping_stopped"


class Suspension(Struct, frozen=True, kw_only=True):
    """What a rule cannot write: an object, or one field of it."""

    sink: str
    rule: str  # file: rule
    object: str
    field: str  # empty for the object as a whole; `relationship.key` for a field of a parent
    detail: str  # the CRM's own message
    since: datetime
    probe_at: datetime

    @property
    def key(self) -> tuple[str, str, str]:
        """The object or field that it is about."""
        return self.rule, self.object, self.field

    @property
    def about(self) -> str:
        """The same, in a form for people and alarms."""
        return f"{self.rule}: {self.object}{f'.{self.field}' if self.field else ''}"

    def concerns(self, operation: Operation, traits: CrmTraits) -> bool:
        """Whether the operation would meet the same fault in a CRM with these traits."""
        if not isinstance(operation, RecordWrite) or operation.rule != self.rule:
            return False
        same = operation.object.casefold() == self.object.casefold()
        return same and (not self.field or self.field.casefold() in _required_fields(operation, traits))

    def due(self, now: datetime) -> bool:
        """Whether to send a probe now. A clock that was set back does not delay it."""
        return self.probe_at <= now or self.probe_at > now + PROBE_EVERY

    def alarm(self) -> Alarm:
        """The alarm for a person, without the CRM's message: `connector status` shows that."""
        what = f"the field {self.object}.{self.field}" if self.field else f"the object {self.object}"
        return Alarm(
            kind=KIND,
            about=self.about,
            message=f"{self.rule} is suspended: {self.sink} does not have {what}, or the integration user may not write it",
            cure=CURE,
        )

    def cleared(self) -> Cleared:
        """The message that the suspension has ended."""
        return Cleared(kind=KIND, about=self.about)


CURE = (
    "see `connector status`; create the field, give the integration user access to it, or correct the rule and run "
    "`connector reload`; what waits is then sent automatically, and nothing is lost"
)


def named_fields(write: RecordWrite, traits: CrmTraits) -> set[str]:
    """All fields that a write names, including its key and those of its parents, case-folded."""
    values = [*write.set.items(), *write.create.items()]
    own = {name.casefold() for name, _ in values} | {write.key_field.casefold()}
    # A relationship is written by its own name, but refused by the name of its column.
    columns = {traits.relationship_column(name) for name in own}
    parents = [(name, way) for name, value in values if isinstance(value, Parent) for way in value.ways]
    return own | columns | {f"{name}.{way.key_field}".casefold() for name, way in parents}


def _required_fields(write: RecordWrite, traits: CrmTraits) -> set[str]:
    """The fields that a write names and cannot omit."""
    if not write.consent_only:
        return named_fields(write, traits)
    consent_fields = {name: value for name, value in write.create.items() if name in write.consent}
    return named_fields(replace(write, create=consent_fields), traits)


def _field_as_named(write: RecordWrite, field: str, traits: CrmTraits) -> str:
    """A field by the name that the write uses; empty if the write does not name it."""
    known = named_fields(write, traits)
    if field.casefold() in known:
        return field
    values = [*write.set.items(), *write.create.items()]
    parents = [f"{name}.{field}" for name, value in values if isinstance(value, Parent)]
    return next((one for one in parents if one.casefold() in known), "")


class Filtered(Struct, frozen=True):
    """A batch without the operations of suspended rules.

    `held_back` are the outcomes of operations that are not sent, by position in the batch. `consent_alone` are the
    consent fields of such operations, which are sent nevertheless.
    """

    operations: Sequence[Operation]
    to_send: Sequence[Operation]
    held_back: Mapping[int, Retry] = field(default_factory=dict)
    consent_alone: Mapping[int, RecordWrite] = field(default_factory=dict)
    suspensions: Sequence[Suspension] = ()

    def _is_sent(self, place: int) -> bool:
        return place not in self.held_back or place in self.consent_alone

    def with_suspended(self, sent: Sent) -> Sent:
        """The outcomes of the whole batch, from those of the operations that were sent."""
        places = [place for place in range(len(self.operations)) if self._is_sent(place)]
        outcomes: dict[int, Outcome] = {**self.held_back, **dict(zip(places, sent.outcomes, strict=True))}
        consent_alone = [replace(one, index=places[one.index]) for one in sent.consent_sent_alone]
        for place, write in self.consent_alone.items():
            answer = outcomes[place]
            if isinstance(answer, Delivered):
                consent_alone.append(ConsentSentAlone(place, write, answer))
            outcomes[place] = with_consent_outcome(self.held_back[place], answer)
        return Sent(
            [outcomes[place] for place in range(len(self.operations))],
            [replace(one, index=places[one.index]) for one in sent.written],
            [replace(one, index=places[one.index]) for one in sent.also_updated],
            consent_alone,
        )


def filter_suspended(
    operations: Sequence[Operation], suspensions: Sequence[Suspension], now: datetime, traits: CrmTraits
) -> Filtered:
    """Hold back the operations of suspended rules, except consent fields and one operation of each suspension that is due.

    An opt-out whose own fields, key or object are suspended is always tried.
    """
    held_back: dict[int, Retry] = {}
    consent_alone: dict[int, RecordWrite] = {}
    parents: set[tuple[str, str]] = set()
    tried: set[tuple[str, str, str]] = set()
    for place, operation in enumerate(operations):
        applying = [suspension for suspension in suspensions if suspension.concerns(operation, traits)]
        probed = {suspension.key for suspension in applying if suspension.due(now)} - tried
        if not isinstance(operation, RecordWrite):
            continue
        consent = operation.narrowed()
        while consent is not None and any(suspension.concerns(consent, traits) for suspension in applying):
            consent = consent.narrowed()
        if applying and not probed and (consent is not None or not operation.consent or operation.clears_flag):
            held_back[place] = _wait(Reason.CONFIGURATION, applying[0].detail)
        elif any(_key_of(parent) in parents for parent in operation.parents):
            held_back[place] = _wait(Reason.PARENT_WAITING, "its parent is written by a rule that is suspended")
        tried |= probed
        if place in held_back and consent is not None:
            consent_alone[place] = consent
        if place in held_back:
            parents.add((operation.key_field.casefold(), operation.key.lower()))
    to_send = [
        consent_alone.get(place, one)
        for place, one in enumerate(operations)
        if place not in held_back or place in consent_alone
    ]
    return Filtered(operations, to_send, held_back, consent_alone, suspensions)


class SuspensionChanges(Struct, frozen=True, kw_only=True):
    """What a batch has shown about suspensions."""

    began: tuple[Suspension, ...] = ()
    again: tuple[Suspension, ...] = ()  # the probe failed
    ended: tuple[Suspension, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.began or self.again or self.ended)


def learn(
    sink: str,
    batch: Filtered,
    outcomes: Iterable[Outcome],
    now: datetime,
    traits: CrmTraits,
) -> SuspensionChanges:
    """Which suspensions began, last or have ended, by the outcomes of the whole batch."""
    refused: dict[tuple[str, str, str], Suspension] = {}
    succeeded: set[tuple[str, str, str]] = set()
    for place, (operation, outcome) in enumerate(zip(batch.operations, outcomes, strict=True)):
        if place in batch.held_back or not isinstance(operation, RecordWrite):
            continue
        if isinstance(outcome, Delivered) and batch.suspensions:
            succeeded |= {suspension.key for suspension in batch.suspensions if suspension.concerns(operation, traits)}
        elif isinstance(outcome, Rejected) and outcome.reason is Reason.CONFIGURATION:
            suspension = Suspension(
                sink=sink,
                rule=operation.rule,
                object=operation.object,
                field=_field_as_named(operation, outcome.field, traits),
                detail=outcome.detail,
                since=now,
                probe_at=now + PROBE_EVERY,
            )
            refused.setdefault(suspension.key, suspension)
    known = {suspension.key: suspension for suspension in batch.suspensions}
    return SuspensionChanges(
        began=tuple(suspension for key, suspension in refused.items() if key not in known),
        again=tuple(replace(suspension, since=known[key].since) for key, suspension in refused.items() if key in known),
        ended=tuple(suspension for key, suspension in known.items() if key in succeeded and key not in refused),
    )


def _wait(reason: Reason, detail: str) -> Retry:
    return Retry(reason=reason, detail=detail, not_before=WAIT)


def _key_of(parent: Parent) -> tuple[str, str]:
    return parent.key_field.casefold(), parent.key.lower()
