"""Compiles the value of a field: a template, a literal, a chain of transforms, or a parent record."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from connector.config.validation import did_you_mean
from connector.config.yaml_document import Where
from connector.mapping.compile.context import Findings
from connector.mapping.language.field_forms import TRANSFORM_WORDS, DateForm, Plain, Transform
from connector.mapping.language.paths import BadPath, Get, Reading, getter, parse_path
from connector.mapping.language.templates import odd_braces, parse_template, render
from connector.mapping.values import transforms
from connector.mapping.values.dates import BadPattern, convert, meant_pattern
from connector.mapping.values.numbers import EventNumbers
from connector.mapping.values.transforms import PhoneForm, Step, TransformFailed
from connector.mapping.values.values import present, scalar, text
from connector.model.crm_schema import PICKED, TEXTS, ObjectSchema
from connector.model.operation import Parent
from connector.model.text import cut, length_of
from connector.model.text_folding import composed

# A text that can only be meant for a value of the event.
VALUE_OF_EVENT = re.compile(r"msisdn|(?:properties|lookup|record)\.\w[\w.]*")
NOTHING: Get = lambda _reading: None  # noqa: E731 - a value that stands for one that could not be compiled.


class FieldValue(NamedTuple):
    """One field of a write and the source of its value. A tuple, because the planner unpacks it more than anything else."""

    name: str
    get: Get  # gives a CRM value, or None if it is missing; raises TransformFailed
    clear: bool  # whether a missing value empties the field
    source: str  # as written, for people


class ValueSource(NamedTuple):
    """The source of a value, before it is converted for a CRM."""

    get: Get
    is_text: bool = False  # true if a value that is present is always text, which needs no conversion
    literal: Plain = None  # the value, if it is always the same and no text


class BadValue(Exception):  # noqa: N818 - a finding about one event's data; apply makes it a dead letter.
    """A required field whose value cannot be computed from this event. The message never holds the value."""


LeftOut = list[tuple[str, str]]  # fields whose value could not be computed, and why


def compute_fields(fields: Sequence[FieldValue], reading: Reading, left_out: LeftOut) -> dict[str, Any]:
    """The fields that have a value for this event. A value that cannot be computed goes to `left_out`; raises BadValue."""
    made: dict[str, Any] = {}
    try:
        for name, get, clear, _ in fields:
            value = get(reading)
            if value is not None or clear:
                made[name] = value
    except TransformFailed:
        return _compute_singly(fields, reading, left_out)
    return made


def compile_fields(
    values: dict[str, Any], where: Where, findings: Findings, known: ObjectSchema | None = None
) -> tuple[FieldValue, ...]:
    """Compile the fields of a `set:` or `create:`. Values of a field that is `known` to hold text are sent as text."""
    texts = {name for name in values if known and (field := known.field(name)) and field.kind in TEXTS | PICKED}
    return tuple(
        compile_field(name, value, (*where, name), findings, as_text=name in texts) for name, value in values.items()
    )


def _compute_singly(fields: Sequence[FieldValue], reading: Reading, left_out: LeftOut) -> dict[str, Any]:
    """Compute each field alone, because one of them failed: it affects no other field."""
    made: dict[str, Any] = {}
    for name, get, clear, _ in fields:
        try:
            value = get(reading)
        except TransformFailed as failed:
            left_out.append((name, str(failed)))
            continue
        if value is not None or clear:
            made[name] = value
    return made


def can_be_computed(field: FieldValue, reading: Reading) -> bool:
    """Whether the field's value can be computed from this event. A missing value counts, if it may be missing."""
    try:
        field.get(reading)
    except (TransformFailed, BadValue):
        return False
    return True


def make_required(field: FieldValue, *, may_be_missing: bool = False) -> FieldValue:
    """The field, changed to raise BadValue if its value is missing or cannot be computed."""
    return field._replace(get=_required(field.name, field.get, may_be_missing=may_be_missing))


def _required(name: str, get: Get, *, may_be_missing: bool = False) -> Get:
    def get_required(reading: Reading) -> Any:
        try:
            value = get(reading)
        except TransformFailed as failed:
            raise BadValue(f"{name}: {failed}") from None
        if value is None and not may_be_missing:
            raise BadValue(f"{name} has no value, and it is required")
        return value

    return get_required


