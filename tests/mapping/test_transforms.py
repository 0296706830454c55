from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.compile.fields import compute_fields
from connector.mapping.language.paths import Reading
from connector.model.consent_fields import ConsentFields
from connector.model.record_number import NumberReader

FILE = """
on: strex.delivery_report
rules:
  - name: one
    do: [{{upsert: Thing__c, key: {{Key__c: "{{key}}"}}, set: {{Field__c: {value}}}}}]
"""


@pytest.fixture
def value(ask):
    """What a field's value becomes for an event with these properties; the text of the note where there is one."""

    def find(written: str, context=None, **properties):
        made = ask(FILE.format(value=written), context=context, properties=properties)
        assert made.problem is None
        if made.left_out:
            (note,) = made.left_out
            return str(note)
        (write,) = made.operations
        return write.set.get("Field__c")

    return find


@pytest.mark.parametrize(
    ("form", "x", "made"),
    [
        ("{from: properties.x}", "a", "a"),
        ("{from: [properties.y, properties.x]}", "a", "a"),
        ("{from: properties.y, default: b}", "a", "b"),
        ("{from: properties.x, default: b}", "a", "a"),
        ('{from: properties.y, default: "{properties.x}!"}', "a", "a!"),
        ("{from: properties.y}", "a", None),
        ("{from: properties.x, map: {'1': Children, '2': Climate}, otherwise: Other}", 1, "Children"),
        ("{from: properties.x, map: {1: Children, 2: Climate}, otherwise: Other}", "2", "Climate"),
        ("{from: properties.x, map: {KATT: cat}, otherwise: Other}", "katt", "cat"),
        ("{from: properties.x, map: {1: Children}, otherwise: Other}", "3", "Other"),
        ("{from: properties.x, map: {1: Children}}", "3", None),
        ("{from: properties.y, map: {1: Children}, otherwise: Other}", "3", None),
        ("{from: properties.x, map: {yes: true}}", "Yes", True),
        ("{from: properties.x, truncate: 4}", "abc def", "abc"),
        ("{from: properties.x, truncate: 80}", "abc def", "abc def"),
        ("{from: properties.x, case: upper}", "Ås", "ÅS"),
        ("{from: properties.x, case: lower}", "ÅS", "ås"),
        ("{from: properties.x, case: title}", "KARI-ANNE o'neil ÅS", "Kari-Anne O'neil Ås"),
        ("{from: properties.x, part: first}", "Kari Anne Ås", "Kari"),
        ("{from: properties.x, part: rest}", "Kari Anne Ås", "Anne Ås"),
        ("{from: properties.x, part: last}", "Kari Anne Ås", "Ås"),
        ("{from: properties.x, part: rest}", "Kari", None),
        ("{from: properties.x, part: [rest, first]}", "OPPROP Kari Ås", "Kari"),
        ("{from: properties.x, part: [rest, rest]}", "OPPROP Kari Anne Ås", "Anne Ås"),
        ("{from: properties.x, part: [rest, first]}", "OPPROP", None),
        ("{from: properties.x, part: [last]}", "Kari Ås", "Ås"),
        ("{from: properties.x, split: ';', part: [rest, first]}", "a b; c d; e", "c d"),
        ("{from: properties.x, part: [rest, first]}", ["a", "b c"], "b c"),
        ('{from: "properties.x[1]"}', ["a", "b"], "b"),
        ('{from: "properties.x[2]"}', ["a", "b"], None),
        ('{from: "properties.x[0]"}', "a", None),
        ("{from: properties.x, text: true}", 2026, "2026"),
        ("{from: properties.x, text: true}", 12.5, "12.5"),
        ("{from: properties.x, text: true}", False, "false"),
        ("{from: properties.x, text: true}", 1234567890123456789012345, "1234567890123456789012345"),
        ("{from: properties.x, text: true}", "a", "a"),
        ("{from: properties.x, multiply: 2, text: true}", "1.5", "3"),
        ("{from: properties.y, text: true}", 1, None),
        ("{from: properties.x, extract: amount}", "KATT 200 kr", 200),
        ("{from: properties.x, extract: amount}", "GI 12,50", 12.5),
        ("{from: properties.x, extract: amount}", "GI 1.000,50 kr", 1000.5),
        ("{from: properties.x, extract: amount}", "no amount", None),
        ("{from: properties.x, extract: email}", "write to kari@example.org.", "kari@example.org"),
        ("{from: properties.x, extract: number}", "KATT 007 x", "007"),
        ("{from: properties.x, extract: word}", "2002 Katt!", "Katt"),
        ("{from: properties.x, phone: e164}", "+47 90 00 00 01", "+4790000001"),
        ("{from: properties.x, phone: national}", "+4790000001", "90000001"),
        ("{from: properties.x, phone: digits}", "004790000001", "4790000001"),
        ("{from: properties.x, date: {}}", "2026-01-31T23:30:00Z", "2026-01-31"),
        ("{from: properties.x, date: {timezone: Europe/Oslo}}", "2026-01-31T23:30:00Z", "2026-02-01"),
        ("{from: properties.x, date: {from: dd.MM.yyyy}}", "31.01.2026", "2026-01-31"),
        ("{from: properties.x, date: {from: yyyy-dd-MM, to: dd/MM yy}}", "2000-02-01", "02/01 00"),
        (
            "{from: properties.x, date: {to: datetime, timezone: Europe/Oslo}}",
            "2026-07-01T12:00:00",
            "2026-07-01T10:00:00.000Z",
        ),
        (
            "{from: properties.x, date: {from: yyyyMMddTHHmmss, to: datetime}}",
            "20260102T030405",
            "2026-01-02T03:04:05.000Z",
        ),
        ("{from: properties.x, round: 2}", "2.675", 2.68),
        ("{from: properties.x, round: 0}", 2.5, 3),
        ("{from: properties.x, multiply: 0.01, round: 2}", 12345, 123.45),
        ("{from: properties.x, split: ',', join: ';'}", "a, b,,c ", "a;b;c"),
        ("{from: properties.x, join: ';'}", ["a", None, "b"], "a;b"),
        ("{from: properties.x, join: ';'}", "a", "a"),
        ("{from: properties.x, split: ',', part: last}", "a, b", "b"),
        ("{from: properties.x, prefix: 'SMS '}", "a", "SMS a"),
        ("{from: properties.y, prefix: 'SMS '}", "a", None),
    ],
)
def test_each_transform_changes_its_value(value, form, x, made):
    assert value(form, x=x) == made


