"""A feed's position after its fields or consent fields changed: what is compared, and what is only recorded."""

from types import SimpleNamespace

import orjson
import pytest

from connector.model.consent_fields import ConsentFields
from connector.pipeline.cursor import Cursor
from connector.ports import Page

CONSENT = ConsentFields(object="Contact", flag="Out", phone="Mobile")


def feed(*fields, keys=("Key",)):
    return SimpleNamespace(fields=fields or ("Mobile", "Out"), key_fields=keys)


def followed(*fields, last=True, before=None, consent=CONSENT, keys=("Key",)):
    """The stored cursor after a page of such a feed."""
    cursor = Cursor.read(before, feed(*fields, keys=keys), consent)
    return cursor.after(Page(position="p", last=last), "poll-1")


def test_the_first_poll_of_a_new_feed_compares_nothing():
    cursor = Cursor.read(None, feed(), CONSENT)
    assert (cursor.first, cursor.baseline, cursor.position) == (True, True, None)
    assert cursor.compared(feed(), {"Out": True}) == ()


def test_an_unfinished_first_poll_continues():
    cursor = Cursor.read(followed(last=False), feed(), CONSENT)
    assert (cursor.first, cursor.position) == (True, "p")


def test_after_the_first_poll_all_fields_are_compared():
    cursor = Cursor.read(followed(), feed(), CONSENT)
    assert (cursor.first, cursor.baseline, cursor.position) == (False, False, "p")
    assert cursor.compared(feed(), None) == ("Mobile", "Out")


def test_an_added_field_makes_all_records_be_read_and_is_not_compared():
    watched = feed("Mobile", "Out", "Amount")
    cursor = Cursor.read(followed(), watched, CONSENT)
    assert (cursor.first, cursor.baseline, cursor.position) == (False, True, None)
    assert cursor.compared(watched, {"Amount": 1}) == ("Mobile", "Out")
    # The same holds in the middle of it, and when a field more is added then.
    middle = followed("Mobile", "Out", "Amount", before=followed(), last=False)
    assert Cursor.read(middle, watched, CONSENT).compared(watched, None) == ("Mobile", "Out")
    more = feed("Mobile", "Out", "Amount", "Name")
    assert Cursor.read(middle, more, CONSENT).compared(more, None) == ("Mobile", "Out")
    done = followed("Mobile", "Out", "Amount", before=middle)
    assert Cursor.read(done, watched, CONSENT).compared(watched, None) == ("Mobile", "Out", "Amount")


def test_a_field_added_during_the_first_poll_does_not_end_it():
    watched = feed("Mobile", "Out", "Amount")
    assert Cursor.read(followed(last=False), watched, CONSENT).first


def test_a_removed_field_keeps_the_position():
    cursor = Cursor.read(followed("Mobile", "Out", "Amount"), feed(), CONSENT)
    assert (cursor.baseline, cursor.position) == (False, "p")


@pytest.mark.parametrize(
    "other",
    [
        ConsentFields(object="Contact", flag="Other", phone="Mobile"),
        ConsentFields(object="Contact", flag="Out", opted_out="yes", phone="Mobile"),
        ConsentFields(object="Contact", flag="Out", phone="Home"),
        ConsentFields(object="Contact", flag="Out", phone="Mobile", country="Land"),
    ],
)
def test_changed_consent_fields_make_all_records_be_read_and_compared(other):
    cursor = Cursor.read(followed(), feed(), other)
    assert (cursor.first, cursor.baseline) == (False, True)
    assert cursor.compared(feed(), None) == ("Mobile", "Out")


def test_a_cursor_of_an_earlier_version_is_continued():
    old = orjson.dumps({"fields": ["Key", "Mobile", "Out"], "position": "p", "baseline": False}).decode()
    cursor = Cursor.read(old, feed(), CONSENT)
    assert (cursor.baseline, cursor.position) == (False, "p")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"fields": 7}', '{"fields": ["Out"]}'])
def test_an_unreadable_cursor_restarts_the_feed_and_compares_fields_of_the_shadows(text):
    cursor = Cursor.read(text, feed(), CONSENT)
    assert (cursor.first, cursor.baseline, cursor.position) == (False, True, None)
    assert cursor.compared(feed(), {"Out": True}) == ("Out",)
    assert cursor.compared(feed(), None) == ()
    middle = Cursor.read(cursor.after(Page(position="p", last=False), "poll-1"), feed(), CONSENT)
    assert (middle.first, middle.position, middle.compared(feed(), {"Out": True})) == (False, "p", ("Out",))


def test_a_poll_keeps_its_id_until_its_last_page():
    cursor = Cursor.read(None, feed(), CONSENT)
    middle = Cursor.read(cursor.after(Page(position="p", last=False), "poll-1"), feed(), CONSENT)
    assert middle.poll == "poll-1"
    assert Cursor.read(middle.after(Page(position="q"), "poll-1"), feed(), CONSENT).poll is None
