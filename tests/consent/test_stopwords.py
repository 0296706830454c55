import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.consent.stopwords import Stop, read_stop
from connector.model.consent import Scope

NUMBER, PROVIDER, ONE = Scope.SHORT_NUMBER, Scope.PROVIDER, Scope.SUBSCRIPTION


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("STOP", Stop(NUMBER)),
        ("  stopp! ", Stop(NUMBER)),
        ("\u200bStop.", Stop(NUMBER)),
        ("opt out", Stop(NUMBER)),
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


@given(st.text())
def test_no_text_breaks_it(text):
    read_stop(text)