def test_transforms_are_applied_in_the_written_order(value):
    assert value("{from: properties.x, truncate: 3, prefix: 'SMS '}", x="abcdef") == "SMS abc"
    assert value("{from: properties.x, prefix: 'SMS ', truncate: 3}", x="abcdef") == "SMS"
    assert value("{default: none, prefix: 'SMS ', from: properties.y}") == "SMS none"
    assert value("{prefix: 'SMS ', default: none, from: properties.y}") == "none"


@pytest.mark.parametrize(
    ("form", "x", "words"),
    [
        ("{from: properties.x, date: {}}", "31.01.2026", "a date was expected"),
        ("{from: properties.x, date: {timezone: Europe/Oslo}}", "0001-01-01T00:00:00+14:00", "a date was expected"),
        ("{from: properties.x, date: {from: dd.MM.yyyy}}", "2026-01-31", "a date was expected"),
        ("{from: properties.x, round: 2}", "secret-value", "a number was expected"),
        ("{from: properties.x, multiply: 2}", True, "a number was expected"),
        ("{from: properties.x, phone: e164}", "90000001", "a phone number with its country code was expected"),
    ],
)
def test_bad_data_is_reported_without_repeating_it(value, form, x, words):
    said = value(form, x=x)
    assert said == f"1.yaml: one: upsert Thing__c: Field__c was left out: {words}"
    assert str(x) not in said


