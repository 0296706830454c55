"""The line of a file that a problem is about, without what may be a secret."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from connector.admin.excerpts import excerpt, lines_of

MAX_BYTES = 1024 * 1024  # of a file that is read for it: the reader of YAML refuses larger ones
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
        return excerpt(lines[number - 1], number, column, cell_len)

    def _lines(self, file: str) -> list[str]:
        if file not in self._files:
            try:
                with Path(file).open("rb") as stream:
                    text = stream.read(MAX_BYTES).decode("utf-8-sig")
            except (OSError, UnicodeDecodeError):
                text = ""
            self._files[file] = lines_of(text)
        return self._files[file]


def _may_be_secret(line: str) -> bool:
    """Whether a line of the config may hold a secret in clear: by its key, or because it has none."""
    key = KEY.match(line)
    return key is None or SECRETS.search(key[1]) is not None
