"""docs/architecture.md lists the files of three paths; these tests take each path and compare the files that are entered.

A profile hook notes each call into connector/ by the event loop's thread and by the writer's thread. It leaves out the
sandboxes, `model/`, which every file uses, `telemetry/`, which listens as this test does, and the files of TIMED.

A failure prints the list to paste. REWRITE_PATHS=1 writes lists and figures to the page; new files then need their words.
"""

import os
import re
import sys
import threading
from contextlib import contextmanager

import pytest
from flow.test_examples import DONOR, envelope
from flow.world import ROOT, a_world

PAGE = ROOT / "docs" / "architecture.md"
CODE = f"{ROOT}/connector/"
THREADS = {threading.main_thread().name, "store-writer"}
FEED = "salesforce.Contact"
MOST = 60
HELPERS = ("sandbox/", "model/", "telemetry/")
# Whether these are entered depends on the time alone, not on the path. A path must not list them.
TIMED = {
    "pipeline/deadlines.py": "a worker looks for late opt-outs at its own time",
    "pipeline/reconcile.py": "the same worker asks whether a nightly comparison is late",
    "pipeline/suspended_rules.py": "a worker looks at its own time whether rules are due",
    "store/overview.py": "an idle sink worker asks for the size of the next batch at each of its own looks",
    "web/accepting.py": "only a new connection is accepted; a client may use an open one again",
    "web/connections.py": "the listener looks for silent connections at its own time",
}


class Recorder:
    """The files of connector/ in the order in which calls enter them; a file stands once for each move to it."""

    def __init__(self):
        self.on = False
        self.moves = []

    def __call__(self, frame, event, _arg):
        name = frame.f_code.co_filename
        if (
            not self.on
            or event != "call"
            or not name.startswith(CODE)
            or threading.current_thread().name not in THREADS
        ):
            return
        name = name.removeprefix(CODE)
        if not name.startswith(HELPERS) and name not in TIMED and name not in self.moves[-1:]:
            self.moves.append(name)

    @property
    def files(self):
        """The files in the order of their first entry."""
        return list(dict.fromkeys(self.moves))


@contextmanager
def recorder():
    """Installed before the daemon starts, so that the writer's thread has it too; it notes nothing before `on`."""
    made = Recorder()
    threading.setprofile(made)
    sys.setprofile(made)
    try:
        yield made
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def at_rest(world):
    """Wait until every worker has ended its step: the last step goes on for a moment after its units are settled."""
    await world.settled()
    await world.until(lambda: all(worker.resting for worker in world.app.workers.values()))


