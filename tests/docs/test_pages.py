"""Every page has lines that fit a screen, and its links and anchors lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md")
PAGES = [*(ROOT / name for name in NAMED), *sorted((ROOT / "docs").glob("*.md"))]
COMMENTED = [ROOT / "config.example.yaml", *sorted((ROOT / "mappings").rglob("*.yaml"))]
LINE = 120
TABLE_ROW = 160  # a row cannot be wrapped
ONE_LINK = re.compile(r"^(\[[^\]]+\]: )?\S+$")
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def name(path):
    return path.relative_to(ROOT).as_posix()


def too_long(line):
    if line.startswith("|"):
        return len(line) > TABLE_ROW
    return len(line) > LINE and not ONE_LINK.match(line)


def anchors(page):
    """The anchors that GitHub gives the headings of a page: lower case, letters and digits, blanks as dashes."""
    headings = HEADING.findall(CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\(.*?\)", "]", one)).lower().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_are_short(page):
    lines = page.read_text().splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, start=1) if too_long(line)] == []


@pytest.mark.parametrize("file", COMMENTED, ids=name)
def test_comments_are_short(file):
    lines = file.read_text().splitlines()
    comments = [f"{number}: {line}" for number, line in enumerate(lines, start=1) if line.lstrip().startswith("#")]
    assert [line for line in comments if too_long(line.partition(": ")[2])] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for inline, reference in LINK.findall(CODE.sub("", page.read_text())):
        target, _, anchor = (inline or reference).partition("#")
        if "://" in target:
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize(
    ("line", "long"),
    [("x " * 60, False), ("x " * 61, True), ("| " + "x" * 159, True), ("[a]: " + "x" * 160, False), ("x" * 160, False)],
)
def test_which_lines_are_too_long(line, long):
    assert too_long(line) == long
