import time
from decimal import Decimal
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.compile.conditions import covers, matcher
from connector.mapping.language.rules import When
from connector.model.event import Result, Verdict

FILE = "on: strex.delivery_report\nrules:\n  - {{name: one, when: {when}, ignore: true}}\n"


@pytest.mark.parametrize(
    ("when", "fields", "holds"),
    [
        ("{action: Subscribe}", {"action": "SUBSCRIBE"}, True),
        ("{action: Subscribe}", {"action": "Signup"}, False),
        ("{action: Subscribe}", {}, False),
        ("{action: [Subscribe, Signup]}", {"action": "signup"}, True),
        ("{short_number: 2002}", {"short_number": "2002"}, True),
        ('{short_number: "2002"}', {"short_number": "2002"}, True),
        ("{properties.AccountId: 4828}", {"properties": {"AccountId": 4828}}, True),
        ('{properties.AccountId: "4828"}', {"properties": {"AccountId": 4828.0}}, True),
        ("{properties.pre: true}", {"properties": {"pre": "True"}}, True),
        ("{properties.pre: true}", {"properties": {"pre": True}}, True),
        ("{properties.pre: false}", {"properties": {"pre": None}}, False),
        ("{properties.country: NO}", {"properties": {"country": "no"}}, True),
        ("{properties.name: ås}", {"properties": {"name": "A\u030aS"}}, True),
        ("{properties.tags: b}", {"properties": {"tags": ["a", "B"]}}, True),
        ("{properties.tags: c}", {"properties": {"tags": ["a", "B"]}}, False),
        ("{verdict: opt_out}", {"verdict": Verdict.OPT_OUT}, True),
        ("{result: [ok, pending]}", {"result": Result.PENDING}, True),
        ("{service_command: true}", {"service_command": True}, True),
        ('{keyword: {like: "KATT*"}}', {"keyword": "kattunge"}, True),
        ('{keyword: {like: ["HUND*", "K?TT"]}}', {"keyword": "KITT"}, True),
        ('{keyword: {like: "KATT*"}}', {"keyword": "en katt"}, False),
        ('{keyword: {like: "*"}}', {}, False),
        ("{price: {above: 100}}", {"price": Decimal("100.01")}, True),
        ("{price: {above: 100}}", {"price": Decimal(100)}, False),
        ("{price: {above: 100, below: 200}}", {"price": Decimal(150)}, True),
        ("{price: {above: 100, below: 200}}", {"price": Decimal(250)}, False),
        ("{properties.x: {above: 9}}", {"properties": {"x": "10"}}, True),
        ("{properties.x: {above: 9}}", {"properties": {"x": "many"}}, False),
        ("{properties.x: {below: 9}}", {"properties": {"x": " "}}, False),
        ("{keyword: {missing: true}}", {}, True),
        ("{keyword: {missing: true}}", {"keyword": " "}, True),
        ("{keyword: {missing: true}}", {"keyword": "KATT"}, False),
        ("{keyword: {missing: false}}", {"keyword": "KATT"}, True),
        ("{keyword: {missing: false}}", {}, False),
        ("{action: Subscribe, keyword: KATT}", {"action": "Subscribe", "keyword": "KATT"}, True),
        ("{action: Subscribe, keyword: KATT}", {"action": "Subscribe", "keyword": "HUND"}, False),
        ("{any: [{action: Subscribe}, {keyword: KATT}]}", {"keyword": "KATT"}, True),
        ("{any: [{action: Subscribe}, {keyword: KATT}]}", {"keyword": "HUND"}, False),
        ("{not: {action: Subscribe}}", {"action": "Signup"}, True),
        ("{not: {action: Subscribe}}", {}, True),
        ("{not: {action: Subscribe}, keyword: KATT}", {"keyword": "HUND"}, False),
        ("{not: {any: [{action: A}, {not: {action: B}}]}}", {"action": "B"}, True),
        ("{not: {any: [{action: A}, {not: {action: B}}]}}", {"action": "A"}, False),
    ],
)
def test_each_condition_matches_the_values_that_it_describes(ask, when, fields, holds):
    assert ask(FILE.format(when=when), **fields).matched is holds


@pytest.mark.parametrize(
    ("when", "fields", "why"),
    [
        (
            "{action: [Subscribe, Signup]}",
            {"action": "Unsubscribe"},
            "action is Unsubscribe, the rule wants Subscribe or Signup",
        ),
        ("{properties.ServiceSubType: Donation}", {}, "properties.ServiceSubType is missing"),
        ("{action: A, keyword: K}", {"action": "A", "keyword": "L"}, "keyword is L, the rule wants K"),
        ("{action: A, keyword: K}", {}, "action is missing; keyword is missing"),
        ('{keyword: {like: "K*"}}', {"keyword": "L"}, "keyword is L, which is not like K*"),
        ("{price: {above: 5}}", {"price": Decimal(3)}, "price is 3, the rule wants above 5"),
        ("{keyword: {missing: true}}", {"keyword": "L"}, "keyword is there"),
        ("{any: [{action: A}, {action: B}]}", {}, "none of `any` holds: action is missing / action is missing"),
        ("{not: {action: A}}", {"action": "A"}, "what is under `not` holds"),
    ],
)
def test_the_reason_why_a_rule_does_not_match_is_given(ask, when, fields, why):
    (trace,) = ask(FILE.format(when=when), tracing=True, **fields).trace
    assert (trace.matched, trace.why, trace.line) == (False, why, 3)


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="abc", max_size=10))
def test_patterns_match_like_shell_patterns(pattern, value):
    assert matcher(pattern)(value) is fnmatchcase(value, pattern)


@pytest.mark.parametrize(
    ("pattern", "value"), [("ab*ba", "aba"), ("a*", "a\nb"), ("*", ""), ("?", ""), ("[a]", "a"), ("[a]", "[a]")]
)
def test_parts_of_a_pattern_do_not_overlap_and_brackets_are_literal(pattern, value):
    assert matcher(pattern)(value) is ((pattern, value) in {("a*", "a\nb"), ("*", ""), ("[a]", "[a]")})


@given(st.text(max_size=8), st.text(max_size=10))
def test_no_pattern_raises_an_error(pattern, value):
    matcher(pattern)(value)


def test_a_pattern_with_many_stars_is_not_slow_on_any_text():
    fits = matcher("*a" * 40 + "b")
    begun = time.perf_counter()
    assert not fits("a" * 60_000)
    assert time.perf_counter() - begun < 1  # a regular expression would take years


def when(**tests) -> When:
    return When.model_validate(tests)


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        (None, None, True),
        (None, {"action": "A"}, True),
        ({"action": "A"}, None, False),
        ({"action": ["A", "B"]}, {"action": "b"}, True),
        ({"action": "A"}, {"action": ["A", "B"]}, False),
        ({"action": "A"}, {"action": "A", "keyword": "K"}, True),
        ({"action": "A", "keyword": "K"}, {"action": "A"}, False),
        ({"price": {"above": 5}}, {"price": {"above": 5}}, True),
        ({"price": {"above": 5}}, {"price": {"above": 6}}, False),
        ({"not": {"action": "A"}}, {"not": {"action": "A"}}, True),
        ({"any": [{"action": ["A", "B"]}]}, {"any": [{"action": ["B", "A"]}]}, True),
    ],
)
def test_a_rule_that_takes_all_events_of_a_later_one_is_recognised(earlier, later, covered):
    one, other = (made and when(**made) for made in (earlier, later))
    assert covers(one, other) is covered
