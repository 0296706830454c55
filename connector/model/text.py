"""Text length and cutting: CRMs count UTF-16 units, and people see letters.

Sources: each CRM's traits, where an emoji counts two. Unicode Standard Annex 29, "Grapheme Cluster Boundaries", as far
as people write such clusters.
"""

import unicodedata

LAST_OF_ONE_UNIT = "\uffff"  # higher characters take two UTF-16 units
JOINER = "\u200d"  # between the parts of one emoji
SKIN_TONES = range(0x1F3FB, 0x1F400)
FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # two of them make one flag
TAGS = range(0xE0020, 0xE0080)  # after a flag: they name a region
EXTENDING = frozenset({"Mn", "Me", "Mc"})  # accents, variation selectors
JAMO = range(0x1160, 0x1200)  # vowels and last consonants of a Korean syllable that is written in parts


def length_of(text: str) -> int:
    """The number of UTF-16 units of the text."""
    if text.isascii() or max(text) <= LAST_OF_ONE_UNIT:
        return len(text)
    return len(text) + sum(letter > LAST_OF_ONE_UNIT for letter in text)


def cut(text: str, most: int) -> str:
    """The longest beginning of the text that fits `most` UTF-16 units and splits nothing that people see as one letter."""
    if text.isascii():
        return text[:most]
    end = units = 0
    for letter in text:
        units += 1 if letter <= LAST_OF_ONE_UNIT else 2
        if units > most:
            break
        end += 1
    while 0 < end < len(text) and _belong_together(text, end):
        end -= 1
    return text[:end]


def _belong_together(text: str, place: int) -> bool:
    """Whether the characters before and after the place are seen as one."""
    before, behind = text[place - 1], text[place]
    if JOINER in {before, behind} or unicodedata.category(behind) in EXTENDING:
        return True
    code = ord(behind)
    if code in SKIN_TONES or code in TAGS or code in JAMO:
        return True
    if code in FLAG_LETTERS:
        first = place
        while first > 0 and ord(text[first - 1]) in FLAG_LETTERS:
            first -= 1
        return (place - first) % 2 == 1
    return before == "\r" and behind == "\n"