def test_a_number_without_a_country_code_is_read_with_the_country_of_the_config(value, context):
    norwegian = type(context)(sources=context.sources, crms=context.crms, numbers=NumberReader(default="NO"))
    assert value("{from: properties.x, phone: e164}", context=norwegian, x="90 00 00 01") == "+4790000001"


def test_a_number_in_an_event_of_a_provider_is_read_with_the_country_of_the_provider(value, context):
    made = type(context)(
        sources=context.sources,
        crms=context.crms,
        numbers=NumberReader(default="NO", others=("DK",)),
        regions={"strex": "DK"},
    )
    assert value("{from: properties.x, phone: e164}", context=made, x="90 00 00 01") == "+4590000001"


CHANGE = """
on: sf.change
feed: {object: Contact, fields: [MobilePhone, HomePhone, Opt_Out__c]}
rules:
  - name: one
    do: [{upsert: Thing__c, key: {Key__c: "{key}"}, set: {Field__c: {from: record.%s, phone: national}}}]
"""


def test_the_phone_number_of_the_event_is_not_parsed_again(ask):
    record = {"Id": "1", "MobilePhone": "+47 900 00 009"}
    assert ask(CHANGE % "MobilePhone", record=record).operations[0].set == {"Field__c": "98079008"}
    assert ask(CHANGE % "MobilePhone", record=record, msisdn=None).operations[0].set == {"Field__c": "90000009"}


def test_a_number_in_a_record_is_read_with_the_country_of_the_record(ask, context):
    flag = ConsentFields(object="Contact", flag="Opt_Out__c", phone="MobilePhone", country="Country")
    both = type(context)(
        sources=context.sources,
        crms=context.crms,
        commands=context.commands,
        consent_fields={"sf": {"Contact": flag}},
        numbers=NumberReader(default="NO", others=("DK",)),
    )
    text = CHANGE.replace("national", "e164") % "HomePhone"
    home = {"Id": "1", "HomePhone": "90 00 00 09"}
    assert ask(text, context=both, record={**home, "Country": "Denmark"}).operations[0].set == {
        "Field__c": "+4590000009"
    }
    assert [note.field for note in ask(text, context=both, record=home).left_out] == ["Field__c"]
    # Of two people whom it may mean, one is the event's own.
    assert ask(text, context=both, record={**home, "HomePhone": "98 07 90 08"}).operations[0].set == {
        "Field__c": "+4798079008"
    }


def test_the_time_zone_of_the_config_applies_if_none_is_written(ask, context):
    oslo = type(context)(sources=context.sources, crms=context.crms, timezone="Europe/Oslo")
    made = ask(
        FILE.format(value="{from: occurred_at, date: {}}"),
        context=oslo,
        occurred_at=datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
        received_at=datetime(2026, 1, 31, 23, 31, tzinfo=UTC),
    )
    assert made.operations[0].set == {"Field__c": "2026-02-01"}


FORMS = [
    "{from: properties.x, truncate: 3}",
    "{from: properties.x, case: title}",
    "{from: properties.x, part: rest}",
    "{from: properties.x, extract: amount}",
    "{from: properties.x, extract: email}",
    "{from: properties.x, split: a, join: b}",
    "{from: properties.x, date: {to: datetime}}",
    "{from: properties.x, date: {from: dd.MM.yyyy, timezone: Europe/Oslo}}",
    "{from: properties.x, multiply: 99999.99, round: 10}",
    "{from: properties.x, phone: national}",
    "{from: properties.x, map: {a: b}, otherwise: c}",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("form", FORMS)
def test_no_data_makes_a_transform_raise_another_error(compiled, event, form):
    (item,) = compiled(FILE.format(value=form)).files[0].rules[0].items

    @given(JSON)
    def holds(x):
        made = compute_fields(item.set, Reading(event(properties={"x": x}), {}), [])
        assert all(value is None or isinstance(value, str | int | float | bool) for value in made.values())

    holds()


def test_an_amount_keeps_its_exact_value_through_transforms(value):
    assert value("{from: properties.x, multiply: 3}", x=Decimal("0.1")) == 0.3
