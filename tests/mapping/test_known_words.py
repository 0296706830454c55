"""Words that no event can have, and comparisons without effect, are reported with their place."""

import pytest

from connector.mapping.compile.context import Context
from connector.model.problem import Severity

HEAD = "on: strex.delivery_report\nrules:\n"
CHANGE = "on: sf.change\nfeed: {object: Contact, fields: [MobilePhone, Opt_Out__c]}\nrules:\n"
ACTIONS = ("Subscribe", "Signup", "Unsubscribe")
WORDS = {"strex": {"action": ACTIONS, "status": ("Ok", "Failed")}}


def when(conditions, head=HEAD):
    return f"{head}  - name: one\n    when: {conditions}\n    ignore: true\n"


@pytest.fixture
def words(context):
    return Context(sources=context.sources, crms=context.crms, commands=context.commands, words=WORDS)


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ("{result: success}", "4:20: `success` is not a result (known: failed, ok, pending, reversed)"),
        ("{result: [ok, faild]}", "4:25: `faild` is not a result (did you mean `failed`?)"),
        ("{verdict: opt-out}", "4:21: `opt-out` is not a verdict (did you mean `opt_out`?)"),
        ("{consent.verdict: stop}", "4:29: `stop` is not a verdict"),
        ("{consent.scope: all}", "4:27: `all` is not a scope"),
        (
            "{shape: deliveryreport}",
            "4:19: `deliveryreport` is not a shape of events (did you mean `delivery_report`?)",
        ),
        ("{provider: strx}", "4:22: `strx` is not a provider or CRM of the config (did you mean `strex`?)"),
        ("{final: yes}", "4:19: `yes` is not a final (known: false, true)"),
        ("{any: [{keyword: A}, {result: success}]}", "4:41: `success` is not a result"),
        ("{keyword: A, not: {result: success}}", "4:38: `success` is not a result"),
        ("{result: {like: succ*}}", "4:27: no result is like `succ*`"),
        ("{result: {above: 1}}", "4:20: a result is a word and no number"),
        (
            '{action: "Subscribe, Signup"}',
            "4:20: `Subscribe, Signup` is one text here, and not 2 words (write a list: [Subscribe, Signup])",
        ),
        ("{action: [Subscribe Signup]}", "4:21: `Subscribe Signup` is one text here"),
        ("{action: subscribe/signup}", "(write a list: [Subscribe, Signup])"),
        ('{result: "ok or failed"}', "(write a list: [ok, failed])"),
        ("{price: <500}", "4:19: `<500` is a text here, and compares nothing (write {below: 500})"),
        ('{price: ">= 500"}', "(write {above: 500})"),
    ],
)
def test_a_condition_on_a_value_that_never_occurs_is_an_error(problems, words, conditions, problem):
    (found,) = problems(when(conditions), context=words)
    assert problem in found


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ("{object: Lead}", "5:20: `Lead` is not an object that this file watches"),
        ("{changed: Opt_Out}", "5:21: `Opt_Out` is not a field of the feed (did you mean `Opt_Out__c`?)"),
    ],
)
def test_a_condition_on_an_unwatched_object_or_field_is_an_error(problems, conditions, problem):
    (found,) = problems(when(conditions, CHANGE))
    assert problem in found


@pytest.mark.parametrize(
    ("conditions", "warning"),
    [
        (
            "{action: Unsubscribed}",
            "`Unsubscribed` is not an action that strex is known to send (did you mean `Unsubscribe`?",
        ),
        (
            "{action: [Signup, STOP]}",
            "`STOP` is not an action that strex is known to send (known: Signup, Subscribe, Unsubscribe;",
        ),
        ("{status: Delivered}", "`Delivered` is not a status that strex is known to send"),
        ("{shape: message}", "this file sees no event with `message` (known: delivery_report)"),
    ],
)
def test_a_condition_on_a_value_that_a_provider_is_not_known_to_send_is_a_warning(compiled, words, conditions, warning):
    (found,) = compiled(when(conditions), context=words).warnings
    assert (found.severity, warning in str(found)) == (Severity.WARNING, True), found


@pytest.mark.parametrize(
    "conditions",
    [
        "{action: [subscribe, SIGNUP], result: OK, final: true}",
        "{status: Ok, service_command: false, provider: strex, shape: delivery_report}",
        "{verdict: [opt_in, opt_out, none], consent.scope: everything, consent.remaining: 0}",
        "{result: {like: '*ed'}, action: {like: 'Sub*'}}",
        "{keyword: 'KATT, HUND', text: 'ok or failed', properties.action: Whatever}",
        "{action: {missing: true}}",
    ],
)
def test_conditions_on_values_that_can_occur_are_accepted(compiled, words, conditions):
    assert compiled(when(conditions), context=words).warnings == ()


