"""The forms of a field's value: plain, a transform of something in the event, or the parent record that it names."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, ModelWrapValidatorHandler, PrivateAttr, Tag, model_validator

from connector.config.validation import Strict, wrong
from connector.mapping.values.transforms import Case, Kind, PhoneForm, Piece

Plain = str | int | float | bool | None
# Object and field names are used in URLs and queries; this is what the CRMs allow in them.
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
Name = Annotated[str, Field(min_length=1, max_length=120)]


class DateForm(Strict):
    """From one form of a date to another."""

    source: Annotated[str, Field(alias="from")] = "iso"
    """How it is written in the event: `iso`, or a pattern of yyyy MM dd HH mm ss, such as dd.MM.yyyy."""
    to: str = "date"
    """How it goes out: `date` (2026-01-31), `datetime` (2026-01-31T12:00:00.000Z), or a pattern."""
    timezone: str | None = None
    """The time zone of times without one, and in which dates are written; otherwise the config's."""


class Transform(Strict):
    """A value of the event, changed step by step in the order in which the steps are written."""

    examples: ClassVar[Mapping[str, str]] = {
        "map": "{KATT: Cats, HUND: Dogs}",
        "date": "{from: dd.MM.yyyy, to: date}",
        "truncate": "80",
        "round": "2",
        "multiply": "0.01",
    }
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("uppercase", "upper", "toupper", "to_upper"), "case: upper"),
        **dict.fromkeys(("lowercase", "lower", "tolower", "to_lower"), "case: lower"),
        **dict.fromkeys(("title", "capitalize", "titlecase", "proper"), "case: title"),
        **dict.fromkeys(("max_length", "maxlength", "length", "limit", "cut", "shorten", "left", "max"), "truncate"),
        **dict.fromkeys(("else", "fallback", "if_null", "if_empty", "if_missing", "ifnull"), "default"),
        **dict.fromkeys(("value", "path", "field", "source", "input"), "from"),
        **dict.fromkeys(("mapping", "lookup", "table", "translate", "values", "replace"), "map"),
        **dict.fromkeys(("others", "other"), "otherwise"),
        **dict.fromkeys(("format", "dateformat", "date_format"), "date"),
        **dict.fromkeys(("string", "as_text", "str", "tostring", "to_string"), "text: true"),
        **dict.fromkeys(("concat", "separator"), "join"),
        **dict.fromkeys(("first", "word", "first_word"), "part: first"),
        **dict.fromkeys(("last", "last_word"), "part: last"),
        **dict.fromkeys(("regex", "find", "match"), "extract"),
        **dict.fromkeys(("decimals", "places", "precision"), "round"),
        **dict.fromkeys(("factor", "times"), "multiply"),
        "divide": "multiply",
    }

    source: Annotated[str | list[str], Field(alias="from", min_length=1)]
    """A path such as properties.myproperty, or a list of paths: the first that is there."""
    default: Plain = None
    """What to take when nothing is there; a text may hold {paths}."""
    map: dict[str, Plain] | None = None
    """Other values for certain values, compared without regard to case."""
    otherwise: Plain = None
    """What `map` makes of all others; without it they count as missing."""
    truncate: Annotated[int, Field(ge=1, le=131_072)] | None = None
    """The most characters that are kept, counted as CRMs do: an emoji counts two."""
    case: Case | None = None
    """upper, lower, or title (Each Word)."""
    part: Piece | Annotated[list[Piece], Field(min_length=1, max_length=9)] | None = None
    """The first word, the rest of the words, or the last word; or a list of these, taken one after another: [rest, first] is the
    second word."""
    extract: Kind | None = None
    """The first amount, email, number or word in a text."""
    phone: PhoneForm | None = None
    """A phone number as e164 (+4790000001), national (90000001) or digits (4790000001)."""
    date: DateForm | None = None
    """From one form of a date to another."""
    round: Annotated[int, Field(ge=0, le=10)] | None = None
    """The number of decimals; half is rounded up."""
    multiply: Decimal | None = None
    """A factor."""
    join: str | None = None
    """Makes one text of a list, with this between its items."""
    split: Annotated[str, Field(min_length=1)] | None = None
    """Makes a list of a text, cut at this."""
    prefix: str | None = None
    """A text that is put before it."""
    text: Literal[True] | None = None
    """`true`: a number, or true or false, as a text, for text fields. Not needed for fields whose type the connector knows."""
    when_empty: Literal["clear"] | None = None
    """`clear`: a missing value empties the field; otherwise the field is left as it is."""
    required: bool = False
    """`true`: without this value the record is not written. Otherwise a field whose value cannot be made is left out, with a note."""

    _order: tuple[str, ...] = PrivateAttr(default=())

    @property
    def order(self) -> tuple[str, ...]:
        """The keys as they were written."""
        return self._order

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        if isinstance(data, dict):
            made._order = tuple(data)  # noqa: SLF001 - pydantic's own set of given fields has no order.
        return made

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "otherwise" in self.model_fields_set and self.map is None:
            raise wrong(
                "otherwise-without-map", "`otherwise` belongs to a `map`", "write `default` for what is missing"
            )
        if self.required and self.when_empty is not None:
            raise wrong(
                "required-and-cleared",
                "a required field is never written without its value, so `when_empty` does nothing",
                "take one of them out",
            )
        return self


TRANSFORM_WORDS = frozenset(field.alias or name for name, field in Transform.model_fields.items())


# Tags of unions are in angle brackets. No key of a file can look like one, so a problem finds its place.
def _kind(value: Any) -> str:
    if isinstance(value, Transform):
        return "<transform>"
    if isinstance(value, dict):
        return "<transform>" if TRANSFORM_WORDS & value.keys() else "<parent>"
    return "<parents>" if isinstance(value, list) and any(isinstance(way, dict) for way in value) else "<plain>"


Single = Annotated[
    Annotated[Transform, Tag("<transform>")] | Annotated[Plain, Tag("<plain>")],
    Discriminator(lambda value: "<transform>" if isinstance(value, dict | Transform) else "<plain>"),
]
ParentForm = Annotated[
    dict[Identifier, Single],
    Field(
        min_length=1,
        max_length=2,
        description="The parent record by its external ID; with `type` where the field takes several types.",
        json_schema_extra={"propertyNames": {"not": {"enum": sorted(TRANSFORM_WORDS)}}},
    ),
]
Parents = Annotated[
    list[ParentForm | None],
    Field(
        min_length=2,
        max_length=5,
        description="Several ways to name the parent record; it is named in the first by which the CRM has one. With null as the last "
        "the field is left out where the CRM has none.",
    ),
]
Value = Annotated[
    Annotated[Transform, Tag("<transform>")]
    | Annotated[ParentForm, Tag("<parent>")]
    | Annotated[Parents, Tag("<parents>")]
    | Annotated[Plain, Tag("<plain>")],
    Discriminator(_kind),
]


def ways_of(value: Any) -> list[dict[str, Any]]:
    """The ways in which a value names a parent record; empty if it is another kind of value."""
    several = value if isinstance(value, list) else [value]
    return [way for way in several if isinstance(way, dict)]
