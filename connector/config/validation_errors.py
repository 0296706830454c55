"""Validation errors of a document in plain words and with their place. Values are never repeated: one may be a secret."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from connector.config.units import duration_text
from connector.config.yaml_document import Document
from connector.model.problem import Problem

KEYS = "lines of the form `key: value`"
FIELD = r"^[A-Za-z][A-Za-z0-9_]{0,79}$"
LABEL = "SMS Opt Out"  # of the field in examples
# Text formats in words, because patterns are for programs.
NAME = r"^[a-z][a-z0-9_]{0,31}$"
CREDENTIAL = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"  # of systemd
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"  # of the environment
FORMS = {
    NAME: "use small letters, digits and _, such as strex",
    FIELD: "write the API name, of letters, digits and _",
    CREDENTIAL: "write the credential's name alone, such as strex-api-key; {file: path} names a file",
    VARIABLE: "write the variable's name alone, without `$` and braces, such as STREX_API_KEY",
}
# pydantic's name of an error → what is expected instead.
EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": KEYS,
    "model_type": KEYS,
    "model_attributes_type": KEYS,
    "list_type": "a list",
    "tuple_type": "a list",
    "none_required": "nothing",
}
LIMITS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "string_too_short": "is too short",
    "string_too_long": "takes at most {max_length} characters",
}
QUOTED = re.compile(r"'([^']*)'")
CLOSE = 0.75  # the similarity above which a name counts as a misspelt type
UNKNOWN = "unknown-key"
MEANT = re.compile(r"did you mean `(\w+)")
NUMBERS = frozenset(
    {"int_type", "int_parsing", "int_from_float", "float_type", "float_parsing", "decimal_type", "decimal_parsing"}
)
SPAN = re.compile(r"(\w+)=(\d+)")
DIGITS = re.compile(r"\d+(?:[.,]\d+)?")

Hint = Callable[[str, Iterable[str]], str]
OwnField = Callable[[str], str]
Loc = tuple[str | int, ...]


def problems_of(
    document: Document, model: type[BaseModel], error: ValidationError, hint: Hint, own_field: OwnField | None = None
) -> list[Problem]:
    """One problem for each place: several errors of one value (the branches of a union) become one.

    `own_field` makes an example of a field's name from its label.
    """
    found: dict[tuple[Loc, bool], Problem] = {}
    expected: dict[tuple[Loc, bool], list[str]] = {}
    for one in error.errors(include_url=False, include_input=True):
        path, missing = _path(document.value, one["loc"])
        kind, context = one["type"], one.get("ctx", {})
        at_key = kind == "extra_forbidden" or str(one["loc"][-1:]) == "('[key]',)"
        if kind == "union_tag_invalid":
            written = "type" in _value_at(document.value, path)
            path, at_key = ((*path, "type"), False) if written else (path, True)
        place = ((*path, missing) if kind == "missing" and missing is not None else path, at_key)
        if kind in EXPECTED:
            expected.setdefault(place, []).append(EXPECTED[kind])
            wanted = " or ".join(dict.fromkeys(expected[place]))
            verb = "are" if wanted == KEYS else "is"
            code, message, cure = "wrong-type", f"{wanted} {verb} expected here", _type_cure(kind, one, model)
            cure = "" if len(expected[place]) > 1 else cure
        elif place in found:
            continue
        else:
            code, message, cure = _describe_error(kind, context, one, model, hint, own_field)
        found[place] = document.problem(path, code, message, cure, key=at_key)
    for (path, at_key), problem in [*found.items()]:
        if at_key and problem.code == "wrong-form":
            found.pop((path, False), None)  # The value of such a key cannot be judged.
    _join_misspelt(found)
    _join_not_indented(document, found)
    return sorted(found.values(), key=lambda problem: (problem.position is not None, problem.position))


def _join_misspelt(found: dict[tuple[Loc, bool], Problem]) -> None:
    """Drop "`rules` is missing" where the same mapping has an unknown key that is meant to be it."""
    for (path, at_key), problem in [*found.items()]:
        if at_key and problem.code == UNKNOWN and (meant := MEANT.match(problem.hint)):
            found.pop(((*path[:-1], meant[1]), False), None)


def _join_not_indented(document: Document, found: dict[tuple[Loc, bool], Problem]) -> None:
    """One problem for unknown keys that follow a key without a value: they were meant to stand below it."""
    for (path, at_key), problem in [*found.items()]:
        if not at_key or problem.code != UNKNOWN or (path, at_key) not in found:
            continue
        parent = path[:-1]
        siblings = list(_value_at(document.value, parent))
        unknown = [((*parent, name), True) in found for name in siblings]
        place = siblings.index(path[-1])
        above = siblings[place - 1] if place and not unknown[place - 1] else None
        if above is None or (*parent, above) not in document.blanks:
            continue
        end = next((one for one in range(place, len(siblings)) if not unknown[one]), len(siblings))
        for name in siblings[place:end]:
            found.pop(((*parent, name), True))
        found.pop(((*parent, above), False), None)
        several = f"these {end - place} lines" if end - place > 1 else "this line"
        found[path, at_key] = document.problem(
            path,
            "not-indented",
            f"`{path[-1]}` is not indented below `{above}:`",
            f"begin {several} with 2 more blanks",
            key=True,
        )


def _value_at(value: Any, path: Loc) -> Any:
    for step in path:
        value = value[step]
    return value


def _describe_error(
    kind: str,
    context: Mapping[str, Any],
    error: Any,
    model: type[BaseModel],
    hint: Hint,
    own_field: OwnField | None,
) -> tuple[str, str, str]:
    """Code, message and cure of one error."""
    last = error["loc"][-1] if error["loc"] else ""
    if kind == "wrong":
        return context["code"], context["message"], context["hint"]
    if kind == "missing":
        return "missing-key", f"`{last}` is missing here", f"add `{last}: …`"
    if kind == "extra_forbidden":
        return UNKNOWN, f"unknown key `{last}`", _meant_key(str(last), model, error["loc"][:-1], hint)
    if kind in {"literal_error", "enum"}:
        word = str(error["input"])
        return "unknown-word", f"`{word}` is not known here", hint(word, QUOTED.findall(context.get("expected", "")))
    if kind == "union_tag_invalid":
        known, tag = QUOTED.findall(context["expected_tags"]), str(context["tag"])
        cure = f"write `type:` and one of {', '.join(known)}"
        if close := difflib.get_close_matches(tag.casefold(), known, n=1, cutoff=CLOSE):
            cure = f"did you mean `{close[0]}`? Otherwise {cure}"
        return "unknown-type", f"`{tag}` is not a known type", cure
    if kind in LIMITS:
        example = _example_of_key(model, error["loc"])
        limits = {name: _limit_text(one) for name, one in context.items()}
        return "out-of-range", f"`{last}` {LIMITS[kind].format(**limits)}", f"such as {example}" if example else ""
    if kind == "string_pattern_mismatch":
        return "wrong-form", *_wrong_form(context["pattern"], error["loc"], own_field)
    return "wrong-value", *_wrong_value(kind, context, error["input"])


def _wrong_value(kind: str, context: Mapping[str, Any], value: object) -> tuple[str, str]:
    if kind.startswith("datetime_"):
        return f"`{value}` is not a time", "write it like 2026-01-31T12:00:00Z"
    said = str(context["error"]) if kind == "value_error" else "this is not one of the allowed forms"
    return said, "see the documentation of this key"


def _limit_text(value: object) -> object:
    """A limit as a person writes it. pydantic tells that of a time span as `datetime.timedelta(seconds=10)`."""
    if isinstance(value, str) and value.startswith("datetime.timedelta("):
        return duration_text(timedelta(**{unit: int(number) for unit, number in SPAN.findall(value)}))
    return value


def _meant_key(word: str, model: type[BaseModel], loc: Loc, hint: Hint) -> str:
    for one in _models_at(model, loc):
        meant = getattr(one, "other_words", {}).get(word.casefold())
        if meant is not None:
            return f"did you mean `{meant}`?"
    keys = _keys_at(model, loc)
    return hint(word, keys) or f"known: {', '.join(sorted(keys))}"


def _wrong_form(pattern: str, loc: Loc, own_field: OwnField | None) -> tuple[str, str]:
    """Message and cure for a text of the wrong form. A key is repeated, because no key is a secret."""
    key = str(loc[-2]) if loc[-1:] == ("[key]",) and len(loc) > 1 else ""
    message = f"`{key}` does not have the expected form" if key else "this text does not have the expected form"
    hint = FORMS.get(pattern, f"it must match {pattern}")
    plain = re.sub(r"\W+", "_", key).strip("_")
    meant = plain.lower() if pattern == NAME else ""
    if pattern == FIELD and own_field is not None:
        hint += f", such as {own_field(LABEL)}"
        meant = own_field(key) if plain else ""
    known = plain and re.match(pattern, meant) and meant not in hint
    return message, f"{hint}; perhaps {meant}" if known else hint


def _type_cure(kind: str, error: Any, model: type[BaseModel]) -> str:
    """The cure for a value of a wrong type: how to write it, with the model's example if it has one."""
    here = _types_at(model, error["loc"])
    if kind in NUMBERS:
        return _number_cure(error["input"], model, error["loc"])
    if kind in {"bool_type", "bool_parsing"}:
        return "write true or false, without quotes"
    if kind in {"list_type", "tuple_type"}:
        inner = [one for annotation in here for found in _item_types(annotation) for one in _models_of(found)]
        example = next((text for one in inner if (text := getattr(one, "example", ""))), "")
        if isinstance(error["input"], Mapping) and error["input"]:
            return f"put `- ` before `{next(iter(error['input']))}`; begin each item of the list with `- `"
        return f"write [{example or '…'}]"
    example = next((text for found in here for one in _models_of(found) if (text := getattr(one, "example", ""))), "")
    example = example or _example_of_key(model, error["loc"])
    return f"such as {example}" if example else ""


