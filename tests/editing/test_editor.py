"""Drafts: only what was checked is put in use, and a reload that is refused puts the file from before back."""

import asyncio

import pytest
from admin.scene import Scene, make_home

from connector.editing.editor import MAX_DRAFTS, Editor
from connector.model.errors import ConnectorError
from connector.model.problem import Problem, ProblemsFound

pytestmark = pytest.mark.slow  # a process is started
FILE = "strex-messages.yaml"


class Reloads:
    """Stands for the daemon's reload; refuses while `refuse` is set."""

    def __init__(self):
        self.calls = 0
        self.refuse = False

    async def __call__(self, _payload):
        self.calls += 1
        if self.refuse:
            self.refuse = False
            raise ProblemsFound([Problem(file="x.yaml", position=None, code="x", message="no")])
        return {"version": "abc", "changes": {}}


class Desk:
    """An editor over real files."""

    def __init__(self, scene):
        self.scene = scene
        self.reloads = Reloads()
        self.editor = Editor(scene.context, self.reloads)
        self.file = scene.loaded.base / "mappings" / FILE

    async def ask(self, command, **payload):
        return await self.editor.commands()[command](payload)

    async def checked(self, change=lambda text: text, **more):
        opened = await self.ask("mapping_show", name=FILE)
        text = change(opened["text"])
        started = await self.ask("draft_start", name=FILE, text=text, opened=opened["opened"], **more)
        await asyncio.wait([one for one in asyncio.all_tasks() if one.get_name().startswith("draft ")])
        return await self.ask("draft_show", id=started["draft"])

    async def close(self):
        await self.editor.close()
        await self.scene.store.close()


@pytest.fixture
async def desk(tmp_path):
    made = Desk(Scene.open(make_home(tmp_path)))
    yield made
    await made.close()


async def test_a_checked_draft_is_used_once_and_a_refused_reload_puts_the_file_back(desk):
    before = desk.file.read_text()
    draft = await desk.checked(lambda text: text + "# mine\n")
    assert (draft["result"]["ok"], draft["why_not_used"], desk.file.read_text()) == (True, None, before)
    desk.reloads.refuse = True
    done = await desk.ask("draft_use", id=draft["id"])
    assert (done["used"], done["problems"]) == (False, ["x.yaml: no"])
    assert (desk.file.read_text(), desk.reloads.calls) == (before, 2)
    done = await desk.ask("draft_use", id=draft["id"])
    assert (done["used"], done["version"]) == (True, "abc")
    assert (desk.file.parent / done["kept"]).read_text() == before
    assert desk.file.read_text() == before + "# mine\n"
    with pytest.raises(ConnectorError, match="in use already"):
        await desk.ask("draft_use", id=draft["id"])
    # One that was tried with an event only, and one with errors, are not used.
    tried = await desk.checked(
        endpoint="strex/mo", body='{"transactionId": "1", "sender": "+4790000001", "content": "x"}'
    )
    assert tried["result"]["tried"]
    wrong = await desk.checked(lambda _: "on: [")
    for one in (tried, wrong):
        with pytest.raises(ConnectorError):
            await desk.ask("draft_use", id=one["id"])
    assert desk.reloads.calls == 3


async def test_nothing_is_used_before_it_is_checked(desk):
    opened = await desk.ask("mapping_show", name=FILE)
    started = await desk.ask("draft_start", name=FILE, text="x", opened=opened["opened"])
    with pytest.raises(ConnectorError, match="not checked yet"):
        await desk.ask("draft_use", id=started["draft"])


async def test_where_the_config_forbids_it_a_text_is_only_tried(tmp_path):
    config = make_home(tmp_path)
    config.write_text(config.read_text() + "console: {edit_mappings: false}\n")
    desk = Desk(Scene.open(config))
    draft = await desk.checked(lambda text: text + "# mine\n")
    assert draft["result"]["ok"]
    assert "edit_mappings: false" in draft["why_not_used"]
    assert draft["why_not_used"] == (await desk.ask("mappings_list"))["why_not"]
    with pytest.raises(ConnectorError, match="edit_mappings: false"):
        await desk.ask("draft_use", id=draft["id"])
    assert "# mine" not in desk.file.read_text()
    await desk.close()


async def test_the_list_says_what_differs_from_what_is_in_use(desk):
    files = {one["name"]: one for one in (await desk.ask("mappings_list"))["files"]}
    assert all(one["is_used"] and one["is_on_disk"] and not one["differs"] for one in files.values())
    desk.file.write_text(desk.file.read_text() + "# theirs\n")
    (desk.file.parent / "new.yaml").write_text("on: strex.message\n")
    (desk.file.parent / "strex-log.yaml").unlink()
    (desk.file.parent / "strex-stops.yaml").write_bytes(b"\xff")
    files = {one["name"]: one for one in (await desk.ask("mappings_list"))["files"]}
    assert files[FILE]["differs"]
    assert (files["new.yaml"]["is_used"], files["strex-log.yaml"]["is_on_disk"]) == (False, False)
    assert files["strex-stops.yaml"]["differs"]


async def test_old_drafts_are_dropped_and_sizes_are_limited(desk):
    first = await desk.ask("draft_start", name=FILE, text="x", opened="")
    for _ in range(MAX_DRAFTS):
        await desk.ask("draft_start", name=FILE, text="x", opened="")
    with pytest.raises(ConnectorError, match="no longer kept"):
        await desk.ask("draft_show", id=first["draft"])
    for payload in (
        {"name": "../x.yaml", "text": ""},
        {"name": FILE, "text": "#" * 300_000},
        {"name": FILE, "text": "", "endpoint": "strex/mo", "body": "x" * 70_000},
    ):
        with pytest.raises(ConnectorError):
            await desk.ask("draft_start", **payload)
