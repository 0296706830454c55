"""Splits a query or form into pairs, even if it is badly escaped. Nothing here is specific to one provider."""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from connector.model.text_encoding import read_text

ESCAPED_AMPERSAND = "amp;"  # follows `&` if the sender wrote the address as HTML does


def pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """The pairs in their order, without those that have no name (`&&`). Every input can be read.

    `&amp;` separates pairs as `&` does if a name and `=` follow; elsewhere it is kept as it is.
    """
    # Latin-1 maps each byte to one character, and _decoded() maps it back: splitting text is faster than splitting
    # bytes.
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
    """Decode the escapes; invalid escapes are kept as they are."""
    return text if _is_plain(text) else read_text(unquote_to_bytes(text.encode("latin-1")))
