"""Time spans and sizes as a person writes them."""

from datetime import timedelta

SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def duration_text(span: timedelta) -> str:
    """A time span as a person writes it: `90d`, `5m`, `30s`."""
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def size_text(size: int) -> str:
    """Bytes as a person writes them: `64KiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % SIZE_UNITS[unit] == 0:
            return f"{size // SIZE_UNITS[unit]}{unit}"
    return f"{size}B"
