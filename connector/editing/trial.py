"""A process of its own that checks, tests and tries mapping files which are not in use. It only reads.

`python -m connector.editing.trial` takes jobs on standard input, a line of JSON each, and answers in lines of JSON: steps
as `{"step": …}`, then `{"result": …}` or `{"error": …}`. The daemon's callbacks are not held up by it.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from connector.admin.backtest import Backtest
from connector.admin.context import AdminContext
from connector.admin.excerpts import excerpt, lines_of
from connector.admin.explain import explain_event, explain_unstored
from connector.admin.parse_stored import find_endpoint, providers_without_secrets, read_example
from connector.config.yaml_document import MAX_BYTES, Document, parse, read
from connector.current_mappings import accepted_rules
from connector.mapping.compile.files import mapping_files, unread_files
from connector.mapping.compile.ruleset import Ruleset, compile_mappings
from connector.mapping.compile.ruleset_changes import rule_changes
from connector.model.errors import ConnectorError, Unreadable
from connector.model.event import Event
from connector.model.problem import Problem, ProblemsFound, Severity
from connector.pipeline.opt_out_check import lost_opt_outs
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import LoadedConfig, load_config, mapping_context, opt_outs, read_schemas
from connector.store.event_search import EventFilter
from connector.store.store import Store
from connector.telemetry.error_location import place

NICENESS = 10  # nice(2): where both want one CPU, the daemon has nine tenths of it
MONTH = timedelta(days=30)
MAX_SECONDS = 300.0  # of the comparison with past events: the newest are compared first
STEP_EVERY = 0.5  # seconds between two steps that are reported
MAX_PARTS = 20  # events of one body that are tried

Say = Callable[[str], None]


def run(job: Mapping[str, Any], say: Say, *, yields: bool = False) -> dict[str, Any]:
    """Do the job: `config` is the path, `name` and `text` the edited file, if any; `try` says what to try, if anything.

    With `yields` it rests as long as it works: where a lower priority is not allowed, the daemon needs its half of the CPU.
    Raises ConnectorError for what a person can fix.
    """
    loaded = load_config(Path(job["config"]))
    say("checking the files")
    rules, checked = _check(loaded, job.get("name"), job.get("text"))
    result = {**checked, "tests": None, "changes": None, "preview": None, "tried": None}
    if rules is None:
        return result
    store = Store.open_to_read(loaded.database)
    before = _in_use(loaded, store)
    if (what := job.get("try")) is not None:
        say("trying the event")
        return {**result, "tried": _try(loaded, store, before, rules, what)}
    say("running the tests")
    result["tests"] = _tests(rules)
    result["ok"] = result["ok"] and not result["tests"]["failed"]
    if before is not None:
        changes = rule_changes(before, rules)
        result["changes"] = {name: list(getattr(changes, name)) for name in ("added", "changed", "removed", "moved")}
    if result["ok"] and before is not None and job.get("preview"):
        result["preview"] = _preview(loaded, store, before, rules, say, yields=yields)
    return result


def _check(loaded: LoadedConfig, name: str | None, text: str | None) -> tuple[Ruleset | None, dict[str, Any]]:
    """The rules of all files, the edited one among them, and all their problems; no rules where they cannot be compiled."""
    directory = loaded.resolve_path(loaded.settings.mappings)
    problems, documents, texts = [], list[Document](), dict[str, str]()
    rules: Ruleset | None = None
    try:
        problems = unread_files(directory)
        names = sorted({path.name for path in mapping_files(directory)} | ({name} if name else set()))
        for file in names:
            try:
                document = parse(text or "", file) if file == name else read(directory / file, file)
            except ProblemsFound as found:
                problems += found.problems
                texts[file] = (text or "") if file == name else _as_it_stands(directory / file)
            else:
                documents.append(document)
                texts[file] = document.text
        rules = compile_mappings(documents, mapping_context(loaded, read_schemas(loaded)), problems=problems)
        problems = [*rules.warnings, *lost_opt_outs(rules, opt_outs(loaded))]
    except ProblemsFound as found:
        problems = list(found.problems)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    checked = {
        "ok": rules is not None and not errors,
        "version": rules.version if rules else None,
        "errors": errors,
        "problems": [_problem(problem, texts) for problem in problems],
    }
    return (rules if not errors else None), checked


def _as_it_stands(path: Path) -> str:
    """The text of a file that is no valid YAML; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _problem(problem: Problem, texts: Mapping[str, str]) -> dict[str, Any]:
    lines = lines_of(texts.get(problem.file, ""))
    at = problem.position
    shown = excerpt(lines[at.line - 1], at.line, at.column) if at is not None and 0 < at.line <= len(lines) else []
    return {
        "severity": problem.severity.value,
        "file": problem.file,
        "line": at.line if at else None,
        "column": at.column if at else None,
        "message": problem.message,
        "hint": problem.hint,
        "excerpt": shown,
    }


