"""Overwriting what SQLite leaves in the unused space of its pages.

`secure_delete` overwrites what a statement deletes. But when SQLite moves rows between pages, it leaves old copies of
rows in the gap between the cell pointers and the cells of a page (sqlite.org/fileformat2.html#b_tree_pages).
Nothing but VACUUM removes them, which writes the whole file and blocks the writer for that long. So the gaps are
overwritten with zeros in the file itself. That changes nothing that SQLite reads. It relies on what SQLite relies on: a
write damages no byte beside it, even at a power cut (SQLITE_IOCAP_POWERSAFE_OVERWRITE).

It is safe only while the write-ahead log is empty and nobody writes: writer.py calls overwrite() then.
"""

import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

HEADER = 100  # bytes at the beginning of the file, before the first page's own header
INTERIOR, LEAF = {2: 12, 5: 12}, {10: 8, 13: 8}  # kind of a b-tree page → length of its header
KINDS = INTERIOR | LEAF
CHUNK = 256  # pages that are read at once
PAUSE = 0.001  # seconds between two chunks: callbacks are answered meanwhile
PENDING_BYTE = 0x40000000  # SQLite locks here; the page with this byte is never used


class FreeSpace:
    """The unused space of one database file.

    The file is opened once and stays open: closing any descriptor of it would release the locks that SQLite holds in
    this process (sqlite.org/howtocorrupt.html, 2.2).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def unclean(self) -> Iterator[int]:
        """The numbers of pages (from 0) whose gap holds something. It reads the whole file: call it in a thread."""
        size = self._page_size()
        number = 0
        while data := os.pread(self._file(), CHUNK * size, number * size):
            for place in range(len(data) // size):
                page = data[place * size : (place + 1) * size]
                gap = gap_of(page, number + place)
                if gap is not None and page[gap].strip(b"\0"):
                    yield number + place
            number += CHUNK
            time.sleep(PAUSE)

    def overwrite(self, pages: Iterable[int]) -> None:
        """Overwrite the gaps of these pages. Raises OSError. Only while the log is empty and nobody writes."""
        size = self._page_size()
        for number in pages:
            page = os.pread(self._file(), size, number * size)
            gap = gap_of(page, number) if len(page) == size else None
            if gap is not None:
                os.pwrite(self._file(), bytes(gap.stop - gap.start), number * size + gap.start)
        os.fsync(self._file())

    def close(self) -> None:
        """Close the file, after SQLite has closed it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _file(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        return self._descriptor

    def _page_size(self) -> int:
        (size,) = struct.unpack(">H", os.pread(self._file(), 2, 16))
        return 65536 if size == 1 else int(size)


def gap_of(page: bytes, number: int) -> slice | None:
    """The unused space between the cell pointers and the cells; None if the page is none of a b-tree.

    An overflow or free page begins with the number of a page, whose first byte is 0 in every file below 128 GiB.
    """
    begin = HEADER if number == 0 else 0
    length = KINDS.get(page[begin]) if len(page) > begin else None
    if length is None or number == PENDING_BYTE // len(page):
        return None
    cells, content = struct.unpack_from(">HH", page, begin + 3)
    first, last = begin + length + 2 * cells, content or 65536
    if not first <= last <= len(page):
        return None
    pointers = struct.unpack_from(f">{cells}H", page, begin + length)
    return slice(first, last) if all(last <= one < len(page) for one in pointers) else None
