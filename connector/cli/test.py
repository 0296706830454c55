"""`connector test`: the examples in the mapping files."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exit_codes import Exit, Misused
from connector.cli.render import Paper, answer, as_json, waiting
from connector.cli.setup import Setup, load_rules, mappings_directory, read_locks

if TYPE_CHECKING:
    from connector.mapping.compile.ruleset import Ruleset
    from connector.pipeline.rule_tests import TestResult


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@as_json
@click.pass_context
def test(ctx: click.Context, *, files: Sequence[Path], as_json: bool) -> None:
    """Run the `tests:` of the mapping FILES, or of all of them.

    Each file's tests meet the rules of that file alone. Ends with 1 where one fails.
    """
    from connector.pipeline.rule_tests import run_rule_tests  # noqa: PLC0415 - see the package's docstring.

    setup: Setup = ctx.obj
    loaded = setup.config()
    directory = mappings_directory(loaded)
    rules = load_rules(loaded, read_locks(loaded))
    wanted = _wanted(rules, files, directory)
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with waiting("running the tests"):
        for result in run_rule_tests(rules):
            if result.file in wanted:
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
        "without_tests": [str(directory / name) for name in wanted if name not in by_file],
    }
    answer(document, _show, json_wanted=as_json)
    if failed:
        ctx.exit(Exit.NO)


def _line(directory: Path, result: "TestResult") -> int:
    from connector.config.yaml_document import read  # noqa: PLC0415 - see the package's docstring.

    return read(directory / result.file).at(("tests", result.number)).line


def _wanted(rules: "Ruleset", files: Sequence[Path], directory: Path) -> list[str]:
    known = [file.name for file in rules.files]
    for path in files:
        there = path.resolve().parent == directory.resolve() or path.parent == Path()
        if path.name not in known or not there:
            raise Misused(f"{path} is not a mapping file in {directory}, which has {', '.join(known) or 'none'}")
    names = {path.name for path in files}
    return [name for name in known if not names or name in names]


def _show(paper: Paper, document: dict[str, Any]) -> None:
    for file in document["files"]:
        for case in file["cases"]:
            if case["ok"]:
                paper.line(f"ok    {file['file']}: {case['name']}", style="green")
            for difference in case["differences"]:
                paper.line(f"FAIL  {file['file']}:{case['line']}: {case['name']}: {difference}", style="red")
    for file in document["without_tests"]:
        paper.line(f"warning: {file} has no tests (add `tests:` with an event and the expected result)", style="yellow")
    paper.line(f"{document['passed']} passed, {document['failed']} failed", style="bold")
