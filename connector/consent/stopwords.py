"""The words by which a text message as a whole asks to stop or to start. Inside a longer sentence they are left for a person."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from connector.model.consent import Scope

# The list of 47 CFR 64.1200(a)(10), and STOPALL, which Twilio takes by default and subscribers have learnt.
ENGLISH = frozenset({"stop", "stopall", "end", "cancel", "unsubscribe", "quit", "revoke", "opt out", "optout"})
SCANDINAVIAN = frozenset({"stop", "stopp", "stoppe"})  # Norway and Denmark require STOP and STOPP
# All languages at once: whoever writes a whole message of one such word means it.
STOP_WORDS = ENGLISH | SCANDINAVIAN
START_WORDS = frozenset(
    {"start", "yes", "unstop"}
)  # Twilio's, to come back after a stop; they count as a whole message alone
ALL_WORDS = frozenset({"all", "alle", "alt"})
_EDGES = " \t\r\n.,;:!?\"'«»„“”\u2018\u2019\u00b4`()[]{}<>-_*"
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Stop:
    """A wish to stop: how far it reaches, and the keyword where it names one."""

    scope: Scope
    keyword: str | None = None


def plain_words(text: str) -> str:
    """The text as it is compared: NFKC, no invisible characters, no edge punctuation, single spaces, no case."""
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return _SPACES.sub(" ", visible).strip(_EDGES).casefold()


def read_stop(text: str | None, *, words: Collection[str] = STOP_WORDS) -> Stop | None:
    """`STOP` alone, `STOP ALL`, `KEYWORD STOP`, `STOP KEYWORD`, and a gateway's `ask NAME stop`; None for anything else.

    A two-word message names a keyword whether or not it is a known one: the sender of the event resolves it.
    """
    if not text:
        return None
    plain = plain_words(text)
    if plain in words:
        return Stop(Scope.SHORT_NUMBER)
    match plain.split(" "):
        case [first, second] if first in words and second in ALL_WORDS:
            return Stop(Scope.PROVIDER)
        case [first, second] if second in words and first not in words:
            return Stop(Scope.SUBSCRIPTION, first)
        case [first, second] if first in words and second not in words:
            return Stop(Scope.SUBSCRIPTION, second)
        case ["ask", _, third] if third in words:
            return Stop(Scope.PROVIDER)
        case _:
            return None
