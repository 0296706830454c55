"""Every keyword endpoint of OnlineFundraising through the command line, with rejections; and the result of `check --live`."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest

from connector.sandbox.onlinefundraising import app as onlinefundraising
from connector.sandbox.salesforce import app as salesforce

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parents[1] / "samples" / "onlinefundraising"
KEYWORD, SUB = "b8a26c17-55f7-4e80-a144-xxxxxxxxxxxx", "b9e23j99-55f7-4e80-a144-xxxxxxxxxxxx"
CONFIG = """\
store: {{path: connector.db, ballast: 0B, free_space_floor: 0B}}
default_region: DK
timezone: Europe/Copenhagen
{listen}
providers:
  onlinefundraising:
    path_secrets: [{{env: OF_SECRET}}]
    api: {{url: {provider}, key: {{env: OF_KEY}}}}
    keywords: {own}
crm:
  salesforce:
    url: {crm}
    sign_in: {{client_id: sandbox, client_secret: {{env: OF_CRM}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text())


class Account:
    """A home whose config knows the sandbox, and the sandbox."""

    def __init__(self, home, url):
        self.home, self.url = home, url
        self.json, self.run = home.json, home.run
        shutil.rmtree(home.mappings)
        home.mappings.mkdir()
        shutil.copy(ROOT / "mappings" / "more" / "onlinefundraising.yaml", home.mappings)
        self.configure()

    def configure(self, *, url=None, crm="https://acme.my.salesforce.com", own="[]", listen=""):
        self.home.config.write_text(CONFIG.format(provider=url or self.url, crm=crm, own=own, listen=listen))

    def ask(self, what, body=None, method="GET"):
        content = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/_sandbox/{what}", content, method=method)
        ) as said:
            return json.load(said)

    def put(self, what, body):
        return self.ask(what, body, "PUT")

    def fault(self, fault, times=1):
        return self.ask("faults", {"fault": fault, "times": times}, "POST")

    def calls(self):
        return self.ask("calls")

    def refused(self, *words, code=1):
        done = self.run("keywords", *words)
        assert (done.exit_code, done.stdout) == (code, ""), done.output
        assert "sandbox-key" not in done.output
        return done.stderr


@pytest.fixture
def account(home, threaded, monkeypatch):
    for name, value in {"OF_KEY": "sandbox-key", "OF_SECRET": "made-up-secret", "OF_CRM": "sandbox"}.items():
        monkeypatch.setenv(name, value)
    with threaded(onlinefundraising.build()) as url:
        made = Account(home, url)
        made.put("keywords", [sample("keyword"), *sample("keywords")])
        yield made


def test_the_list_shows_the_documented_keywords(account):
    keyword, sub = account.json("keywords", "list")["keywords"]
    assert (keyword["id"], keyword["word"], keyword["sub_word"], keyword["active"]) == (KEYWORD, "tifo", None, True)
    assert (sub["id"], sub["sub_word"], sub["webhook"]) == (SUB, "100", "https://enb64ilxmkaj8wr.org")
    assert sub["created"] == "2019-10-17T12:37:26+00:00"
    lines = account.run("keywords", "list").stdout
    assert KEYWORD in lines
    assert SUB in lines
    assert account.calls() == ["GET /keywords 200"] * 2


@pytest.mark.parametrize("named", [[KEYWORD], ["tifo"], ["TIFO", "--channel", "1217"]])
def test_show_prints_all_fields_of_the_documented_keyword(account, named):
    found = account.json("keywords", "show", *named)
    assert found["campaign_id"] == "c669d751-a82c-476f-9fbe-xxxxxxxxxxxx"
    assert (found["idle_text"], found["short_number"]) == ("Not understood", "1217")
    assert (found["starts"], found["ends"]) == ("2019-10-01T12:37:26+00:00", "2019-10-31T12:37:26+00:00")
    assert "idle text: Not understood" in account.run("keywords", "show", *named).stdout
    assert account.calls()[-1] == f"GET /keyword/{KEYWORD} 200"


def test_show_prints_a_sub_keyword(account):
    assert account.json("keywords", "show", "tifo", "--sub", "100")["id"] == SUB


def test_the_sub_keywords_of_a_keyword_are_listed(account):
    (found,) = account.json("keywords", "subkeywords", "tifo")["keywords"]
    assert (found["id"], found["sub_word"]) == (SUB, "100")
    assert account.calls()[-1] == f"GET /keyword/{KEYWORD}/subkeywords 200"


def test_check_ends_with_1_for_a_taken_keyword(account):
    account.put("rules", {"taken": [["1217", "MAD"]]})
    assert account.json("keywords", "check", "hjælp", "--channel", "1217")["free"] is True
    assert account.json("keywords", "check", "tifo", "--channel", "1217", code=1)["free"] is False
    assert account.json("keywords", "check", "mad", "--channel", "1217", code=1)["free"] is False
    assert account.calls()[0] == "GET /keyword/Check?channel=1217&keyword=hj%C3%A6lp 200"
    assert account.json("keywords", "check", "tifo", "--sub", "100", "--channel", "1217", code=1)["free"] is False
    assert account.json("keywords", "check", "tifo", "--sub", "200", "--channel", "1217")["free"] is True
    assert account.run("keywords", "check", "mad", "--channel", "1217").stdout == "mad on 1217 is not available\n"


def test_reserve_creates_a_keyword_and_a_sub_keyword(account):
    made = account.json("keywords", "reserve", "støt", "--channel", "1217")
    assert (made["word"], made["sub_word"], made["short_number"]) == ("støt", None, "1217")
    sub = account.json("keywords", "reserve", "støt", "--sub", "nu", "--channel", "1217")
    assert (sub["word"], sub["sub_word"]) == ("støt", "nu")
    assert account.calls() == ["POST /keyword/Reserve 201"] * 2
    known = {one["keywordGuid"]: one for one in account.ask("keywords")}
    assert (known[made["id"]]["keyword"], known[sub["id"]]["subKeyword"]) == ("støt", "nu")


def test_a_keyword_is_deactivated_and_reactivated(account):
    assert account.json("keywords", "deactivate", "tifo", "--sub", "100") == {"id": SUB, "active": False}
    assert account.json("keywords", "show", SUB)["active"] is False
    assert account.json("keywords", "show", KEYWORD)["active"] is True
    assert account.run("keywords", "reactivate", SUB).stdout == f"{SUB} is now active\n"
    assert account.json("keywords", "show", SUB)["active"] is True
    posts = [one for one in account.calls() if one.startswith("POST")]
    assert posts == [f"POST /keyword/{SUB}/Deactivate 200", f"POST /keyword/{SUB}/Reactivate 200"]


def test_a_400_is_reported_with_the_message_and_the_cure(account):
    said = account.refused("reserve", "tifo", "--channel", "1217")
    assert "(400): 10003 The keyword is unavailable" in said
    said = account.refused("reserve", "mad", "--sub", "syrien", "--channel", "1217")
    assert "A subkeyword needs its keyword" in said
    account.put("rules", {"subscribed": [KEYWORD]})
    said = account.refused("deactivate", "tifo")
    assert "active subscriptions" in said
    assert "running subscriptions cannot be deactivated" in said


NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("command", ["show", "subkeywords", "deactivate", "reactivate"])
def test_a_404_is_reported_with_the_cure(account, command):
    said = account.refused(command, NOBODY)
    assert f"no keyword with the id {NOBODY} (404): see `connector keywords list`" in said


@pytest.mark.parametrize("command", ["show", "deactivate", "reactivate"])
def test_an_unknown_keyword_is_reported_without_a_further_call(account, command):
    assert "the account has no keyword `mad syrien`" in account.refused(command, "mad", "--sub", "syrien")
    assert account.calls() == ["GET /keywords 200"]


def test_a_405_is_reported_with_the_cure(account):
    account.put("rules", {"forbidden": ["2020"]})
    said = account.refused("reserve", "tifo", "--channel", "2020")
    assert "(405): 10405 The channel is not open to this merchant" in said
    assert "ask OnlineFundraising's support" in said


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["show", KEYWORD],
        ["subkeywords", KEYWORD],
        ["check", "tifo", "--channel", "1217"],
        ["reserve", "mad", "--channel", "1217"],
        ["deactivate", KEYWORD],
        ["reactivate", KEYWORD],
    ],
)
def test_an_outage_and_a_wrong_key_are_reported_by_every_command(account, monkeypatch, words):
    account.fault(503)
    assert "does not answer (unavailable: HTTP 503" in account.refused(*words, code=3)
    account.fault("dropped", times=3)
    assert "does not answer (connection_lost" in account.refused(*words, code=3)
    account.ask("faults", method="DELETE")
    monkeypatch.setenv("OF_KEY", "wrong")
    said = account.refused(*words)
    assert "refuses the API key (401): 10401" in said
    assert "see api.key" in said


