"""`connector explain EVENT --as-test`: a stored event becomes a test of its mapping file, with personal data replaced."""

import json
import re

import pytest
from admin.scene import DONOR, report

OTHER = "+4790000099"
NAMES = ("Åshild", "Fjelltopp")
MESSAGE = {
    "transactionId": "0a1b2c3d-1111-2222-3333-444455556666",
    "sender": DONOR,
    "recipient": "2002",
    "content": f"KATT hilsen {NAMES[0]} {NAMES[1]}, ring {OTHER} eller 98 07 90 08",
    "properties": {"Keyword": "KATT"},
}


def received(*bodies):
    async def work(scene):
        ids = [await scene.receive(body, endpoint) for body, endpoint in bodies]
        await scene.plan()
        return ids[-1]

    return work


def captured(home, event_id, *words):
    said = home.json("explain", event_id, "--as-test", *words)
    return said["test"], (home.directory / said["file"]).read_text()


@pytest.mark.parametrize("action", ["Subscribe", "Unsubscribe", "Recurring", "AlterPrice"])
def test_a_report_becomes_a_test_that_passes(home, action):
    event_id = home.on_the_road(received((report(action, joined="j-1"), "strex/dlr")))
    before = home.json("test")["passed"]
    test, text = captured(home, event_id)
    assert test["name"] == f"event {event_id}: {action}"
    assert (home.json("test")["passed"], home.json("test")["failed"]) == (before + 1, 0)
    assert home.run("check").exit_code == 0
    for personal in (DONOR, DONOR[1:], "j-1"):
        assert personal not in json.dumps(test)
    assert text.count("tests:") == 1


def test_numbers_names_and_texts_are_replaced_everywhere_by_the_same_values(home):
    event_id = home.on_the_road(received((json.dumps(MESSAGE).encode(), "strex/mo")))
    test, _ = captured(home, event_id, "--file", "strex-log.yaml")
    said = json.dumps(test, ensure_ascii=False)
    assert not [one for one in (DONOR, OTHER, "98079008", *NAMES, MESSAGE["transactionId"]) if one in said]
    assert test["event"]["msisdn"] == "+4790000001"
    assert test["event"]["text"].startswith("KATT ")
    assert test["expect"]["rule"] == "everything else"
    event = next(one for one in test["expect"]["operations"] if one["upsert"] == "SMS_Event__c")
    # What a rule writes of the text is what the test says that the text is.
    assert event["set"]["Text__c"] == test["event"]["text"]


def test_a_captured_test_contains_what_was_known_before(home):
    joined = (
        (report("Subscribe", joined="j-1"), "strex/dlr"),
        (report("Subscribe", transaction="t-2", keyword="MYKEYWORD", joined="j-2"), "strex/dlr"),
    )
    event_id = home.on_the_road(
        received(*joined, (report("Unsubscribe", transaction="t-3", joined="j-1"), "strex/dlr"))
    )
    test, _ = captured(home, event_id)
    assert [one["keyword"] for one in test["given"]["subscriptions"]] == ["KATT", "MYKEYWORD"]
    written = [one.get("set", {}) for one in test["expect"]["operations"]]
    assert not [one for one in written if "SMS_Opt_Out__c" in one]  # the other subscription still runs


def test_a_test_is_added_to_a_file_without_tests(home):
    path = home.mappings / "strex-subscription.yaml"
    path.write_text(path.read_text().partition("\ntests:")[0])
    event_id = home.on_the_road(received((report("Unsubscribe"), "strex/dlr")))
    captured(home, event_id)
    assert [len(one["cases"]) for one in home.json("test", path)["files"]] == [1]


def test_a_file_with_windows_line_endings_keeps_them(home):
    path = home.mappings / "strex-subscription.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    event_id = home.on_the_road(received((report("Unsubscribe"), "strex/dlr")))
    captured(home, event_id)
    written = path.read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") > 0
    assert home.json("test")["failed"] == 0


def test_a_key_after_the_tests_keeps_its_place(home):
    path = home.mappings / "strex-subscription.yaml"
    head, rules, rest = re.match(r"(.*?)^(rules:.*?)^(tests:.*)", path.read_text(), re.DOTALL | re.MULTILINE).groups()
    path.write_text(f"{head}{rest}\n{rules}")
    event_id = home.on_the_road(received((report("Unsubscribe"), "strex/dlr")))
    captured(home, event_id)
    assert home.json("test")["failed"] == 0


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (("77", "--as-test"), "there is no such event"),
        (("9" * 30, "--as-test"), "there is no such event"),
        (("\u00b2", "--as-test"), "there is no such event"),
        (
            ("1", "--as-test", "--file", "strex-messages.yaml"),
            "those that do are in strex-log.yaml, strex-subscription.yaml",
        ),
    ],
)
def test_an_event_that_cannot_be_captured_changes_no_file(home, words, cure):
    home.on_the_road(received((report("Unsubscribe"), "strex/dlr")))
    before = {path: path.read_text() for path in home.mappings.glob("*.yaml")}
    done = home.run("explain", *words)
    assert (done.exit_code, cure in done.stderr) == (1, True), done.stderr
    assert {path: path.read_text() for path in home.mappings.glob("*.yaml")} == before


def test_the_same_event_is_captured_once(home):
    event_id = home.on_the_road(received((report("Unsubscribe"), "strex/dlr")))
    captured(home, event_id)
    done = home.run("explain", event_id, "--as-test")
    assert (done.exit_code, "already" in done.stderr) == (1, True)
