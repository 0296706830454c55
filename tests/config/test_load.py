from datetime import timedelta
from typing import Annotated, Literal

import pytest
from pydantic import Field

from connector.config.units import duration_text
from connector.config.validation import DRAFT, Duration, Size, Strict, did_you_mean, load, schema, wrong
from connector.config.yaml_document import parse
from connector.model.problem import ProblemsFound


class Cat(Strict):
    type: Literal["cat"]
    lives: int = 9


class Dog(Strict):
    type: Literal["dog"]
    tricks: tuple[str, ...] = ()


class Household(Strict):
    name: str
    """What it is called."""
    level: Literal["debug", "info"] = "info"
    every: Duration = timedelta(seconds=30)
    room: Size = 65536
    pet: Annotated[Cat | Dog, Field(discriminator="type")] | None = None
    pets: dict[str, Annotated[Cat | Dog, Field(discriminator="type")]] = Field(default_factory=dict)
    port: int = Field(default=80, ge=1, le=65535)


def problems(text: str, model: type[Strict] = Household) -> list[str]:
    with pytest.raises(ProblemsFound) as caught:
        load(parse(text, "f.yaml"), model)
    return [str(problem) for problem in caught.value.problems]


def test_a_valid_document_becomes_its_model():
    made = load(parse("name: 2002\nevery: 7d\nroom: 2 MiB\npet: {type: cat, lives: 3}", "f.yaml"), Household)
    assert made == Household(name="2002", every=timedelta(days=7), room=2 * 1024 * 1024, pet=Cat(type="cat", lives=3))


def test_all_violations_are_reported_at_once_with_their_places():
    found = problems("nam: x\nlevel: inof\nevery: 5 minutes\nport: 70000\npet: {type: cat, tricks: []}\nroom: lots")
    assert found == [
        "f.yaml:1:1: unknown key `nam` (did you mean `name`?)",
        "f.yaml:2:8: `inof` is not known here (did you mean `info`?)",
        "f.yaml:3:8: a time span is expected here (write 5m)",
        "f.yaml:4:7: `port` must be at most 65535",
        "f.yaml:5:18: unknown key `tricks` (known: lives, type)",
        "f.yaml:6:7: a size is expected here (write a number and its unit: 64KiB, 64MiB, 2GiB)",
    ]


def test_a_violation_below_a_key_that_is_named_like_its_type_has_its_own_place():
    assert problems("name: x\npets:\n  cat:\n    type: cat\n    lives: many") == [
        "f.yaml:5:12: a whole number is expected here (write digits alone, without quotes and unit: 80)"
    ]


def test_an_unknown_type_says_which_there_are():
    assert problems("name: x\npets: {a: {type: dgo}}") == [
        "f.yaml:2:18: `dgo` is not a known type (write `type:` and one of cat, dog)"
    ]


def test_wrong_types_are_reported_in_plain_words():
    assert problems("name: [a]\nport: many\npet: 3") == [
        "f.yaml:1:7: a text is expected here",
        "f.yaml:2:7: a whole number is expected here (write digits alone, without quotes and unit: 80)",
        "f.yaml:3:6: lines of the form `key: value` are expected here",
    ]


def test_a_union_is_reported_as_one_problem():
    class Either(Strict):
        value: bool | list[str]

    assert problems("value: {a: 1}", Either) == ["f.yaml:1:8: true or false or a list is expected here"]


def test_the_message_of_our_own_validator_is_kept():
    class Picky(Strict):
        name: str

        def model_post_init(self, _context: object) -> None:
            raise wrong("odd", "too odd", "make it even")

    with pytest.raises(ProblemsFound) as caught:
        load(parse("name: x", "f.yaml"), Picky)
    assert caught.value.problems[0].code == "odd"
    assert str(caught.value) == "f.yaml:1:1: too odd (make it even)"


def test_an_empty_file_is_reported():
    assert problems("# nothing\n") == [
        "f.yaml: the file is empty (copy a shipped file and edit it, or remove this one)"
    ]


def test_a_list_where_keys_belong_is_reported():
    assert problems("- a\n") == ["f.yaml:1:1: lines of the form `key: value` are expected here"]


def test_no_value_is_repeated_in_a_message_except_a_misspelt_word():
    assert "hunter2" not in "".join(problems("name: x\nport: hunter2\npet: {type: cat, lives: hunter2}"))


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "1h30m", "5 m", "9999999d", "٣m"])
def test_bad_durations_are_refused(text: str):
    assert "time span" in problems(f'name: x\nevery: "{text}"')[0]


@pytest.mark.parametrize("text", ["30s", "5m", "2h", "7d", "0s", "90s"])
def test_durations_are_written_as_they_are_read(text: str):
    assert duration_text(load(parse(f"name: x\nevery: {text}", "f.yaml"), Household).every) == text


def test_did_you_mean_is_empty_without_a_similar_word_among_many():
    assert did_you_mean("zzz", [f"word{number}" for number in range(30)]) == ""


def test_the_schema_is_draft_7_with_descriptions_and_written_defaults():
    made = schema(Household, title="Household")
    assert made["$schema"] == DRAFT
    assert made["additionalProperties"] is False
    assert made["properties"]["name"]["description"] == "What it is called."
    assert made["properties"]["every"]["default"] == "30s"
    assert made["properties"]["room"]["default"] == "64KiB"


def test_a_name_of_another_channel_is_never_proposed():
    known = ["HasOptedOutOfEmail", "HasOptedOutOfFax", "SMS_Opt_Out__c"]
    assert "Email" not in did_you_mean("HasOptedOutOfSMS", [*known, *map(str, range(20))])
    assert did_you_mean("HasOptedOutOfEmial", known) == "did you mean `HasOptedOutOfEmail`?"
    assert did_you_mean("HasOptedOutEmail", known) == "did you mean `HasOptedOutOfEmail`?"
    assert did_you_mean("SMS_OptOut__c", known) == "did you mean `SMS_Opt_Out__c`?"
