"""Reads stop words: whether a text asks to stop, may ask to, or does not. The words themselves are in opt_out_table.py.

It reads as a person does: invisible characters, emoji, punctuation, case, accents and courtesies do not matter. A
text that only asks to stop is an opt-out. A person is shown a text that may ask to stop and says something else too:
a short one that begins or ends with a stop word, a longer one with a sentence or words that ask to stop, and a short
refusal without a stop word (`no more texts`). Any other text is none.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby
from typing import NamedTuple, Self

from connector.consent import opt_out_table as table
from connector.consent.opt_out_table import words_of
from connector.consent.refusals import refusal_places, refuses
from connector.consent.spellings import JOINED, Spelling, other_spellings, plain_words, spell, without_markup
from connector.consent.stop_statements import states_or_asks
from connector.model.consent import Scope
from connector.model.event import Verdict

MAX_WORDS_OF_QUESTION = 6  # words: the longest text that is shown to a person
MAX_KEYWORD = 5  # words
MAX_WORDS = 24  # of a text that is read in other spellings too: a word of single letters has many
STOP_SIGNS = re.compile("[\U0001f6d1\u26d4\U0001f6ab\u270b\u274c]")
DIGIT_AFTER_STOP = re.compile(r"stopp?[0-9]+\w*")  # STOP1, STOP2END
STOP_FORMS = ("stop", "stopp")
LONG_LETTERS = re.compile(r"(.)\1+")
NO_KEYWORDS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says about consent.

    `scope`: the scope that the text gives a stop. None if it gives none; then the message's keyword decides. A
    possible stop has the scope that the text gives, and in doubt the short number. `keyword`: the keyword that the
    text names, as the config writes it.
    """

    verdict: Verdict = Verdict.NONE
    scope: Scope | None = None
    keyword: str | None = None


NOTHING = Reading()
QUESTION = Reading(Verdict.MAYBE_STOP, Scope.SHORT_NUMBER)


class _Role(Enum):
    STOP = auto()
    WEAK_STOP = auto()
    ALL = auto()
    KEYWORD = auto()
    POLITE = auto()
    SUBJECT = auto()
    FILLER = auto()
    NEGATION = auto()
    OTHER = auto()


STOPS = frozenset({_Role.STOP, _Role.WEAK_STOP})
SAYS_NOTHING = frozenset({_Role.POLITE, _Role.SUBJECT, _Role.FILLER})


class _Part(NamedTuple):
    """A word or phrase of a text, and the number of its sentence."""

    role: _Role
    word: str
    sentence: int


def normalized(text: str) -> str:
    """A keyword or word in the form for comparing: only letters and digits, without case, single blanks between words."""
    return " ".join(spell(text, JOINED).words)


Phrases = dict[str, list[tuple[tuple[str, ...], _Role]]]


def _phrases(*several: tuple[_Role, Iterable[str]]) -> Phrases:
    """Phrases by their first word, the longest first; of equal phrases the first one counts."""
    found: dict[tuple[str, ...], _Role] = {}
    for role, written in several:
        for one in written:
            if phrase := plain_words(one):
                found.setdefault(phrase, role)
    by_first: Phrases = {}
    for words, role in sorted(found.items(), key=lambda one: -len(one[0])):
        by_first.setdefault(words[0], []).append((words, role))
    return by_first


def leading_keyword(text: str | None, keywords: Mapping[str, str]) -> str | None:
    """The keyword that a text begins with, as the config writes it; the longest of several."""
    words = spell(text, JOINED).words[:MAX_KEYWORD] if text else []
    for many in range(len(words), 0, -1):
        if (found := keywords.get(" ".join(words[:many]))) is not None:
            return found
    return None


def keywords_by_form(keywords: Iterable[str]) -> dict[str, str]:
    """Configured keywords by their form for comparing; those without a letter or digit are left out."""
    return {form: word for word in keywords if (form := normalized(word))}


