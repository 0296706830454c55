"""The compiled items of a `do:`: each makes the operations for one event."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from connector.mapping.compile.conditions import Condition
from connector.mapping.compile.fields import BadValue, FieldValue, LeftOut, can_be_computed, compute_fields
from connector.mapping.language.paths import Reading
from connector.mapping.language.rules import MatchForm
from connector.mapping.values.numbers import EventNumbers
from connector.mapping.values.transforms import TransformFailed
from connector.mapping.values.values import fold, number, scalar, text
from connector.model.consent import Subscription
from connector.model.operation import ENDING, ID_FIELD, MATCHED_BY, Match, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.plan import Note
from connector.model.record_number import UNCLEAR_NUMBER
from connector.model.text_folding import composed


class KnownSubscription(NamedTuple):
    """A subscription that a command of the event's person may apply to."""

    subscription: Subscription
    active: bool = False  # the ledger holds it active
    ended: bool = False  # the ledger holds it ended


# The subscriptions at a provider: those that the ledger holds active; if there are none, those that may still run.
RunningSubscriptions = Callable[[str], Sequence[KnownSubscription]]


class Unfit(Exception):  # noqa: N818 - a finding about one event's data; apply makes it a dead letter.
    """An operation that cannot be made from this event. The message never holds the event's data."""

    def __init__(self, reason: Reason, why: str, possible: Sequence[Operation] = ()) -> None:
        """`possible`: the parts of the operation that can be made, and must not wait for the rest."""
        super().__init__(why)
        self.reason = reason
        self.possible = possible


class Skipped(Exception):  # noqa: N818 - the same.
    """An operation that is left out because its key is missing and it says `if_missing: skip`."""


