"""Which callbacks without an id count as repeats."""

from datetime import UTC, datetime, timedelta

import pytest
from providers.sumotext_requests import request

from connector.providers.sumotext import deduplicate
from connector.providers.sumotext.callback import Reader
from connector.providers.sumotext.deduplicate import Deduplicator

WINDOW = timedelta(minutes=10)
EDGE = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)  # where one section of time ends and the next begins


class Phone:
    """A phone at Sumotext; says for each thing that it sends whether that is news."""

    def __init__(self, mobile="2125551212"):
        self.mobile = mobile
        self.restart()
        self.known = set()
        self.now = EDGE + timedelta(minutes=1)

    def restart(self):
        self.reader = Reader(provider="sumotext", deduplicator=Deduplicator(window=WINDOW))

    def sends(self, query, endpoint="poll", **later):
        self.now += timedelta(**later)
        event = self.reader.read(endpoint, request(f"mobile={self.mobile}&key=FB1&{query}", at=self.now))
        news = event.key not in self.known
        self.known.add(event.key)
        return news

    def texts(self, text, **later):
        return self.sends(f"msg={text}", "crm", **later)


@pytest.fixture
def phone():
    return Phone()


def test_the_same_vote_within_the_window_is_a_repeat(phone):
    assert [phone.sends("reply=A"), phone.sends("reply=A", seconds=1), phone.sends("reply=A", minutes=9)] == [
        True,
        False,
        False,
    ]


def test_the_order_of_parameters_does_not_matter(phone):
    assert phone.sends("reply=A&label=Tampa")
    assert not phone.sends("label=Tampa&reply=A")


def test_the_same_vote_after_the_window_is_a_new_event(phone):
    assert phone.sends("reply=A")
    assert phone.sends("reply=A", minutes=10)


def test_a_repeat_in_the_next_section_of_time_is_a_repeat(phone):
    phone.now = EDGE - timedelta(seconds=1)
    assert phone.sends("reply=A")
    assert not phone.sends("reply=A", seconds=2)


def test_another_phone_endpoint_or_reply_is_a_new_event(phone):
    assert phone.sends("reply=A")
    other = Phone("2125551213")
    other.reader, other.known = phone.reader, phone.known
    assert other.sends("reply=A")
    assert phone.sends("reply=B")
    assert phone.sends("msg=hi", "crm")
    assert phone.sends("msg=hi", "text4info")


def test_each_change_of_a_vote_is_a_new_event(phone):
    assert [phone.sends(f"reply={vote}", seconds=1) for vote in "ABABAB"] == [True] * 6
    assert not phone.sends("reply=B")


def test_a_stop_after_a_start_counts_however_soon(phone):
    assert [phone.texts(text, seconds=1) for text in ("STOP", "START", "STOP")] == [True, True, True]
    assert not phone.texts("STOP", seconds=1)


def test_a_stop_after_a_start_at_another_endpoint_counts(phone):
    assert phone.texts("STOP")
    assert phone.sends("smsid=5&msg=START", "mo")
    assert phone.texts("STOP", seconds=1)


def test_a_late_repeat_of_a_start_does_not_revert_a_stop(phone):
    assert phone.texts("START")
    assert phone.texts("STOP", seconds=1)
    assert not phone.texts("START", seconds=1)
    assert phone.texts("START", minutes=10)


def test_a_repeat_in_the_same_section_of_time_is_recognised_after_a_restart(phone):
    assert phone.sends("reply=A")
    phone.restart()
    assert not phone.sends("reply=A", seconds=5)


def test_a_stop_that_may_be_a_repeat_after_a_restart_is_a_new_event(phone):
    assert phone.texts("STOP")
    assert phone.texts("START", seconds=1)
    phone.restart()
    assert phone.texts("STOP", seconds=1)


def test_messages_with_an_id_are_repeats_only_by_their_id(phone):
    assert phone.sends("smsid=5&msg=hi", "mo")
    assert phone.sends("smsid=6&msg=hi", "mo")
    assert not phone.sends("smsid=5&msg=hi", "mo", days=2)


def test_a_repeat_is_recognised_after_the_clock_is_set_back(phone):
    assert phone.sends("reply=A")
    assert not phone.sends("reply=A", hours=-1)


def test_the_number_of_remembered_messages_is_limited():
    memory = Deduplicator(window=timedelta(days=3))
    reader = Reader(provider="sumotext", deduplicator=memory)
    for number in range(deduplicate.MAX + 100):
        reader.read("poll", request(f"mobile=21255{number:05}&reply=A"))
    assert len(memory._seen) == len(memory._last) == deduplicate.MAX


def test_a_key_cannot_be_guessed_without_the_secret_of_the_endpoints():
    def key(secret):
        reader = Reader(provider="sumotext", deduplicator=Deduplicator(window=WINDOW, secret=secret))
        return reader.read("poll", request("mobile=2125551212&key=FB1&reply=A", at=EDGE)).key

    assert key(b"one") == key(b"one") != key(b"other")
