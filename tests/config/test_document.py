from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.config.yaml_document import MAX_BYTES, parse, read
from connector.model.problem import Position, ProblemsFound, Severity


def problems(text: str | bytes) -> list[tuple[str, int, int]]:
    with pytest.raises(ProblemsFound) as caught:
        parse(text, "f.yaml")
    for problem in caught.value.problems:
        assert problem.hint, problem
    return [
        (problem.code, problem.position.line, problem.position.column) if problem.position else (problem.code, 0, 0)
        for problem in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("100", 100),
        ("-5", -5),
        ("0", 0),
        ("1.25", 1.25),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("+4790000001", "+4790000001"),
        ("0123", "0123"),
        ("1_000", "1_000"),
        ("22:22", "22:22"),
        ("1e5", "1e5"),
        ("0x1F", "0x1F"),
        (".inf", ".inf"),
        ("2026-01-01", "2026-01-01"),
        ('"100"', "100"),
        ("9" * 40, "9" * 40),
    ],
)
def test_only_what_a_person_means_as_a_number_or_truth_value_becomes_one(written: str, value: object):
    got = parse(f"key: {written}", "f.yaml").value["key"]
    assert got == value
    assert type(got) is type(value)


def test_keys_are_always_the_text_that_was_written():
    assert parse("NO: 1\n1: 2\ntrue: 3\n01: 4\n", "f.yaml").value == {"NO": 1, "1": 2, "true": 3, "01": 4}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: {msisdn}", ("unquoted-template", 1, 4)),
        ("a: 1\nb:\n  - {msisdn}", ("unquoted-template", 3, 5)),
        ("a: 1\na: 2", ("duplicate-key", 2, 1)),
        ("a: &x 1", ("anchor", 1, 4)),
        ("a: *x", ("alias", 1, 4)),
        ("<<: {a: 1}", ("merge-key", 1, 1)),
        ("a: !!int 1", ("tag", 1, 4)),
        ("a: !secret b", ("tag", 1, 4)),
        ("a: 1\n---\nb: 2", ("several-documents", 2, 1)),
        ("? [a]\n: b", ("bad-key", 1, 3)),
        (": b", ("syntax", 1, 1)),
        ("?\n: b", ("bad-key", 1, 2)),
        ("a:\n\tb: 1", ("syntax", 2, 1)),
        ("a: b: c", ("syntax", 1, 5)),
        ("a: 'x", ("syntax", 1, 4)),
        ("a: @x", ("syntax", 1, 4)),
        ("a: {b", ("syntax", 1, 6)),
        ("a: {msisdn} x", ("syntax", 1, 13)),
        ("a: b\n\x07: c", ("syntax", 2, 1)),
        ('a: "\\ud800"', ("bad-character", 1, 4)),
        ('a: "\\Uffffffff"', ("syntax", 1, 7)),
        ("[" * 20_000, ("syntax", 1, 31)),
        ("a: b\nc: å".encode("latin-1"), ("encoding", 2, 4)),
        (b" " * (MAX_BYTES + 1), ("too-large", 0, 0)),
    ],
)
def test_each_yaml_mistake_is_reported_at_its_place(text: str | bytes, problem: tuple[str, int, int]):
    assert problems(text) == [problem]


def test_all_problems_of_a_file_are_reported_at_once_and_in_order():
    found = problems("a: {x}\na: 1\nb: *c\nc: &d 1\n")
    assert [code for code, _, _ in found] == ["unquoted-template", "duplicate-key", "alias", "anchor"]


def test_nested_yaml_aliases_are_refused_at_once():
    assert ("anchor", 1, 4) in problems("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]")


def test_a_text_that_is_cut_at_a_hash_is_warned_of_and_a_comment_is_not():
    document = parse("a: Gift #1\nb: Gift # the first\nc: 'Gift #1'\nd: [Gift #2\n]\n", "f.yaml")
    assert document.value == {"a": "Gift", "b": "Gift", "c": "Gift #1", "d": ["Gift"]}
    assert [(warning.code, warning.position, warning.severity) for warning in document.warnings] == [
        ("cut-text", Position(1, 8), Severity.WARNING),
        ("cut-text", Position(4, 9), Severity.WARNING),
    ]


