"""OnlineFundraising's settings: authenticators, queries, and reported mistakes."""

import textwrap
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from scripted_http import ask

from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.model.errors import HttpRejected
from connector.model.http import HttpReply, HttpRequest
from connector.model.problem import ProblemsFound
from connector.providers.auth import AddressList, PathSecret
from connector.providers.onlinefundraising.provider import build, commands
from connector.providers.onlinefundraising.settings import OnlineFundraisingSettings

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
FULL = """
type: onlinefundraising
path_secrets: [{env: NEW}, {env: OLD}]
addresses: [192.0.2.7]
address_list: {url: "https://example.org/list.json?x=1", refresh: 6h}
api: {url: "https://api.example.org/v1/", key: {env: KEY}}
catch_up: {every: 5m, overlap: 2h, page_size: 50, keywords_every: 3h}
keywords: [HJÆLP]
stop_words: [Slut]
"""


def settings(text):
    return load(parse(textwrap.dedent(text), "config.yaml"), OnlineFundraisingSettings)


def provider(text, name="onlinefundraising"):
    return build(name, settings(text), lambda ref: SecretStr(f"the {ref.env}"))


def request(peer, at=NOW):
    return HttpRequest(
        method="POST",
        instance="onlinefundraising",
        endpoint="sms",
        secret="the NEW",
        url="",
        query="",
        headers={},
        body=b"",
        peer=peer,
        received_at=at,
    )


async def test_full_settings_are_all_used():
    made = provider(FULL, name="dk")
    (endpoint,) = made.endpoints
    assert (endpoint.provider, endpoint.name, endpoint.methods, endpoint.answer(None, None).status) == (
        "dk",
        "sms",
        {"POST"},
        200,
    )
    assert [type(lock) for lock in endpoint.authenticators] == [PathSecret]
    assert (endpoint.published.url, endpoint.published.refresh) == (
        "https://example.org/list.json?x=1",
        timedelta(hours=6),
    )
    assert endpoint.reader.keywords == {"hjælp": "HJÆLP"}
    assert "Slut" in endpoint.reader.words.more_stop_words
    assert await made.credentials.authorization() == ("https://api.example.org/v1", {"Authorization": "the KEY"})
    assert {one.name: one.every for one in made.pollers} == {
        "dk.messages": timedelta(minutes=5),
        "dk.keywords": timedelta(hours=3),
    }
    assert (made.keywords.configured, made.keywords.endpoint) == (("HJÆLP",), "sms")
    assert (made.sink, commands(settings(FULL))) == (None, frozenset())


def admit(endpoint, asked, body=None):
    """Let the request knock; returns the call that it cost. Raises Refused."""
    replies = [] if body is None else [HttpReply(status=200, headers={}, body=body)]
    _, http = ask(lambda http: endpoint.authenticate(http, asked), *replies)
    return [(call.base, call.path) for call in http.calls]


def test_configured_addresses_are_accepted_beside_the_published_ones():
    (endpoint,) = provider(FULL).endpoints
    assert admit(endpoint, request("192.0.2.7")) == []
    published = b'["198.51.100.1"]'
    assert admit(endpoint, request("198.51.100.1"), published) == [("https://example.org", "/list.json?x=1")]
    assert admit(endpoint, request("198.51.100.1")) == []
    with pytest.raises(HttpRejected) as caught:
        admit(endpoint, request("198.51.100.2"))
    assert caught.value.status == 403


def test_configured_addresses_without_a_published_list_are_an_authenticator():
    (endpoint,) = provider("addresses: [192.0.2.7]").endpoints
    assert [type(lock) for lock in endpoint.authenticators] == [AddressList]
    assert endpoint.published is None


@pytest.mark.parametrize("text", ["path_secrets: [{env: A}]", "address_list: {}", "addresses: [192.0.2.7]"])
def test_one_authenticator_is_enough(text):
    assert not settings(text).open
    with pytest.raises(ProblemsFound, match="contradicts"):
        settings(f"{text}\nopen: true")


def test_without_api_settings_nothing_is_polled():
    made = provider("open: true")
    assert (made.pollers, made.keywords) == ((), None)


def test_the_catch_up_poll_can_be_turned_off():
    made = provider("{open: true, api: {url: 'https://x', key: {env: K}}, catch_up: {enabled: false}}")
    assert made.pollers == ()
    assert made.keywords is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "anybody could send events.*address_list"),
        ("{open: true, api: {key: {env: K}}}", "url"),
        ("{open: true, api: {url: 'https://x'}}", "key"),
        ("{open: true, api: {url: 'https://x?y=1', key: {env: K}}}", "not a base address"),
        ("{open: true, api: {url: 'http://x', key: {env: K}}}", "unencrypted"),
        ("address_list: {url: 'http://example.org/x'}", "unencrypted"),
        ("address_list: {url: 'example.org'}", "not an address"),
        ("address_list: {refresh: 1s}", "refresh"),
        ("{open: true, catch_up: {every: 1s}}", "every"),
        ("{open: true, catch_up: {page_size: 0}}", "page_size"),
        ("{open: true, keyword: [x]}", "did you mean `keywords`"),
    ],
)
def test_a_wrong_setting_is_reported(text, said):
    with pytest.raises(ProblemsFound, match=said):
        settings(text)
