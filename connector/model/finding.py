"""What a look at the whole installation finds: each finding with how bad it is, and the cure."""

from dataclasses import dataclass
from enum import StrEnum

SIGN_IN = "sign-in"  # an area of every CRM: where it fails, nothing else can be told of that CRM


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it works, and will not for ever, or not as well as it could
    FAIL = "fail"  # events will not reach where they should


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding."""

    area: str  # what was looked at, in a word or two: `clock`
    level: Level
    text: str
    cure: str = ""  # what a person does about it; empty where all is well
