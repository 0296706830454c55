"""What a text message asks of a subscription service. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from connector.sandbox.strex.keywords import Keyword

STOP_WORDS = frozenset({"stop", "stopp"})  # Norway requires both; users are told "KEYWORD STOPP" or STOPP alone.
AMOUNT = re.compile(r"[0-9]{1,6}([.,][0-9]{1,2})?")
LOWEST_PRICE, HIGHEST_PRICE = 1, 5000  # NOK per month; each real service has its own limits, these are ours.


class Aim(StrEnum):
    """What the sender asks for."""

    JOIN = "join"
    PRICE = "price"
    LEAVE = "leave"
    LEAVE_ALL = "leave_all"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """An aim and its keyword; `price` is None if the amount in the text is invalid."""

    aim: Aim
    keyword: Keyword | None = None
    price: float | None = None

    @property
    def is_stop(self) -> bool:
        """The envelope's `isStopMessage`."""
        return self.aim in {Aim.LEAVE, Aim.LEAVE_ALL}


def read(text: str, find: Callable[[str], Keyword | None]) -> TextRequest:
    """Parse a text: KEYWORD, KEYWORD STOP, STOP KEYWORD, KEYWORD 200, STOP, or something else."""
    words = text.split()
    match words:
        case [only] if only.casefold() in STOP_WORDS:
            return TextRequest(aim=Aim.LEAVE_ALL)
        case [first, second] if first.casefold() in STOP_WORDS and (keyword := find(second)):
            return TextRequest(aim=Aim.LEAVE, keyword=keyword)
        case [first, second] if second.casefold() in STOP_WORDS and (keyword := find(first)):
            return TextRequest(aim=Aim.LEAVE, keyword=keyword)
        case [first, second, *_] if second[0] in "-+0123456789" and (keyword := find(first)):
            return TextRequest(aim=Aim.PRICE, keyword=keyword, price=_amount(second))
        case [first, *_] if keyword := find(first):
            return TextRequest(aim=Aim.JOIN, keyword=keyword)
        case _:
            return TextRequest(aim=Aim.OTHER)


def _amount(word: str) -> float | None:
    if not AMOUNT.fullmatch(word):
        return None
    amount = float(word.replace(",", "."))
    return amount if LOWEST_PRICE <= amount <= HIGHEST_PRICE else None
