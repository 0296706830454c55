"""What a long command is doing, on standard error: one line that changes at a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from connector.cli.render import SILENCE, waiting

PAUSE = 10.0  # seconds between two lines where nobody's window can show one that changes


@contextmanager
def progress(*, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str], None]]:
    """Gives what takes the words for what is done now. What is over within two seconds says nothing."""
    if sys.stderr.isatty():
        with waiting("working") as say:
            yield say
        return
    due = clock() + SILENCE

    def emit(words: str) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + PAUSE
            click.echo(words, err=True)

    yield emit
