"""Texts as they are compared: composed and decomposed letters are one, and so are capitals and small ones."""

import unicodedata


def fold(plain: str) -> str:
    """A text for comparing: in NFC and without regard to case."""
    if plain.isascii():
        return plain.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())


def composed(plain: str) -> str:
    """A text as it is written down: in NFC, so that what looks the same is the same."""
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)
