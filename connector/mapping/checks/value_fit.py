"""Checks whether a value fits a field of the CRM: its kind, its length, its list of choices. Knows no rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from connector.config.validation import did_you_mean
from connector.config.yaml_document import Where
from connector.mapping.checks.possible_values import PossibleValues
from connector.mapping.values.values import fold, number, text
from connector.model.crm_schema import CHOICE_SEPARATOR, PICKED, TEXTS, FieldKind, FieldSchema
from connector.model.problem import Severity
from connector.model.text import length_of

SHORT = 255  # characters: a longer field takes a whole text message
BOOLEAN_TEXTS = frozenset({"true", "false"})
# What each kind of field accepts besides its own kind.
ACCEPTED = {
    FieldKind.NUMBER: {FieldKind.NUMBER},
    FieldKind.BOOLEAN: {FieldKind.BOOLEAN},
    FieldKind.DATE: {FieldKind.DATE, FieldKind.DATETIME},
    FieldKind.DATETIME: {FieldKind.DATETIME},
}
KIND_NAMES = {
    FieldKind.NUMBER: "a number",
    FieldKind.BOOLEAN: "true or false",
    FieldKind.DATE: "a date",
    FieldKind.DATETIME: "a date with a time",
}
CURES = {
    FieldKind.NUMBER: "write a number without quotes, with a point before the decimals",
    FieldKind.BOOLEAN: "write true or false, without quotes",
    FieldKind.DATE: "write it like 2026-01-31",
    FieldKind.DATETIME: "write it like 2026-01-31T12:00:00Z",
}
CHANGES = {
    FieldKind.DATE: "make a date of it with `date: {to: date}`",
    FieldKind.DATETIME: "make a time of it with `date: {to: datetime}`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What does not fit, and the cure."""

    where: Where
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


def misfits(possible: PossibleValues, field: FieldSchema, name: str, where: Where) -> Iterator[Misfit]:
    """The problems of all possible values of a form; `name` is the field's name for people."""
    for value, place in possible.values:
        yield from misfits_of_value(value, field, name, place)
    if possible.kind is not None:
        yield from _kind_misfits(possible.kind, field, name, where)
    if possible.free and field.kind in TEXTS and 0 < field.length <= SHORT:
        yield from _length_misfits(possible.longest, field, name, where)


def misfits_of_value(value: Any, field: FieldSchema, name: str, where: Where) -> Iterator[Misfit]:
    """The problems of one value that is known at compile time."""
    if value is None or field.kind in {FieldKind.REFERENCE, FieldKind.ID, FieldKind.TIME, FieldKind.OTHER}:
        return
    if field.kind in ACCEPTED:
        if not _reads_as(value, field.kind):
            yield Misfit(
                where=where,
                code="wrong-kind",
                message=f"`{name}` takes {KIND_NAMES[field.kind]}, and `{text(value)}` is none",
                hint=CURES[field.kind],
            )
        return
    if not isinstance(value, str):
        yield Misfit(
            where=where,
            code="wrong-kind",
            message=f"`{name}` takes a text, and `{text(value)}` goes out as {_kind_in_words(value)}",
            hint=f'put it in quotes: "{text(value)}"',
        )
        return
    if field.kind in PICKED:
        yield from _choice_misfits(value, field, name, where)
    elif 0 < field.length < length_of(value):
        yield Misfit(
            where=where,
            code="too-long",
            message=f"`{name}` holds {field.length} characters, and this has {length_of(value)}",
            hint="shorten it",
        )


def _kind_in_words(value: Any) -> str:
    return "true or false" if isinstance(value, bool) else "a number"


def _reads_as(value: Any, kind: FieldKind) -> bool:
    """Whether a CRM can read the value as this kind."""
    if kind is FieldKind.BOOLEAN:
        return isinstance(value, bool) or (isinstance(value, str) and value.casefold() in BOOLEAN_TEXTS)
    if kind is FieldKind.NUMBER:
        return number(value) is not None and "," not in text(value)
    if not isinstance(value, str):
        return False
    try:
        if kind is FieldKind.DATE:
            date.fromisoformat(value[:10])
        else:
            return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
    return True


def _choice_misfits(value: str, field: FieldSchema, name: str, where: Where) -> Iterator[Misfit]:
    """The problems of a list's values. They are compared as in the CRM, without case."""
    known = {choice.casefold() for choice in field.choices}
    picked = [one.strip() for one in value.split(CHOICE_SEPARATOR)] if field.kind is FieldKind.CHOICES else [value]
    for one in picked:
        if one.casefold() not in known:
            severity = Severity.ERROR if field.restricted else Severity.WARNING
            more = "" if field.restricted else "; the CRM would accept it, but its list does not have it"
            yield Misfit(
                where=where,
                code="no-such-choice",
                message=f"`{one}` is not among the values of `{name}`{more}",
                hint=did_you_mean(one, field.choices) or _first_choices(field.choices),
                severity=severity,
            )


def can_never_be(value: Any, field: FieldSchema) -> bool:
    """Whether no record can have this value, as conditions compare it: as text, without case."""
    if value is None:
        return False
    if field.kind is FieldKind.BOOLEAN:
        return fold(text(value)) not in BOOLEAN_TEXTS
    return field.kind is FieldKind.CHOICE and fold(text(value)) not in {fold(choice) for choice in field.choices}


def _first_choices(choices: Sequence[str]) -> str:
    return f"there are {', '.join(choices[:8])} and {len(choices) - 8} more" if choices else "its list is empty"


def _kind_misfits(kind: FieldKind, field: FieldSchema, name: str, where: Where) -> Iterator[Misfit]:
    """The problem of a field that does not accept values of this kind."""
    accepted = ACCEPTED.get(field.kind)
    if accepted is not None and kind not in accepted:
        message = f"`{name}` takes {KIND_NAMES[field.kind]}, and is given {KIND_NAMES[kind]}"
        yield Misfit(
            where=where, code="wrong-kind", message=message, hint=CHANGES.get(field.kind, "give it another value")
        )


def _length_misfits(longest: int | None, field: FieldSchema, name: str, where: Where) -> Iterator[Misfit]:
    """The problem of a text that may be longer than its field; None: it may have any length."""
    if longest is not None and longest <= field.length:
        return
    described = "a value of any length" if longest is None else f"up to {longest}"
    yield Misfit(
        where=where,
        code="may-be-too-long",
        message=f"`{name}` holds {field.length} characters, and is given {described}; a longer one would be refused",
        hint=f"{'add' if longest is None else 'write'} `truncate: {field.length}`, as in {{from: text, truncate: {field.length}}}",
        severity=Severity.WARNING,
    )
