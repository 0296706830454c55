"""Splits a text into words as a person sees them: without invisible characters, emoji, punctuation, case and accents."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from html import unescape
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote

DRAWN_OUT_WORDS = 6  # of the longest text in which drawn-out letters are shortened


class Spelling(NamedTuple):
    """A text as words: in the form for comparing keywords, and without accents as in the table."""

    words: list[str]
    plain: list[str]
    text: str  # the split words: a line for each sentence

    def sentences(self) -> list[int]:
        """The sentence number of each word."""
        return [number for number, line in enumerate(self.text.split("\n")) for _ in line.split()]


class _Characters(dict[int, str | None]):
    """What replaces each character of a text, computed once."""

    MAX = 5000  # how many characters are cached: a sender of all of Unicode cannot fill the memory

    def __init__(self, *, joining: str) -> None:
        super().__init__()
        self._joining = joining  # characters between two letters that do not separate the word

    def __missing__(self, code: int) -> str | None:
        made = self._make(chr(code))
        if len(self) < self.MAX:
            self[code] = made
        return made

    def _make(self, char: str) -> str | None:
        if char in self._joining:
            return None
        if char in BORDERS:
            return "\n"
        category = unicodedata.category(char)
        if category in {"Cf", "Me"} or char in VARIATION_SELECTORS or (category == "Cc" and not char.isspace()):
            return None
        return char if category[0] in "LNM" else " "


BORDERS = frozenset(".!?…;:,\n\r\u2028\u2029")  # between sentences, or parts of a sentence
APOSTROPHES = "'`\u00b4\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u2032\uff07"
HYPHENS = "-_\u2010\u2011"
VARIATION_SELECTORS = frozenset(map(chr, chain(range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))))
# Marks drawn over any letter, if no composed letter exists with them: strokes, circles, accents.
MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
JOINED = _Characters(joining=APOSTROPHES + HYPHENS)
SEPARATED = _Characters(joining=APOSTROPHES)
DRAWN_OUT = re.compile(r"(.)\1{2,}")  # STOOOP
# Letters of other alphabets and symbols that look like a Latin letter, and digits that do within a word.
LOOKS_LIKE = {
    **dict(zip("авекмнорстхуѕіј", "abekmhopctxysij", strict=True)),
    **dict(zip("АВЕКМНОРСТХУЅІЈ", "ABEKMHOPCTXYSIJ", strict=True)),  # noqa: RUF001 - Cyrillic letters
    **dict(zip("αοριτκν", "aopitkv", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),  # noqa: RUF001 - Greek letters
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),  # small capitals
    **{chr(first + place): chr(ord("a") + place) for first in (0x1F150, 0x1F170, 0x1F1E6) for place in range(26)},
}
AS_LATIN = str.maketrans(LOOKS_LIKE)
NOT_LATIN = re.compile(f"[{''.join(LOOKS_LIKE)}]")
DIGIT_IN_WORD = re.compile(r"(?<=[a-zA-Z])[05]|[05](?=[a-zA-Z])")
ESCAPE = re.compile("%[0-9A-Fa-f]{2}|%u[0-9A-Fa-f]{4}|&#?[0-9A-Za-z]{2,8};")
ESCAPE_OF_UNICODE = re.compile("%u([0-9A-Fa-f]{4})")  # JavaScript's escape()
TAG = re.compile(r"</?(?:p|br|div|span|b|i|u|em|strong|font|html|body)(?:\s[^<>]*)?/?>", re.IGNORECASE)
FEWEST_LETTERS = 3  # E N D
LETTERS_ALONE = re.compile(r"(?<!\S)\S(?:\s+\S(?!\S))+")
SPLIT_STOPS = frozenset({"stop", "stopp"})  # ST OP
LONGEST_SPLIT_STOP = 8  # characters, with blanks
SEPARATED_WORD = re.compile(r"\w[^\w\s]+\w|_")  # S.T.O.P, KATT-STOP


def spell(text: str, characters: _Characters) -> Spelling:
    """The words of a text; `characters` is JOINED, or SEPARATED to split words at hyphens too."""
    return split_words(text.translate(characters))


@cache  # each provider and keyword reads the same table
def plain_words(written: str) -> tuple[str, ...]:
    """A word or phrase of the table, or of a config, in the form for comparing."""
    return tuple(spell(written, JOINED).plain)


def split_words(shown: str) -> Spelling:
    """The words of a text without invisible characters and punctuation."""
    if shown.isascii():
        shown = shown.lower()
        words = shown.split()
        return Spelling(words, words, shown)
    shown = MARKS.sub("", unicodedata.normalize("NFC", unicodedata.normalize("NFKC", shown).casefold()))
    return Spelling(shown.split(), MARKS.sub("", unicodedata.normalize("NFD", shown)).split(), shown)


def without_markup(text: str) -> str:
    """A text without the escapes that its sender wrote twice (`KATT%20STOP`, `&#83;TOP`), and without the tags of a page."""
    if ESCAPE.search(text):
        text = unescape(unquote(ESCAPE_OF_UNICODE.sub(lambda code: chr(int(code[1], 16)), text)))
    return TAG.sub("\n", text) if "<" in text else text


def other_spellings(text: str, seen: Spelling) -> Iterator[Spelling]:
    """Other readings of a text that a person may see.

    `KATT-STOP`, `S.T.O.P`, `S T O P`, `ST OP`, `STOOOP`, and STOP in circled letters.
    """
    if not text.isascii() and (compatible := unicodedata.normalize("NFKC", text)) != text:
        shown = spell(compatible, JOINED)
        yield shown
        yield from _with_joined_letters(shown)  # letters in brackets of their own
    if DIGIT_IN_WORD.search(text) if text.isascii() else NOT_LATIN.search(text) or DIGIT_IN_WORD.search(text):
        latin = DIGIT_IN_WORD.sub(lambda digit: "o" if digit[0] == "0" else "s", text.translate(AS_LATIN))
        yield spell(latin, JOINED)
    if SEPARATED_WORD.search(text):
        separated = spell(text, SEPARATED)
        yield separated
        yield from _with_joined_letters(separated)
        yield split_words(" ".join("".join(token.translate(JOINED).split()) for token in text.split()))
    if len(seen.words) <= DRAWN_OUT_WORDS and DRAWN_OUT.search(seen.text):
        yield split_words(DRAWN_OUT.sub(r"\1", seen.text))
    if len(seen.words) >= FEWEST_LETTERS:
        yield from _with_joined_letters(seen)
    if len(seen.text) <= LONGEST_SPLIT_STOP and len(seen.words) > 1 and "".join(seen.words) in SPLIT_STOPS:
        yield split_words("".join(seen.words))


def _with_joined_letters(seen: Spelling) -> Iterator[Spelling]:
    """The words with letters that stand alone made one word, if there are several: `KATT S T O P`."""
    if sum(len(word) == 1 for word in seen.words) >= FEWEST_LETTERS:
        yield split_words(LETTERS_ALONE.sub(lambda letters: "".join(letters[0].split()), seen.text))