def compile_field(name: str, value: Any, where: Where, findings: Findings, *, as_text: bool = False) -> FieldValue:
    """Compile one field. After a problem it is a field that is always missing, so that all others are still checked."""
    if isinstance(value, dict):
        return FieldValue(
            name=name, get=_compile_parent(name, value, where, findings), clear=False, source=_parent_source(value)
        )
    if isinstance(value, list):
        source = ", else ".join("nothing" if one is None else _parent_source(one) for one in value)
        return FieldValue(name=name, get=_compile_parents(name, value, where, findings), clear=False, source=source)
    if isinstance(value, Transform):
        clear = value.when_empty == "clear"
        get = _for_crm(_compile_transform(value, where, findings), as_text=as_text)
        made = FieldValue(name=name, get=get, clear=clear, source=_source(value))
        return make_required(made) if value.required else made
    if value is None and where in findings.document.blanks:
        findings.add(where, "no-value", f"`{name}` has no value", "write null to empty the field, or take the line out")
    plain = constant_or_template(value, where, findings)
    source = text(value) if value is not None else "null"
    return FieldValue(name=name, get=_for_crm(plain, as_text=as_text), clear=value is None, source=source)


def compile_single(value: Any, where: Where, findings: Findings) -> Get:
    """Compile a value that is not a parent: of a key or a price."""
    if isinstance(value, dict | list):
        findings.add(where, "bad-value", "a parent record cannot stand here", 'write a value such as "{msisdn}"')
        return NOTHING
    if isinstance(value, Transform):
        return _compile_transform(value, where, findings).get
    return constant_or_template(value, where, findings).get


def constant_or_template(value: Plain, where: Where, findings: Findings) -> ValueSource:
    """Compile a literal, or a text with paths in it."""
    if not isinstance(value, str):
        return ValueSource(lambda _reading: value, literal=value)
    try:
        template = parse_template(value)
        if VALUE_OF_EVENT.fullmatch(value):
            findings.warn(
                where, "path-as-text", f"`{value}` goes out as this text", f"write {{from: {value}}} for the value"
            )
        if ("{{" in value or "${" in value) and (odd := odd_braces(value)):
            findings.warn(
                where,
                "odd-braces",
                f"`{odd}` goes out as written",
                'a field is named in one pair of braces: "{msisdn}"',
            )
        return ValueSource(render(template), template.is_text)
    except BadPath as bad:
        findings.bad_path(where, bad)
        return ValueSource(NOTHING)


def _for_crm(made: ValueSource, *, as_text: bool) -> Get:
    """The value as it is sent to a CRM: always a text, or in the JSON type that it has."""
    get = made.get
    if made.is_text:
        return get
    fit = _text_or_none if as_text else scalar
    if made.literal is not None:
        fixed = fit(made.literal)
        return lambda _reading: fixed

    def convert_value(reading: Reading) -> Any:
        value = get(reading)
        return value if value.__class__ is str else fit(value)

    return convert_value


def _text_or_none(value: Any) -> str | None:
    return None if present(value) is None else text(value)


def _compile_parents(field: str, values: list[dict[str, Any] | None], where: Where, findings: Findings) -> Get:
    """The first way to identify the parent that has a value, followed by the others that have one."""
    or_none = values[-1] is None
    for number, value in enumerate(values[:-1]):
        if value is None:
            findings.add((*where, number), "null-first", "null stands last: what follows it is never used", "move it")
    gets = [
        _compile_parent(field, value, (*where, number), findings)
        for number, value in enumerate(values)
        if value is not None
    ]

    def parents(reading: Reading) -> Parent | None:
        ways = [parent for get in gets if (parent := get(reading)) is not None]
        return replace(ways[0], otherwise=tuple(ways[1:]), or_none=or_none) if ways else None

    return parents


def _compile_parent(field: str, value: dict[str, Any], where: Where, findings: Findings) -> Get:
    keys = {name: one for name, one in value.items() if name != "type"}
    kind = value.get("type")
    if len(keys) != 1 or not (kind is None or isinstance(kind, str)):
        findings.add(
            where,
            "bad-parent",
            "a parent is named by one key field",
            '{SMS_Key__c: "{msisdn}"}, with type: where needed',
        )
        return NOTHING
    (name, one), *_ = keys.items()
    hint = did_you_mean(name, TRANSFORM_WORDS) if name.islower() else ""
    if hint.startswith("did"):
        findings.add((*where, name), "unknown-key", f"`{name}` is not a transform", hint, key=True)
        return NOTHING
    get = compile_single(one, (*where, name), findings)
    if isinstance(one, Transform) and one.required:
        get = _required(f"{field}.{name}", get)

    def parent(reading: Reading) -> Parent | None:
        key = get(reading)
        return None if key is None else Parent(name, composed(text(key)), kind)

    return parent


def _parent_source(value: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {_source(one) if isinstance(one, Transform) else text(one)}" for name, one in value.items()
    )


def _source(value: Transform) -> str:
    paths = value.source if isinstance(value.source, list) else [value.source]
    steps = [word for word in value.order if word not in {"from", "when_empty", "required"}]
    return " or ".join(paths) + (f" ({', '.join(steps)})" if steps else "")


