import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.consent.stopwords import START_WORDS, STOP_WORDS, Stop, plain_words, read_stop
from connector.model.consent import Scope

NUMBER, PROVIDER, ONE = Scope.SHORT_NUMBER, Scope.PROVIDER, Scope.SUBSCRIPTION


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("STOP", Stop(NUMBER)),
        ("  stopp! ", Stop(NUMBER)),
        ("\u200bStop.", Stop(NUMBER)),
        ("opt out", Stop(NUMBER)),
        ("StopAll", Stop(NUMBER)),
        ("STOPP ALLE", Stop(PROVIDER)),
        ("stop all", Stop(PROVIDER)),
        ("KATT STOPP", Stop(ONE, "katt")),
        ("Stop  STØT", Stop(ONE, "støt")),
        ("ask mycampaign stop", Stop(PROVIDER)),
        ("please do not stop", None),
        ("KATT", None),
        ("stop it now", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_whole_message_is_a_stop(text, stop):
    assert read_stop(text) == stop


def test_no_word_means_both_and_all_are_written_as_they_are_compared():
    assert not START_WORDS & STOP_WORDS
    assert all(plain_words(word) == word for word in START_WORDS | STOP_WORDS)
    assert {"start", "yes", "unstop"} <= START_WORDS


@given(st.text())
def test_no_text_breaks_it(text):
    read_stop(text)
