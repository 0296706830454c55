"""The models of a mapping file, from which its JSON Schema is made. Other modules compile them."""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from connector.config.validation import Duration, Strict, wrong
from connector.mapping.language.field_forms import Identifier, Name, Plain, Value
from connector.mapping.language.test_cases import Case
from connector.model.operation import IfMany, IfNone

Words = Literal["opt_in", "opt_out", "none"]


EXPRESSION = re.compile(r"\s*([\w.]+)\s*(===?|=|!=|>=?|<=?)\s*([^=<>&|]+?)\s*")  # of other tools: action == Unsubscribe


class Test(Strict):
    """A test of one value; several hold together."""

    example: ClassVar[str] = "{above: 499}"
    examples: ClassVar[Mapping[str, str]] = {"above": "499", "below": "499"}
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys((">", "gt", "min", "over", "more_than", "greater_than", "greaterthan", "larger_than"), "above"),
        **dict.fromkeys(("<", "lt", "max", "under", "less_than", "lessthan", "smaller_than"), "below"),
        **dict.fromkeys(("contains", "starts_with", "startswith", "pattern", "regex", "matches", "wildcard"), "like"),
        **dict.fromkeys(("exists", "present", "empty", "blank", "null", "is_null", "absent"), "missing"),
    }

    like: str | list[str] | None = None
    """A pattern, or several of which one must fit: `*` stands for any text, `?` for one character."""
    above: Decimal | None = None
    """A number that the value must be more than."""
    below: Decimal | None = None
    """A number that the value must be less than."""
    missing: bool | None = None
    """`true`: the value is absent or blank. `false`: it is there."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise wrong("empty-test", "a test that tests nothing", "write one of like:, above:, below:, missing:")
        return self


def _test_kind(value: Any) -> str:
    if isinstance(value, dict | Test):
        return "<test>"
    return "<list>" if isinstance(value, list) else "<plain>"


Wanted = Annotated[
    Annotated[Test, Tag("<test>")]
    | Annotated[list[Plain], Tag("<list>"), Field(min_length=1)]
    | Annotated[Plain, Tag("<plain>")],
    Discriminator(_test_kind),
]


class When(Strict):
    """Conditions that must all hold: a path, and the value, list of values or test that it must meet."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Wanted]
    example: ClassVar[str] = "{action: Unsubscribe}"
    other_words: ClassVar[Mapping[str, str]] = {"or": "any", "one_of": "any"}

    @model_validator(mode="before")
    @classmethod
    def _no_expression(cls, written: object) -> object:
        found = EXPRESSION.fullmatch(written) if isinstance(written, str) else None
        if found is not None:
            operator, value = found[2], found[3].strip("\"' ")
            tests = {">": "above", "<": "below"}
            meant = f"{{{tests[operator[0]]}: {value}}}" if operator[0] in tests else value
            cure = f"write when: {{{found[1]}: {meant}}}"
            cure = f"write when: {{not: {{{found[1]}: {value}}}}}" if operator == "!=" else cure
            raise wrong("expression", "conditions are not an expression, but lines of the form `path: value`", cure)
        return written

    any: Annotated[list["When"], Field(min_length=1)] | None = None
    """Of these groups of conditions one must hold."""
    not_: Annotated["When | None", Field(alias="not")] = None
    """These conditions must not all hold."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_extra and self.any is None and self.not_ is None:
            raise wrong("empty-when", "`when` without a condition", "write `path: value`, or leave `when` out")
        return self


class MatchForm(Strict):
    """How a record is found by the event's phone number."""

    phone: Annotated[list[Identifier], Field(min_length=1, max_length=5)]
    """The phone fields to look in, the best one first. Numbers are found however they are written."""
    none: IfNone = IfNone.PARK
    """When no record has the number: `create` one, `skip` this operation, or `park` the event for a person."""
    many: IfMany = IfMany.PARK
    """When several records have the number: take the `oldest`, the `newest`, or `park` the event for a person."""


