"""The `tests:` of the mapping files: run by `connector test`, and before a reload is accepted."""

from collections.abc import Iterator
from dataclasses import dataclass

from connector.mapping.compile.ruleset import Ruleset
from connector.mapping.language.expectations import compare
from connector.mapping.language.test_cases import build_case
from connector.model.problem import Position, Problem, ProblemsFound
from connector.pipeline.planning import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One test case, and how the plan differs from its expectation: empty if it passes."""

    file: str
    name: str
    number: int  # place in the file's list, from 0
    position: Position
    differences: tuple[str, ...]


def run_rule_tests(rules: Ruleset) -> Iterator[TestResult]:
    """Run every case against its own file."""
    for file in rules.files:
        alone = rules.only(file.name)
        for number, case in enumerate(file.cases):
            event, known = build_case(case, file.frame)
            differences = compare(case.expect, plan(event, alone, known, tracing=True), rules.context.traits)
            yield TestResult(
                file=file.name,
                name=case.name,
                number=number,
                position=file.cases_at[number],
                differences=tuple(differences),
            )


def failing_tests(rules: Ruleset) -> list[Problem]:
    """A problem for each case that fails, at its place in the file."""
    return [
        Problem(
            file=result.file,
            position=result.position,
            code="failing-test",
            message=f"the test `{result.name}` fails: {'; '.join(result.differences)}",
            hint="correct the rule or the test; `connector test` shows more",
        )
        for result in run_rule_tests(rules)
        if result.differences
    ]


def refuse_failing(rules: Ruleset) -> None:
    """Raises ProblemsFound with the cases that fail."""
    problems = failing_tests(rules)
    if problems:
        raise ProblemsFound(problems)
