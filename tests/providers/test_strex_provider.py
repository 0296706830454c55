import textwrap

import pytest
from pydantic import SecretStr

from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.model.consent import Subscription
from connector.model.problem import ProblemsFound
from connector.providers.auth import AddressList, BasicAuth, PathSecret
from connector.providers.strex.provider import build
from connector.providers.strex.settings import StrexSettings

FULL = """
type: strex
path_secrets: [{env: NEW}, {env: OLD}]
basic_auth: {username: strex, password: {env: PASSWORD}}
addresses: [192.0.2.7, 2001:db8::/32]
signature: {mode: required, drift: 2m}
api: {url: "https://test.target365.io/", key: {env: KEY}, header: X-ApiKey, form: "Bearer {key}"}
subscriptions:
  - {short_number: 2002, keyword: KATT, keyword_id: 12345678}
stop_words: [Meld av]
"""


def settings(text):
    return load(parse(textwrap.dedent(text), "config.yaml"), StrexSettings)


def provider(text, name="strex"):
    return build(name, settings(text), lambda ref: SecretStr(f"the {ref.env}"))


def problems(text):
    with pytest.raises(ProblemsFound) as caught:
        settings(text)
    return [str(problem) for problem in caught.value.problems]


def test_full_settings_make_every_authenticator():
    made = provider(FULL)
    assert [endpoint.name for endpoint in made.endpoints] == ["mo", "dlr"]
    for endpoint in made.endpoints:
        assert [type(lock) for lock in endpoint.authenticators] == [AddressList, PathSecret, BasicAuth]
        assert endpoint.signature.required
        assert endpoint.signature.drift.total_seconds() == 120
        assert endpoint.methods == {"POST"}
        assert endpoint.answer(None, None).status == 200
    assert made.subscriptions == (
        Subscription(provider="strex", short_number="2002", keyword="KATT", keyword_id="12345678"),
    )
    assert "Meld av" in made.endpoints[0].reader.words.more_stop_words


async def test_the_api_key_is_sent_as_the_settings_say():
    made = provider(FULL)
    assert await made.credentials.authorization() == ("https://test.target365.io", {"X-ApiKey": "Bearer the KEY"})
    plain = provider("{open: true, api: {key: {env: KEY}}}")
    assert await plain.credentials.authorization() == ("https://shared.target365.io", {"Authorization": "the KEY"})


def test_the_provider_has_the_name_of_the_config():
    made = provider("{open: true, api: {key: {env: KEY}}}", name="strex-no")
    assert {endpoint.provider for endpoint in made.endpoints} == {"strex-no"}
    assert made.sink.name == "strex-no"
    assert made.commands == {"stop", "unsubscribe", "changesubscriberprice"}


def test_without_an_api_key_there_are_no_commands():
    made = provider("open: true")
    assert made.sink is None
    assert not made.commands


@pytest.mark.parametrize("text", ["{}", "type: strex", "signature: {mode: if_present}", "api: {key: {env: KEY}}"])
def test_a_provider_without_an_authenticator_is_a_problem_with_a_cure(text):
    (problem,) = problems(text)
    assert "anybody could send events" in problem
    assert "open: true" in problem


@pytest.mark.parametrize("text", ["path_secrets: [{env: A}]", "addresses: [192.0.2.7]", "signature: {mode: required}"])
def test_one_authenticator_is_enough(text):
    assert not settings(text).open
    assert "contradicts" in problems(f"{text}\nopen: true")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path_secrets: [{env: A}, {env: B}, {env: C}]", "path_secrets"),
        ("addresses: [192.0.2]", "not an address or network"),
        ("{open: true, api: {url: 'ftp://x'}}", "not a base address"),
        ("{open: true, api: {url: 'http://shared.target365.io'}}", "unencrypted"),
        ("{open: true, api: {url: 'https://u:p@x'}}", "not a base address"),
        ("{open: true, api: {form: Bearer}}", "no place"),
        ("{open: true, api: {header: 'X Key'}}", "expected form"),
        ("{open: true, path_secret: x}", "path_secret"),
        ("{open: true, signature: {mode: on}}", "if_present"),
    ],
)
def test_a_wrong_setting_is_reported(text, said):
    assert any(said in problem for problem in problems(text))


def test_a_sandbox_on_loopback_needs_no_encryption():
    assert settings("{open: true, api: {url: 'http://127.0.0.1:8081/'}}").api.url == "http://127.0.0.1:8081"
