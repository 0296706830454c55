"""The code, its tests and the docs use the field's words. This test lists the private words that they replaced."""

import io
import keyword
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Names of classes, functions and attributes that have a standard name now (docs/architecture.md has the glossary).
NAMES = frozenset(
    {
        "Door",
        "TurnedAway",
        "Asker",
        "Answered",
        "NotYet",
        "Asking",
        "CatchUp",
        "MissedPage",
        "Watching",
        "Outlet",
        "Patience",
        "take_up",
        "Innocent",
        "INNOCENT",
        "SINK_TROUBLE",
        "SECONDARY",
        "Errand",
        "errand",
        "errands",
        "remade",
        "_anew",
        "News",
        "shadow_of",
        "gone_of",
        "remembered_of",
        "record_of",
        "Tell",
        "told",
        "heard",
        "Lived",
        "Wrote",
        "Followed",
        "Kin",
        "Stance",
        "Surprises",
        "second_thoughts",
        "Detours",
        "Astray",
        "Survivor",
        "misses_heir",
        "_heirs",
        "Hunt",
        "Suspects",
        "goes_on",
        "Parcel",
        "Shipment",
        "ship",
        "_isolate",
        "_fate",
        "_without_orphans",
        "_part_twins",
        "Crowd",
        "Sought",
        "_blame",
        "_calm",
        "Fate",
        "fates_of",
        "bury",
        "owe",
        "hurry",
        "hasten",
        "throw_off",
        "AFRESH",
        "Turnstile",
        "Shown",
        "limit_of",
        "CROWDED",
        "MOST_PAUSE",
        "MOST_PATIENCE",
        "House",
        "Road",
        "Wishes",
        "bears",
        "rests",
        "beforehand",
        "surroundings",
        "checkup",
    }
)
ANY_NAME = re.compile(rf"\b(?:{'|'.join(sorted(NAMES))})\b")
# Words that have no meaning of their own in this field: they are in no name, comment, docstring, message or page.
PRIVATE = re.compile(
    r"\b(?:errands?|heirs?|parcels?|detours?|astray|turnstile|doors?|the road|the house|kin|bears?|borne|beforehand|anew|afresh"
    r"|mend(?:s|ed|ing)?|poison(?:ed)?|theatre|shipments?|bury|buried|hasten|turned away|left alone for a while|nothing such"
    r"|is no longer held|lets? (?:him|her) in)\b",
    re.IGNORECASE,
)
# Interfaces that keep an old word: the metric and the log line are read by other programs.
KEPT = ("turned_away", 'door="mo"', '"door"', "`door`", "| provider, door, status, why |", '"--door"')
THIS = Path(__file__).resolve()


def python_files() -> list[Path]:
    return [
        path
        for room in ("connector", "tests", "benchmarks")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path != THIS
    ]


def pages() -> list[Path]:
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "config.example.yaml")]
    return [*named, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "mappings").rglob("*.yaml"))]


def private_names(text: str) -> list[str]:
    """The private names among the identifiers of a module."""
    if not ANY_NAME.search(text):  # reading the tokens takes long
        return []
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sorted(
        {
            one.string
            for one in tokens
            if one.type == tokenize.NAME and one.string in NAMES and not keyword.iskeyword(one.string)
        }
    )


def private_words(text: str) -> list[str]:
    """The lines with a private word, with their numbers."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line
        for kept in KEPT:
            plain = plain.replace(kept, "")
        if PRIVATE.search(plain):
            found.append(f"{number}: {line.strip()}")
    return found


def test_no_private_name_is_left():
    found = {path.relative_to(ROOT).as_posix(): private_names(path.read_text()) for path in python_files()}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_private_word_is_left():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (*python_files(), *pages())
        for line in private_words(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", ["# the road goes on", "raise Refused('nothing such is parked')", "Errands are done anew."]
)
def test_a_private_word_is_found(line):
    assert private_words(line) == [f"1: {line}"]


def test_a_private_name_is_found():
    assert private_names("class Door:\n    def hurry(self): ...\n") == ["Door", "hurry"]