def _tests(rules: Ruleset) -> dict[str, Any]:
    results = list(run_rule_tests(rules))
    failed = [result for result in results if result.differences]
    tested = {result.file for result in results}
    return {
        "passed": len(results) - len(failed),
        "failed": [
            {
                "file": result.file,
                "line": result.position.line,
                "name": result.name,
                "differences": list(result.differences),
            }
            for result in failed
        ],
        "without_tests": [file.name for file in rules.files if file.name not in tested],
    }


def _in_use(loaded: LoadedConfig, store: Store) -> Ruleset | None:
    """The mappings in use; None where none are, or where the config of now no longer fits them."""
    accepted = store.mappings.accepted()
    try:
        return accepted_rules(loaded, accepted) if accepted is not None else None
    except ProblemsFound:
        return None


def _preview(
    loaded: LoadedConfig, store: Store, before: Ruleset, after: Ruleset, say: Say, *, yields: bool
) -> dict[str, Any]:
    """What the edited files would have done otherwise in the last month. The newest events are compared first."""
    backtest = Backtest(before, after, configured=opt_outs(loaded).subscriptions)
    wanted = EventFilter(since=datetime.now(UTC) - MONTH)
    total = store.events.count(wanted)
    begin = last_step = time.monotonic()
    complete = True
    for page in store.events.pages(wanted, newest_first=True):
        page_begin = time.monotonic()
        backtest.take_stored(store, page)
        now = time.monotonic()
        if now - last_step >= STEP_EVERY:
            last_step = now
            say(f"compared {backtest.summary.events} of {total} events: {backtest.summary.changed} differ")
        if now - begin > MAX_SECONDS:
            complete = False
            break
        if yields:
            time.sleep(now - page_begin)
    return {
        **backtest.summary.document(),
        "worse": backtest.worse,
        "unreadable": backtest.unreadable,
        "total": total,
        "complete": complete,
        "before": before.version,
    }


def _give_way() -> bool:
    """Lower the priority of this process; whether that was allowed."""
    try:
        os.nice(NICENESS)
    except OSError:
        return False
    return True


def _try(
    loaded: LoadedConfig, store: Store, before: Ruleset | None, after: Ruleset, what: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What the edited files make of a stored event, or of a body; and what those in use make of it."""
    if what.get("event") is not None:
        return [_tried(_explain_stored(loaded, store, what["event"]), before, after)]
    endpoint = find_endpoint(providers_without_secrets(loaded), str(what.get("endpoint")))
    try:
        parts = read_example(endpoint, str(what.get("body", "")).encode("utf-8", "replace"), datetime.now(UTC))
    except Unreadable as unreadable:
        raise ConnectorError(f"{what.get('endpoint')} cannot read this body: {unreadable.why}") from unreadable
    events = [event for part in parts if (event := part if isinstance(part, Event) else part.event) is not None]
    if not events:
        raise ConnectorError("there is no event in this body")
    configured = opt_outs(loaded).subscriptions

    def explain(event: Event) -> Callable[[Ruleset], dict[str, Any]]:
        return lambda rules: explain_unstored(event, rules, configured, reveal=False)

    return [_tried(explain(event), before, after) for event in events[:MAX_PARTS]]


def _explain_stored(loaded: LoadedConfig, store: Store, named: object) -> Callable[[Ruleset], dict[str, Any]]:
    """What explains a stored event by given rules. Raises ConnectorError if there is no such event."""

    def no_rules() -> Ruleset:
        raise ConnectorError("the rules are given")

    context = AdminContext.of(store, rules=no_rules, loaded=loaded, now=lambda: datetime.now(UTC))
    stored = context.event(named)
    if stored.event is None:
        raise ConnectorError(f"event {stored.id} could not be read: try its body instead")
    return lambda rules: explain_event(context, stored, rules, reveal=False)


def _tried(explain: Callable[[Ruleset], dict[str, Any]], before: Ruleset | None, after: Ruleset) -> dict[str, Any]:
    """The plans of one event by the edited files and by those in use, and whether they do the same."""
    new = explain(after)
    old = explain(before)["plan"] if before is not None else None
    same = old is not None and all(old[name] == new["plan"][name] for name in ("state", "consent", "operations"))
    return {"event": new["event"], "plan": new["plan"], "in_use": old, "same": same}


def main() -> None:
    """Do one job after the other: a line each, and lines for what became of it."""
    is_low = _give_way()
    for line in sys.stdin.buffer:
        try:
            _write({"result": run(orjson.loads(line), lambda step: _write({"step": step}), yields=not is_low)})
        except ConnectorError as error:
            _write({"error": str(error)})
        except ProblemsFound as found:
            _write({"error": "; ".join(str(problem) for problem in found.problems)})
        except Exception as error:  # noqa: BLE001 - nobody reads this process's standard error.
            _write({"error": f"{place(error)}: this is a bug, please report it with this line"})


def _write(document: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS, default=str) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