def _number_cure(value: Any, model: type[BaseModel], loc: Loc) -> str:
    """The cure for a value that is no number: its own digits, if there is one number in it."""
    digits = DIGITS.findall(value) if isinstance(value, str) else []
    example = digits[0].replace(",", ".") if len(digits) == 1 else _example_of_key(model, loc) or "80"
    return f"write digits alone, without quotes and unit: {example}"


def _example_of_key(model: type[BaseModel], loc: Loc) -> str:
    """How the value of the key at this location is written, if its model says so."""
    for length in range(len(loc) - 1, -1, -1):
        if isinstance(loc[length], int) or str(loc[length]).startswith("<"):
            continue
        for one in _models_at(model, loc[:length]):
            if found := getattr(one, "examples", {}).get(str(loc[length])):
                return str(found)
        break
    return ""


def _item_types(annotation: Any) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {list, tuple, frozenset}:
        yield arguments[0]
    elif origin in {Union, UnionType, Annotated}:
        for part in arguments:
            yield from _item_types(part)


def _path(value: Any, loc: Loc) -> tuple[Loc, str | None]:
    """The part of pydantic's location that exists in the document, and the key that does not. The rest are type names."""
    path: list[str | int] = []
    missing: str | None = None
    for step in loc:
        in_list = isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
        if in_list or (isinstance(value, dict) and step in value):
            value = value[step]
            path.append(step)
            missing = None
        else:
            missing = str(step)
    return tuple(path), missing


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that the models at this location allow."""
    return [key for made in _models_at(model, loc) for key in _aliases(made)]


def _models_at(model: type[BaseModel], loc: Loc) -> list[type[BaseModel]]:
    return [made for annotation in _types_at(model, loc) for made in _models_of(annotation)]


def _types_at(model: type[BaseModel], loc: Loc) -> list[Any]:
    """The types at this location; the nearest types above it if it leads nowhere."""
    here: list[Any] = [model]
    for step in loc:
        below = [found for annotation in here for found in _types_below(annotation, step)]
        here = below or here
    return here


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, Annotated}:
        for part in get_args(annotation):
            yield from _models_of(part)


def _aliases(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _types_below(annotation: Any, step: str | int) -> Iterator[Any]:
    """The types below a type at a key, an index, or a union's tag."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _types_below_model(annotation, str(step))
    elif origin is Annotated:
        tags = [meta.tag for meta in arguments[1:] if isinstance(meta, Tag)]
        yield from arguments[:1] if step in tags else _types_below(arguments[0], step)
    elif origin in {Union, UnionType}:
        tagged = [part for part in arguments if _has_tag(part, step)]
        yield from tagged or (found for part in arguments for found in _types_below(part, step))
    elif origin in {dict, Mapping} and isinstance(step, str):
        yield arguments[1]
    elif origin in {list, tuple, frozenset} and isinstance(step, int):
        yield arguments[0]


def _types_below_model(model: type[BaseModel], key: str) -> Iterator[Any]:
    field = _aliases(model).get(key)
    if field is not None:
        yield field.annotation
    elif model.model_config.get("extra") == "allow":
        yield from get_args(get_type_hints(model, include_extras=True)["__pydantic_extra__"])[1:]


def _has_tag(part: Any, step: str | int) -> bool:
    if get_origin(part) is Annotated:
        return any(isinstance(meta, Tag) and meta.tag == step for meta in get_args(part)[1:])
    if isinstance(part, type) and issubclass(part, BaseModel):
        return any(
            get_origin(field.annotation) is Literal and step in get_args(field.annotation)
            for field in part.model_fields.values()
        )
    return False