class CompiledItem(Protocol):
    """One item of a `do:`."""

    @property
    def label(self) -> str:
        """The operation and its object: `upsert Contact`."""

    @property
    def sink(self) -> str:
        """The CRM or provider that it is for."""

    @property
    def when(self) -> Condition | None:
        """The item's own conditions."""

    @property
    def values(self) -> tuple[FieldValue, ...]:
        """All its values, for people."""

    def concerns_consent(self, possible: Sequence[Operation]) -> bool:
        """Whether it says something about consent that its `possible` operations do not say."""

    def make(self, reading: Reading, active: RunningSubscriptions, left_out: list[Note]) -> Sequence[Operation]:
        """The operations for an event that meets the conditions; raises Unfit or Skipped.

        An optional field whose value cannot be computed is noted in `left_out`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteItem:
    """An upsert or update."""

    label: str
    rule: str
    when: Condition | None
    sink: str
    object: str
    key: FieldValue  # of a match without a key: the number under the name of the match
    set: tuple[FieldValue, ...]
    create: tuple[FieldValue, ...]
    may_create: bool
    skip_missing: bool
    consent: frozenset[str] = frozenset()  # the consent fields among the fields written
    flag: str | None = None  # the opt-out flag, if it is among the fields written
    opted_out: str = ""  # the flag's value that means opted out, folded
    parents: tuple[tuple[str, str | None], ...] = ()  # relationships that it writes, with the parent's type if given
    match: MatchForm | None = None
    country: str | None = None  # of a match: the field with the record's country, for a number without a country code
    exact: bool = False  # its key is an id of the sender: letter case alone makes two keys different

    @property
    def values(self) -> tuple[FieldValue, ...]:
        """The key, then the fields."""
        return (self.key, *self.create, *self.set)

    @property
    def key_field(self) -> str | None:
        """The external ID field that identifies its record; None if another way identifies it."""
        name = self.key.name
        return None if name == ID_FIELD or name.startswith(MATCHED_BY) else name

    def concerns_consent(self, possible: Sequence[Operation]) -> bool:
        """True if it has consent fields and not even these can be written."""
        return bool(self.consent) and not possible

    def make(self, reading: Reading, active: RunningSubscriptions, left_out: list[Note]) -> tuple[RecordWrite]:
        """Make one write."""
        try:
            key = self.key.get(reading)
        except TransformFailed as failed:
            raise Unfit(Reason.BAD_VALUE, f"{self.key.name}: {failed}") from None
        if key is None:
            if self.skip_missing:
                raise Skipped(f"{self.key.name} has no value")
            raise Unfit(Reason.MISSING_KEY, f"{self.key.name} has no value ({self.key.source})")
        match = None if self.match is None else self._match(self.match, reading)
        without: LeftOut = []
        try:
            written = compute_fields(self.set, reading, without)
            created = compute_fields(self.create, reading, without) if self.create else {}
        except BadValue as bad:
            raise Unfit(Reason.BAD_VALUE, str(bad), self._consent_alone(reading, active)) from None
        if without:
            left_out += [Note(rule=self.rule, operation=self.label, field=name, why=why) for name, why in without]
        consent: tuple[str, ...] = ()
        clears = False
        consent_fields, flag = self.consent, self.flag
        if consent_fields:
            consent = tuple([name for name in (*written, *created) if name in consent_fields])
            if flag is not None and flag in consent:
                value = written[flag] if flag in written else created[flag]
                clears = self.opted_out != ("true" if value is True else fold(text(value)))
                if flag != consent[0]:
                    consent = (flag, *(name for name in consent if name != flag))
        return (
            RecordWrite(
                sink=self.sink,
                object=self.object,
                key_field=self.key.name,
                key=composed(key if key.__class__ is str else text(key)),
                set=written,
                create=created,
                may_create=self.may_create,
                consent=consent,
                clears_flag=clears,
                match=match,
                rule=self.rule,
                exact=self.exact,
            ),
        )

    def _consent_alone(self, reading: Reading, active: RunningSubscriptions) -> Sequence[RecordWrite]:
        """The consent fields of a write that cannot be made; empty if the opt-out flag itself cannot be made."""
        made = [tuple(one for one in fields if can_be_computed(one, reading)) for fields in (self.set, self.create)]
        (write,) = dataclasses.replace(self, set=made[0], create=made[1]).make(reading, active, [])
        if not write.consent or self.flag not in {None, *write.consent}:
            return ()
        alone = write if {*write.set, *write.create} <= set(write.consent) else write.narrowed()
        return () if alone is None else (replace(alone, consent_only=True),)

    def _match(self, form: MatchForm, reading: Reading) -> Match:
        """The match. An event without a number matches nothing, so that an empty field never counts as equal."""
        phone = reading.event.msisdn
        if phone is None:
            if self.skip_missing:
                raise Skipped("the event has no phone number to match by")
            raise Unfit(Reason.MISSING_KEY, "the event has no phone number to match by")
        return Match(phone=phone, fields=tuple(form.phone), none=form.none, many=form.many)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandItem:
    """A service command."""

    label: str
    rule: str
    when: Condition | None
    sink: str
    action: str
    phone: FieldValue
    only: bool  # sent only if exactly one subscription runs; otherwise a person is asked
    short_number: FieldValue | None  # None: to all active subscriptions, or to the only one
    keyword: FieldValue | None
    price: FieldValue | None
    skip_missing: bool
    own: bool  # `phone` names the event's own person
    numbers: EventNumbers

    @property
    def values(self) -> tuple[FieldValue, ...]:
        """The values of the command."""
        return tuple(one for one in (self.phone, self.short_number, self.keyword, self.price) if one is not None)

    def concerns_consent(self, _possible: Sequence[Operation]) -> bool:
        """True if it ends a subscription."""
        return self.action in ENDING

    def make(self, reading: Reading, active: RunningSubscriptions, _left_out: list[Note]) -> Sequence[Operation]:
        """A command for each target subscription."""
        phone, price, running = self._phone(reading), self._price(reading), active(self.sink)
        try:
            return self._commands_to(phone, price, self._targets(reading, running))
        except Unfit as unfit:
            # A subscription that cannot be named must not delay commands that end others.
            if self.action in ENDING and self.short_number is None:
                unfit.possible = self._commands_to(
                    phone, price, [(*_target(one), one.active) for one in running if all(_target(one))]
                )
            raise

    def _commands_to(
        self, phone: Phone, price: float | None, targets: Sequence[tuple[str, str, bool]]
    ) -> Sequence[Operation]:
        return [
            ServiceCommand(
                sink=self.sink,
                action=self.action,
                phone=phone,
                short_number=short_number,
                keyword=keyword,
                price=price,
                known_active=known,
                rule=self.rule,
            )
            for short_number, keyword, known in targets
        ]

    def _targets(self, reading: Reading, running: Sequence[KnownSubscription]) -> list[tuple[str, str, bool]]:
        if self.short_number is None or self.keyword is None:
            if any(not one.subscription.short_number or not one.subscription.keyword for one in running):
                raise Unfit(
                    Reason.NEEDS_PERSON,
                    "a subscription is known without its short number or keyword, and cannot be named to the provider: "
                    "list it under `subscriptions:` in the config",
                )
            if self.only:
                running = self._the_only(running)
            return [(*_target(one), one.active) for one in running]
        target = (self._text(self.short_number, reading), self._text(self.keyword, reading))
        wanted = _comparable(*target)
        known = any(
            one.active and _comparable(one.subscription.short_number, one.subscription.keyword) == wanted
            for one in running
        )
        return [(*target, known)]

    def _the_only(self, running: Sequence[KnownSubscription]) -> Sequence[KnownSubscription]:
        """The only target subscription; raises Unfit if there is none or more than one is possible."""
        distinct = {_comparable(one.subscription.short_number, one.subscription.keyword): one for one in running}
        if len(distinct) == 1 and not any(one.ended for one in running):
            return list(distinct.values())
        words = ", ".join(f"{one.subscription.keyword} on {one.subscription.short_number}" for one in distinct.values())
        if any(one.active for one in running):
            why = f"{len(distinct)} subscriptions run ({words}), and this can be for one of them alone"
        elif any(one.ended for one in running):
            why = "no subscription runs: the person has left"
        elif distinct:
            why = f"it is not known which subscription runs ({words})"
        else:
            why = "no subscription is known"
        cure = f"do what is right at {self.sink} yourself, then `connector parked discard EVENT`"
        raise Unfit(Reason.NEEDS_PERSON, f"{why}: {cure}")

    def _phone(self, reading: Reading) -> Phone:
        event = reading.event
        if self.own and event.msisdn is not None:
            return event.msisdn
        if self.own and event.number_is_unclear:
            raise Unfit(Reason.NEEDS_PERSON, UNCLEAR_NUMBER)
        written = self._value(self.phone, reading)
        if written is None:
            if self.skip_missing:
                raise Skipped("phone has no value")
            raise Unfit(Reason.MISSING_KEY, f"phone has no value ({self.phone.source})")
        number = self.numbers.read(written, event)
        if number.phone is None:
            if number.is_unclear:
                raise Unfit(Reason.NEEDS_PERSON, f"phone: {UNCLEAR_NUMBER}")
            cure = (
                ""
                if self.numbers.reader.default
                else "; `default_region` in the config makes numbers without one readable"
            )
            raise Unfit(Reason.BAD_VALUE, f"phone: a phone number with its country code was expected{cure}")
        return number.phone

    def _price(self, reading: Reading) -> float | int | None:
        if self.price is None:
            return None
        value = self._value(self.price, reading)
        if value is None:
            raise Unfit(Reason.MISSING_KEY, f"price has no value ({self.price.source})")
        amount = scalar(number(value))
        if not isinstance(amount, int | float):
            raise Unfit(Reason.BAD_VALUE, "price: a number was expected")
        return amount

    def _text(self, one: FieldValue, reading: Reading) -> str:
        value = self._value(one, reading)
        if value is None:
            raise Unfit(Reason.MISSING_KEY, f"{one.name} has no value ({one.source})")
        return text(value)

    @staticmethod
    def _value(one: FieldValue, reading: Reading) -> object:
        try:
            return one.get(reading)
        except TransformFailed as failed:
            raise Unfit(Reason.BAD_VALUE, f"{one.name}: {failed}") from None


def _target(one: KnownSubscription) -> tuple[str, str]:
    """The short number and keyword that identify a subscription to a provider; blank if unknown."""
    return one.subscription.short_number or "", one.subscription.keyword or ""


def _comparable(short_number: str | None, keyword: str | None) -> tuple[str, str]:
    """A subscription's name in the form for comparing."""
    return fold(short_number or ""), fold(keyword or "")
