"""Statements and questions about stopping wait for a person; requests in nearly the same words are opt-outs."""

import pytest

from connector.consent.opt_out_words import STANDARD, keywords_by_form
from connector.model.consent import Scope
from connector.model.event import Verdict

KEYWORDS = keywords_by_form(["KATT", "HUND"])


def verdict(text):
    return STANDARD.read(text, keywords=KEYWORDS).verdict


@pytest.mark.parametrize(
    "text",
    [
        "Kan jeg stoppe?",
        "Kan jeg si opp senere i dag?",
        "Må jeg si opp?",
        "skal vi slutte nå?",
        "Can I cancel?",
        "You can stop this",
        "Dere kan stoppe dette",
        "Jeg kan stoppe",
        "Det stopper",
        "Alle slutter nå",
        "alle vil stoppe",
        "Dette må stoppe",
        "kan det stoppes",
        "KATT stopper",
    ],
)
def test_a_statement_or_a_question_waits_for_a_person(text):
    assert verdict(text) is Verdict.MAYBE_STOP


@pytest.mark.parametrize(
    "text",
    [
        "Jeg vil stoppe",
        "jeg må slutte",
        "nå må jeg si opp",
        "jeg stopper",
        "Stopper abonnementet",
        "can you stop this please",
        "kan dere stoppe dette",
        "vil du stoppe",
        "alle sms stopp",
        "Dere må slette meg",
        "vil dere stryke meg",
    ],
)
def test_a_request_in_nearly_the_same_words_is_an_opt_out(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["til slutt", "Til slutt: god jul!", "til slutt vil jeg takke"])
def test_finally_is_no_stop(text):
    assert verdict(text) is Verdict.NONE


@pytest.mark.parametrize(
    "text",
    [
        "<p>STOP</p>",
        '<div class="x">KATT stopp</div>',
        "STOPP<br/>",
        "&lt;b&gt;STOP&lt;/b&gt;",
        "<STOP>",
        "ST OP",
        "s topp",
        "S TO P",
        "ꜱᴛᴏᴘ",
        "🄢🄣🄞🄟",
        "%u0053TOP",
        "KATT sotpp",
        "KATT S T O P",
        "KATT.S.T.O.P",
        "K A T T stopp",
        "ΣΤΟΠ",
    ],
)
def test_a_stop_that_is_written_oddly_is_a_stop(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["STOPPALT", "Stopalle!", "stoppall", "STOPP-ALT"])
def test_stop_and_all_in_one_word_is_a_stop_of_everything(text):
    reading = STANDARD.read(text, keywords=KEYWORDS)
    assert (reading.verdict, reading.scope) == (Verdict.OPT_OUT, Scope.PROVIDER)


@pytest.mark.parametrize(
    "text",
    ["STOP2END", "Stop2stop", "afmelden", "hætta", "Jeg trekker meg", "退订", "SAIR", "KATT ikke mer", "KATT no more"],
)
def test_what_may_ask_to_stop_in_some_other_way_waits_for_a_person(text):
    assert verdict(text) is Verdict.MAYBE_STOP


@pytest.mark.parametrize(
    "text", ["3 < 5 stopp ikke", "<p>Takk</p>", "i<b og b>a", "st op i natt kl 3", "<3", "KATT mer", "a b c d e"]
)
def test_text_with_signs_of_a_page_is_no_stop_for_that(text):
    assert verdict(text) is Verdict.NONE
