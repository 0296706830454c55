"""Splits a text into the numbers written in it, without marks and remarks. Knows no country.

People write remarks beside a number, phones paste invisible marks around it, and other alphabets have other digits
and dashes. phone.py reads what a number means.
"""

import re
import unicodedata
from typing import NamedTuple

MAX_LENGTH = 100  # characters of a text that is read: a phone field of a CRM has 40
# What may stand between the digits of one number. Letters and all other characters separate a number from a remark.
RUN = re.compile(r"[0-9+()\-./ ]*[0-9][0-9+()\-./ ]*")
DIGIT = re.compile("[0-9]")
NO_DIGIT = re.compile("[^0-9]")
PLAIN_NUMBER = re.compile(r" *\+?[0-9]+ *")
LONE_ZERO = re.compile(r"[^0-9]*0[^0-9]+")  # "(0)900 …", "0 900 …"
COUNT = re.compile(r"\(\s*[0-9]\s*\)[^0-9]*$")  # "90000001 (2)"
DASHES = "-\u2212\u2043\u02d7\u30fb\u00b7\u2022\u2027_~"  # besides the category Pd: minus signs, dots and bullets
SLASHES = "/\\\u2044\u2215\u29f8"
BRACKETS = {"[": "(", "{": "(", "]": ")", "}": ")"}
BLANKS = "\t\u2800\u115f\u1160"  # besides the category Zs: a tab, and invisible letters
LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
DROPPED = frozenset({"Cf", "Cc", "Mn", "Me", "Cs"})  # invisible marks, controls, and marks on other characters


class WrittenNumber(NamedTuple):
    """One number of a text."""

    digits: str  # without the `+` or `00` before them
    international: bool  # a `+` or `00` stands before them
    plain: bool  # nothing but a plus and digits: written by a program, not by a person
    lone_zero: bool  # the first digit is a zero that stands alone: the trunk zero
    halves: tuple["WrittenNumber", ...] = ()  # the parts between slashes, if they may be several numbers


def written_numbers(text: str, *, glued: bool = True) -> list[WrittenNumber]:
    """The numbers in a text, in their order, including those that are too short for a phone number.

    `glued`: whether a number may follow a letter without a blank, as in `Mob90000001`. Providers write aliases like
    this. What follows `#` is always an alias or an extension.
    """
    if len(text) > MAX_LENGTH:
        return []
    plain = _plain(text)
    found: list[WrittenNumber] = []
    for run in RUN.finditer(plain):
        before = plain[run.start() - 1] if run.start() else ""
        if before == "#" or (not glued and before.isalpha() and run[0][0] in "+0123456789"):
            return []
        found += _numbers(run[0])
    return found


def _plain(text: str) -> str:
    """The text in ASCII digits, dashes, slashes, brackets and blanks, without invisible characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return "".join(PLAIN[character] if character in PLAIN else _character(character) for character in text)


def _character(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else ""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in DROPPED:
        return ""
    return {"Pd": "-", "Zs": " "}.get(category, character)


PLAIN = {
    **dict.fromkeys(DASHES, "-"),
    **dict.fromkeys(SLASHES, "/"),
    **dict.fromkeys(BLANKS, " "),
    **dict.fromkeys(LINE_ENDS, ";"),
    **BRACKETS,
}


def _numbers(run: str) -> list[WrittenNumber]:
    """The numbers of a run of digits: a plus begins another one."""
    parts = re.split(r"(?<=[0-9])[^0-9+]*(?=\+)", run)
    return [_number(part) for part in parts if DIGIT.search(part)]


def _number(part: str) -> WrittenNumber:
    counted = COUNT.sub("", part)
    if DIGIT.search(counted):
        part = counted
    halves = part.split("/")
    digits = NO_DIGIT.sub("", part)
    plus = part.lstrip("(-./ ").startswith("+")
    zeros = digits.startswith("00")
    return WrittenNumber(
        digits=digits[2:] if zeros else digits,
        international=plus or zeros,
        plain=PLAIN_NUMBER.fullmatch(part) is not None,
        lone_zero=not plus and not zeros and LONE_ZERO.match(part) is not None,
        halves=tuple(_number(half) for half in halves) if len(halves) > 1 and all(map(DIGIT.search, halves)) else (),
    )
