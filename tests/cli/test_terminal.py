"""Text from strangers can neither control the terminal nor look like the connector's own output, in any command."""

import json

import click
import pytest
from admin.scene import DONOR, OTHER

from connector.cli.main import cli
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store.audit import AuditEntry

FORGED = "FORGED: all is well"
NASTY = f"hei\n{FORGED}\r\n{FORGED}\u2028{FORGED}\x85{FORGED}\x1b[2J\x9b31m\u202e\u200b\x07\x7f"
SHOW = [
    "status",
    "explain 1",
    "explain 2",
    "explain 3",
    "explain 4",
    f"explain {DONOR} --reveal",
    f"explain {OTHER}",
    "charges list",
    "charges show 1",
    "charges preview",
    "dead list",
    "dead show 1",
    "dead retry 1",
    "dead discard 1",
    "parked list",
    "parked answers",
    "parked answer 2 was-not",
    "parked release 2",
    "parked discard 2",
    "notes list",
    f"consents show {DONOR}",
    "consents baseline",
    "replay 3",
    "replay --state unmatched --reveal",
    "events --reveal",
    "console audit",
    "dead retry 1 --dry-run --reveal",
    f"person show {DONOR} --reveal",
    f"person forget {DONOR} --dry-run --reveal",
]
# They show nothing that a stranger wrote: files of the administrator, answers of their own provider, or progress.
OWN = {
    "run", "init", "check", "preview", "doctor", "test", "backup", "restore", "reload", "reconcile", "demo",
    "notify test", "notify digest",
    "console login", "console logout", "console password",
    "completion", "manual", "sinks secret", "dynamics setup", "dynamics backfill",
    "person export", "person new-key", "retention",
    "charges approve", "charges pause", "charges resume", "charges resolve",
     "schema print", "schema write", "schema pull", "salesforce setup", "salesforce backfill",
}  # fmt: skip


def leaves(group, before=""):
    for name in group.list_commands(None):
        command = group.get_command(click.Context(group, info_name="connector x"), name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def body(kind, **members):
    person = {"sender": "2002", "recipient": DONOR} if kind == "dlr" else {"sender": OTHER, "recipient": "2002"}
    return json.dumps({"transactionId": f"t-{NASTY}", **person, **members}).encode()


async def strangers(scene):
    """A dead letter, a question, an event that no rule wants, and one that nobody can read."""
    properties = {"SystemAction": "Subscribe", "Keyword": NASTY, NASTY: NASTY, "SubscriberTransactionId": NASTY}
    lookup = {"firstName": NASTY, "lastName": NASTY}
    status = {"statusCode": "Ok", "detailedStatusCode": NASTY, "statusDescription": NASTY}
    await scene.receive(body("dlr", properties=properties, **status, lookup=lookup))
    await scene.receive(body("mo", content=f"Stopp denne krigen {NASTY}", keywordId=NASTY), endpoint="strex/mo")
    odd = properties | {"SystemAction": NASTY}
    await scene.receive(body("dlr", properties=odd, correlationId="2", **status) + b" ")
    await scene.receive(body("mo", content=NASTY, keywordId=NASTY, properties=odd), endpoint="strex/mo")
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.VALIDATION, detail=NASTY)
    await scene.shadow(NASTY, phone=DONOR)
    entry = AuditEntry(at=scene.now, who=NASTY, role="admin", action="replay", about=NASTY, why=NASTY)
    await scene.store.audit.add(entry)


@pytest.fixture
def strange(home):
    home.on_the_road(strangers)
    return home


def holds_nothing_strange(output):
    assert output.replace("\n", "").isprintable(), [
        letter for letter in output if not letter.isprintable() and letter != "\n"
    ]
    assert not [line for line in output.splitlines() if line.strip(' "').startswith("FORGED")]


@pytest.mark.parametrize("words", SHOW)
def test_foreign_text_cannot_forge_a_line_or_control_the_terminal(strange, words):
    for done in (strange.run(*words.split(), "--json"), strange.run(*words.split())):
        # `status` ends with 3 where no daemon runs.
        assert done.exit_code in ({0, 1, 3} if words == "status" else {0, 1}), done.output
        holds_nothing_strange(done.stdout)
        holds_nothing_strange(done.stderr)


def test_json_output_keeps_foreign_text_unchanged(strange):
    text = strange.json("explain", "4", "--reveal")["event"]["fields"]["text"]
    assert text.startswith(f"hei\n{FORGED}\r\n{FORGED}\u2028{FORGED}")


def test_each_command_that_shows_foreign_text_is_tested():
    tried = {" ".join(word for word in words.split() if word.isalpha()) for words in SHOW}
    named = {leaf for leaf in leaves(cli) if not leaf.startswith(("sandbox", "keywords"))}
    assert {leaf for leaf in named if not any(one.startswith(leaf) for one in tried)} == OWN
