"""A query or form → its pairs, whatever the sender's escaping is worth. No provider's words live here."""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes


def pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """The pairs in their order, without those that have no name (`&&`); none is too odd to be read."""
    for pair in encoded.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            yield _decoded(name), _decoded(value)


def _decoded(escaped: bytes) -> str:
    """Escapes that are none stay as they are; what is no UTF-8 is taken for the Latin-1 of older senders."""
    plain = unquote_to_bytes(escaped.replace(b"+", b" ")) if b"%" in escaped or b"+" in escaped else escaped
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return plain.decode("latin-1")