def _compile_transform(form: Transform, where: Where, findings: Findings) -> ValueSource:
    """Read the paths, then apply the steps in the order written. A missing value skips every step but `default`."""
    made = _first_present(form, where, findings)
    for word in form.order:
        if word == "default":
            made = _with_default(made, constant_or_template(form.default, (*where, word), findings))
        elif word == "truncate" and form.truncate is not None:
            made = ValueSource(_truncated(made.get, form.truncate), is_text=True)
        elif word == "phone" and form.phone is not None:
            made = ValueSource(_phone(made.get, form, form.phone, findings.numbers), is_text=True)
        elif word not in SETTINGS:
            step = _compile_step(form, word, (*where, word), findings)
            if step is not None:
                made = ValueSource(_with_step(made.get, step), word in MAKE_TEXT)
    return made


def _with_default(made: ValueSource, instead: ValueSource) -> ValueSource:
    """The first value, or the other if it is missing."""
    get, default = made.get, instead.get

    def either(reading: Reading) -> Any:
        value = get(reading)
        return value if value is not None else present(default(reading))

    return ValueSource(either, made.is_text and instead.is_text)


def _truncated(get: Get, length: int) -> Get:
    """The first characters of the text, as CRMs count them: an emoji counts two. It is the most frequent step of all."""
    always_fits = length // 2  # a character counts at most two

    def first(reading: Reading) -> str | None:
        value = get(reading)
        if value is None:
            return None
        whole: str = value if value.__class__ is str else text(value)
        if len(whole) > always_fits and length_of(whole) > length:
            whole = cut(whole, length).rstrip()
        return whole or None

    return first


def _phone(get: Get, form: Transform, written: PhoneForm, numbers: EventNumbers) -> Get:
    """The number that the value means, in one of its forms; the event's own number, if the value names that one."""
    own = numbers.names_own(form)

    def read(reading: Reading) -> str | None:
        event = reading.event
        value = get(reading)
        if value is None:
            return None
        phone = event.msisdn if own and event.msisdn is not None else numbers.read(value, event).phone
        if phone is None:
            raise TransformFailed("a phone number with its country code was expected")
        return transforms.write_phone(phone, written)

    return read


def _with_step(get: Get, step: Step) -> Get:
    """The value after one more step. A missing value stays missing."""

    def stepped(reading: Reading) -> Any:
        value = get(reading)
        if value is None:
            return None
        value = step(value)
        return value if value.__class__ is str and value else present(value)

    return stepped


def _first_present(form: Transform, where: Where, findings: Findings) -> ValueSource:
    """The value of the first path of `from:` that has one."""
    paths = form.source if isinstance(form.source, list) else [form.source]
    gets: list[Get] = []
    texts: list[bool] = []
    for number, path in enumerate(paths):
        place = (*where, "from", number) if isinstance(form.source, list) else (*where, "from")
        try:
            parsed = parse_path(path)
        except BadPath as bad:
            findings.bad_path(place, bad)
        else:
            gets.append(getter(parsed))
            texts.append(parsed.is_text)
    if len(gets) == 1:
        return ValueSource(gets[0], texts[0])

    def first(reading: Reading) -> Any:
        for get in gets:
            value = get(reading)
            if value is not None:
                return value
        return None

    return ValueSource(first, all(texts))


def _compile_step(form: Transform, word: str, where: Where, findings: Findings) -> Step | None:
    """The transform that a word names, with its argument; None if nothing follows the word."""
    argument = getattr(form, word)
    if argument is None:
        findings.add(
            where, "no-value", f"`{word}` has no value", "write what the transform needs, or take the line out"
        )
        return None
    if word == "map":
        return transforms.translate(argument, form.otherwise)
    if word == "date":
        return _compile_date(argument, where, findings)
    return STEPS[word](argument)


# The words of a form that do not change the value.
SETTINGS = frozenset({"from", "otherwise", "when_empty", "required"})
# The transforms that make a text of any value.
MAKE_TEXT = frozenset({"case", "date", "prefix", "text"})
STEPS: dict[str, Callable[[Any], Step]] = {
    "case": transforms.case,
    "part": transforms.part,
    "extract": transforms.extract,
    "round": transforms.round_to,
    "multiply": transforms.multiply,
    "join": transforms.join,
    "split": transforms.split,
    "prefix": transforms.prefix,
    "text": lambda _true: text,
}


def _compile_date(form: DateForm, where: Where, findings: Findings) -> Step | None:
    zone: ZoneInfo = findings.zone(form.timezone or findings.context.timezone, where)
    try:
        return convert(form.source, form.to, zone)
    except BadPattern as bad:
        meant = meant_pattern(form.source) or meant_pattern(form.to)
        cure = f"write {meant}" if meant else "use yyyy, yy, MM, dd, HH, mm, ss, as in dd.MM.yyyy"
        findings.add(where, "bad-date-form", str(bad), cure)
        return None
