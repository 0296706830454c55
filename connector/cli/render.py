"""How answers look: one JSON document, or plain lines and tables for people; and a sign of life while something takes long."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

import click

from connector.model.terminal_text import escaped, on_one_line

PIPE_WIDTH = 160  # columns where nobody's window says how many there are
SILENCE = 2.0  # seconds after which a person wants to know that something is going on

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
revealing = click.option("--reveal", is_flag=True, help="Show phone numbers whole.")


class Paper:
    """What an answer is written on. Nothing in an answer is taken for markup or sent to the terminal as a command to it."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - see the package's docstring.

        self._console = Console(
            width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False, emoji=False
        )
        self._begun = False  # whether anything stands on it yet

    def line(self, text: object, *, indent: int = 0, style: str = "") -> None:
        """One line; a person's window wraps it, and for another program it stays one."""
        from rich.padding import Padding  # noqa: PLC0415 - the same.
        from rich.text import Text  # noqa: PLC0415 - the same.

        self._begun = True
        line = Text(on_one_line(text), style=style)
        if self._console.is_terminal:
            self._console.print(Padding(line, (0, 0, 0, indent), expand=False))
        else:
            self._console.print(Text(" " * indent) + line, soft_wrap=True)

    def heading(self, text: str) -> None:
        """A line that opens a part."""
        if self._begun:
            self._console.print()
        self.line(text, style="bold")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows below their headings."""
        from rich import box  # noqa: PLC0415 - the same.
        from rich.table import Table  # noqa: PLC0415 - the same.
        from rich.text import Text  # noqa: PLC0415 - the same.

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(cell)) for cell in row))
        self._console.print(table)


def _cell(value: object) -> str:
    """A cell of a table; several texts stand below each other in it."""
    if isinstance(value, list | tuple):
        return "\n".join(on_one_line(one) for one in value)
    return on_one_line("" if value is None else value)


def answer(document: Mapping[str, Any], show: Callable[[Paper, Any], None], *, json_wanted: bool) -> None:
    """Print an answer, the one way or the other."""
    if json_wanted:
        click.echo(escaped(json.dumps(document, ensure_ascii=False, indent=2)))
    else:
        show(Paper(), document)


def ago(seconds: float | None) -> str:
    """A time span as people say it."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def waiting(text: str) -> Iterator[Callable[[str], None]]:
    """Says what is going on when it takes long, to a person at a terminal only; what is yielded says what goes on by now."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - see the package's docstring.

    status = Console(stderr=True).status(text)
    timer = Timer(SILENCE, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda now: status.update(on_one_line(now))
    finally:
        timer.cancel()
        status.stop()
