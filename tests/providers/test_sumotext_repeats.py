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


def test_the_same_vote_within_the_window_counts_once(phone):
    assert [phone.sends("reply=A"), phone.sends("reply=A", seconds=1), phone.sends("reply=A", minutes=9)] == [
        True,
        False,
        False,
    ]


def test_the_order_of_parameters_does_not_matter(phone):
    assert phone.sends("reply=A&label=Tampa")
    assert not phone.sends("label=Tampa&reply=A")


def test_behind_the_window_the_same_vote_is_news(phone):
    assert phone.sends("reply=A")
    assert phone.sends("reply=A", minutes=10)


def test_a_repeat_behind_an_edge_of_time_is_one(phone):
    phone.now = EDGE - timedelta(seconds=1)
    assert phone.sends("reply=A")
    assert not phone.sends("reply=A", seconds=2)


def test_another_phone_another_door_and_another_answer_are_news(phone):
    assert phone.sends("reply=A")
    other = Phone("2125551213")
    other.reader, other.known = phone.reader, phone.known
    assert other.sends("reply=A")
    assert phone.sends("reply=B")
    assert phone.sends("msg=hi", "crm")
    assert phone.sends("msg=hi", "text4info")


def test_changing_ones_mind_and_back_again_is_news_each_time(phone):
    assert [phone.sends(f"reply={vote}", seconds=1) for vote in "ABABAB"] == [True] * 6
    assert not phone.sends("reply=B")


def test_a_stop_after_a_start_counts_however_soon(phone):
    assert [phone.texts(text, seconds=1) for text in ("STOP", "START", "STOP")] == [True, True, True]
    assert not phone.texts("STOP", seconds=1)


def test_a_stop_after_a_start_by_another_way_counts(phone):
    assert phone.texts("STOP")
    assert phone.sends("smsid=5&msg=START", "mo")
    assert phone.texts("STOP", seconds=1)


def test_a_start_that_is_sent_again_late_takes_back_no_stop(phone):
    assert phone.texts("START")
    assert phone.texts("STOP", seconds=1)
    assert not phone.texts("START", seconds=1)
    assert phone.texts("START", minutes=10)


def test_after_a_restart_a_repeat_is_still_known_within_its_section_of_time(phone):
    assert phone.sends("reply=A")
    phone.restart()
    assert not phone.sends("reply=A", seconds=5)


def test_after_a_restart_a_stop_is_news_in_doubt(phone):
    assert phone.texts("STOP")
    assert phone.texts("START", seconds=1)
    phone.restart()
    assert phone.texts("STOP", seconds=1)


def test_messages_with_an_id_are_repeats_by_it_alone(phone):
    assert phone.sends("smsid=5&msg=hi", "mo")
    assert phone.sends("smsid=6&msg=hi", "mo")
    assert not phone.sends("smsid=5&msg=hi", "mo", days=2)


def test_a_clock_set_back_makes_no_news(phone):
    assert phone.sends("reply=A")
    assert not phone.sends("reply=A", hours=-1)


def test_what_is_remembered_has_an_end():
    memory = Deduplicator(window=timedelta(days=3))
    reader = Reader(provider="sumotext", deduplicator=memory)
    for number in range(deduplicate.MAX + 100):
        reader.read("poll", request(f"mobile=21255{number:05}&reply=A"))
    assert len(memory._seen) == len(memory._last) == deduplicate.MAX


def test_a_key_cannot_be_guessed_without_the_secret_of_the_doors():
    def key(secret):
        reader = Reader(provider="sumotext", deduplicator=Deduplicator(window=WINDOW, secret=secret))
        return reader.read("poll", request("mobile=2125551212&key=FB1&reply=A", at=EDGE)).key

    assert key(b"one") == key(b"one") != key(b"other")