class Write(Strict):
    """What upsert and update have in common."""

    examples: ClassVar[Mapping[str, str]] = {
        "set": '{MobilePhone: "{msisdn}"}',
        "create": '{MobilePhone: "{msisdn}"}',
        "key": '{External_Id__c: "{msisdn}"}',
    }
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("fields", "values", "data", "write", "columns"), "set"),
        **dict.fromkeys(("keys", "external_id", "externalid", "by"), "key"),
        **dict.fromkeys(("insert", "only_new", "new"), "create"),
        **dict.fromkeys(("if", "where", "condition", "conditions"), "when"),
    }

    key: Annotated[dict[Identifier, Value], Field(min_length=1, max_length=1)] | None = None
    """The external ID field that names the record, and its value. Beside `match`: the record that is found is given it."""
    match: MatchForm | None = None
    """Find the record by the event's phone number, where records have no external ID yet."""
    id: str | None = None
    """Instead of `key`: the record's own Id, as in "{properties.SfContactId}"."""
    set: dict[Identifier, Value] = Field(default_factory=dict)
    """Fields that are always written."""
    when: When | None = None
    """Conditions of this operation alone."""
    if_missing: Literal["skip"] | None = None
    """`skip`: without a key the operation is left out, instead of holding up the event for a person."""
    crm: str | None = None
    """Which CRM, where several are configured."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        named = self.key is not None or self.match is not None
        if named == (self.id is not None):
            raise wrong(
                "no-key", "a record is named by `key`, by `match` or by `id`", 'add key: {External_Id__c: "{msisdn}"}'
            )
        return self


class Upsert(Write):
    """Write a record, new or known."""

    upsert: Identifier
    """The object, such as Contact."""
    create: dict[Identifier, Value] = Field(default_factory=dict)
    """Fields that are written only when the record is new."""

    @property
    def object_name(self) -> str:
        """The object, such as Contact."""
        return self.upsert


class Update(Write):
    """Write a record that is there; never create one."""

    update: Identifier
    """The object, such as Contact."""

    @property
    def object_name(self) -> str:
        """The object, such as Contact."""
        return self.update

    @property
    def create(self) -> dict[str, Any]:
        """Empty: an update never creates a record."""
        return {}


class Command(Strict):
    """Ask a provider to do something for one subscriber."""

    command: str
    """stop, unsubscribe or changesubscriberprice."""
    provider: str | None = None
    """Which provider, where several take commands."""
    phone: str
    """The subscriber's number, as in "{record.MobilePhone}"."""
    to: Literal["active_subscriptions", "only_subscription"] | None = None
    """active_subscriptions: all subscriptions of that number that run. only_subscription: the one that runs; a person is asked
    where it is not exactly one, as for a price, which is that of one subscription."""
    short_number: str | None = None
    """Instead of `to`: the short number of one subscription."""
    keyword: str | None = None
    """Instead of `to`: the keyword of one subscription."""
    price: Value | None = None
    """The new price, for changesubscriberprice."""
    when: When | None = None
    """Conditions of this operation alone."""
    if_missing: Literal["skip"] | None = None
    """`skip`: without a number the command is left out, instead of holding up the event for a person."""


class Described(Strict):
    """Write a record that is described under `records:`. What stands here is added to the description, or replaces it.

    records.py puts the description in its place before the file is checked; this model is for editors alone.
    """

    record: Name
    """The name of the record under `records:`."""
    set: dict[Identifier, Value] = Field(default_factory=dict)
    """Fields that are always written, besides those of the description."""
    create: dict[Identifier, Value] = Field(default_factory=dict)
    """Fields that are written only when the record is new, besides those of the description."""
    when: When | None = None
    """Conditions of this operation alone."""
    if_missing: Literal["skip"] | None = None
    """`skip`: without a key the operation is left out, instead of holding up the event for a person."""


class _Call(Strict):
    """What calls of a sink have in common."""

    sink: str | None = None
    """Which sink of the config, where several take it."""
    when: When | None = None
    """Conditions of this operation alone."""
    if_missing: Literal["skip"] | None = None
    """`skip`: if a value that names the target is missing, the operation is left out, instead of holding up the event for a person."""


class Post(_Call):
    """Send a signed message to a webhook of your own."""

    post: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=80)]
    """The type of the message, as its receiver knows it, such as sms.result.v1."""
    to: str | None = None
    """Instead of `sink`: a value of the event that names the webhook, as in "{properties.SfWebhook}"."""
    set: Annotated[dict[Name, Value], Field(min_length=1)]
    """The data of the message."""