@pytest.mark.parametrize("words", [["list"], ["show", KEYWORD], ["check", "tifo", "--channel", "1217"]])
def test_an_unexpected_reply_is_reported(account, words):
    account.fault("garbage")
    assert "is not what it documents; see api.url" in account.refused(*words)
    account.configure(url=f"{account.url}/elsewhere")
    assert "(404)" in account.refused(*words)


def test_a_keyword_on_two_short_numbers_needs_its_channel(account):
    account.put("keywords", [{**sample("keyword"), "keywordGuid": NOBODY, "channel": "2020"}])
    assert "add --channel 1217 or 2020, or use its id" in account.refused("show", "tifo")
    assert account.json("keywords", "show", "tifo", "--channel", "2020")["id"] == NOBODY


def test_the_secret_in_a_webhook_address_is_not_shown(account):
    hook = "https://sms.example.org/hooks/onlinefundraising/sms/made-up-secret"
    account.put("keywords", [{**sample("keyword"), "webhookEndpointUrl": hook}])
    for words in (["list"], ["show", KEYWORD], ["list", "--json"], ["show", KEYWORD, "--json"]):
        said = account.run("keywords", *words).stdout
        assert "made-up-secret" not in said
        assert "/hooks/onlinefundraising/sms" in said


def test_without_api_settings_keyword_commands_are_refused(account):
    text = account.home.config.read_text()
    account.home.config.write_text("\n".join(line for line in text.splitlines() if "api:" not in line))
    assert "no provider has a keyword API in the config: add its `api:`" in account.refused("list", code=2)
    account.configure()
    assert "the provider `other` has no keyword API" in account.refused("list", "--provider", "other", code=2)


