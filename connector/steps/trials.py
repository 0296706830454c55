"""The `tests:` of the mapping files: run by `connector test`, and before a reload is accepted."""

from collections.abc import Iterator
from dataclasses import dataclass

from connector.mapping.cases import build_case
from connector.mapping.compile import Ruleset
from connector.mapping.expect import compare
from connector.model.problem import Problem, ProblemsFound
from connector.planning import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One case, and how the plan differs from what it expects: nothing when it passes."""

    file: str
    name: str
    number: int  # place in the file's list, from 0
    differences: tuple[str, ...]


def try_cases(rules: Ruleset) -> Iterator[Trial]:
    """Run every case, each against its own file alone."""
    for file in rules.files:
        alone = rules.only(file.name)
        for number, case in enumerate(file.cases):
            event, known = build_case(case, file.frame)
            differences = compare(case.expect, plan(event, alone, known, tracing=True))
            yield Trial(file=file.name, name=case.name, number=number, differences=tuple(differences))


def refuse_failing(rules: Ruleset) -> None:
    """Raises ProblemsFound with the cases that fail."""
    problems = [
        Problem(
            file=trial.file,
            position=None,
            code="failing-test",
            message=f"the test `{trial.name}` fails: {'; '.join(trial.differences)}",
            hint="mend the rule or the test; `connector test` shows more",
        )
        for trial in try_cases(rules)
        if trial.differences
    ]
    if problems:
        raise ProblemsFound(problems)
