"""The possible values of a field's form, as far as a static check can tell: the values written there, and facts about others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connector.config.yaml_document import Where
from connector.mapping.compile.fields import SETTINGS, STEPS
from connector.mapping.language.field_forms import Plain, Transform
from connector.mapping.language.paths import BadPath, Path, parse_path
from connector.mapping.language.templates import Part, Template, parse_template, render
from connector.mapping.values.transforms import TransformFailed
from connector.mapping.values.values import present, scalar
from connector.model.crm_schema import FieldKind
from connector.model.text import length_of

# Free text of a donor or sender. Everything else is a short word of the provider's or ours.
MESSAGE = "text"
FREE_TEXT = frozenset({MESSAGE, "properties", "lookup"})
KINDS = {
    "price": FieldKind.NUMBER,
    "occurred_at": FieldKind.DATETIME,
    "received_at": FieldKind.DATETIME,
    "service_command": FieldKind.BOOLEAN,
    "known_to_provider": FieldKind.BOOLEAN,
    "time_from_arrival": FieldKind.BOOLEAN,
    "final": FieldKind.BOOLEAN,
}
DATES = {"date": FieldKind.DATE, "datetime": FieldKind.DATETIME}
NO_READING = object()  # given to a template without paths, which reads nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleValues:
    """The possible results of a form."""

    values: tuple[tuple[Any, Where], ...] = ()  # the values written in the file, as they are sent
    free: bool = False  # whether it can be a text that somebody else has written
    longest: int | None = None  # the most characters of such a text; None: unknown
    kind: FieldKind | None = None  # the kind of all other values, if it is known


def possible_values(form: Plain | Transform, where: Where) -> PossibleValues:
    """The possible values of a template, a literal, or a chain of transforms. Empty for an invalid form, reported elsewhere."""
    try:
        return _of_transform(form, where) if isinstance(form, Transform) else _of_template(form, where)
    except BadPath:
        return PossibleValues()


def _of_template(form: Plain, where: Where) -> PossibleValues:
    if not isinstance(form, str):
        return PossibleValues() if form is None else PossibleValues(values=((form, where),))
    template = parse_template(form)
    if not template.paths:
        return PossibleValues(values=tuple((value, where) for value in _constant_text(template)))
    match template.parts:
        case (Part(path=path),):
            return PossibleValues(free=path.root in FREE_TEXT, kind=_common_kind([path]))
    # People put names and numbers into a sentence. A whole message is different.
    return PossibleValues(free=any(path.root == MESSAGE for path in template.paths))


def _constant_text(template: Template) -> Iterator[str]:
    """The text of a template without paths, unless it is blank."""
    text = render(template)(NO_READING)  # type: ignore[arg-type]  # without paths nothing is read.
    if text is not None:
        yield text


def _common_kind(paths: Sequence[Path]) -> FieldKind | None:
    """The kind of the values at all of these paths; None if they differ, or if it is unknown."""
    kinds = {KINDS.get(path.root) for path in paths}
    return kinds.pop() if len(kinds) == 1 else None


def _of_transform(form: Transform, where: Where) -> PossibleValues:
    paths = [parse_path(path) for path in (form.source if isinstance(form.source, list) else [form.source])]
    values: list[tuple[Any, Where]] = []
    free, longest, kind = any(path.root in FREE_TEXT for path in paths), None, _common_kind(paths)
    for word in form.order:
        argument, here = getattr(form, word, None), (*where, word)
        if argument is None or word in SETTINGS:
            continue
        if word == "default":
            default = _of_template(argument, here)
            values += default.values
            free = free or default.free
            continue
        if word == "map":
            values = [(value, (*here, name)) for name, value in argument.items()]
            values.append((form.otherwise, (*where, "otherwise")))
        else:
            values = [*_values_after(values, word, argument)]
        free = free and not (word in {"map", "phone", "date"} or (word == "extract" and argument != "word"))
        kind = _kind_after(word, argument, kind)
        if word == "truncate":
            longest = argument if longest is None else min(longest, argument)
        elif word == "prefix" and longest is not None:
            longest += length_of(argument)
    kept = tuple((scalar(value), place) for value, place in values if present(value) is not None)
    return PossibleValues(values=kept, free=free, longest=longest, kind=kind)


def _kind_after(word: str, argument: Any, kind: FieldKind | None) -> FieldKind | None:
    """The kind of a value after a step. A text has no kind: it may hold a number or a date."""
    if word in {"round", "multiply"} or (word == "extract" and argument == "amount"):
        return FieldKind.NUMBER
    if word == "date":
        return DATES.get(argument.to)
    return kind if word == "split" else None


def _values_after(values: Sequence[tuple[Any, Where]], word: str, argument: Any) -> Iterator[tuple[Any, Where]]:
    """The values after a step, without those whose result is known only at run time."""
    if word not in STEPS:
        return
    step = STEPS[word](argument)
    for value, where in values:
        try:
            yield step(value), where
        except TransformFailed:
            continue