def test_actions_are_checked_against_all_providers_of_the_file(compiled, words):
    both = "on: [strex.delivery_report, other.message]\nrules:\n"
    context = Context(
        sources=(*words.sources, "other.message"), crms=("sf",), words={**WORDS, "other": {"action": ("MO",)}}
    )
    assert compiled(when("{action: [MO, Signup]}", both), context=context).warnings == ()
    unknown = Context(sources=(*words.sources, "other.message"), crms=("sf",), words=WORDS)
    assert compiled(when("{action: Anything}", both), context=unknown).warnings == ()


# Quotes and braces of other programs.


@pytest.mark.parametrize(
    "quoted", ["“Unsubscribe”", "„Unsubscribe“", "\u2018Unsubscribe\u2019", "«Unsubscribe»", "”Unsubscribe”"]
)
def test_typographic_quotes_in_a_condition_are_an_error(problems, words, quoted):
    for conditions in (f"{{action: {quoted}}}", f"{{action: [Signup, {quoted}]}}"):
        (found,) = problems(when(conditions), context=words)
        assert f"`{quoted[0]}`" in found
        assert "no quotes to YAML, but a part of the text (write straight quotes" in found


def test_typographic_quotes_elsewhere_are_a_warning(compiled):
    body = (
        '    do:\n      - upsert: C\n        key: {K__c: "{key}"}\n        set:\n          A__c: “Strex {keyword?}”\n'
        '          B__c: "the “best” one"\n          C__c: donor\u2019s wish\n'
    )
    (found,) = compiled(f"{HEAD}  - name: one\n{body}").warnings
    assert (found.severity, found.position.line, found.position.column) == (Severity.WARNING, 8, 17)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            '"{{ msisdn }}"',
            'two pairs of braces in `{{ msisdn }}` would go out as written (write one pair of braces: "{msisdn}")',
        ),
        ('"${{ properties.Name }}"', "two pairs of braces in `${{ properties.Name }}` would go out as written"),
        ('"Hi {{keyword}}!"', 'write one pair of braces: "{keyword}"'),
        ('"${msisdn}"', 'the `$` in `${msisdn}` would go out as written (write one pair of braces: "{msisdn}")'),
        ("{from: text, default: '{{ keyword }}'}", 'write one pair of braces: "{keyword}"'),
        (
            "{{ msisdn }}",
            "`{{ msisdn }}` is not a template: there are too many braces and no quotes (write one pair of braces, in quotes",
        ),
        ('"{!msisdn}"', '`!msisdn` is not a path (write "{msisdn}")'),
        ('"{phone}"', "an event has no field `phone` (did you mean `msisdn`?)"),
        ('"{mobilnummer}"', "an event has no field `mobilnummer` (did you mean `msisdn`?)"),
        ('"{beløp}"', "an event has no field `beløp` (did you mean `price`?)"),
        ("{from: message}", "an event has no field `message` (did you mean `text`?)"),
        ("{from: amount}", "did you mean `price`?"),
    ],
)
def test_a_hint_translates_the_syntax_of_other_programs(problems, value, problem):
    (found,) = problems(
        f'{HEAD}  - name: one\n    do: [{{upsert: C, key: {{K__c: "{{key}}"}}, set: {{A__c: {value}}}}}]\n'
    )
    assert problem in found


@pytest.mark.parametrize(
    ("value", "odd"), [("{{ donor }}", "{{ donor }}"), ("${properties.Amount}", "${properties.Amount}")]
)
def test_braces_that_look_like_a_placeholder_are_a_warning(compiled, value, odd):
    body = f'    do: [{{upsert: C, key: {{K__c: "{{key}}"}}, set: {{A__c: "{value}"}}}}]\n'
    (found,) = compiled(f"{HEAD}  - name: one\n{body}").warnings
    assert f"`{odd}` goes out as written" in str(found)


def test_a_brace_beside_a_placeholder_and_a_price_in_dollars_are_accepted(compiled):
    body = '    do: [{upsert: C, key: {K__c: "{key}"}, set: {A__c: "{{{keyword}}}", B__c: "$ {price}", D__c: "{{a}} {msisdn}"}}]\n'
    (found,) = compiled(f"{HEAD}  - name: one\n{body}").warnings
    assert "`{{a}}`" in str(found)
