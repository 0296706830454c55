"""`connector keywords` for Strex, against its sandbox, over HTTP."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from connector.sandbox.strex.app import build

PATH_SECRET = "path-secret"
UNKNOWN = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


class Strex:
    """The sandbox, and the home whose config points at it."""

    def __init__(self, url, home):
        self.url = url
        self.home = home

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request(method, path, json.dumps(body), {"X-ApiKey": "sandbox-key"})
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            return json.loads(reply.read())
        finally:
            connection.close()

    def config(self, old, new):
        text = self.home.config.read_text()
        assert old in text
        self.home.config.write_text(text.replace(old, new, 1))

    def fault(self, name, **more):
        self.call("POST", "/_sandbox/faults", {"fault": name, "path": "/api/keywords", **more})

    def keyword(self, word):
        return next((one for one in self.call("GET", "/api/keywords") if one["keywordText"] == word), None)


@pytest.fixture
def strex(home, monkeypatch, threaded):
    monkeypatch.setenv("SCENE_STREX_SECRET", PATH_SECRET)
    monkeypatch.setenv("SCENE_STREX_KEY", "sandbox-key")
    with threaded(build()) as url:
        there = Strex(url, home)
        there.config("api: {key:", f"api: {{url: {url}, key:")
        there.config("admin:", "listen: {public_url: https://sms.example.org}\nadmin:")
        yield there


def test_all_keywords_are_listed(strex, home):
    listed = home.json("keywords", "list")["keywords"]
    assert [(one["word"], one["short_number"], one["active"]) for one in listed] == [
        ("KATT", "2002", True),
        ("HUND", "2002", True),
        ("MYKEYWORD", "2002", True),
    ]
    assert "https://sms.example.org/none" in home.run("keywords", "list").stdout


def test_a_keyword_is_shown_by_word_alias_or_id(strex, home):
    shown = home.run("keywords", "show", "mykeyword").stdout
    assert "properties.myproperty: custom value" in shown
    assert "webhook: https://sms.example.org/none" in shown
    assert home.json("keywords", "show", "cat")["word"] == "KATT"
    document = home.json("keywords", "show", "12345680")
    assert (document["word"], document["properties"]) == ("MYKEYWORD", {"myproperty": "custom value"})
    assert home.json("keywords", "show", "KATT")["aliases"] == ["CAT"]


def test_a_reserved_keyword_forwards_to_our_endpoint_and_its_secret_is_not_shown(strex, home):
    made = home.run("keywords", "reserve", "SOMMER", "--channel", "2002")
    assert made.exit_code == 0, made.output
    kept = strex.keyword("SOMMER")
    assert kept["forwardUrl"] == f"https://sms.example.org/hooks/strex/mo/{PATH_SECRET}"
    assert kept["keywordId"] in made.stdout
    shown = home.run("keywords", "show", "SOMMER").output
    assert "webhook: https://sms.example.org/hooks/strex/mo/…" in shown
    assert PATH_SECRET not in shown


def test_a_keyword_is_deactivated_and_reactivated_and_keeps_its_other_fields(strex, home):
    before = strex.keyword("MYKEYWORD")
    assert home.json("keywords", "deactivate", "MYKEYWORD") == {"id": "12345680", "active": False}
    assert strex.keyword("MYKEYWORD") == before | {"enabled": False}
    assert home.json("keywords", "reactivate", "12345680")["active"] is True
    assert strex.keyword("MYKEYWORD") == before


def test_the_messages_of_a_keyword_are_forwarded_to_our_endpoint(strex, home):
    said = home.json("keywords", "forward", "katt")
    assert said == {"id": "12345678", "webhook": "https://sms.example.org/hooks/strex/mo"}
    assert strex.keyword("KATT")["forwardUrl"] == f"https://sms.example.org/hooks/strex/mo/{PATH_SECRET}"
    assert PATH_SECRET not in home.run("keywords", "forward", "katt").output


def test_without_our_public_address_nothing_is_forwarded_or_reserved(strex, home):
    strex.config("listen: {public_url: https://sms.example.org}\n", "")
    forward = home.run("keywords", "forward", "katt")
    assert (forward.exit_code, "public_url" in forward.output) == (2, True)
    reserve = home.run("keywords", "reserve", "SOMMER", "--channel", "2002")
    assert (reserve.exit_code, "public_url" in reserve.output) == (1, True)
    assert strex.keyword("SOMMER") is None


def test_a_keyword_is_deleted_after_confirmation(strex, home):
    assert home.run("keywords", "delete", "HUND").exit_code == 1
    assert strex.keyword("HUND")
    assert home.json("keywords", "delete", "HUND", "--yes") == {"id": "12345679", "deleted": True}
    assert strex.keyword("HUND") is None


def test_a_keyword_with_subscribers_is_not_deleted(strex, home):
    strex.call("PUT", "/_sandbox/subscribers", [{"phone": "+4790000001", "keyword": "HUND"}])
    done = home.run("keywords", "delete", "HUND", "--yes")
    assert (done.exit_code, "409" in done.output, "end that there first" in done.output) == (1, True, True)


@pytest.mark.parametrize(
    ("words", "emitted"),
    [
        (("subkeywords", "KATT"), "no sub keywords"),
        (("check", "SOMMER", "--channel", "2002"), "keywords reserve SOMMER --channel 2002"),
        (("reserve", "SOMMER", "--channel", "2002", "--sub", "SOL"), "no sub keywords"),
        (("reserve", "KATT", "--channel", "2002"), "409"),
        (("reserve", "SOMMER", "--channel", "2003"), "(400): shortNumberId must be one of NO-2002"),
        (("show", "NOBODY"), "no keyword `NOBODY`"),
        (("show", UNKNOWN), f"no keyword with the id {UNKNOWN} (404)"),
        (("deactivate", UNKNOWN), "(404)"),
        (("forward", UNKNOWN), "(404)"),
        (("delete", UNKNOWN, "--yes"), "(404)"),
    ],
)
def test_a_refusal_of_strex_is_explained(strex, home, words, emitted):
    done = home.run("keywords", *words)
    assert done.exit_code == 1, done.output
    assert emitted in done.stderr


def test_a_refused_api_key_is_reported_with_its_header(strex, home, monkeypatch):
    monkeypatch.setenv("SCENE_STREX_KEY", "old")
    done = home.run("keywords", "list")
    assert (done.exit_code, "(401)" in done.stderr, "api.rest_header" in done.stderr) == (1, True, True)


def test_the_api_key_is_sent_in_the_header_of_the_config(strex, home):
    strex.call("PUT", "/_sandbox/config", {"rest_header": "X-Other"})
    assert home.run("keywords", "list").exit_code == 1
    strex.config("api: {url:", "api: {rest_header: X-Other, url:")
    assert home.run("keywords", "list").exit_code == 0


def test_a_wrong_address_is_reported(strex, home):
    strex.fault("wrong_address", path="/api/")
    for words in (("list",), ("show", UNKNOWN)):
        done = home.run("keywords", *words)
        assert (done.exit_code, "api.url" in done.stderr) == (1, True), done.output


@pytest.mark.parametrize("fault", ["unavailable", "server_error", "too_many"])
def test_a_call_without_a_reply_has_its_own_exit_code(strex, home, fault):
    strex.fault(fault)
    done = home.run("keywords", "list")
    assert (done.exit_code, "try again later" in done.stderr) == (3, True)


def test_a_change_without_a_reply_is_reported_as_possibly_done(strex, home):
    strex.call("POST", "/_sandbox/faults", {"fault": "dropped", "path": "/api/keywords/12345678", "times": 3})
    done = home.run("keywords", "delete", "KATT", "--yes")
    assert (done.exit_code, "done or not" in done.stderr) == (3, True)
    assert strex.keyword("KATT") is None


def test_check_live_reports_missing_or_inactive_keywords_without_their_address(strex, home):
    rules = (
        "on: strex.message\nrules:\n  - name: one\n    when: {keyword: [KATT, CAT, HUND, SOMMER]}\n    ignore: true\n"
    )
    (home.mappings / "few.yaml").write_text(rules)
    assert home.run("keywords", "deactivate", "HUND").exit_code == 0
    emitted = home.run("check", "--live").output
    assert "no keyword `SOMMER`" in emitted
    assert "`HUND` is not active" in emitted
    assert "are sent" not in emitted
    assert "`KATT`" not in emitted
    assert "`CAT`" not in emitted
