"""Normalises text for comparing: composed and decomposed letters are equal, and so are capitals and small letters."""

import unicodedata


def fold(plain: str) -> str:
    """A text for comparing: in NFC and without regard to case."""
    if plain.isascii():
        return plain.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())


def composed(plain: str) -> str:
    """A text for writing: in NFC, so that what looks the same is the same."""
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)
