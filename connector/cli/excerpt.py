"""The line of a file that a problem is about, with a caret below the place, as compilers show it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from connector.model.terminal_text import on_one_line

WIDTH = 68  # columns of the line that are shown
BEFORE = 30  # of these, the columns before the place, if the line is longer
MAX_BYTES = 1024 * 1024  # of a file that is read for it: the reader of YAML refuses larger ones
TAB = "→"  # one column, so that the caret stands below its place
# What is marked: a quoted text, a template or list in braces, a word; else one character.
MARKED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|\{[^{}]*\}|\[[^\[\]]*\]|[\w.$-]+(?: (?=[^\s:]+:)[\w.-]+)*""")
SECRETS = re.compile(r"key|secret|token|password|pin\b|credential", re.IGNORECASE)
KEY = re.compile(r"[\s-]*([\w-]+):")


class Excerpts:
    """Shows lines of files, each of which is read once."""

    def __init__(self, config: Path) -> None:
        self._config = config.resolve()
        self._files: dict[str, list[str]] = {}

    def of(self, problem: Mapping[str, Any]) -> list[str]:
        """The line and the caret; empty if the problem has no place, or if the line may hold a secret."""
        number, column = problem["line"], problem["column"]
        if number is None or column is None:
            return []
        lines = self._lines(problem["file"])
        in_config = Path(problem["file"]).resolve() == self._config
        if not 0 < number <= len(lines) or (in_config and _may_be_secret(lines[number - 1])):
            return []
        line, start = lines[number - 1], column - 1
        found = MARKED.match(line, start)
        end = max(found.end() if found else 0, start + 1)
        first = max(0, start - BEFORE) if len(line) > WIDTH else 0
        shown = _plain(line[first : first + WIDTH])
        begin = "…" if first else ""
        carets = "^" * max(1, cell_len(_plain(line[start : min(end, first + WIDTH)])))
        margin = f"{number:>6} | "
        rest = "…" if len(line) > first + WIDTH else ""
        return [
            f"{margin}{begin}{shown}{rest}",
            f"{'':>6} | {' ' * cell_len(begin + _plain(line[first:start]))}{carets}",
        ]

    def _lines(self, file: str) -> list[str]:
        if file not in self._files:
            try:
                with Path(file).open("rb") as stream:
                    text = stream.read(MAX_BYTES).decode("utf-8-sig")
            except (OSError, UnicodeDecodeError):
                text = ""
            self._files[file] = re.split(r"\r\n|\r|\n", text)
        return self._files[file]


def _plain(text: str) -> str:
    return on_one_line(text.replace("\t", TAB))


def _may_be_secret(line: str) -> bool:
    """Whether a line of the config may hold a secret in clear: by its key, or because it has none."""
    key = KEY.match(line)
    return key is None or SECRETS.search(key[1]) is not None