class Row(_Call):
    """Write a row of a data extension; a row with the same key is updated."""

    row: Annotated[str, Field(min_length=1, max_length=200)]
    """The external key of the data extension."""
    key: Annotated[dict[Name, Value], Field(min_length=1, max_length=5)]
    """The primary key of the data extension, and its value."""
    set: dict[Name, Value] = Field(default_factory=dict)
    """The other columns that are written."""


class JourneyEvent(_Call):
    """Fire a journey event, at most once. In doubt a person decides."""

    event: Annotated[str, Field(min_length=1)]
    """The event's name in the table `events:` of the sink, as in "{properties.SfEvent}"."""
    contact: str
    """The contact key of the person in the journey, as in "{properties.SfContactId}"."""
    set: dict[Name, Value] = Field(default_factory=dict)
    """The data of the event. Each field must exist in the event's data extension."""


CALLS = ("post", "row", "event")


def _item_kind(value: Any) -> str | None:
    for word in ("upsert", "update", "command", *CALLS):
        if word in value if isinstance(value, dict) else hasattr(value, word):
            return f"<{word}>"
    return None


Item = Annotated[
    Annotated[Upsert, Tag("<upsert>")]
    | Annotated[Update, Tag("<update>")]
    | Annotated[Command, Tag("<command>")]
    | Annotated[Post, Tag("<post>")]
    | Annotated[Row, Tag("<row>")]
    | Annotated[JourneyEvent, Tag("<event>")],
    Discriminator(
        _item_kind,
        custom_error_type="wrong",
        custom_error_message="{message}",
        custom_error_context={
            "code": "no-operation",
            "message": "this says nothing that is to be done",
            "hint": "write one of upsert:, update:, command:, record:, post:, row:, event:",
        },
    ),
]


def _record_kind(value: Any) -> str:
    updates = "update" in value if isinstance(value, dict) else isinstance(value, Update)
    return "<update>" if updates else "<upsert>"


Record = Annotated[Annotated[Upsert, Tag("<upsert>")] | Annotated[Update, Tag("<update>")], Discriminator(_record_kind)]


class Rule(Strict):
    """Which events it is for, and what they lead to."""

    example: ClassVar[str] = "{name: everything else, ignore: true}"
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("if", "where", "condition", "conditions", "filter", "match", "trigger"), "when"),
        **dict.fromkeys(("then", "action", "actions", "steps", "operations", "run", "upsert", "update"), "do"),
        **dict.fromkeys(("title", "id", "alias", "rule", "description"), "name"),
        **dict.fromkeys(("skip", "drop"), "ignore"),
    }

    name: Name
    """For people: in traces, dead letters and tests."""
    when: When | None = None
    """Conditions that must all hold; without them every event matches."""
    do: tuple[Item, ...] = ()
    """What is to be done, in order; parents before their children."""
    consent: Words | None = None
    """What the event means for the person's consent. It may widen a provider's opt-out, never cancel it."""
    ignore: bool = False
    """`true`: such events are known, and nothing is to be done."""


class FeedSettings(Strict):
    """Which changes of the CRM this file wants to see."""

    object: Identifier
    """The object, such as Contact."""
    fields: Annotated[list[Identifier], Field(min_length=1)]
    """The fields that are watched."""
    every: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=30)
    """The pause between two looks."""


class MappingFile(Strict):
    """One file of rules."""

    example: ClassVar[str] = "on: strex.delivery_report, then rules:"
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("trigger", "triggers", "event", "events", "source", "sources", "from"), "on"),
        **dict.fromkeys(("mappings", "mapping", "automation", "automations"), "rules"),
        **dict.fromkeys(("test_cases", "cases", "examples"), "tests"),
        **dict.fromkeys(("watch", "poll"), "feed"),
    }

    on: Annotated[str | list[str], Field(min_length=1)]
    """Which events this file sees: provider.shape, such as strex.delivery_report, or a list of them."""
    feed: FeedSettings | None = None
    """What is watched in the CRM; for files with `on: <crm>.change`."""
    records: dict[Name, Record] = Field(default_factory=dict)
    """Records that several rules write, described once: `- record: donor` in a rule writes the one with that name."""
    rules: Annotated[list[Rule], Field(min_length=1)]
    """The first that matches is followed; every file that sees the event is asked."""
    tests: tuple[Case, ...] = ()
    """Examples, run by `connector test` and before the file is taken into use."""
