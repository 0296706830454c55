"""The expectations of a test case, and how a plan differs from them, in plain words."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from connector.config.validation import Strict
from connector.mapping.values.values import number, text
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.event import Verdict
from connector.model.operation import ID_FIELD, Operation, Parent, RecordWrite, ServiceCommand, SinkCall
from connector.model.plan import Plan
from connector.model.states import EventState


class ExpectedOperation(Strict):
    """One operation; only what is named is compared."""

    upsert: str | None = None
    """The object that is written."""
    update: str | None = None
    """The object that is written, if it is there."""
    command: str | None = None
    """The command that is sent."""
    crm: str | None = None
    """Where it is written."""
    key: dict[str, Any] | None = None
    """The key field and its value."""
    match: str | None = None
    """The phone number by which the record is looked for."""
    id: str | None = None
    """The record's Id."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Fields that are written."""
    create: dict[str, Any] = Field(default_factory=dict)
    """Fields that are written to a new record."""
    absent: tuple[str, ...] = ()
    """Fields that are not written."""
    provider: str | None = None
    """To whom a command goes."""
    phone: str | None = None
    """Whose subscription."""
    short_number: str | None = None
    """The short number."""
    keyword: str | None = None
    """The keyword."""
    price: int | float | None = None
    """The new price."""
    post: str | None = None
    """The type of the message that is sent to a webhook."""
    row: str | None = None
    """The data extension that is written."""
    event: str | None = None
    """The key of the journey event that is fired."""
    sink: str | None = None
    """The webhook or Marketing Cloud that it goes to."""
    contact: str | None = None
    """Who goes on in the journey."""


class Expect(Strict):
    """What must come of the event; only what is named is compared."""

    rule: str | None = None
    """The rule that must match."""
    operations: list[ExpectedOperation] | None = None
    """The operations, in order and number."""
    ignored: bool | None = None
    """Whether a rule must say `ignore`."""
    consent: Verdict | None = None
    """What is decided: opt_in, opt_out, or none."""
    note: str | None = None
    """A field that must be left out because its value cannot be made, or other words of the note."""
    state: EventState | None = None
    """The state of the event behind it, such as delivering, ignored, superseded, no_change, dead."""


def compare(expect: Expect, plan: Plan, traits: Mapping[str, CrmTraits]) -> list[str]:
    """The differences, one sentence each; empty if all is as expected. The plan must have been made with its trace.

    `traits` are those of each CRM, by its name: an id may be written in several forms.
    """
    differences: list[str] = []
    matched = [trace.rule for trace in plan.trace if trace.matched]
    if expect.rule is not None and expect.rule not in matched:
        differences.append(f"rule: expected `{expect.rule}`, but {_names(matched)}")
    if expect.state is not None and plan.state is not expect.state:
        why = f" ({plan.detail})" if plan.detail else ""
        differences.append(f"state: expected {expect.state.value}, got {plan.state.value}{why}")
    if expect.ignored is not None and expect.ignored is not (plan.state is EventState.IGNORED):
        differences.append(f"ignored: expected {text(expect.ignored)}, but the event is {plan.state.value}")
    if expect.consent is not None:
        decided = [decision.word for decision in plan.decisions] or [Verdict.NONE]
        if expect.consent not in decided:
            differences.append(
                f"consent: expected {expect.consent.value}, got {', '.join(word.value for word in decided)}"
            )
    if expect.note is not None:
        notes = [str(note) for note in plan.left_out]
        if not any(expect.note.casefold() in note.casefold() for note in notes):
            differences.append(f"note: expected `{expect.note}`, got {'; '.join(notes) or 'none'}")
    if expect.operations is not None:
        differences += _compare_all(expect.operations, plan, traits)
    return differences


def _names(matched: list[str]) -> str:
    return "no rule matched" if not matched else "matched was " + ", ".join(f"`{name}`" for name in matched)


def _compare_all(expected: list[ExpectedOperation], plan: Plan, traits: Mapping[str, CrmTraits]) -> list[str]:
    if len(expected) != len(plan.operations):
        made = ", ".join(_label(operation) for operation in plan.operations) or "none"
        why = f"; {plan.state.value}: {plan.detail}" if plan.detail else ""
        return [f"operations: expected {len(expected)}, got {len(plan.operations)} ({made}{why})"]
    return [
        f"operation {place}: {difference}"
        for place, (one, operation) in enumerate(zip(expected, plan.operations, strict=True), start=1)
        for difference in (
            _compare_write(one, operation, traits.get(operation.sink, PLAIN))
            if isinstance(operation, RecordWrite)
            else _compare_command(one, operation)
            if isinstance(operation, ServiceCommand)
            else _compare_call(one, operation)
        )
    ]


