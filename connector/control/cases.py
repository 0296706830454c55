"""Runs the `tests:` of mapping files: pure, by the same planning as the road."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connector.config.document import read
from connector.mapping.cases import Case, build_case
from connector.mapping.compile import CompiledFile, Ruleset
from connector.mapping.expect import compare
from connector.model.errors import ConnectorError
from connector.model.problem import Position, Problem, ProblemsFound
from connector.planning import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What came of one case."""

    file: str
    place: int  # among the cases of its file
    name: str
    differences: tuple[str, ...]  # none: it passed


def run_cases(rules: Ruleset) -> Iterator[CaseResult]:
    """All cases, file by file; each file's are held against its own rules alone."""
    for file in rules.files:
        alone = rules.only(file.name)
        for place, case in enumerate(file.cases):
            differences = _run(file, case, alone)
            yield CaseResult(file=file.name, place=place, name=case.name, differences=tuple(differences))


def _run(file: CompiledFile, case: Case, alone: Ruleset) -> list[str]:
    event, known = build_case(case, file.frame)
    if not alone.asked(event):
        return [f"this file does not see events of {event.source}: name another `provider` or `shape` in the event"]
    return compare(case.expect, plan(event, alone, known, tracing=True))


def failing_cases(rules: Ruleset, directory: Path | None = None) -> list[Problem]:
    """What keeps a ruleset from being taken into use; with the `directory` of the files each has its place."""
    return [
        Problem(
            file=result.file,
            position=place_of(directory, result),
            code="test-failed",
            message=f"{result.name}: {difference}",
            hint="run `connector test`, and mend the rule or the test",
        )
        for result in run_cases(rules)
        for difference in result.differences
    ]


def place_of(directory: Path | None, result: CaseResult) -> Position | None:
    """Where the case stands in its file; None where the file cannot be read any more."""
    if directory is None:
        return None
    try:
        return read(directory / result.file, result.file).at(("tests", result.place))
    except (ProblemsFound, ConnectorError):
        return None
