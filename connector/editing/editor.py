"""Drafts of mapping files: each is checked, tested and compared in a process of its own, and only then put in use."""

import asyncio
import difflib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.admin.context import AdminContext, get_field, reject_unknown
from connector.admin.masking import iso_time
from connector.editing.files import (
    NEW,
    ChangedOnDiskError,
    FileText,
    Replaced,
    cannot_write,
    check_name,
    check_size,
    may_write,
    put_back,
    read_file,
    replace_file,
)
from connector.editing.trial_process import TrialProcess
from connector.mapping.compile.files import mapping_files
from connector.mapping.compile.ruleset import Ruleset
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound

MAX_DRAFTS = 20  # that are kept; the oldest are dropped
MAX_BODY = 64 * 1024  # characters of a callback that is tried
FORBIDDEN = (
    "this installation does not let the console edit mappings (`console: edit_mappings: false`): change the files where "
    "they come from, then run `connector reload`"
)

Command = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@dataclass(slots=True, kw_only=True)
class Draft:
    """An edited text, and what is known of it. Without a name the files are tried as they are."""

    id: str
    who: str
    name: str | None
    text: str
    opened: str  # the digest of the file when it was opened
    event_to_try: Mapping[str, Any] | None  # what to try instead of a preview
    begun: datetime
    step: str = "waiting for another check"
    result: dict[str, Any] | None = None
    error: str | None = None
    used: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the process has ended."""
        return self.result is not None or self.error is not None


class Editor:
    """The commands about mapping files. `reload` is the same command as `connector reload` calls."""

    def __init__(self, context: AdminContext, reload: Command) -> None:
        loaded = context.loaded
        self._context = context
        self._reload = reload
        self._directory = loaded.resolve_path(loaded.settings.mappings)
        self._config = loaded.path.resolve()
        self._may_edit = loaded.settings.console.edit_mappings
        self._drafts: dict[str, Draft] = {}
        self._process = TrialProcess()
        self._writing = asyncio.Lock()

    def commands(self) -> dict[str, Command]:
        """All commands, by name."""
        return {
            "mappings_list": self.list_files,
            "mapping_show": self.show_file,
            "draft_start": self.start,
            "draft_show": self.show,
            "draft_use": self.use,
        }

    async def close(self) -> None:
        """End the process that tries drafts."""
        tasks = [draft.task for draft in self._drafts.values() if draft.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._process.stop()

    async def list_files(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The files, whether each is in use as it stands on disk, and what was refused last."""
        reject_unknown(payload)
        rules = self._rules()
        on_disk = await asyncio.to_thread(self._texts)
        used = rules.texts if rules else {}
        refused = self._context.store.mappings.refused()
        return {
            "directory": str(self._directory),
            "version": rules.version if rules else None,
            "may_edit": self._may_edit,
            "why_not": self._why_not(),
            "refused_at": iso_time(refused.refused_at) if refused else None,
            "refused_for": list(refused.problems) if refused else [],
            "files": [
                {
                    "name": name,
                    "is_used": name in used,
                    "is_on_disk": name in on_disk,
                    "differs": name in on_disk and (used.get(name) is None or _as_edited(used[name]) != on_disk[name]),
                    **_counts(rules, name),
                }
                for name in sorted(used.keys() | on_disk.keys())
            ],
        }

    async def show_file(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """One file as it is on disk."""
        reject_unknown(payload, "name")
        found = await asyncio.to_thread(read_file, self._directory, get_field(payload, "name", str, ""))
        rules = self._rules()
        return {
            "name": found.name,
            "text": found.text,
            "opened": found.digest,
            "may_edit": self._may_edit,
            "why_not": self._why_not(),
            "rules": [
                {"name": rule.name, "line": rule.line}
                for file in (rules.files if rules else ())
                if file.name == found.name
                for rule in file.rules
            ],
            "endpoints": self._endpoints(),
        }

    async def start(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Check a text: `name`, `text` and the digest `opened` of the file as it was opened. Nothing is written.

        Without a name the files are checked as they are. `event`, or `endpoint` and `body`, name an event to try;
        without one the tests run, and the events of the last month are compared. Numbers in the answer are masked.
        """
        reject_unknown(payload, "name", "text", "opened", "event", "endpoint", "body", "who")
        name, text = get_field(payload, "name", str), get_field(payload, "text", str, "")
        if name is not None:
            check_name(name)
            check_size(text)
        draft = Draft(
            id=secrets.token_hex(8),
            who=get_field(payload, "who", str) or "a person",
            name=name,
            text=text,
            opened=get_field(payload, "opened", str, NEW),
            event_to_try=_event_to_try(payload),
            begun=self._context.now(),
        )
        self._drafts[draft.id] = draft
        self._drop_oldest()
        job = {
            "config": str(self._config),
            "name": name,
            "text": text,
            "try": draft.event_to_try,
            "preview": name is not None,
        }
        draft.task = asyncio.create_task(self._try(draft, job), name=f"draft {draft.id}")
        return {"draft": draft.id}

    async def show(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A draft, and what is known of it by now."""
        reject_unknown(payload, "id")
        draft = self._draft(payload)
        return {
            "id": draft.id,
            "who": draft.who,
            "name": draft.name,
            "text": draft.text,
            "opened": draft.opened,
            "begun": iso_time(draft.begun),
            "finished": draft.finished,
            "step": draft.step,
            "result": draft.result,
            "error": draft.error,
            "tried": draft.event_to_try,
            "used": draft.used,
            "may_edit": self._may_edit,
            "why_not_used": self._unusable(draft),
            "endpoints": self._endpoints(),
        }

    async def use(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Write a draft to its file, keep the file from before, and reload. A refused reload puts the file back."""
        reject_unknown(payload, "id")
        draft = self._draft(payload)
        if (why := self._unusable(draft)) is not None:
            raise ConnectorError(why)
        if draft.name is None:
            raise ConnectorError("nothing was edited")
        async with self._writing:
            try:
                replaced = await asyncio.to_thread(
                    replace_file,
                    self._directory,
                    draft.name,
                    draft.text,
                    opened=draft.opened,
                    now=self._context.now(),
                )
            except ChangedOnDiskError as changed:
                return _changed(draft, changed.on_disk)
            return await self._reloaded(draft, replaced)

    async def _reloaded(self, draft: Draft, replaced: Replaced) -> dict[str, Any]:
        try:
            reloaded = await self._reload({})
        except ProblemsFound as found:
            problems = [str(problem) for problem in found.problems]
            await asyncio.to_thread(put_back, replaced)
            with suppress(ProblemsFound):  # the files of others may have errors: those were not ours
                await self._reload({})
            return {"used": False, "problems": problems, "changed": None}
        draft.used = True
        kept = str(replaced.kept.relative_to(self._directory)) if replaced.kept else None
        return {
            "used": True,
            "version": reloaded["version"],
            "changes": reloaded["changes"],
            "kept": kept,
            "problems": [],
        }

    async def _try(self, draft: Draft, job: Mapping[str, Any]) -> None:
        def step(words: str) -> None:
            draft.step = words

        answer = await self._process.ask(job, step)
        draft.result, draft.error = answer.get("result"), answer.get("error")

    def _draft(self, payload: Mapping[str, Any]) -> Draft:
        found = self._drafts.get(get_field(payload, "id", str, ""))
        if found is None:
            raise ConnectorError("this draft is no longer kept: open the file again")
        return found

    def _drop_oldest(self) -> None:
        for draft in list(self._drafts.values())[:-MAX_DRAFTS]:
            del self._drafts[draft.id]
            if draft.task is not None:
                draft.task.cancel()

    def _unusable(self, draft: Draft) -> str | None:
        """Why a draft cannot be put in use now."""
        if not self._may_edit:
            return FORBIDDEN
        if draft.name is None:
            return "nothing was edited"
        if draft.used:
            return "this draft is in use already"
        if draft.result is None:
            return "it is not checked yet" if draft.error is None else f"it could not be checked: {draft.error}"
        if not draft.result["ok"]:
            return "it has errors, or its tests fail"
        if draft.event_to_try is not None:
            return "it was tried with one event only: check it first"
        return None if may_write(self._directory) else cannot_write(self._directory)

    def _why_not(self) -> str | None:
        """Why no file can be written; None if one can."""
        if not self._may_edit:
            return FORBIDDEN
        return None if may_write(self._directory) else cannot_write(self._directory)

    def _rules(self) -> Ruleset | None:
        try:
            return self._context.rules()
        except ProblemsFound:
            return None

    def _texts(self) -> dict[str, str | None]:
        """The files on disk by name; None for one that cannot be read."""
        texts: dict[str, str | None] = {}
        for path in mapping_files(self._directory):
            try:
                texts[path.name] = read_file(self._directory, path.name).text
            except ConnectorError:
                texts[path.name] = None
        return texts

    def _endpoints(self) -> list[str]:
        return [
            f"{name}/{endpoint.name}"
            for name, provider in self._context.providers.items()
            for endpoint in provider.endpoints
        ]


def _as_edited(text: str) -> str:
    """A text as an editor shows it: without a byte order mark, and with Unix line ends."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _counts(rules: Ruleset | None, name: str) -> dict[str, Any]:
    file = next((one for one in rules.files if one.name == name), None) if rules else None
    return {
        "on": list(file.sources) if file else [],
        "rules": len(file.rules) if file else None,
        "tests": len(file.cases) if file else None,
    }


def _event_to_try(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The event to try, if one is named. Raises ConnectorError."""
    if (event := payload.get("event")) is not None:
        return {"event": event, "endpoint": None, "body": None}
    endpoint = get_field(payload, "endpoint", str)
    if endpoint is None:
        return None
    body = get_field(payload, "body", str, "")
    if len(body) > MAX_BODY:
        raise ConnectorError("a body has 64 KiB at most")
    return {"event": None, "endpoint": endpoint, "body": body}


def _changed(draft: Draft, on_disk: FileText) -> dict[str, Any]:
    """Both texts, and how they differ."""
    lines = difflib.unified_diff(
        on_disk.text.splitlines(), draft.text.splitlines(), "on disk now", "your text", lineterm="", n=2
    )
    return {
        "used": False,
        "problems": [],
        "changed": {"on_disk": on_disk.text, "opened": on_disk.digest, "yours": draft.text, "diff": list(lines)[:2000]},
    }
