"""Every list fits a narrow terminal: no line is too long, and no number, time or state is broken."""

import re

import click
import pytest
from admin.scene import DONOR, report
from click.testing import CliRunner

from connector.cli import backfill, charges, consents, console, keywords
from connector.cli.render import answer
from connector.cli.setup import Setup
from connector.model.outcome import Reason
from connector.model.states import UnitState

LONG = "a-word-of-nearly-fifty-characters-without-a-blank"
PROSE = "the value has no phone number with its country code, so that nobody is found by it; " * 2
STAMP = "2026-11-22 13:00"  # 12:00 UTC in the scene's time zone


@pytest.fixture(params=[60, 80])
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("FORCE_COLOR", "1")  # as at a terminal
    monkeypatch.setenv("TERM", "xterm")
    return request.param


async def _work(scene):
    await scene.receive(report("Unsubscribe", transaction=LONG))
    await scene.receive(report(LONG, transaction="t-2", phone="+4790000001"))
    await scene.receive(report("AlterPrice", transaction="t-3", phone="+4790000002"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.NEEDS_PERSON, detail=PROSE)
    await scene.receive(report("Subscribe", transaction="t-4", phone="+4790000003"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.VALIDATION, detail=f"{LONG}: {PROSE}")
    await scene.receive(report("Subscribe", transaction="t-5"))


@pytest.fixture
def used(home):
    home.on_the_road(_work)
    return home


def lines_of(output, width):
    lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()
    assert [line for line in lines if len(line.rstrip()) > width] == []
    return lines


def one_line_has(lines, *words):
    assert any(all(word in line for word in words) for line in lines), "\n".join(lines)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("events", [STAMP, "dead"]),
        ("dead list", ["salesforce", "validation", STAMP]),
        ("parked list", ["salesforce", STAMP]),
        ("status", ["salesforce", "0", "4"]),
    ],
)
def test_a_list_of_the_store_fits_a_narrow_terminal(used, width, command, words):
    one_line_has(lines_of(used.run(*command.split()).stdout, width), *words)


@pytest.mark.parametrize(
    "command", ["notes list", "parked answers", f"explain {DONOR}", "explain 4", f"consents show {DONOR}", "check"]
)
def test_the_output_of_each_command_fits_a_narrow_terminal(used, width, command):
    assert lines_of(used.run(*command.split()).stdout, width)


CHARGE = {
    "id": 4711, "state": "in_doubt", "phone": "+47…001", "keyword": LONG, "period": "2026-11", "amount": "100.00",
    "attempt": 2, "status": LONG, "detail": PROSE, "what": "charge", "due_day": "2026-11-22", "why": PROSE,
}  # fmt: skip
AT = "2026-11-22T12:00:00Z"
KEYWORD = {
    "short_number": "2002",
    "word": LONG,
    "sub_word": "100",
    "active": True,
    "id": "0b6d0f0e-7b1c-4d54-9b1e-1e1f5b1d7a11",
    "webhook": f"https://{LONG}.example.org/hooks",
}
ENTRY = {"id": 12, "at": AT, "who": LONG, "role": "operator", "action": "replay", "about": LONG, "why": PROSE}
DOCUMENTS = {
    "charges list": (charges._show_list, {"charges": [CHARGE], "more": False}, ["4711", "in_doubt", "2026-11"]),
    "console audit": (
        console._show_audit,
        {"entries": [ENTRY], "more": False},
        ["12", STAMP, "replay"],
    ),
    "keywords list": (keywords._show_list, {"keywords": [KEYWORD]}, ["2002", "100", "yes"]),
    "consents baseline": (
        consents._show_baseline,
        {
            "lines": [{"record": "0035f00000Abc12AAA", "phone": "+47…001", "commands": [f"unsubscribe {LONG} on 2002"] * 3}],
            "left_off": 0, "commands": 3, "people": 1, "sent": 0,
        },
        ["0035f00000Abc12AAA", "+47…001"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_list_of_the_crm_or_provider_fits_a_narrow_terminal(used, width, name):
    show, document, words = DOCUMENTS[name]

    class Zeros(dict):
        def __missing__(self, key):
            return 0

    @click.command()
    @click.pass_context
    def shown(ctx):
        ctx.obj = Setup(used.config)
        answer(Zeros(document), show, json_wanted=False)

    done = CliRunner().invoke(shown)
    assert done.exception is None, done.exception
    one_line_has(lines_of(done.stdout, width), *words)


def test_the_check_of_contacts_fits_a_narrow_terminal(used, width):
    found = {
        "contact": "0035f00000Abc12AAA",
        "problem": "shared",
        "code": "3",
        "number": "+47…001",
        "others": [LONG, LONG],
        "cure": PROSE,
    }
    document = {
        "phone_fields": ["MobilePhone"], "contacts": 3, "crm": "salesforce", "key_field": "SMS_Key__c", "counts": {},
        "findings": [found], "findings_in_all": 1, "conflicts_file": None, "written": False,
    }  # fmt: skip

    @click.command()
    def shown():
        answer(document, backfill._show, json_wanted=False)

    done = CliRunner().invoke(shown)
    assert done.exception is None, done.exception
    one_line_has(lines_of(done.stdout, width), "0035f00000Abc12AAA", "shared 3")
