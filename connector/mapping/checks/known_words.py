"""Checks the words in conditions against the possible ones: those of closed lists, and those that a provider sends."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from connector.config.validation import did_you_mean, with_article
from connector.config.yaml_document import Where
from connector.mapping.checks.rules import conditions_of
from connector.mapping.compile.conditions import matcher
from connector.mapping.compile.context import Findings
from connector.mapping.compile.sources import CHANGE, sources_of
from connector.mapping.language.field_forms import Plain
from connector.mapping.language.paths import Path
from connector.mapping.language.rules import MappingFile, Test
from connector.mapping.values.values import fold, present, text
from connector.model.consent import Scope
from connector.model.event import Result, Verdict

TRUTHS = ("true", "false")
CLOSED: dict[str, tuple[str, ...]] = {
    "result": tuple(Result),
    "verdict": tuple(Verdict),
    "consent.verdict": tuple(Verdict),
    "consent.scope": tuple(Scope),
    "final": TRUTHS,
    "service_command": TRUTHS,
    "known_to_provider": TRUTHS,
}
COMPARISON = re.compile(r"\s*([<>]=?)\s*([0-9.]+)\s*")
BETWEEN = re.compile(r"\s*[,;|/]\s*|\s+(?:or|and)\s+|\s+")


class Known(NamedTuple):
    """The possible words of a path: in any event, and in the events that the file sees."""

    words: tuple[str, ...]
    here: tuple[str, ...]
    what: str  # as in: `success` is not a result
    closed: bool = True  # false: a provider may send an action that is not public


def check_words(model: MappingFile, findings: Findings) -> None:
    """Check that every word in a condition is a possible one."""
    for path, wanted, where in conditions_of(model):
        _check_comparison(wanted, where, findings)
        known = _known(path, model, findings)
        if known is None:
            continue
        if isinstance(wanted, Test):
            _check_patterns(wanted, known, where, findings)
            continue
        several = wanted if isinstance(wanted, list) else [wanted]
        for number, literal in enumerate(several):
            place = (*where, number) if isinstance(wanted, list) else where
            if present(literal) is not None and place not in findings.document.curly:
                _check_word(literal, known, place, findings)


def _check_comparison(wanted: Any, where: Where, findings: Findings) -> None:
    """Report `<500` in a condition: it is compared as text, and no amount is written so."""
    if isinstance(wanted, str) and (found := COMPARISON.fullmatch(wanted)):
        word = "above" if found[1].startswith(">") else "below"
        findings.add(
            where, "comparison", f"`{wanted}` is a text here, and compares nothing", f"write {{{word}: {found[2]}}}"
        )


def _known(path: Path, model: MappingFile, findings: Findings) -> Known | None:
    name = str(path)
    sources = sources_of(model)
    if name in CLOSED:
        return Known(CLOSED[name], CLOSED[name], name.rpartition(".")[2].replace("_", " "))
    if name == "shape":
        return Known(_parts(findings.context.sources, 2), _parts(sources, 2), "shape of events")
    if name == "provider":
        return Known(_parts(findings.context.sources, 0), _parts(sources, 0), "provider or CRM of the config")
    if model.feed is not None and all(source.endswith(f".{CHANGE}") for source in sources):
        if name == "object":
            return Known((model.feed.object,), (model.feed.object,), "object that this file watches")
        if name == "changed":
            return Known(tuple(model.feed.fields), tuple(model.feed.fields), "field of the feed")
    providers = _parts(sources, 0)
    described = [findings.context.words.get(provider, {}).get(name) for provider in providers]
    if not described or None in described:
        return None
    words = tuple(dict.fromkeys(word for several in described for word in several or ()))
    return Known(words, words, f"{name} that {' or '.join(providers)} is known to send", closed=False)


def _parts(sources: Iterable[str], which: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source.rpartition(".")[which] for source in sources))


def _check_word(literal: Plain, known: Known, where: Where, findings: Findings) -> None:
    word = text(literal)
    if fold(word) in map(fold, known.here):
        return
    if fold(word) in map(fold, known.words):
        findings.warn(where, "never-true", f"this file sees no event with `{word}`", _listed(known.here))
        return
    several = _several(word, known.words)
    if several:
        listed = ", ".join(several)
        findings.add(
            where,
            "several-words",
            f"`{word}` is one text here, and not {len(several)} words",
            f"write a list: [{listed}]",
        )
        return
    hint = did_you_mean(word, known.words)
    if known.closed:
        findings.add(where, "unknown-word", f"`{word}` is not {with_article(known.what)}", hint or _listed(known.words))
    else:
        cure = f"{hint} It is only right" if hint.startswith("did") else f"{hint}; it is only right".removeprefix("; ")
        findings.warn(
            where,
            "unknown-word",
            f"`{word}` is not {with_article(known.what)}",
            f"{cure} for a service that is not documented",
        )


def _several(word: str, known: Sequence[str]) -> list[str]:
    """The known words that the text consists of, if there are several."""
    by_fold = {fold(one): one for one in known}
    parts = [fold(part) for part in BETWEEN.split(word.strip()) if part]
    return [by_fold[part] for part in parts] if len(parts) > 1 and all(part in by_fold for part in parts) else []


def _check_patterns(test: Test, known: Known, where: Where, findings: Findings) -> None:
    for pattern in _patterns(test.like):
        fits = matcher(pattern)
        if known.closed and not any(fits(fold(word)) for word in known.words):
            findings.add((*where, "like"), "unknown-word", f"no {known.what} is like `{pattern}`", _listed(known.words))
    if known.closed and (test.above is not None or test.below is not None):
        findings.add(where, "unknown-word", f"a {known.what} is a word and no number", _listed(known.words))


def _patterns(like: Any) -> Iterator[str]:
    yield from [] if like is None else like if isinstance(like, list) else [like]


def _listed(words: Iterable[str]) -> str:
    return f"known: {', '.join(words)}"