@dataclass(frozen=True, slots=True)
class OptOutWords:
    """The words of the table and those of the config."""

    more_stop_words: frozenset[str] = frozenset()
    more_polite_words: frozenset[str] = frozenset()
    more_all_words: frozenset[str] = frozenset()
    _phrases: Phrases = field(init=False, repr=False, compare=False)
    _stop_starts: frozenset[str] = field(init=False, repr=False, compare=False)
    _stops_of_all: frozenset[str] = field(init=False, repr=False, compare=False)  # STOPPALT

    def __post_init__(self) -> None:
        made = _phrases(
            (_Role.STOP, self.more_stop_words),
            (_Role.STOP, words_of(table.STOP_WORDS)),
            (_Role.WEAK_STOP, words_of(table.WEAK_STOP_WORDS)),
            (_Role.ALL, self.more_all_words),
            (_Role.ALL, words_of(table.ALL_WORDS)),
            (_Role.NEGATION, words_of(table.NEGATIONS)),
            (_Role.POLITE, self.more_polite_words),
            (_Role.POLITE, words_of(table.POLITE_WORDS)),
            (_Role.SUBJECT, words_of(table.SUBJECT_WORDS)),
            (_Role.FILLER, words_of(table.FILLER_WORDS)),
        )
        object.__setattr__(self, "_phrases", made)
        starts = (first for first, phrases in made.items() if any(role in STOPS for _, role in phrases))
        object.__setattr__(self, "_stop_starts", frozenset(starts))
        of_all = (first for first, phrases in made.items() if ((first,), _Role.ALL) in phrases)
        object.__setattr__(self, "_stops_of_all", frozenset(stop + word for word in of_all for stop in STOP_FORMS))

    def with_more(
        self, *, stop: Collection[str] = (), polite: Collection[str] = (), everything: Collection[str] = ()
    ) -> Self:
        """The same with these words added."""
        if not (stop or polite or everything):
            return self
        return type(self)(
            self.more_stop_words | frozenset(stop),
            self.more_polite_words | frozenset(polite),
            self.more_all_words | frozenset(everything),
        )

    def read(
        self,
        text: str | None,
        *,
        keywords: Mapping[str, str] = NO_KEYWORDS,
        keyword: str | None = None,
        any_keyword: bool = False,
        any_keyword_behind: bool = False,
    ) -> Reading:
        """What a text says about consent.

        `keywords` are the configured ones, from keywords_by_form(). `keyword` is the one to which the provider
        matched the message. With `any_keyword` an unknown word beside a stop word counts as a keyword, with
        `any_keyword_behind` an unknown word after it. Otherwise such a text is shown to a person: `hunger stop` may
        be a keyword, and may be a sentence.
        """
        if not text:
            return NOTHING
        text = without_markup(text)
        shown = spell(text, JOINED)
        context = _Context(keywords, keyword, any_keyword, any_keyword or any_keyword_behind)
        reading = self._judge(shown, context)
        if reading.verdict is Verdict.OPT_OUT or len(shown.words) > MAX_WORDS:
            return reading
        for other in other_spellings(text, shown):
            found = self._judge(other, context)
            if found.verdict is Verdict.OPT_OUT:
                return found
            if reading is NOTHING and len(shown.words) > 1:  # not `bus-stop`
                reading = found
        if not shown.words and STOP_SIGNS.search(text):
            return QUESTION
        if len(shown.words) != 1:
            return reading
        if shown.plain[0] in self._stops_of_all:
            return Reading(Verdict.OPT_OUT, Scope.PROVIDER)
        return _compound_stop(shown.words[0], context) or reading

    def question(self, text: str) -> str:
        """A text in the form that decides whether two texts are the same question to a person: without words that add nothing.

        A text that has no other words keeps them: `no thanks` and `no more` are two questions.
        """
        shown = spell(text, JOINED)
        parts = self._parts(shown, NO_KEYWORDS)
        others = [part.word for part in parts if part.role is not _Role.POLITE]
        return " ".join(others or shown.words) or text.strip()

    def _judge(self, shown: Spelling, context: "_Context") -> Reading:
        if self._stop_starts.isdisjoint(shown.plain):
            return QUESTION if _is_refusal(shown, context) else NOTHING
        parts = self._parts(shown, context.known())
        if not any(part.role in STOPS for part in parts):
            return QUESTION if _is_refusal(shown, context) else NOTHING
        parts = _without_negated(parts)
        reading = _stop_of_whole_text(parts, context)
        if reading is not None:
            return reading
        if not _may_be_stop(parts, context):
            return NOTHING
        scope, keyword = _scope_and_keyword(parts)
        return Reading(Verdict.MAYBE_STOP, scope or Scope.SHORT_NUMBER, keyword)

    def _parts(self, shown: Spelling, known: Mapping[str, str]) -> list[_Part]:
        parts: list[_Part] = []
        place, end, sentences = 0, len(shown.words), shown.sentences()
        while place < end:
            length, role, word = self._next(shown, place, known)
            parts.append(_Part(role, word, sentences[place]))
            place += length
        return parts

    def _next(self, shown: Spelling, place: int, known: Mapping[str, str]) -> tuple[int, _Role, str]:
        """The next part: its number of words, its role and its word. The longest counts, and a stop word before an equal keyword."""
        length, role = 1, _Role.POLITE if shown.words[place].isdigit() else _Role.OTHER
        for phrase, of in self._phrases.get(shown.plain[place], ()):
            if tuple(shown.plain[place : place + len(phrase)]) == phrase:
                length, role = len(phrase), of
                break
        if known:
            least = length if role not in STOPS and role is not _Role.ALL else length + 1
            for many in range(min(MAX_KEYWORD, len(shown.words) - place), least - 1, -1):
                if (spelled := known.get(" ".join(shown.words[place : place + many]))) is not None:
                    return many, _Role.KEYWORD, spelled
        return length, role, " ".join(shown.words[place : place + length])


