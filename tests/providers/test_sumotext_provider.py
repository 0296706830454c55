"""Sumotext's settings, endpoints and authenticators."""

import textwrap

import pytest
from providers.sumotext_requests import request, sample
from pydantic import SecretStr
from scripted_http import ask

from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.model.errors import HttpRejected
from connector.model.phone import Phone
from connector.model.problem import ProblemsFound
from connector.ports import AuthResult
from connector.providers.auth import AddressList, BasicAuth, PathSecret
from connector.providers.sumotext.provider import SHAPES, build, commands
from connector.providers.sumotext.settings import SumotextSettings

FULL = """
path_secrets: [{env: NEW}, {env: OLD}]
basic_auth: {username: sumotext, password: {env: PASSWORD}}
addresses: [192.0.2.7]
short_number: 84700
region: CA
countries: {norway: "NO"}
stop_words: [Slutt nå]
start_words: [SOMEKEY]
repeat_window: 1h
"""


def settings(text):
    return load(parse(textwrap.dedent(text), "config.yaml"), SumotextSettings)


def provider(text, name="sumotext"):
    return build(name, settings(text), lambda ref: SecretStr(f"the {ref.env}"))


def endpoint(made, name):
    return next(one for one in made.endpoints if one.name == name)


def admitted(one, asked):
    """Whether the endpoint accepts the request; it makes no call."""
    ask(lambda http: one.authenticate(http, asked))


def test_there_is_an_endpoint_for_each_callback_and_no_command():
    made = provider("open: true", name="texts")
    assert [(one.provider, one.name) for one in made.endpoints] == [
        ("texts", name) for name in ("crm", "poll", "text4info", "mo", "dlr")
    ]
    assert all(one.methods == {"GET", "POST"} for one in made.endpoints)
    assert {one.answer(None, None).status for one in made.endpoints} == {200}
    assert {one.answer(None, None).body for one in made.endpoints} == {b"OK"}
    assert made.sink is None
    assert not made.commands
    assert not commands(settings("open: true"))


def test_every_shape_of_an_endpoint_can_be_used_in_a_mapping():
    made = provider("open: true")
    queries = {
        "crm": sample("web-form"),
        "poll": sample("poll"),
        "text4info": sample("text-4-info"),
        "mo": "mobile=1&smsid=1",
        "dlr": "sumoid=1",
    }
    brought = {
        endpoint(made, name).read(request(query), AuthResult())[0].event.shape for name, query in queries.items()
    }
    assert brought == set(SHAPES)


def test_the_reader_has_all_settings():
    made = provider(FULL)
    assert all(
        [type(lock) for lock in one.authenticators] == [AddressList, PathSecret, BasicAuth] for one in made.endpoints
    )
    reader = made.endpoints[0].reader
    assert (reader.short_number, reader.region) == ("84700", "CA")
    assert (reader.countries["NORWAY"], reader.countries["USA"]) == ("NO", "US")
    assert "Slutt nå" in reader.words.more_stop_words
    assert {"somekey", "start"} <= reader.start_words
    assert reader.deduplicator.window.total_seconds() == 3600


def test_only_the_path_secret_is_accepted():
    one = endpoint(provider("path_secrets: [{env: KEY}]"), "crm")
    admitted(one, request(secret="the KEY"))
    for wrong in (None, "KEY"):
        with pytest.raises(HttpRejected) as caught:
            admitted(one, request(secret=wrong))
        assert caught.value.status == 401


def test_query_and_body_of_a_callback_are_stored_even_if_unreadable():
    one = endpoint(provider("open: true"), "crm")
    (read,) = one.read(request("mobile=2125551212&Name=Bill", body=b"Zip=10024"), AuthResult())
    assert (read.raw, read.event.msisdn) == (b"mobile=2125551212&Name=Bill&Zip=10024", Phone("+12125551212"))
    (unread,) = one.read(request("key=SOMEKEY", body=b"Zip=10024"), AuthResult())
    assert (unread.raw, unread.event, unread.why) == (b"key=SOMEKEY&Zip=10024", None, "no mobile")


def test_a_stored_callback_can_be_read_again():
    one = endpoint(provider("open: true"), "crm")
    (first,) = one.read(request("mobile=2125551212&Name=Bill", body=b"Zip=10024"), AuthResult())
    (again,) = one.read(request(body=first.raw, content_type="application/json"), AuthResult())
    assert again.event == first.event


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "anybody could send events"),
        ("{open: true, addresses: [192.0.2.7]}", "contradicts"),
        ("{open: true, countries: {NOR: Norway}}", "two-letter code of a country"),
        ("{open: true, region: Norway}", "two-letter code of a country"),
        ("{open: true, repeat_window: 0s}", "at least"),
        ("{open: true, repeat_window: 4d}", "at most"),
        ("{open: true, stop_words: ['']}", "too short"),
        ("{open: true, signature: {mode: required}}", "unknown key"),
    ],
)
def test_a_wrong_setting_is_reported(text, said):
    with pytest.raises(ProblemsFound) as caught:
        settings(text)
    assert any(said in str(problem) for problem in caught.value.problems)


def test_the_cure_for_no_authenticator_names_the_possible_ones():
    with pytest.raises(ProblemsFound) as caught:
        settings("{}")
    (problem,) = caught.value.problems
    assert "path_secrets, basic_auth, addresses; or say `open: true`" in problem.hint


def test_an_open_endpoint_accepts_everybody():
    for one in provider("open: true").endpoints:
        admitted(one, request())
