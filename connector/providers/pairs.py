"""A query or form → its pairs, whatever the sender's escaping is worth. No provider's words live here."""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from connector.model.text_encoding import read_text

ESCAPED_AMPERSAND = b"amp;"  # what follows `&` where a sender wrote the address as HTML does


def pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """The pairs in their order, without those that have no name (`&&`); none is too odd to be read.

    `&amp;` separates pairs as `&` does if a name and `=` follow; elsewhere it stays as it is.
    """
    escaped = ESCAPED_AMPERSAND in encoded
    for pair in encoded.split(b"&"):
        name, equals, value = pair.partition(b"=")
        if escaped and equals:
            while name.startswith(ESCAPED_AMPERSAND):
                name = name[len(ESCAPED_AMPERSAND) :]
        if name:
            yield _decoded(name), _decoded(value)


def _decoded(escaped: bytes) -> str:
    """Escapes that are none stay as they are."""
    return read_text(unquote_to_bytes(escaped.replace(b"+", b" ")) if b"%" in escaped or b"+" in escaped else escaped)
