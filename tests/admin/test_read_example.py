"""Bodies and addresses that a person has, such as the examples of the providers' documents."""

from datetime import timedelta

import pytest
from providers.messagecloud_requests import NOW
from providers.sumotext_requests import SAMPLES

from connector.admin.parse_stored import read_example
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.sumotext.callback import CALLBACKS, Reader
from connector.providers.sumotext.deduplicate import Deduplicator

POLL = (SAMPLES / "poll.url").read_bytes().strip()
QUERY = POLL.partition(b"?")[2]


def properties(endpoint, example):
    reader = Reader(provider="sumotext", deduplicator=Deduplicator(window=timedelta(minutes=10)))
    (part,) = read_example(FormEndpoint(name=endpoint, reader=reader), example, NOW)
    return part.event and (part.event.keyword, part.event.text, part.event.properties)


@pytest.mark.parametrize(
    "example",
    [
        POLL,
        b"\n" + POLL + b"\r\n",
        b"GET " + POLL + b" HTTP/1.1",
        b"GET /sumotext.aspx?" + QUERY + b" HTTP/1.1",
        b"?" + QUERY,
        QUERY,
    ],
)
def test_the_documented_address_is_read_like_its_query(example):
    assert properties("poll", example) == ("FB1", "A", {"carrier": "VERIZONUS", "reply": "A", "label": "Tampa"})


@pytest.mark.parametrize(
    ("endpoint", "name", "keyword"), [("crm", "web-form", "SOMEKEY"), ("text4info", "text-4-info", "keyword")]
)
def test_each_documented_address_of_sumotext_is_read(endpoint, name, keyword):
    assert endpoint in CALLBACKS
    assert properties(endpoint, (SAMPLES / f"{name}.url").read_bytes())[0] == keyword


def test_a_question_mark_in_a_form_is_not_the_end_of_an_address():
    assert properties("text4info", b"lead=K&mobile=2125551212&msg=STOP?&x=http://example.com/?a=1")[1] == "STOP?"
