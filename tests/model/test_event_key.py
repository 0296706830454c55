"""Keys of events: the CRM may compare them without letter case, and two events never have the same key."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model.event import KEY_FORM, event_key, joined_key

IDS = st.text(alphabet=string.ascii_letters + string.digits + "-_.å", min_size=1, max_size=90)


@given(IDS, IDS)
def test_two_ids_never_get_one_key_whatever_their_letters(one, other):
    keys = [event_key("strex", "dlr", each, "Ok", "Delivered") for each in (one, other)]
    assert (keys[0].lower() == keys[1].lower()) == (one == other)
    assert all(KEY_FORM.fullmatch(key) for key in keys)


@given(IDS)
def test_an_id_in_other_letters_is_another_event(one):
    others = {one, one.upper(), one.lower(), one.swapcase()}
    assert len({event_key("p", "mo", each).lower() for each in others}) == len(others)


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("strex", "mo", "28738980-328d-488f"), "strex-mo-28738980-328d-488f"),
        # A status is a word of the sender, and no id.
        (("strex", "dlr", "28738980-328d", "Ok", "Delivered"), "strex-dlr-28738980-328d-Ok-Delivered"),
        (("MyStrex", "mo", "1"), "MyStrex-mo-1"),
    ],
)
def test_ids_without_capital_letters_keep_their_keys(parts, key):
    assert event_key(*parts) == key


def test_an_id_of_a_crm_keeps_its_letters():
    """The 18 characters of a Salesforce Id tell two records apart without their case."""
    assert joined_key("sf", "change", "003000000000001AAA", "x") == "sf-change-003000000000001AAA-x"
