"""Describes an error by its type and place, which may be logged, and never by its message."""

import traceback
from types import TracebackType


def place(error: BaseException) -> str:
    """Type and place of an error. Its message and the lines of a traceback may hold a donor's data."""
    return place_in(type(error), error.__traceback__)


def place_in(kind: type[BaseException], trace: TracebackType | None) -> str:
    """The same for an error given as type and traceback. The place is the innermost one in our own code, if there is one."""
    frames = traceback.extract_tb(trace)
    if not frames:
        return kind.__name__
    ours = [frame for frame in frames if "/connector/" in frame.filename]
    where = (ours or frames)[-1]
    return f"{kind.__name__} in {where.name} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
