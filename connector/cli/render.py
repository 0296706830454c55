"""Output of results: one JSON document, or lines and tables for people; and a progress line if it takes long."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from threading import Timer
from typing import Any
from zoneinfo import ZoneInfo

import click

from connector.cli.group import json_text
from connector.cli.setup import Setup
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound
from connector.model.terminal_text import on_one_line

GAP = 3  # columns between two of a table
PIPE_WIDTH = 160  # columns if the output is not a terminal, and COLUMNS is not set
SILENCE = 2.0  # seconds after which a person wants to see that something is happening

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
LIMIT = click.IntRange(1, 1000)  # of `--limit`: how many lines an admin command gives at most
revealing = click.option("--reveal", is_flag=True, help="Show phone numbers unmasked.")


class Paper:
    """Prints results. Their content is never interpreted as markup or as terminal commands."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - see the package's docstring.

        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)
        self._begun = False  # whether something was printed

    @cached_property
    def _zone(self) -> ZoneInfo | None:
        """The config's `timezone`; None where the command has no usable config."""
        ctx = click.get_current_context(silent=True)
        setup = ctx.find_object(Setup) if ctx else None
        try:
            return setup.zone() if setup else None
        except (ConnectorError, ProblemsFound):
            return None

    def time(self, text: str | None) -> str:
        """A time of a document, in the config's time zone."""
        if text is None or self._zone is None:
            return text or ""
        return f"{datetime.fromisoformat(text).astimezone(self._zone):%Y-%m-%d %H:%M}"

    def line(self, text: object, *, indent: int = 0, style: str = "") -> None:
        """Print one line. It is wrapped at a terminal, and stays one line for other programs."""
        from rich.padding import Padding  # noqa: PLC0415 - the same.
        from rich.text import Text  # noqa: PLC0415 - the same.

        self._begun = True
        line = Text(on_one_line(text), style=style)
        if self._console.is_terminal:
            self._console.print(Padding(line, (0, 0, 0, indent), expand=False))
        else:
            self._console.print(Text(" " * indent) + line, soft_wrap=True)

    def heading(self, text: str) -> None:
        """Print the heading of a part."""
        if self._begun:
            self._console.print()
        self.line(text, style="bold")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows below their column headings."""
        from rich import box  # noqa: PLC0415 - the same.
        from rich.cells import cell_len  # noqa: PLC0415 - the same.
        from rich.table import Table  # noqa: PLC0415 - the same.
        from rich.text import Text  # noqa: PLC0415 - the same.

        cells = [[_cell(cell) for cell in row] for row in rows]
        widths = [
            max(cell_len(line) for row in [columns, *cells] for line in row[place].split("\n"))
            for place in range(len(columns))
        ]
        beside = _beside(widths, self._console.width)
        if len(beside) < len(columns):
            self._stacked(columns, cells, widths, beside)
            return
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        self._console.print(table)

    def _stacked(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], short: Sequence[int]
    ) -> None:
        """Print a table that is too wide: below the short cells of each row its long ones, each on lines of their own."""
        from rich.cells import set_cell_size  # noqa: PLC0415 - see the package's docstring.

        def short_cells(cells: Sequence[str]) -> str:
            return "  ".join(set_cell_size(cells[place].replace("\n", ", "), widths[place]) for place in short).rstrip()

        self.line(short_cells(columns), style="bold")
        for row in rows:
            self.line(short_cells(row))
            for place in (place for place in range(len(columns)) if place not in short and row[place]):
                for line in row[place].split("\n"):
                    self.line(f"{columns[place]}: {line}", indent=4)


def _beside(widths: Sequence[int], room: int) -> Sequence[int]:
    """The columns that stand beside each other: without the widest ones, where not all have room."""
    beside = list(range(len(widths)))
    while len(beside) > 1 and sum(widths[place] + GAP for place in beside) > room:
        beside.remove(max(beside, key=lambda place: (widths[place], place)))
    return beside


def _cell(value: object) -> str:
    """A table cell; several texts are placed below each other."""
    if isinstance(value, list | tuple):
        return "\n".join(on_one_line(one) for one in value)
    return on_one_line("" if value is None else value)


def answer(document: Mapping[str, Any], show: Callable[[Paper, Any], None], *, json_wanted: bool) -> None:
    """Print a result as JSON, or as text with times in the config's time zone."""
    if json_wanted:
        click.echo(json_text(document))
    else:
        show(Paper(), document)


def ago(seconds: float | None) -> str:
    """A time span in words."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def show_slow_step(text: str) -> Iterator[Callable[[str], None]]:
    """Show the current step if it takes long, at a terminal only. Yields a function that changes the step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - see the package's docstring.

    status = Console(stderr=True).status(text)
    timer = Timer(SILENCE, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda step: status.update(on_one_line(step))
    finally:
        timer.cancel()
        status.stop()
