"""Checks a document against a model: every violation becomes a Problem with its place. Knows no particular model."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from connector.config.units import SIZE_UNITS, duration_text, size_text
from connector.config.validation_errors import OwnField, problems_of
from connector.config.yaml_document import Document
from connector.model.problem import Problem, ProblemsFound

DRAFT = "http://json-schema.org/draft-07/schema#"  # the newest draft that the YAML language server supports
SHOWN = 12  # how many known words are listed if none is similar
CHANNELS = ("sms", "mail", "fax", "call", "whatsapp")
CLOSE = 0.6  # the similarity above which a word counts as misspelt
SHORT, CLOSE_IF_SHORT = 4, 0.65  # the same for known words of so few letters: `joined` is not a misspelt `none`

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
DURATION = re.compile(r"([0-9]{1,6})([smhd])")
SPELLED_OUT = re.compile(r"([0-9]{1,6})\s*(s|m(?!o|nd)|h|d)[a-z]*\.?", re.IGNORECASE)  # 90 days, 5 Min.; not 6 months
SIZE = re.compile(r"([0-9]{1,6}) ?(B|KiB|MiB|GiB)")

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """Base of all models of what a person writes: unknown keys are errors, values are frozen, a number is accepted as text."""

    example: ClassVar[str] = ""  # how a person writes a value, for hints
    examples: ClassVar[Mapping[str, str]] = {}  # the same for the values of its keys
    other_words: ClassVar[Mapping[str, str]] = {}  # keys of other tools, and how they are written here

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
        validate_default=False,
        use_attribute_docstrings=True,
    )


def wrong(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """An error for a validator to raise: `code`, message and cure reach the Problem unchanged."""
    return PydanticCustomError("wrong", "{message}", {"code": code, "message": message, "hint": hint})


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("bad-duration", "a time span is expected here", _duration_cure(value))
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _duration_cure(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6:
        return f"write its unit too: {value}s, {value}m, {value}h or {value}d"
    spelled = SPELLED_OUT.fullmatch(value.strip()) if isinstance(value, str) else None
    if spelled is not None:
        return f"write {spelled[1]}{spelled[2].lower()}"
    return "write a number and s, m, h or d: 30s, 5m, 2h, 7d"


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("bad-size", "a size is expected here", "write a number and its unit: 64KiB, 64MiB, 2GiB")
    return int(found[1]) * SIZE_UNITS[found[2]]


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$", "examples": ["30s", "5m", "2h", "7d"]}),
]
Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(size_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{SIZE.pattern}$", "examples": ["64KiB", "64MiB", "2GiB"]}),
]


def load(document: Document, model: type[M], own_field: OwnField | None = None) -> M:
    """The document as a model. Raises ProblemsFound with all problems at once, and the document's warnings.

    `own_field` makes an example of a field's name from its label.
    """
    if document.value is None:
        empty = Problem(
            file=document.file,
            position=None,
            code="empty-file",
            message="the file is empty",
            hint="copy a shipped file and edit it, or remove this one",
        )
        raise ProblemsFound([empty])
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        found = problems_of(document, model, error, did_you_mean, own_field)
        raise ProblemsFound([*found, *document.warnings]) from None


def with_article(noun: str) -> str:
    """The noun with `a` or `an` before it."""
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the most similar known word, or all known words if they are few; otherwise empty."""
    words = list(dict.fromkeys(known))
    folded = {candidate.casefold(): candidate for candidate in words if not _another_channel(word, candidate)}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=CLOSE)
    if close and (len(close[0]) > SHORT or difflib.get_close_matches(word.casefold(), close, cutoff=CLOSE_IF_SHORT)):
        return f"did you mean `{folded[close[0]]}`?"
    if words and len(words) <= SHOWN:
        return "known: " + ", ".join(sorted(words))
    return ""


def _another_channel(word: str, candidate: str) -> bool:
    """Whether the names are about different channels: HasOptedOutOfSMS is not a misspelling of HasOptedOutOfEmail."""
    of_word, of_candidate = (
        {channel for channel in CHANNELS if channel in name.casefold()} for name in (word, candidate)
    )
    return bool(of_word and of_candidate) and of_word.isdisjoint(of_candidate)


def schema(model: type[BaseModel], *, title: str) -> dict[str, Any]:
    """The JSON Schema (draft 7) by which an editor completes and checks files of this model."""
    generated = _draft7(model.model_json_schema(by_alias=True, schema_generator=_Generator))
    return {"$schema": DRAFT, **generated, "title": title}


class _Generator(GenerateJsonSchema):
    """Shows defaults as a person writes them (`30s`, not `PT30S`), and allows numbers where they are accepted as text."""

    def str_schema(self, schema: core_schema.StringSchema) -> dict[str, Any]:
        generated = super().str_schema(schema)
        return generated | {"type": ["string", "number"]} if generated == {"type": "string"} else generated

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        default = super().get_default_value(schema)
        written = schema["schema"].get("serialization", {})
        return (
            written["function"](default) if written.get("type") == "function-plain" and default is not None else default
        )


def _draft7(node: Any) -> Any:
    """Adapts to draft 7, in which a `$ref` disables its neighbours: it is wrapped to keep them. A key pattern holds for all keys."""
    if isinstance(node, list):
        return [_draft7(item) for item in node]
    if not isinstance(node, dict):
        return node
    adapted = {key: _draft7(value) for key, value in node.items() if key != "discriminator"}
    if isinstance(adapted.get("$ref"), str) and len(adapted) > 1:
        adapted["allOf"] = [{"$ref": adapted.pop("$ref")}]
    if "patternProperties" in adapted:
        adapted.setdefault("additionalProperties", False)
    return adapted
