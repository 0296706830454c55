"""Checks the keywords in mappings and config against those of the account. Used by `check --live`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from connector.config.validation import did_you_mean
from connector.config.yaml_document import Document, Where, read
from connector.mapping.compile.files import mapping_files
from connector.mapping.compile.sources import sources_of
from connector.mapping.language.records import load_mapping
from connector.mapping.language.rules import Test, When
from connector.mapping.values.values import fold, text
from connector.model.http import Http
from connector.model.keyword import Keyword
from connector.model.problem import Problem, Severity
from connector.ports import KeywordApi

CODE = "keyword"
HOOKS = "hooks"


@dataclass(frozen=True, slots=True)
class NamedKeyword:
    """A keyword, and the place where it is written."""

    word: str
    document: Document
    where: Where


def keywords_in_mappings(directory: Path, provider: str) -> list[NamedKeyword]:
    """The keywords that the rules for a provider's events name. Patterns, and what is under `not`, name none."""
    found: list[NamedKeyword] = []
    for path in mapping_files(directory):
        document = read(path, path.name)
        model, document = load_mapping(document)
        if not any(source.partition(".")[0] == provider for source in sources_of(model)):
            continue
        for number, rule in enumerate(model.rules):
            here: Where = ("rules", number)
            whens = [(rule.when, (*here, "when"))]
            whens += [(item.when, (*here, "do", place, "when")) for place, item in enumerate(rule.do)]
            for when, where in whens:
                found += [NamedKeyword(word, document, place) for word, place in _keywords_of_condition(when, where)]
    return found


def keywords_in_config(path: Path, provider: str, keywords: KeywordApi) -> list[NamedKeyword]:
    """The keywords in the provider's settings."""
    document = read(path)
    where = ("providers", provider, "keywords")
    return [NamedKeyword(word, document, (*where, number)) for number, word in enumerate(keywords.configured)]


def _keywords_of_condition(when: When | None, where: Where) -> Iterator[tuple[str, Where]]:
    if when is None:
        return
    for path, wanted in (when.model_extra or {}).items():
        if fold(path) == CODE and not isinstance(wanted, Test):
            for literal in wanted if isinstance(wanted, list) else [wanted]:
                yield text(literal), (*where, path)
    for number, one in enumerate(when.any or ()):
        yield from _keywords_of_condition(one, (*where, "any", number))


async def keywords_by_word(http: Http, keywords: KeywordApi, words: Sequence[str]) -> Mapping[str, Sequence[Keyword]]:
    """All keywords of the account by their folded word; the named ones in full. Raises ConnectorError."""
    by_word: dict[str, list[Keyword]] = {}
    for one in await keywords.listing(http):
        for word in {fold(word) for word in (one.word, *one.aliases)}:
            by_word.setdefault(word, []).append(one)
    for word in {fold(word) for word in words} & by_word.keys():
        by_word[word] = await _in_full(http, keywords, by_word[word])
    return by_word


async def _in_full(http: Http, keywords: KeywordApi, listed: Sequence[Keyword]) -> list[Keyword]:
    """All details of the keywords: the list does not say when one ends."""
    return [await keywords.show(http, one.id) for one in listed]


def warnings(
    named: Sequence[NamedKeyword],
    by_word: Mapping[str, Sequence[Keyword]],
    *,
    hook: str | None,
    now: datetime,
    needs_address: bool = True,
) -> list[Problem]:
    """What is wrong with the named keywords. `by_word` has those of the account: see keywords_by_word().

    `hook` is the address of their endpoint; None if it is not known. It matters only if each keyword needs an address.
    """
    found: list[Problem] = []
    for one in named:
        known = by_word.get(fold(one.word), ())
        warning: Any = _why_no_messages(one.word, known, tuple(by_word), now) or (
            needs_address and _why_messages_go_elsewhere(one.word, known, hook)
        )
        if warning:
            message, cure = warning
            problem = one.document.problem(one.where, CODE, message, cure, severity=Severity.WARNING)
            if problem not in found:
                found.append(problem)
    return found


def _why_no_messages(
    word: str, known: Sequence[Keyword], all_words: tuple[str, ...], now: datetime
) -> tuple[str, str] | None:
    """Why the keyword can bring no message."""
    if not known:
        close = did_you_mean(word, all_words)
        cure = close if close.startswith("did") else f"reserve it: `connector keywords reserve {word} --channel NUMBER`"
        return f"the account has no keyword `{word}`", cure
    if all(one.active is False for one in known):
        return f"the keyword `{word}` is not active", f"reactivate it: `connector keywords reactivate {word}`"
    ends = [min((end for end in (one.ends, one.deleted) if end), default=None) for one in known]
    if all(end is not None and end <= now for end in ends):
        last = max(end for end in ends if end is not None)
        return (
            f"the keyword `{word}` ended on {last.date()}",
            "set a later end at the provider, or remove the rule",
        )
    return None


def _why_messages_go_elsewhere(word: str, known: Sequence[Keyword], hook: str | None) -> tuple[str, str] | None:
    """Why its messages do not come here. The address is left out: it may contain a secret."""
    if hook is None:
        return (
            f"cannot check whether the messages of `{word}` are sent to this connector",
            "set `listen: public_url:` in the config to the address that the provider was given",
        )
    cure = f"ask the provider to set its webhook to {hook}/<your path secret>"
    for one in known:
        if one.webhook is None and one.sub_word is None:
            return f"the messages of `{one.words}` are not sent anywhere", cure
        if one.webhook is not None and not is_address_of(hook, one.webhook):
            return f"the messages of `{one.words}` are sent to another address", cure
    return None


def is_address_of(hook: str, address: str) -> bool:
    """Whether an address is that of the endpoint, with any secret after it."""
    return f"{address.rstrip('/')}/".casefold().startswith(f"{hook}/".casefold())


def endpoint_address(public_url: str | None, provider: str, endpoint: str) -> str | None:
    """The address of an endpoint as given to the provider, without the secret."""
    return f"{public_url}/{HOOKS}/{provider}/{endpoint}" if public_url else None