STANDARD = OptOutWords()


class _Context(NamedTuple):
    """What a text is compared with besides the words."""

    keywords: Mapping[str, str]
    keyword: str | None
    any_before: bool
    any_after: bool

    def known(self) -> Mapping[str, str]:
        """The keywords, preceded by the message's own, by their form for comparing."""
        form = normalized(self.keyword) if self.keyword else ""
        return {**self.keywords, form: self.keyword} if form and self.keyword else self.keywords


def _is_refusal(shown: Spelling, context: _Context) -> bool:
    if refuses(shown.plain, shown.sentences):
        return " ".join(shown.words) not in context.known()
    if len(shown.plain) > MAX_WORDS_OF_QUESTION or not (places := refusal_places(shown.plain)):
        return False
    return any(" ".join(shown.words[:place]) in context.known() for place in places)


def _compound_stop(word: str, context: _Context) -> Reading | None:
    """A stop word and a keyword or number in one: `STOP1`, `KATTSTOP`, `STOPPKATT`; not `busstop` with the keyword BUS.

    A stop word with a letter too many is the same question: `stoop`, `stopppe`.
    """
    if word in context.known():
        return None
    if DIGIT_AFTER_STOP.fullmatch(word) or LONG_LETTERS.sub(r"\1", word) in {"stop", "stope"}:
        return QUESTION
    for form, keyword in context.known().items():
        if word in {f"{form}stop", f"{form}stopp", f"stop{form}", f"stopp{form}"}:
            return Reading(Verdict.MAYBE_STOP, Scope.SUBSCRIPTION, keyword)
    return None


def _without_negated(parts: Sequence[_Part]) -> list[_Part]:
    """The parts, in which negated stop words (don't stop, stopp ikke, stop by) count as other words."""
    return [
        part._replace(role=_Role.OTHER)
        if part.role in STOPS and (_negated_before(parts, place) or _negated_after(parts, place))
        else part
        for place, part in enumerate(parts)
    ]


def _negated_before(parts: Sequence[_Part], place: int) -> bool:
    """`don't stop`, `jeg vil ikke stoppe`; but neither `don't. Stop` nor `don't text me, stop`."""
    for before in range(place - 1, -1, -1):
        part = parts[before]
        if part.sentence != parts[place].sentence:
            return False
        if part.role not in {_Role.FILLER, _Role.POLITE}:
            return part.role is _Role.NEGATION
    return False


def _negated_after(parts: Sequence[_Part], place: int) -> bool:
    """`stopp ikke`, `stop by on Friday`; but not `stopp ikke send flere`, which is two sentences."""
    if place + 1 == len(parts) or parts[place + 1].sentence != parts[place].sentence:
        return False
    following = parts[place + 1]
    if following.word in table.VISITS:
        return True
    return following.role is _Role.NEGATION and all(part.role is _Role.POLITE for part in parts[place + 2 :])


