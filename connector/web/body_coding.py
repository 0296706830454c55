"""`Content-Encoding` of a callback: which words mean no coding, which compressions are decoded, and the size limit. Pure.

No provider documents a compressed body. Gateways in between may compress, and some write a charset into this header.
"""

import zlib

from connector.model.errors import HttpRejected

# IANA, HTTP Content Coding Registry. Any other word is not a coding (`utf-8`, `none`, `binary`) and says nothing about
# the body.
CODINGS = frozenset(
    {
        "gzip",
        "x-gzip",
        "deflate",
        "compress",
        "x-compress",
        "br",
        "zstd",
        "exi",
        "pack200-gzip",
        "aes128gcm",
        "dcb",
        "dcz",
    }
)
GZIP, DEFLATE = frozenset({"gzip", "x-gzip"}), "deflate"
ACCEPTED = "gzip, deflate"  # for Accept-Encoding in a 415 (RFC 9110, 15.5.16)
GZIP_MAGIC = b"\x1f\x8b"
GZIP_BITS, ZLIB_BITS, RAW_BITS = 31, 15, -15  # zlib, `wbits`


def body_coding(header: str) -> str | None:
    """The one compression that the header names; None for none. Raises HttpRejected (415) for one that is not supported."""
    codings = [word for each in header.split(",") if (word := each.strip().lower()) in CODINGS]
    if not codings:
        return None
    if len(codings) > 1 or (codings[0] not in GZIP and codings[0] != DEFLATE):
        raise HttpRejected(415, "compressed body")
    return codings[0]


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """The body without its compression; raises HttpRejected, 413 beyond `limit` bytes and 400 if it is broken.

    A body that does not look compressed is used as it is: a proxy has decompressed it and kept the header.
    """
    if coding in GZIP:
        return _inflate(body, GZIP_BITS, limit) if body.startswith(GZIP_MAGIC) else body
    if _has_zlib_header(body):
        return _inflate(body, ZLIB_BITS, limit)
    try:
        # Without zlib's header, as some senders do it (RFC 9110, 8.4.1.2).
        return _inflate(body, RAW_BITS, limit)
    except HttpRejected as refused:
        if refused.status == 413:  # noqa: PLR2004 - the HTTP status.
            raise
        return body


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0  # noqa: PLR2004 - RFC 1950, 2.2.


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    unpacking = zlib.decompressobj(bits)
    try:
        plain = unpacking.decompress(body, limit + 1)
    except zlib.error:
        raise HttpRejected(400, "broken body") from None
    if len(plain) > limit:
        raise HttpRejected(413, "body too large")
    if not unpacking.eof or unpacking.unused_data:
        raise HttpRejected(400, "broken body")
    return plain
