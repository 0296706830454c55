import json
from pathlib import Path

import pytest
from admin.scene import DONOR, report

SAMPLES = Path(__file__).parent.parent / "samples" / "strex"


async def opt_out(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    return event_id


def test_a_file_is_explained_without_a_store_or_a_secret(home):
    done = home.run("explain", SAMPLES / "dlr-unsubscribe.json", "--endpoint", "strex/dlr")
    assert done.exit_code == 0
    assert "A delivery report from strex (Unsubscribe) for +47…008 about MYKEYWORD on 2002" in done.stdout
    assert "strex-subscription.yaml" in done.stdout
    assert "donor opted out: all its conditions hold" in done.stdout
    assert "SMS_Opt_Out_Source__c = Strex MYKEYWORD   from Strex {keyword?}" in done.stdout
    assert not home.store.exists()


@pytest.mark.parametrize("sample", ["mo-stop.json", "mo-minimal.json"])
def test_a_message_is_read_by_its_own_endpoint(home, sample):
    said = home.json("explain", SAMPLES / sample, "--endpoint", "strex/mo")
    (one,) = said["events"]
    assert one["event"]["source"] == "strex.message"
    assert one["became"] is None


def test_a_number_is_masked_without_the_option_reveal(home):
    words = ("explain", SAMPLES / "dlr-unsubscribe.json", "--endpoint", "strex/dlr")
    assert DONOR not in json.dumps(home.json(*words))
    assert DONOR in json.dumps(home.json(*words, "--reveal"))


def test_an_unreadable_body_ends_with_1(home):
    done = home.run("explain", SAMPLES / "bare-properties.json", "--endpoint", "strex/dlr")
    assert done.exit_code == 1
    assert "strex/dlr cannot read" in done.stderr


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((SAMPLES / "mo-stop.json",), "--endpoint strex/dlr"),
        ((SAMPLES / "mo-stop.json", "--endpoint", "elsewhere/inbound"), "known: strex/dlr, strex/mo"),
        (("nothing.json", "--endpoint", "strex/mo"), "No such file"),
    ],
)
def test_wrong_usage_is_reported_with_its_cure(home, words, cure):
    done = home.run("explain", *words)
    assert done.exit_code == 2
    assert cure in done.stderr


def test_an_event_is_explained_by_id_and_by_key(home):
    event_id = home.on_the_road(opt_out)
    by_id, by_key = home.run("explain", event_id), home.run("explain", "strex-dlr-t-1-Ok-Delivered")
    assert by_id.stdout == by_key.stdout
    assert "Result" in by_id.stdout
    assert "salesforce: goes out next" in by_id.stdout
    assert "opted out of KATT on 2002 (strex)" in by_id.stdout


def test_a_person_is_explained_by_the_phone_number(home):
    home.on_the_road(opt_out)
    done = home.run("explain", DONOR)
    assert done.exit_code == 0
    assert "event 1: A delivery report from strex (Unsubscribe) for +47…008" in done.stdout
    assert (
        "ledger: opted out of KATT on 2002 (strex); said by strex, by strex-subscription.yaml: donor opted out"
        in done.stdout
    )
    assert DONOR not in done.stdout
    assert home.json("explain", DONOR, "--reveal")["phone"] == DONOR


@pytest.mark.parametrize("number", ["98079008", "98 07 90 08", "4798079008", "004798079008", "+47 98 07 90 08"])
def test_a_phone_number_is_read_in_any_spelling(home, number):
    home.on_the_road(opt_out)
    assert home.run("explain", number).stdout == home.run("explain", DONOR).stdout


async def delivered(scene):
    await opt_out(scene)
    await scene.settle("salesforce")


def test_the_events_of_a_person_show_what_was_written_by_which_rule(home):
    home.on_the_road(delivered)
    shown = home.run("explain", DONOR).stdout
    (line,) = [line for line in shown.splitlines() if "SMS_Opt_Out__c" in line]
    assert line.strip().startswith('done: upsert Contact {"SMS_Key__c"')
    assert line.endswith("by strex-subscription.yaml: donor opted out")
    assert "2026-11-22 13:00  event 1:" in shown  # in the config's time zone


def test_an_unknown_event_ends_with_1(home):
    home.on_the_road(opt_out)
    done = home.run("explain", "77")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "77 is neither an event nor a phone number: see `connector events`" in done.stderr