async def admin(world, command, payload):
    token = (world.base / "admin-token").read_text().strip()
    url = f"{world.app.admin_url}/admin/{command}"
    async with world.http.post(url, json=payload, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def text_field(world, length):
    await world.post(f"{world.salesforce}/_sandbox/fields/SMS_Event__c/Text__c", {"length": length}, method="PATCH")


async def webhook(world, record):
    """Strex reports a new monthly amount of a known donor: the contact is updated, and an event record is made."""
    await world.app.stop_workers(FEED)
    await at_rest(world)
    report = envelope({"SystemAction": "AlterPrice", "NewPrice": 250, "Keyword": "KATT"})
    record.on = True
    assert await world.callback("dlr", report) == 200
    await at_rest(world)
    record.on = False
    assert (await world.contact(DONOR))["SMS_Monthly_Amount__c"] == 250


async def opt_out(world, record):
    """An administrator ticks the opt-out box of a contact, and Strex gets one command. Its confirmation is another webhook."""
    contact = await world.contact(DONOR)
    await world.post(f"{world.strex}/_sandbox/config", {"dlr_url": None}, method="PUT")
    await at_rest(world)
    await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
    record.on = True
    await world.poll()
    await at_rest(world)
    record.on = False
    assert [(one["action"], one["keyword"], one["answer"]) for one in await world.orders()] == [
        ("unsubscribe", "KATT", 200)
    ]


async def dead_retry(world, record):
    """A text was too long for its field. The field is made longer, and an operator retries the dead letter."""
    await world.app.stop_workers(FEED)
    await text_field(world, 3)
    await world.phone(DONOR, "KATT 200")
    await at_rest(world)
    assert world.counts()["dead"] == 1
    await text_field(world, 255)
    record.on = True
    assert (await admin(world, "dead_retry", {"all": True}))["retried"] == 1
    await at_rest(world)
    record.on = False
    assert "dead" not in world.counts()


PATHS = {
    "The path of one webhook": webhook,
    "The path of one opt-out": opt_out,
    "The path of one `dead retry`": dead_retry,
}
# Each of these is reached after the one before it, however the workers take turns.
IN_ORDER = {
    "The path of one webhook": """web/webhooks.py providers/strex/endpoints.py pipeline/receive.py
        providers/strex/callback.py store/inbox.py store/writer.py pipeline/plan.py pipeline/planning.py
        consent/decide.py mapping/apply.py store/plans.py pipeline/deliver.py delivery/send.py
        crm/salesforce/write/sink.py crm/salesforce/write/requests.py crm/salesforce/client/responses.py
        delivery/outcome_policy.py pipeline/settle.py store/settle.py""",
    "The path of one opt-out": """pipeline/follow.py pipeline/cursor.py crm/salesforce/read/feed.py
        crm/salesforce/client/responses.py pipeline/feed_page.py consent/changes.py store/feeds.py pipeline/plan.py
        pipeline/planning.py
        consent/decide.py mapping/apply.py store/plans.py pipeline/deliver.py delivery/send.py
        providers/strex/commands.py providers/strex/responses.py delivery/outcome_policy.py pipeline/settle.py
        store/settle.py""",
    "The path of one `dead retry`": """web/admin_api.py admin/replays.py store/dead_letters.py store/writer.py
        pipeline/deliver.py delivery/send.py crm/salesforce/write/sink.py
        crm/salesforce/write/requests.py crm/salesforce/client/responses.py delivery/outcome_policy.py
        pipeline/settle.py store/settle.py""",
}


def lines_of(heading):
    """The files that the page lists under a heading, with the line of each."""
    _, found, part = PAGE.read_text().partition(f"\n## {heading}\n")
    assert found, f"docs/architecture.md has no heading `{heading}`"
    part = part.partition("\n## ")[0]
    return [(match[1], match[0]) for match in re.finditer(r"^- `([^`]+\.py)`.*$", part, re.MULTILINE)]


def not_true(heading, entered):
    """What is wrong with the page's list, with the list to paste; empty where the page tells the truth."""
    lines = lines_of(heading)
    named = [name for name, _ in lines]
    words = dict(lines)
    wrong = [
        *(f"not entered: {name}" for name in named if name not in entered),
        *(f"not on the page: {name}" for name in entered if name not in named),
        *(f"listed twice: {name}" for name in words if named.count(name) > 1),
    ]
    if not wrong:
        return ""
    return "\n".join([heading, *wrong, "", "In order of first entry:", *to_paste(entered, words)])


def to_paste(entered, words):
    return [words.get(name, f"- `{name}`: (say what it does here)") for name in entered]


def rewrite(heading, record):
    """Write the list of a path and its figures to the page, with the words that the page has for each file already."""
    text = PAGE.read_text()
    words = {match[1]: match[0] for match in re.finditer(r"^- `([^`]+\.py)`.*$", text, re.MULTILINE)}
    before, _, rest = text.partition(f"\n## {heading}\n")
    part, _, after = rest.partition("\n## ")
    lines = [line for line in part.splitlines() if not re.match(r"- `[^`]+\.py`", line)]
    part = "\n".join([*lines, *to_paste(record.files, words), ""])
    text = f"{before}\n## {heading}\n{part}\n## {after}"
    name = heading.removeprefix("The path of ")
    row = rf"(\| {re.escape(name)} \| \d+ \|) \d+ (\| \d+ \|) \d+ \|"
    PAGE.write_text(re.sub(row, rf"\1 {len(record.files)} \2 {len(record.moves)} |", text))


@pytest.mark.parametrize("heading", PATHS)
async def test_the_architecture_page_lists_the_files_of_each_path(heading, tmp_path, secrets):
    with recorder() as record:
        async with a_world(tmp_path) as world, world.running():
            await world.poll()
            await world.phone(DONOR, "KATT")
            await world.settled()
            await world.poll()
            await PATHS[heading](world, record)
    if os.environ.get("REWRITE_PATHS"):
        rewrite(heading, record)
    assert not (wrong := not_true(heading, record.files)), wrong
    assert len(record.files) < MOST
    moves = iter(record.moves)
    assert [name for name in IN_ORDER[heading].split() if name not in moves] == []


def test_a_wrong_list_of_files_is_found():
    heading = next(iter(PATHS))
    named = [name for name, _ in lines_of(heading)]
    assert not not_true(heading, named)
    assert "not entered: web/webhooks.py" in not_true(heading, [name for name in named if name != "web/webhooks.py"])
    assert "not on the page: cli/main.py" in not_true(heading, [*named, "cli/main.py"])


def test_each_file_and_folder_on_the_architecture_page_exists():
    text = PAGE.read_text()
    named = {*re.findall(r"`((?!tests/|docs/)[a-z_]+(?:/[a-z_]+)*\.py)`", text)}
    assert len(named) > 80
    files = [f"/{path.relative_to(CODE)}" for path in (ROOT / "connector").rglob("*.py")]
    assert sorted(name for name in named if not any(file.endswith(f"/{name}") for file in files)) == []
    folders = {path.parent.relative_to(CODE).parts[0] for path in (ROOT / "connector").glob("*/__init__.py")}
    assert sorted(name for name in folders if f"`{name}/" not in text) == []
