from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.language.paths import BadPath, Path, Reading, folded_getter, getter, parse_path
from connector.mapping.language.templates import parse_template, render
from connector.model.event import Event, Verdict


def read(written: str, event, consent=None):
    return getter(parse_path(written))(Reading(event, consent or {}))


def fill(written: str, event):
    return render(parse_template(written))(Reading(event, {}))


PROPERTIES = {
    "myproperty": "custom value",
    "First Name": "Kari",
    "Deep": {"Er": {"x": 1}},
    "AccountId": 4828,
    "null": None,
    "list": [{"Name": "first"}, ["x", "y"]],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("msisdn", "+4798079008"),
        ("MSISDN", "+4798079008"),
        ("verdict", "opt_out"),
        ("price", Decimal("12.50")),
        ("keyword", None),
        ("properties.myproperty", "custom value"),
        ("properties.MYPROPERTY", "custom value"),
        ('properties["First Name"]', "Kari"),
        ('properties["first name"]', "Kari"),
        ("properties.deep.er.X", 1),
        ("properties.deep.er.x.y", None),
        ("properties.AccountId", 4828),
        ("properties.list[0].name", "first"),
        ("properties.list[1][1]", "y"),
        ("properties.list[2]", None),
        ("properties.list.name", None),
        ("properties.myproperty[0]", None),
        ('properties["List"][0]["Name"]', "first"),
        ("properties.absent", None),
        ("properties.null", None),
        ("lookup.lastName", None),
        ("consent.remaining", 0),
    ],
)
def test_a_path_is_found_exactly_or_without_regard_to_letter_case(path, value, event):
    made = event(properties=PROPERTIES, verdict=Verdict.OPT_OUT, price=Decimal("12.50"), keyword=" ")
    assert read(path, made, {"remaining": 0}) == value


def test_an_exact_key_is_preferred_to_one_in_another_letter_case(event):
    assert read("properties.key", event(properties={"KEY": "other", "key": "exact"})) == "exact"
    assert read("properties.key", event(properties={"KEY": "other", "key": None})) is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "not a path"),
        ("{msisdn}", "without braces"),
        ("First Name", "not a path"),
        ("properties.First Name", "not a path"),
        ("msisd", "did you mean `msisdn`"),
        ("myproperty", "properties.myproperty"),
        ("batch", "no field `batch`"),
        ("__class__", "no field `__class__`"),
        ("msisdn.e164", "has nothing below it"),
        ("properties", "name one of its keys"),
        ("consent.other", "consent.remaining"),
        ("properties..x", "not a path"),
        ("properties[0]", "name one of its keys"),
        ("properties.x[-1]", "not a path"),
        ("properties.x[one]", "not a path"),
    ],
)
def test_the_problem_of_an_unknown_path_says_what_to_write(path, words):
    with pytest.raises(BadPath) as caught:
        parse_path(path)
    assert words in f"{caught.value} {caught.value.hint}"


def test_a_parsed_path_is_printed_as_it_was_written():
    for written in ("msisdn", "properties.a.b-c", 'properties["First Name"].x'):
        assert str(parse_path(written)) == written
    assert parse_path('properties["a.b"]') == Path("properties", ("a.b",))


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{msisdn}", "+4798079008"),
        ("{price}", Decimal("12.50")),
        ("{ price }", Decimal("12.50")),
        ("{properties.list}", ["a", "b"]),
        ("kr {price}", "kr 12.5"),
        ("{properties.list} end", "a, b end"),
        ("{keyword}", None),
        ("{keyword?}", None),
        ("Strex {keyword}", None),
        ("Strex {keyword?}", "Strex"),
        ("{keyword?} {price}", "12.5"),
        ("a {{b}} c", "a {b} c"),
        ("{{literal}}", "{literal}"),
        ("a } b", "a } b"),
        ('{properties["a}b"]}!', "odd!"),
        ("plain", "plain"),
        ("", None),
        ("  ", None),
    ],
)
def test_templates_are_filled_in(template, value, event):
    made = event(price=Decimal("12.50"), properties={"list": ["a", "b"], "a}b": "odd"})
    assert fill(template, made) == value


@pytest.mark.parametrize("template", ["{", "{msisdn", "a { b", "{}", "{msisdn} {x y}", "{a{b}}"])
def test_a_template_with_a_bad_path_is_refused(template):
    with pytest.raises(BadPath):
        parse_template(template)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    properties=st.dictionaries(st.sampled_from(["a", "A", "b", "é"]), JSON),
    template=st.sampled_from(
        ["{properties.a}", "x {properties.a?} y", "{properties.a.b}", "{properties.É} {properties.b?}"]
    ),
)
def test_no_data_makes_a_template_raise_an_error(properties, template):
    reading = Reading(_event(properties), {})
    render(parse_template(template))(reading)
    for path in parse_template(template).paths:
        folded_getter(path)(reading)


def _event(properties):
    return Event(key="e", provider="p", shape="s", received_at=datetime(2026, 1, 1, tzinfo=UTC), properties=properties)


@given(st.text(alphabet='{}?"[].msisdnprot x', max_size=30))
def test_no_text_makes_parsing_a_template_raise_another_error(written):
    try:
        template = parse_template(written)
    except BadPath:
        return
    assert all(isinstance(path, Path) for path in template.paths)
