"""`connector test`: the examples in the mapping files."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exit_codes import Exit, Misused
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.cli.setup import Setup, load_rules, mappings_directory, read_locks

if TYPE_CHECKING:
    from connector.mapping.compile.ruleset import Ruleset
    from connector.model.event import Event
    from connector.model.plan import Known
    from connector.pipeline.rule_tests import TestResult
    from connector.registry import LoadedConfig
    from connector.store.inbox import StoredEvent

MONTH = timedelta(days=30)
MAX_EVENTS = 10_000  # of the newest events, whose rules are looked for: some seconds


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", "words", metavar="WORDS", help="Only the tests whose file or name contains these words.")
@click.option("-v", "--verbose", is_flag=True, help="Name the tests that pass too.")
@click.option(
    "--coverage", is_flag=True, help="Say which rules and fields no test, and no event of the last month, reaches."
)
@as_json
@click.pass_context
def test(
    ctx: click.Context, *, files: Sequence[Path], words: str | None, verbose: bool, coverage: bool, as_json: bool
) -> None:
    """Run the `tests:` of the mapping FILES, or of all of them.

    Each file's tests use the rules of that file alone. Ends with 1 if a test fails.
    """
    from connector.pipeline.rule_tests import run_rule_tests  # noqa: PLC0415 - see the package's docstring.

    setup: Setup = ctx.obj
    loaded = setup.config()
    directory = mappings_directory(loaded)
    rules = load_rules(loaded, read_locks(loaded))
    wanted = _selected_names(rules, files, directory)
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with show_slow_step("running the tests"):
        for result in run_rule_tests(rules):
            if result.file in wanted and _chosen(f"{result.file}: {result.name}", words):
                by_file[result.file].append(
                    {
                        "name": result.name,
                        "ok": not result.differences,
                        "line": _line(directory, result) if result.differences else None,
                        "differences": list(result.differences),
                    }
                )
    cases = [one for several in by_file.values() for one in several]
    failed = sum(not one["ok"] for one in cases)
    document = {
        "ok": not failed,
        "passed": len(cases) - failed,
        "failed": failed,
        "files": [{"file": str(directory / name), "cases": by_file.get(name, [])} for name in wanted],
        "without_tests": [] if words else [str(directory / name) for name in wanted if name not in by_file],
    }
    if words and not cases:
        raise Misused(f"no test has `{words}` in its file or name")
    if coverage:
        document["coverage"] = _coverage(loaded, rules)
    answer(document, lambda paper, one: _show(paper, one, verbose=verbose), json_wanted=as_json)
    if failed:
        ctx.exit(Exit.NO)


def _chosen(name: str, words: str | None) -> bool:
    return words is None or words.casefold() in name.casefold()


def _coverage(loaded: "LoadedConfig", rules: "Ruleset") -> dict[str, Any]:
    """What the tests reach, and the newest events of the last month where there is a database."""
    from connector.admin.coverage import Coverage  # noqa: PLC0415 - see the package's docstring.
    from connector.pipeline.known import known_before  # noqa: PLC0415 - the same.
    from connector.registry import opt_outs  # noqa: PLC0415 - the same.
    from connector.store.store import Store  # noqa: PLC0415 - the same.

    coverage = Coverage(rules)
    coverage.take_tests()
    path = loaded.database
    events = None
    if path.exists():
        store = Store.open_to_read(path)
        configured = opt_outs(loaded).subscriptions

        def known_when_received(stored: "StoredEvent", event: "Event") -> "Known":
            ledger = store.consents.of(event.msisdn.e164) if event.msisdn else ()
            return known_before(store, stored.id, event, ledger, configured)

        newest = store.inbox.newest(since=datetime.now(UTC) - MONTH, limit=MAX_EVENTS)
        with show_slow_step("planning the events of the last month"):
            events = coverage.take_events(
                (one.event, known_when_received(one, one.event)) for one in newest if one.event is not None
            )
    return {**coverage.document(), "events": events}


def _line(directory: Path, result: "TestResult") -> int:
    from connector.config.yaml_document import read  # noqa: PLC0415 - see the package's docstring.

    return read(directory / result.file).at(("tests", result.number)).line


def _selected_names(rules: "Ruleset", files: Sequence[Path], directory: Path) -> list[str]:
    known = [file.name for file in rules.files]
    for path in files:
        there = path.resolve().parent == directory.resolve() or path.parent == Path()
        if path.name not in known or not there:
            raise Misused(f"{path} is not a mapping file in {directory}, which has {', '.join(known) or 'none'}")
    names = {path.name for path in files}
    return [name for name in known if not names or name in names]


def _show(paper: Paper, document: dict[str, Any], *, verbose: bool) -> None:
    for file in document["files"]:
        for case in file["cases"]:
            if case["ok"] and verbose:
                paper.line(f"ok    {file['file']}: {case['name']}", style="green")
            for difference in case["differences"]:
                paper.line(f"FAIL  {file['file']}:{case['line']}: {case['name']}: {difference}", style="red")
    for file in document["without_tests"]:
        paper.line(f"warning: {file} has no tests (add `tests:` with an event and the expected result)", style="yellow")
    paper.line(f"{document['passed']} passed, {document['failed']} failed", style="bold")
    if "coverage" in document:
        _show_coverage(paper, document["coverage"])


def _show_coverage(paper: Paper, coverage: dict[str, Any]) -> None:
    events = coverage["events"]
    seen = "there is no database, so no events" if events is None else f"{events} events of the last month"
    paper.heading(f"Coverage ({seen})")
    paper.line(f"{coverage['rules_tested']} of {coverage['rules']} rules are reached by a test", indent=2)
    paper.line(f"{coverage['fields_tested']} of {coverage['fields']} fields are reached by a test", indent=2)
    for one in coverage["not_reached"]:
        name = f"{one['place']} {one['rule'].partition(': ')[2]}" + (f": {one['field']}" if one["field"] else "")
        if not one["tests"] and not one["events"]:
            paper.line(f"no test{'' if events is None else ' and no event'}: {name}", indent=2, style="yellow")
        elif not one["tests"]:
            paper.line(f"no test, {one['events']} event(s): {name}", indent=2, style="red")
    if events:
        quiet = sum(not one["events"] and bool(one["tests"]) for one in coverage["not_reached"])
        if quiet:
            paper.line(f"{quiet} rules and fields are tested, and no event of the last month reached them", indent=2)
