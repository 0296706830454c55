"""Reads refusals: whether a short text or sentence without a stop word refuses more messages or payments.

The words themselves are in opt_out_table.py.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter

from connector.consent import opt_out_table as table
from connector.consent.spellings import plain_words

MAX_WORDS = 12  # words: the longest sentence without a stop word that is shown to a person


def refuses(words: Sequence[str], sentences: Callable[[], Sequence[int]]) -> bool:
    """Whether a text, or one of its sentences, refuses more messages or payments: `please do not text me`.

    `sentences` gives the sentence number of each word; few texts need it.
    """
    if _refuses_alone(words):
        return True
    if _first_words().isdisjoint(words):
        return False
    if len(words) <= MAX_WORDS and _holds_refusal(words):
        return True
    numbers = sentences()
    if numbers[-1] == 0:
        return False
    numbered = zip(words, numbers, strict=False)  # a word of marks alone is none
    parts = ([word for word, _ in part] for _, part in groupby(numbered, key=itemgetter(1)))
    return any(len(part) <= MAX_WORDS and _holds_refusal(part) for part in parts)


def refusal_places(words: Sequence[str]) -> Sequence[int]:
    """The places behind other words from which all that follows is a refusal: `KATT no more`, if the others are a keyword."""
    if not words or words[-1] not in _refusals_alone()[2]:
        return ()
    return [place for place in range(1, len(words)) if _refuses_alone(words[place:])]


def _holds_refusal(words: Sequence[str]) -> bool:
    refusals, two_by_two = _refusals(), zip(words, [*words[1:], ""], strict=True)
    return any(
        tuple(words[place : place + len(phrase)]) == phrase
        for place, two in enumerate(two_by_two)
        for phrase in (*refusals.get(two, ()), *refusals.get((two[0], ""), ()))
    )


def _refuses_alone(words: Sequence[str]) -> bool:
    """Whether the words are one of the refusals that count only alone, with or without courtesies: `no more please`."""
    refusals, courtesies, all_words = _refusals_alone()
    if not all_words.issuperset(words):
        return False
    first, end = 0, len(words)
    while first < end:
        if tuple(words[first:end]) in refusals:
            return True
        if words[end - 1] in courtesies:
            end -= 1
        elif words[first] in courtesies:
            first += 1
        else:
            break
    return False


@cache
def _refusals() -> dict[tuple[str, str], list[tuple[str, ...]]]:
    """The refusals of the table by their first two words; the second is empty if they have one."""
    by_start: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for phrase in map(plain_words, table.words_of(table.REFUSALS)):
        by_start.setdefault((phrase[0], phrase[1] if len(phrase) > 1 else ""), []).append(phrase)
    return by_start


@cache
def _first_words() -> frozenset[str]:
    return frozenset(first for first, _ in _refusals())


@cache
def _refusals_alone() -> tuple[frozenset[tuple[str, ...]], frozenset[str], frozenset[str]]:
    """The refusals that count only as the whole text, the courtesies of one word around them, and all words of both."""
    refusals = frozenset(map(plain_words, table.words_of(table.REFUSALS_ALONE)))
    polite = map(plain_words, table.words_of(table.POLITE_WORDS))
    courtesies = frozenset(phrase[0] for phrase in polite if len(phrase) == 1)
    return refusals, courtesies, courtesies.union(*refusals)
