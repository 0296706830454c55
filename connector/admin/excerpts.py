"""The line of a text that a problem is about, with a caret below the place, as compilers show it."""

import re
from collections.abc import Callable

from connector.model.terminal_text import on_one_line

WIDTH = 68  # columns of the line that are shown
BEFORE = 30  # of these, the columns before the place, if the line is longer
TAB = "→"  # one column, so that the caret stands below its place
# What is marked: a quoted text, a template or list in braces, a word; else one character.
MARKED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|\{[^{}]*\}|\[[^\[\]]*\]|[\w.$-]+(?: (?=[^\s:]+:)[\w.-]+)*""")


def lines_of(text: str) -> list[str]:
    """The lines as YAML counts them."""
    return re.split(r"\r\n|\r|\n", text)


def excerpt(line: str, number: int, column: int, width: Callable[[str], int] = len) -> list[str]:
    """The line and the caret. `number` and `column` begin at 1; `width` tells how many columns a text takes."""
    start = column - 1
    found = MARKED.match(line, start)
    end = max(found.end() if found else 0, start + 1)
    first = max(0, start - BEFORE) if len(line) > WIDTH else 0
    shown = _plain(line[first : first + WIDTH])
    begin = "…" if first else ""
    carets = "^" * max(1, width(_plain(line[start : min(end, first + WIDTH)])))
    margin = f"{number:>6} | "
    rest = "…" if len(line) > first + WIDTH else ""
    return [
        f"{margin}{begin}{shown}{rest}",
        f"{'':>6} | {' ' * width(begin + _plain(line[first:start]))}{carets}",
    ]


def _plain(text: str) -> str:
    return on_one_line(text.replace("\t", TAB))
