"""Compiles `post:`, `row:` and `event:`: calls of sinks that are neither a CRM nor a provider."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.config.yaml_document import Where
from connector.mapping.compile.conditions import Condition, compile_when
from connector.mapping.compile.context import Findings
from connector.mapping.compile.fields import (
    BadValue,
    FieldValue,
    LeftOut,
    compile_field,
    compile_fields,
    compute_fields,
)
from connector.mapping.compile.items import RunningSubscriptions, Skipped, Unfit
from connector.mapping.language.paths import Reading
from connector.mapping.language.rules import JourneyEvent, Post, Row
from connector.mapping.values.transforms import TransformFailed
from connector.mapping.values.values import fold, text
from connector.model.operation import Fields, Operation, SinkCall
from connector.model.outcome import Reason
from connector.model.plan import Note

NUMBER = re.compile(r"\bmsisdn\b")
POST, ROW, EVENT = "post", "row", "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkCallItem:
    """A call of a sink."""

    label: str
    rule: str
    when: Condition | None
    sink: str  # of a call that the event directs: a sink that it may name
    action: str
    target: FieldValue  # of an `event:`: its name or key
    set: tuple[FieldValue, ...]
    skip_missing: bool
    to: FieldValue | None = None  # the value by which the event names the sink
    sinks: Mapping[str, str] | None = None  # folded name → sink
    keys: tuple[FieldValue, ...] = ()  # of a row
    # Folded name or key of a journey event → its key; None: the target is fixed.
    events: Mapping[str, str] | None = None
    events_of: str = ""  # the sink of the config that names the journey events
    any_event: bool = False  # a key that is not listed may be used
    contact: FieldValue | None = None  # of an `event:`: who goes on in the journey
    delay: timedelta = timedelta()  # from the event's arrival to the call
    ordinal: int = 0  # tells calls of one event with the same sink and target apart

    @property
    def values(self) -> tuple[FieldValue, ...]:
        """What decides where it goes, then the fields."""
        return tuple(one for one in (self.to, self.target, self.contact, *self.keys, *self.set) if one is not None)

    def concerns_consent(self, _possible: Sequence[Operation]) -> bool:
        """A call of a sink says nothing about consent."""
        return False

    def make(self, reading: Reading, _active: RunningSubscriptions, left_out: list[Note]) -> tuple[SinkCall]:
        """Make one call."""
        event = reading.event
        without: LeftOut = []
        sink, target = self._sink(reading), self._target(reading)
        keys = {one.name: self._required_text(one, reading) for one in self.keys}
        values = self._values(reading, without)
        if self.contact is not None:
            keys = {self.contact.name: self._required_text(self.contact, reading)}
        left_out += [Note(rule=self.rule, operation=self.label, field=name, why=why) for name, why in without]
        return (
            SinkCall(
                sink=sink,
                action=self.action,
                target=target,
                key="\n".join((event.key, target, *([str(self.ordinal)] if self.ordinal else ()))),
                keys=keys,
                values=values,
                at=_iso(event.received_at),
                not_before=_iso(event.received_at + self.delay) if self.delay else "",
                once=self.action == EVENT,
                rule=self.rule,
            ),
        )

    def _sink(self, reading: Reading) -> str:
        if self.to is None or self.sinks is None:
            return self.sink
        sink = self.sinks.get(_name(self._required_text(self.to, reading)))
        if sink is None:
            raise Unfit(
                Reason.UNKNOWN_NAME,
                f"{self.to.source} names a sink that the config does not have: add the name under `names:` of a sink",
            )
        return sink

    def _target(self, reading: Reading) -> str:
        name = self._required_text(self.target, reading)
        if self.events is None:
            return name
        key = self.events.get(_name(name), name if self.any_event else None)
        if key is None:
            raise Unfit(
                Reason.UNKNOWN_NAME,
                f"{self.target.source} names a journey event that the config does not have: "
                f"add it under `events:` of {self.events_of}",
            )
        return key

    def _values(self, reading: Reading, without: LeftOut) -> Fields:
        try:
            return compute_fields(self.set, reading, without)
        except BadValue as bad:
            raise Unfit(Reason.BAD_VALUE, str(bad)) from None

    def _required_text(self, one: FieldValue, reading: Reading) -> str:
        try:
            value = one.get(reading)
        except TransformFailed as failed:
            raise Unfit(Reason.BAD_VALUE, f"{one.name}: {failed}") from None
        if value is None:
            if self.skip_missing:
                raise Skipped(f"{one.name} has no value")
            raise Unfit(Reason.MISSING_KEY, f"{one.name} has no value ({one.source})")
        return text(value)


def _name(written: str) -> str:
    """A name as it is compared: people write it in any letter case, and with more blanks."""
    return fold(" ".join(written.split()))


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def compile_sink_call(item: Post | Row | JourneyEvent, label: str, where: Where, findings: Findings) -> SinkCallItem:
    """Compile an item."""
    known = findings.context.sinks
    action = POST if isinstance(item, Post) else ROW if isinstance(item, Row) else EVENT
    takers = tuple(name for name, one in known.items() if action in one.actions)
    to = None
    if isinstance(item, Post) and item.to is not None:
        to = compile_field("to", item.to, (*where, "to"), findings)
        if item.sink is not None:
            findings.add(
                (*where, "sink"), "two-targets", "`sink` and `to` name two sinks", "take one of them out", key=True
            )
        sink = takers[0] if takers else ""
        if not takers:
            findings.add((*where, "to"), "no-sink", "no sink of the config takes `post`", "add one under `sinks:`")
    else:
        sink = _sink(item.sink, takers, action, where, findings)
    values = compile_fields(item.set, (*where, "set"), findings)
    reached = takers if to is not None else (sink,) if sink in known else ()
    if closed := [name for name in reached if not known[name].takes_phone]:
        for one in values:
            if NUMBER.search(one.source):
                findings.add(
                    (*where, "set", one.name),
                    "phone-not-included",
                    f"`{one.name}` would send the person's number to {closed[0]}",
                    f"take it out, or set `include: [msisdn]` under `sinks: {closed[0]}:`",
                    key=True,
                )
    traits = known.get(sink)
    written = item.post if isinstance(item, Post) else item.row if isinstance(item, Row) else item.event
    events = None
    if traits is not None and isinstance(item, JourneyEvent) and traits.question:
        findings.add((*where, "event"), "ask-first", "journey events are off", traits.question)
    if traits is not None and isinstance(item, JourneyEvent):
        events = {_name(name): key for name, key in traits.events.items()} | {
            _name(key): key for key in traits.events.values()
        }
    return SinkCallItem(
        label=f"{action} {written}",
        rule=label,
        when=None if item.when is None else compile_when(item.when, (*where, "when"), findings),
        sink=(traits.event_sink or sink) if traits is not None and isinstance(item, JourneyEvent) else sink,
        action=action,
        target=compile_field(action, written, (*where, action), findings),
        set=values,
        skip_missing=item.if_missing == "skip",
        to=to,
        sinks={_name(word): name for name in takers for word in known[name].names} if to is not None else None,
        keys=compile_fields(item.key, (*where, "key"), findings) if isinstance(item, Row) else (),
        events=events,
        events_of=sink,
        any_event=bool(traits and traits.accepts_keys),
        contact=compile_field("contact", item.contact, (*where, "contact"), findings)
        if isinstance(item, JourneyEvent)
        else None,
        delay=traits.event_delay if traits is not None and isinstance(item, JourneyEvent) else timedelta(),
    )


def _sink(named: str | None, takers: tuple[str, ...], action: str, where: Where, findings: Findings) -> str:
    """The sink that an item names, or the only one that takes the action."""
    if named is not None:
        if named not in takers:
            findings.unknown((*where, "sink"), f"sink that takes `{action}`", named, takers)
        return named
    if len(takers) != 1:
        hint = (
            f"add `sink:` with one of {', '.join(sorted(takers))}" if takers else "add one under `sinks:` in the config"
        )
        findings.add(where, "no-sink", f"this does not say for which sink `{action}` is", hint)
        return ""
    return takers[0]
