"""Finds files that do the same thing twice: a copy beside its original, and two files that send one command for one event."""

from collections.abc import Iterator, Sequence

from connector.config.yaml_document import Where
from connector.mapping.compile.conditions import signature
from connector.mapping.compile.context import Findings
from connector.mapping.compile.sources import sources_of
from connector.mapping.language.rules import Command, MappingFile, Rule
from connector.mapping.values.values import fold

Models = Sequence[tuple[MappingFile, Findings]]


def check_copies(models: Models) -> None:
    """Report copies. One that only writes is a warning, as a second write changes nothing. A command would be sent twice: an error."""
    for number, (model, findings) in enumerate(models):
        for earlier, before in models[:number]:
            if not _see_the_same(model, earlier):
                continue
            original = before.document.file
            twice = [*_commands_twice(model, earlier)]
            for where, other in twice:
                line = before.document.at(other).line
                findings.add(
                    where,
                    "command-twice",
                    f"{original}:{line} sends this command too, so that one event sends it twice",
                    f"remove one of the two: this file, or {original}",
                )
            if not twice and model.rules == earlier.rules:
                findings.warn(
                    ("rules",),
                    "copied-file",
                    f"the rules are those of {original}: everything is written twice",
                    f"remove one of the two: this file, or {original}",
                )


def _see_the_same(one: MappingFile, other: MappingFile) -> bool:
    if one.feed is not None and other.feed is not None and fold(one.feed.object) != fold(other.feed.object):
        return False
    return not set(sources_of(one)).isdisjoint(sources_of(other))


def _commands_twice(model: MappingFile, earlier: MappingFile) -> Iterator[tuple[Where, Where]]:
    for number, rule in enumerate(model.rules):
        for place, one in enumerate(earlier.rules):
            if signature(rule.when) != signature(one.when):
                continue
            known = {_same(command): where for command, where in _commands(one, place)}
            yield from (
                (where, known[same]) for command, where in _commands(rule, number) if (same := _same(command)) in known
            )


def _commands(rule: Rule, number: int) -> Iterator[tuple[Command, Where]]:
    for place, item in enumerate(rule.do):
        if isinstance(item, Command):
            yield item, ("rules", number, "do", place)


def _same(command: Command) -> str:
    """What two commands have in common if they ask for the same."""
    return command.model_dump_json(exclude={"if_missing"})
