"""Keys with characters that a CRM refuses: reported in the file, or a dead letter with the cure."""

import pytest

from connector.mapping.compile.context import Context
from connector.model.crm_traits import CrmTraits
from connector.model.outcome import Reason
from connector.model.problem import ProblemsFound

DIGITS = "{from: msisdn, phone: digits}"
FILE = """
on: strex.message
rules:
  - name: all
    do:
      - upsert: gift
        key: {{gift_key: {key}}}
        set: {{amount: 1, giver: {parent}}}
"""


@pytest.fixture
def context():
    """A CRM whose keys may hold neither a plus sign nor a slash."""
    traits = CrmTraits(refused_in_keys=frozenset("+/"), finds_by_number=False)
    return Context(sources=("strex.message",), crms=("crm",), traits={"crm": traits})


def rules(compiled, context, key='"{transaction_id}"', parent='{sms_key: "{keyword}"}'):
    return compiled(FILE.format(key=key, parent=parent), context=context)


@pytest.mark.parametrize(
    ("key", "found", "cure"),
    [
        ('"{msisdn}"', "`+`", f"write {DIGITS}"),
        ('"sms-{msisdn?}"', "`+`", f"write {DIGITS}"),
        ("{from: msisdn, phone: e164}", "`+`", f"write {DIGITS}"),
        ("{from: msisdn, truncate: 80}", "`+`", f"write {DIGITS}"),
        ('"no/{transaction_id}"', "`/`", "leave out `/`"),
        ('{from: transaction_id, prefix: "a/"}', "`/`", "leave out `/`"),
    ],
)
@pytest.mark.parametrize("of", ["key", "parent"])
def test_a_key_that_always_contains_a_refused_character_is_an_error(compiled, context, key, found, cure, of):
    wish = {"key": key} if of == "key" else {"parent": f"{{sms_key: {key}}}"}
    with pytest.raises(ProblemsFound) as raised:
        rules(compiled, context, **wish)
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("key-character", cure)
    assert problem.message == f"a key of crm may not hold {found}"


@pytest.mark.parametrize("key", [DIGITS, '"{transaction_id}"', "{from: msisdn, phone: national}", '"{keyword}"', "7"])
def test_a_key_that_need_not_contain_a_refused_character_is_accepted(compiled, context, key):
    assert rules(compiled, context, key=key).files


def test_a_key_that_contains_a_refused_character_is_not_sent(ask, context):
    text = FILE.format(key='"{transaction_id}"', parent='"x"')
    (one,) = ask(text, context=context, shape="message", transaction_id="a/7").unplanned
    assert one.reason is Reason.BAD_VALUE
    cure = f"gift_key: this CRM takes no key with `/`: for a phone number, write {DIGITS}"
    assert one.detail == f"1.yaml: all: upsert gift: {cure}"
    (write,) = ask(text, context=context, shape="message", transaction_id="a7").operations
    assert write.key == "a7"


def test_a_crm_that_accepts_every_character_refuses_no_key(compiled, context):
    assert rules(compiled, Context(sources=context.sources, crms=("crm",)), key='"{msisdn}/+"').files


def test_a_match_is_an_error_for_a_crm_that_cannot_search_phone_numbers(compiled, context):
    text = FILE.format(key=DIGITS, parent='"x"') + "        match: {phone: [mobile], none: park, many: park}\n"
    with pytest.raises(ProblemsFound) as raised:
        compiled(text, context=context)
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("no-match", "name the record by `key:` alone")