def test_positions_are_of_the_value_the_key_or_the_nearest_parent():
    document = parse("a:\n  - b: 1\n    c: 2\n", "f.yaml")
    assert document.at(("a", 0, "c")) == Position(3, 8)
    assert document.at(("a", 0, "c"), key=True) == Position(3, 5)
    assert document.at(("a", 0, "missing", "deeper")) == Position(2, 5)
    assert document.at(()) == Position(1, 1)


def test_a_byte_order_mark_is_no_part_of_the_file():
    assert parse(b"\xef\xbb\xbfa: 1", "f.yaml").value == {"a": 1}
    assert parse("\ufeffa: 1", "f.yaml").value == {"a": 1}


def test_an_empty_value_differs_from_an_explicit_null():
    document = parse("a:\nb: null\n", "f.yaml")
    assert document.value == {"a": None, "b": None}
    assert document.blanks == {("a",)}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_has_no_value(text: str):
    assert parse(text, "f.yaml").value is None


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    with pytest.raises(ProblemsFound, match="cannot be read: No such file"):
        read(tmp_path / "none.yaml", "none.yaml")


@given(
    st.one_of(
        st.text(max_size=60), st.text(alphabet="ab:{}[]\"#-&*!|>%\n\t '?,\\x0", max_size=40), st.binary(max_size=40)
    )
)
def test_any_text_becomes_a_document_or_problems(text: str | bytes):
    with suppress(ProblemsFound):
        parse(text, "f.yaml")


@pytest.mark.parametrize(
    ("text", "place", "message", "cure"),
    [
        ("a:\n\u00a0\u00a0b: 1\n", (2, 1), "this blank is none to YAML (U+00A0)", "delete it and type a blank"),
        ("a:\n  b: 1\n  - c:\u00a0{d: 1}\n", (3, 7), "this blank is none to YAML (U+00A0)", "delete it"),
        ("a:\u2009{b: 1}\n", (1, 3), "this blank is none to YAML (U+2009)", "delete it"),
        ('a: "x\nb: 1\nc: "y"\n', (1, 4), "a quote opened in line 1 is not closed", "close it"),
        ("a: 'donor's wish'\nb: 1\nc: 'd'\n", (1, 11), "", ""),
        (
            "a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> x\n",
            (2, 1),
            "marks of a merge that is not solved",
            "keep one of the two",
        ),
        ("a:\n  price: >499\n", (2, 12), "a `>` or `|` begins a text", "{above: 499}"),
        (
            "a:\n  - b: 1\n    do: 2\n  - b: 1\n     do: 2\n",
            (5, 6),
            "this line is indented by 5 blanks",
            "`do` in line 3 has 4",
        ),
        ("a:\n  b:opt_out\n\n  c: 1\n", (2, 3), "a key without a blank behind its `:`", "write `key: value`"),
        ("a:\n  b: {c: 1, d: 2\n  e: {f: 1}\n", (2, 6), "a `{` is not closed", "close it with `}`"),
        ("a: {{ msisdn }}\n", (1, 4), "`{{ msisdn }}` is not a template", '"{msisdn}"'),
        ("a: { msisdn }\n", (1, 4), "`{msisdn}` without quotes is not a template", '"{msisdn}"'),
    ],
)
def test_a_fault_is_reported_at_its_own_line_with_its_cure(text, place, message, cure):
    with pytest.raises(ProblemsFound) as caught:
        parse(text, "f.yaml")
    (found,) = caught.value.problems
    assert (found.position.line, found.position.column) == place, found
    assert message in found.message
    assert cure in found.hint


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: \u201cx\u201d\n", ("a",)),
        ("\u201ca\u201d: x\n", ("\u201ca\u201d",)),
        ("a: [x, \u00aby\u00bb]\n", ("a", 1)),
        ("a: {from: \u2018keyword\u2019}\n", ("a", "from")),
    ],
)
def test_curly_quotes_around_a_text_are_a_warning(text, where):
    document = parse(text, "f.yaml")
    assert [(one.code, one.severity) for one in document.warnings] == [("curly-quotes", Severity.WARNING)]
    assert document.curly == {where}


@pytest.mark.parametrize(
    "text", ['a: "\u201cx\u201d"\n', "a: said \u201cx\u201d\n", "a: donor\u2019s wish\n", "a: b # \u201cx\u201d\n"]
)
def test_curly_quotes_inside_a_text_are_accepted(text):
    assert parse(text, "f.yaml").warnings == ()