def _label(operation: Operation) -> str:
    if isinstance(operation, ServiceCommand):
        return f"command {operation.action}"
    if isinstance(operation, SinkCall):
        return f"{operation.action} {operation.target}"
    return f"{'upsert' if operation.may_create else 'update'} {operation.object}"


def _compare_write(expected: ExpectedOperation, got: RecordWrite, traits: CrmTraits) -> list[str]:
    """The differences of a write. CRMs ignore letter case in names, so that a test may write them in any."""
    wanted = expected.upsert or expected.update or ""
    # A write by Id never creates, whichever word it was written with. With a match, `none` decides whether it creates.
    right_word = (
        got.key_field == ID_FIELD or got.match is not None or (expected.update is not None) is not got.may_create
    )
    if wanted.casefold() != got.object.casefold() or not right_word:
        return [f"expected {_expected_label(expected)}, got {_label(got)}"]
    found = _differ("crm", expected.crm, got.sink)
    found += _differ("match", expected.match, got.match.phone.e164 if got.match else None)
    if expected.key is not None:
        found += _fields("key", expected.key, {got.key_field: got.key}, any_case=True)
    if expected.id is not None:
        found += _fields("id", {ID_FIELD: traits.full_id(expected.id)}, {got.key_field: got.key})
    found += _fields("set", expected.set, got.set, any_case=True)
    found += _fields("create", expected.create, got.create, any_case=True)
    written = {name.casefold() for name in (*got.set, *got.create)}
    return found + [f"`{name}` is written" for name in expected.absent if name.casefold() in written]


def _expected_label(expected: ExpectedOperation) -> str:
    words = {
        "upsert": expected.upsert,
        "update": expected.update,
        "command": expected.command,
        "post": expected.post,
        "row": expected.row,
        "event": expected.event,
    }
    return next((f"{word} {what}" for word, what in words.items() if what is not None), "nothing (name an operation)")


def _compare_command(expected: ExpectedOperation, got: ServiceCommand) -> list[str]:
    if expected.command != got.action:
        return [f"expected {_expected_label(expected)}, got {_label(got)}"]
    return [
        difference
        for name, wanted, value in (
            ("provider", expected.provider, got.sink),
            ("phone", expected.phone, got.phone.e164),
            ("short_number", expected.short_number, got.short_number),
            ("keyword", expected.keyword, got.keyword),
            ("price", expected.price, got.price),
        )
        for difference in _differ(name, wanted, value)
    ]


def _compare_call(expected: ExpectedOperation, got: SinkCall) -> list[str]:
    if getattr(expected, got.action) != got.target:
        return [f"expected {_expected_label(expected)}, got {_label(got)}"]
    found = _differ("sink", expected.sink, got.sink) + _differ("contact", expected.contact, got.keys.get("contact"))
    found += _fields("key", expected.key or {}, got.keys) + _fields("set", expected.set, got.values)
    return found + [f"`{name}` is written" for name in expected.absent if name in got.values]


def _differ(name: str, wanted: Any, value: Any) -> list[str]:
    return [] if wanted is None or same(wanted, value) else [f"{name}: expected {_shown(wanted)}, got {_shown(value)}"]


def _fields(where: str, expected: Mapping[str, Any], got: Mapping[str, Any], *, any_case: bool = False) -> list[str]:
    found: list[str] = []
    values = {name.casefold(): value for name, value in got.items()} if any_case else got
    for name, wanted in expected.items():
        written = name.casefold() if any_case else name
        if written not in values:
            found.append(f"{where}: `{name}` is not written")
        elif not same(wanted, values[written]):
            found.append(f"{where}: `{name}` expected {_shown(wanted)}, got {_shown(values[written])}")
    return found


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else text(value) or ""  # as YAML writes them
    if not isinstance(value, Parent):
        return repr(value)
    ways = [f"{{{way.key_field}: {way.key!r}}}" for way in value.ways]
    return ", else ".join([*ways, "nothing"] if value.or_none else ways)


def same(expected: Any, got: Any) -> bool:
    """Whether a value is the expected one: numbers by value, text exactly, a parent by its key.

    If a parent is named in several ways, the first one is compared, or all of them with a list.
    """
    if isinstance(got, Parent) and isinstance(expected, list):
        ways = [*got.ways, None] if got.or_none else got.ways
        return len(expected) == len(ways) and all(map(same, expected, ways))
    if isinstance(got, Parent):
        wanted = dict(expected) if isinstance(expected, Mapping) else {}
        kind = wanted.pop("type", got.object)
        return kind == got.object and {name: text(key) for name, key in wanted.items()} == {got.key_field: got.key}
    if expected is None or got is None or isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float):
        return number(expected) == number(got)
    return text(expected) == text(got)
