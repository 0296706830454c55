"""Replaces personal data of an event consistently, so that it can stand in a test: numbers, names, texts and ids."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from connector.consent.opt_out_words import STANDARD
from connector.model.event import Verdict
from connector.model.phone import Phone, national_part

SAMPLE = "+4790000001"  # the event's person; other numbers are +4790000002 and so on
WORD = re.compile(r"[^\W\d_]+")
EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
DIGITS = re.compile(r"\+?\d{6,}")
FEW_DIGITS = 6  # a number with fewer is an amount, a short number or a year


class Disguise:
    """Gives each personal value one stand-in, the same wherever it occurs.

    `kept` are the words that the mappings use: rules may depend on them, and they are no donor's.
    """

    def __init__(self, person: Phone | None, ids: Mapping[str, str], kept: Collection[str]) -> None:
        """`ids`: the event's ids and what replaces them."""
        self._kept = frozenset(word.casefold() for word in kept)
        self._words: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        fixed = dict(ids)
        if person is not None:
            sample = Phone(SAMPLE)
            fixed |= {
                person.e164: SAMPLE,
                person.e164[1:]: SAMPLE[1:],
                national_part(person): national_part(sample),
            }
        self._fixed = fixed
        longest_first = sorted(map(re.escape, fixed), key=len, reverse=True)
        self._fixed_form = re.compile("|".join(longest_first)) if longest_first else None

    def value(self, value: Any) -> Any:
        """Any value of an event, with its personal parts replaced."""
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return int(self.text(str(value))) if len(str(abs(value))) >= FEW_DIGITS else value
        if isinstance(value, Mapping):
            return {name: self.value(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """A text, word by word. What was replaced by a fixed stand-in is not replaced again."""
        if self._fixed_form is None:
            return self._replace_rest(text)
        parts: list[str] = []
        end = 0
        for found in self._fixed_form.finditer(text):
            parts += [self._replace_rest(text[end : found.start()]), self._fixed[found[0]]]
            end = found.end()
        return "".join([*parts, self._replace_rest(text[end:])])

    def _replace_rest(self, text: str) -> str:
        if EMAIL.search(text):
            return EMAIL.sub(lambda found: f"person{self._number_of(found[0])}@example.org", text)
        text = DIGITS.sub(self._digits, text)
        return WORD.sub(self._word, text)

    def _digits(self, found: re.Match[str]) -> str:
        plus = "+" if found[0].startswith("+") else ""
        digits = found[0].lstrip("+")
        return plus + self._numbers.setdefault(digits, f"479000{len(self._numbers) + 2:04}")

    def _number_of(self, value: str) -> int:
        self._words.setdefault(value.casefold(), f"Word{len(self._words) + 1}")
        return list(self._words).index(value.casefold()) + 1

    def _word(self, found: re.Match[str]) -> str:
        word = found[0]
        if len(word) == 1 or word.casefold() in self._kept or STANDARD.read(word).verdict is not Verdict.NONE:
            return word
        return self._words.setdefault(word.casefold(), f"Word{len(self._words) + 1}")


def words_of(text: str) -> set[str]:
    """The words of a text."""
    return set(WORD.findall(text))
