"""A problem in a file that a person wrote: place, message and cure. Problems are collected, never raised one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error prevents the file from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem."""

    file: str
    position: Position | None
    code: str  # stable, kebab-case: unknown-key, duplicate-key, …
    message: str  # what is wrong
    hint: str = ""  # the cure
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.position.line}:{self.position.column}" if self.position else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ProblemsFound(Exception):  # noqa: N818 - it is a finding about the user's files, not an error of ours.
    """Files that cannot be used, with all their problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
