"""Reads the body of a reply: decompresses it piece by piece, up to its size limit.

Source: RFC 9110, 8.4.1 (content codings). Many servers write `deflate` without the zlib frame that the RFC requires.
"""

import zlib
from io import BytesIO

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib detects which
NO_FRAME = -zlib.MAX_WBITS
ZLIB_METHOD = 8  # the low half of the first byte of a zlib frame
ACCEPTED = "gzip, deflate"  # for Accept-Encoding: only these are decoded here
# An empty list of two bytes takes sixty when it is parsed: in larger bodies the values are counted.
COUNTED_FROM = 2**20
MAX_VALUES = 500_000  # a page of 2,000 records with 50 fields has a fifth of it


class BodyRefused(Exception):  # noqa: N818 - named after the state that it reports.
    """The body cannot be read: it is too large, or its compression is broken. The message says which."""


class AnswerBody:
    """Collects one body. `limit` is in bytes, decompressed; `counted` also refuses JSON with too many values."""

    def __init__(self, coding: str, limit: int, *, counted: bool = True) -> None:
        """`coding` is the answer's Content-Encoding. Raises BodyRefused for one that was not asked for."""
        named = [one.strip() for one in coding.lower().split(",") if one.strip() not in {"", "identity"}]
        if len(named) > 1 or not set(named) <= {"gzip", "x-gzip", "deflate"}:
            raise BodyRefused("the answer is compressed in a way that was not asked for")
        self._deflate = named == ["deflate"]
        self._inflate = zlib.decompressobj(GZIP_OR_ZLIB) if named else None
        self._limit = limit
        self._counted = counted
        self._started = False
        self._whole = BytesIO()
        self.size = 0  # bytes so far, decompressed

    def feed(self, piece: bytes) -> None:
        """Add the next bytes from the network. Raises BodyRefused; memory never holds more than the limit."""
        if self._inflate is None:
            self._append(piece)
            return
        if not self._started and piece:
            self._started = True
            if self._deflate and piece[0] & 0x0F != ZLIB_METHOD:
                self._inflate = zlib.decompressobj(NO_FRAME)
        try:
            while piece:
                if self._inflate.eof:
                    # A gzip stream may have several members (RFC 1952, 2.2).
                    self._inflate = zlib.decompressobj(GZIP_OR_ZLIB)
                self._append(self._inflate.decompress(piece, self._limit - self.size + 1))
                piece = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error:
            raise BodyRefused("the answer's compression is broken") from None

    def complete(self) -> bytes:
        """The complete body, at the end. Raises BodyRefused if compressed data ends too early, or holds too many values."""
        if self._inflate is not None and self._started and not self._inflate.eof:
            raise BodyRefused("the answer's compression is broken")
        body = self._whole.getvalue()
        if self._counted and len(body) > COUNTED_FROM and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise BodyRefused(f"the answer holds more than {MAX_VALUES} values")
        return body

    def _append(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            self._whole.close()
            raise BodyRefused(f"the answer is larger than {self._limit / 2**20:.4g} MiB")
        self._whole.write(piece)
