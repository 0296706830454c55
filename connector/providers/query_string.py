"""A query or form → its pairs, whatever the sender's escaping is worth. No provider's words live here."""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from connector.model.text_encoding import read_text

ESCAPED_AMPERSAND = "amp;"  # what follows `&` where a sender wrote the address as HTML does


def pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """The pairs in their order, without those that have no name (`&&`); none is too odd to be read.

    `&amp;` separates pairs as `&` does if a name and `=` follow; elsewhere it stays as it is.
    """
    # Latin-1 gives each byte a character of its own, and back again in _decoded(): texts are split faster than bytes.
    text = encoded.decode("latin-1").replace("+", " ")
    plain = _is_plain(text)
    escaped = ESCAPED_AMPERSAND in text
    for pair in text.split("&"):
        name, equals, value = pair.partition("=")
        if escaped and equals:
            while name.startswith(ESCAPED_AMPERSAND):
                name = name[len(ESCAPED_AMPERSAND) :]
        if name:
            yield (name, value) if plain else (_decoded(name), _decoded(value))


def _is_plain(text: str) -> bool:
    return "%" not in text and text.isascii() and text.isprintable()


def _decoded(text: str) -> str:
    """Escapes that are none stay as they are."""
    return text if _is_plain(text) else read_text(unquote_to_bytes(text.encode("latin-1")))
