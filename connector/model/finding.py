"""One result of checking the whole installation: its level and the cure."""

from dataclasses import dataclass
from enum import StrEnum

SIGN_IN = "sign-in"  # an area of every CRM: if sign-in fails, nothing else about that CRM can be checked


class Level(StrEnum):
    """The severity."""

    OK = "ok"
    WARN = "warn"  # it works, but will not for ever, or not as well as it could
    FAIL = "fail"  # events will not reach their destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding."""

    area: str  # what was checked, in a word or two: `clock`
    level: Level
    text: str
    cure: str = ""  # what a person does about it; empty if all is well
