"""How long a text is, and where it may be cut: as CRMs count, which is in UTF-16 units, and as people see letters.

Sources: each CRM's traits, where an emoji counts two; Microsoft Learn, "nchar and nvarchar (Transact-SQL)", in
which Dataverse keeps texts: byte-pairs, so the same. Unicode Standard Annex 29, "Grapheme Cluster Boundaries", as far as
people write such clusters.
"""

import unicodedata

LAST_OF_ONE_UNIT = "\uffff"  # what lies behind it takes two UTF-16 units
JOINER = "\u200d"  # between the parts of one emoji
SKIN_TONES = range(0x1F3FB, 0x1F400)
FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # two of them make one flag
TAGS = range(0xE0020, 0xE0080)  # behind a flag: of a region
EXTENDING = frozenset({"Mn", "Me", "Mc"})  # accents, variation selectors
JAMO = range(0x1160, 0x1200)  # vowels and last consonants of a Korean syllable that is written in its parts


def length_of(text: str) -> int:
    """How many UTF-16 units the text has."""
    if text.isascii() or max(text) <= LAST_OF_ONE_UNIT:
        return len(text)
    return len(text) + sum(letter > LAST_OF_ONE_UNIT for letter in text)


def cut(text: str, most: int) -> str:
    """As much of the text's beginning as `most` UTF-16 units hold, without the half of what people see as one letter."""
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
    """Whether the letters before and behind the place are seen as one."""
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