def _stop_of_whole_text(parts: Sequence[_Part], context: _Context) -> Reading | None:
    """The reading of parts that ask to stop and say nothing else; None for all others."""
    core = [part for part in parts if part.role is not _Role.POLITE]
    if not any(part.role in STOPS for part in core):
        return None
    strong = core[0].role in STOPS or any(part.role is _Role.STOP for part in core)
    ignored = SAYS_NOTHING if strong else SAYS_NOTHING - {_Role.FILLER}
    rest = [part for part in core if part.role not in STOPS and part.role not in ignored]
    if states_or_asks([part.word for part in core], begins=core[0] is parts[0]):
        return None
    if all(part.role in {_Role.ALL, _Role.KEYWORD} for part in rest):
        return Reading(Verdict.OPT_OUT, *_scope_and_keyword(rest))
    if len(core) != 2 or len(rest) != 1 or rest[0].role is not _Role.OTHER:  # noqa: PLR2004 - a stop word and one other.
        return None
    taken = context.any_before if core[0] is rest[0] else context.any_after
    return Reading(Verdict.OPT_OUT, Scope.SUBSCRIPTION, rest[0].word) if taken else None


def _scope_and_keyword(parts: Sequence[_Part]) -> tuple[Scope | None, str | None]:
    """The scope and the keyword that a stop with these parts names; several keywords are too many to name one.

    A keyword that the donor keeps is not named: `stop KATT but not HUND`.
    """
    if any(part.role is _Role.ALL for part in parts):
        return Scope.PROVIDER, None
    named = {part.word for place, part in enumerate(parts) if part.role is _Role.KEYWORD and not _is_kept(parts, place)}
    if len(named) > 1:
        return Scope.SHORT_NUMBER, None
    return (Scope.SUBSCRIPTION, named.pop()) if named else (None, None)


def _is_kept(parts: Sequence[_Part], place: int) -> bool:
    """Whether a keyword follows a negation, or a word for keeping it."""
    before = (parts[one] for one in range(place - 1, -1, -1) if parts[one].sentence == parts[place].sentence)
    nearest = next((part for part in before if part.role not in {_Role.FILLER, _Role.POLITE}), None)
    return nearest is not None and (nearest.role is _Role.NEGATION or nearest.word in table.KEEPING_WORDS)


def _may_be_stop(parts: Sequence[_Part], context: _Context) -> bool:
    """Whether a text that is not a stop as a whole may still be one: it is short, and begins or ends with a stop word.

    In a longer text a sentence counts that is a stop by itself, and words that ask to stop (`please stop my gift`).
    """
    considered = [part for part in parts if part.role not in {_Role.POLITE, _Role.SUBJECT, _Role.KEYWORD}]
    outer = [part for part in considered if part.role not in {_Role.FILLER, _Role.ALL}]
    if not outer:
        return False
    if len(considered) <= MAX_WORDS_OF_QUESTION and (outer[0].role in STOPS or outer[-1].role in STOPS):
        return True
    no_unknown_keyword = _Context(context.keywords, context.keyword, any_before=False, any_after=False)
    return any(
        _stop_of_whole_text(sentence, no_unknown_keyword) is not None or _asks_within(sentence)
        for _, words in groupby(parts, key=lambda part: part.sentence)
        if (sentence := list(words))
    )


def _asks_within(sentence: Sequence[_Part]) -> bool:
    """Whether a stop word of a sentence has words beside it that make it a request."""
    return any(
        part.role is _Role.STOP and (_is_unmistakable(part) or _requests(sentence, place))
        for place, part in enumerate(sentence)
    )


def _is_unmistakable(part: _Part) -> bool:
    """Whether a stop word is about messages or a subscription, and about nothing else: `opt me out`, `unsubscribe`."""
    return " " in part.word or part.word.startswith(table.UNMISTAKABLE)


def _requests(sentence: Sequence[_Part], place: int) -> bool:
    """Whether the words around a stop word make it a request: `please stop`, `I sent STOP`, `stop my gift`, `stop, I am poor`."""
    last = place + 1 == len(sentence)
    if place == 0 and not last and sentence[1].word in table.WRITERS:
        return True
    if last and place > 0 and sentence[place - 1].role is _Role.FILLER:
        return True
    before = (sentence[one] for one in range(place - 1, -1, -1))
    if next((part.word for part in before if part.role is not _Role.FILLER), "") in table.ASKING_WORDS:
        return True
    behind = (sentence[one] for one in range(place + 1, len(sentence)))
    subject = next((part for part in behind if part.role not in {_Role.FILLER, _Role.POLITE}), None)
    if subject is None or subject.word in table.DEMONSTRATIVES:
        return False
    return subject.role in {_Role.SUBJECT, _Role.KEYWORD}