# What `check --live` says.


@pytest.fixture
def live(account, threaded):
    """The account, and a function that checks it with a rule for some keywords and tells the warnings' texts."""
    with threaded(salesforce.build()) as crm:

        def look(*words, own="[]", listen="listen: {public_url: https://sms.example.org}"):
            account.configure(crm=crm, own=own, listen=listen)
            shutil.copy(ROOT / "mappings" / "more" / "onlinefundraising.yaml", account.home.mappings)
            if words:
                account.home.edit(
                    "onlinefundraising.yaml",
                    "  - name: message from a donor\n    when: {shape: message}",
                    f"  - name: message from a donor\n    when: {{shape: message, keyword: [{', '.join(words)}]}}",
                )
            said = json.loads(account.run("check", "--live", "--json").stdout)
            # The changed rule can make its own tests fail.
            assert {(one["code"], one["severity"]) for one in said["problems"]} <= {
                ("keyword", "warning"),
                ("failing-test", "error"),
            }
            return [one["text"] for one in said["problems"] if one["code"] == "keyword"]

        account.live = look
        yield account


HOOK = "https://sms.example.org/hooks/onlinefundraising/sms"


def here(**more):
    return {
        **sample("keyword"),
        "keywordEndDate": "2099-01-01 00:00:00 +0000",
        "webhookEndpointUrl": f"{HOOK}/x",
        **more,
    }


def test_live_reports_nothing_about_correct_keywords(live):
    live.put("keywords", [here(), {**sample("keywords")[0], "webhookEndpointUrl": f"{HOOK}/x"}])
    assert live.live() == []
    assert live.live("TIFO", own="[Tifo]") == []


def test_live_warns_about_a_missing_keyword(live):
    live.put("keywords", [here()])
    (said,) = live.live("tifoo")
    assert "mappings/onlinefundraising.yaml:" in said
    assert "the account has no keyword `tifoo` (did you mean `tifo`?)" in said
    (said,) = live.live(own="[mad]")
    assert said.startswith(str(live.home.config) + ":")
    assert "reserve it: `connector keywords reserve mad --channel NUMBER`" in said


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        ({"active": False}, "is not active (reactivate it: `connector keywords reactivate tifo`)"),
        ({"keywordEndDate": "2019-10-31 14:37:26 +0200"}, "ended on 2019-10-31"),
        ({"deletedTs": "2019-10-31 14:37:26 +0200"}, "ended on 2019-10-31"),
        ({"webhookEndpointUrl": None}, "are not sent anywhere"),
        (
            {"webhookEndpointUrl": "https://sms.example.org/hooks/onlinefundraising/smsx/x"},
            "are sent to another address",
        ),
        ({"webhookEndpointUrl": "https://enb64ilxmkaj8wr.org"}, "are sent to another address"),
    ],
)
def test_live_warns_about_a_keyword_that_forwards_nothing(live, more, warning):
    sub = {**sample("keywords")[0], **more, "webhookEndpointUrl": f"{HOOK}/x"}
    live.put("keywords", [here(**more), sub])
    (said,) = live.live("tifo")
    assert warning in said
    assert "enb64" not in said


def test_live_warns_about_a_sub_keyword_that_forwards_elsewhere(live):
    live.put("keywords", [here()])
    (said,) = live.live("tifo")
    assert "the messages of `tifo 100` are sent to another address" in said


def test_live_needs_the_public_address_for_keywords(live):
    live.put("keywords", [here()])
    (said,) = live.live("tifo", listen="")
    assert "set `listen: public_url:` in the config" in said


def test_live_reports_an_unreachable_provider(live, monkeypatch):
    live.live(own="[tifo]")
    monkeypatch.setenv("OF_KEY", "wrong")
    said = live.json("check", "--live", code=1)
    assert [(one["file"], one["code"]) for one in said["problems"]] == [("onlinefundraising", "live")]
    assert "refuses the API key" in said["problems"][0]["message"]
