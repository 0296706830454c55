"""Progress of a long command on standard error: one changing line at a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from connector.cli.render import SILENCE, show_slow_step

PAUSE = 10.0  # seconds between two lines if the output is not a terminal


@contextmanager
def progress(*, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str], None]]:
    """Yields a function that takes the current step. Nothing is printed within the first two seconds."""
    if sys.stderr.isatty():
        with show_slow_step("working") as say:
            yield say
        return
    due = clock() + SILENCE

    def emit(words: str) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + PAUSE
            click.echo(words, err=True)

    yield emit
