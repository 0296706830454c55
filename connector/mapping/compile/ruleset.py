"""Compiles a directory of mapping files into a Ruleset, or reports all problems of all files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from connector.config.yaml_document import Document, read
from connector.mapping.checks.addresses import check_addresses
from connector.mapping.checks.crm_fields import check_schemas
from connector.mapping.checks.duplicates import check_copies
from connector.mapping.checks.known_words import check_words
from connector.mapping.checks.matches import check_matches_agree
from connector.mapping.checks.rules import check_record_paths, check_rules
from connector.mapping.compile.conditions import Condition, compile_when
from connector.mapping.compile.context import Context, Findings
from connector.mapping.compile.files import mapping_files, unread_files
from connector.mapping.compile.items import CompiledItem, WriteItem
from connector.mapping.compile.operations import compile_items
from connector.mapping.compile.sources import check_sources
from connector.mapping.compile.spelling import Spelling
from connector.mapping.language.records import load_mapping
from connector.mapping.language.rules import FeedSettings, MappingFile, Rule
from connector.mapping.language.test_cases import Case, Frame
from connector.mapping.values.values import fold
from connector.model.consent import CLOCK_TOLERANCE
from connector.model.crm_schema import CrmSchema
from connector.model.crm_traits import PLAIN
from connector.model.event import Event
from connector.model.problem import Position, Problem, ProblemsFound, Severity

CURLY = "curly-quotes"
VERSION_LENGTH = 12  # hex digits: enough to distinguish two versions of one installation


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """A rule, ready to be evaluated."""

    name: str
    label: str  # `file.yaml: rule name`
    line: int
    when: Condition | None
    when_at: Position  # where its conditions are written; without any, where it begins
    items: tuple[CompiledItem, ...]
    consent: str | None
    ignore: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFile:
    """A mapping file, ready to be evaluated."""

    name: str
    sources: tuple[str, ...]
    feed: FeedSettings | None
    rules: tuple[CompiledRule, ...]
    cases: tuple[Case, ...]
    cases_at: tuple[Position, ...]  # where each is written
    frame: Frame  # what build_case() must know of the file
    _by_action: Mapping[str | None, tuple[CompiledRule, ...]]  # by action that a rule names; None: any other action

    def rules_for(self, event: Event) -> tuple[CompiledRule, ...]:
        """The rules that may match the event, in order: without those for another action."""
        action = event.action
        known = self._by_action.get(fold(action)) if action else None
        return self._by_action[None] if known is None else known

    def sees(self, event: Event) -> bool:
        """Whether an event of one of its sources is for this file: it sees only changes of the object that it watches."""
        if self.feed is None or event.object is None:
            return True
        return self.feed.object.casefold() == event.object.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPlan:
    """What must be read of one CRM object for all files together."""

    fields: tuple[str, ...]
    key_fields: tuple[str, ...]  # external IDs by which our writes identify records of this object
    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """All mapping files, compiled. Immutable: a reload makes a new one."""

    version: str  # of the files' text
    files: tuple[CompiledFile, ...]
    feeds: Mapping[str, Mapping[str, FeedPlan]]  # CRM → object → what to read
    context: Context  # the config when they were compiled
    flags: tuple[str, ...] = ()  # the CRMs that have an opt-out flag
    warnings: tuple[Problem, ...] = ()
    clock_tolerance: timedelta = CLOCK_TOLERANCE  # how far the clocks of senders may differ
    usable: bool = True  # false: there are no mappings, and events wait for some
    _read: tuple[tuple[MappingFile, Findings], ...] = field(default=(), repr=False)
    _by_source: Mapping[str, tuple[CompiledFile, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def none(cls, context: Context) -> "Ruleset":
        """No mappings: nothing can be planned."""
        return cls(version="none", files=(), feeds={}, context=context, usable=False)

    @property
    def models(self) -> Mapping[str, MappingFile]:
        """The files as they were read, by name."""
        return {findings.document.file: model for model, findings in self._read}

    @property
    def texts(self) -> Mapping[str, str]:
        """The files as they were written, by name."""
        return {findings.document.file: findings.document.text for _, findings in self._read}

    @property
    def sources(self) -> frozenset[str]:
        """The sources whose events at least one file sees."""
        return frozenset(self._by_source)

    def files_for(self, event: Event) -> Sequence[CompiledFile]:
        """The files that see the event, sorted by name."""
        files = self._by_source.get(event.source, ())
        return files if event.object is None else [file for file in files if file.sees(event)]

    def misfits(self, schemas: Mapping[str, CrmSchema]) -> list[Problem]:
        """The problems of the files when checked against these CRM schemas."""
        found: list[Problem] = []
        for model, before in self._read:
            findings = Findings(before.document, before.context)
            check_schemas(model, findings, schemas)
            check_addresses(model, findings, schemas)
            found += findings.problems
        return sorted(found, key=_position_of)

    def only(self, name: str) -> "Ruleset":
        """The same with one file only, to run its tests."""
        files = tuple(file for file in self.files if file.name == name)
        return replace(self, files=files, _by_source=_index(files))


def load_mappings(directory: Path, context: Context) -> Ruleset:
    """Compile all mapping files of a directory. Raises ProblemsFound with the problems of all of them."""
    problems = unread_files(directory)
    documents: list[Document] = []
    for path in mapping_files(directory):
        try:
            documents.append(read(path, path.name))
        except ProblemsFound as found:
            problems += found.problems
    return compile_mappings(documents, context, problems=problems)


def compile_mappings(documents: Sequence[Document], context: Context, *, problems: Sequence[Problem] = ()) -> Ruleset:
    """Compile documents into a Ruleset. Raises ProblemsFound. `problems` are those found earlier."""
    found = list(problems)
    models: list[tuple[MappingFile, Findings]] = []
    files: list[CompiledFile] = []
    own_field = next(iter(context.traits.values()), PLAIN).own_field
    for written in documents:
        try:
            model, document = load_mapping(written, own_field)
        except ProblemsFound as refused:
            found += dict.fromkeys([*written.warnings, *refused.problems])
            continue
        found += document.warnings
        findings = Findings(document, context)
        files.append(_compile_file(model, findings))
        check_schemas(model, findings, context.schemas)
        check_addresses(model, findings, context.schemas)
        models.append((model, findings))
    check_matches_agree(models)
    check_copies(models)
    spelling = _spelling(files, context)
    files = [_spelled(file, spelling) for file in files]
    feeds = _feeds(files, context, spelling)
    check_record_paths(models, {crm: {name: plan.key_fields for name, plan in by.items()} for crm, by in feeds.items()})
    for _, findings in models:
        found += dict.fromkeys(findings.problems)  # what is wrong in a record is found by each rule that writes it
    if any(problem.severity is Severity.ERROR for problem in found):
        raise ProblemsFound(sorted(_without_doubled_warnings(found), key=_position_of))
    return Ruleset(
        version=_version(documents),
        files=tuple(files),
        clock_tolerance=context.clock_tolerance,
        feeds=feeds,
        context=context,
        flags=context.flags,
        warnings=tuple(found),
        _read=tuple(models),
        _by_source=_index(files),
    )


def _version(documents: Sequence[Document]) -> str:
    text = "".join(f"{document.file}\n{document.digest}\n" for document in documents)
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]


def _position_of(problem: Problem) -> tuple[str, int, int]:
    return (problem.file, problem.position.line, problem.position.column) if problem.position else (problem.file, 0, 0)


def _index(files: Sequence[CompiledFile]) -> dict[str, tuple[CompiledFile, ...]]:
    index: dict[str, tuple[CompiledFile, ...]] = {}
    for file in files:
        for source in file.sources:
            index[source] = (*index.get(source, ()), file)
    return index


def _compile_file(model: MappingFile, findings: Findings) -> CompiledFile:
    sources = check_sources(model, findings)
    check_rules(model, findings)
    check_words(model, findings)
    _check_quotes(findings)
    crm = sources[0].partition(".")[0]
    providers = tuple(findings.context.commands)
    feed = model.feed
    consent = findings.context.consent_of(crm, feed.object) if feed else None
    findings.numbers = findings.context.numbers_of(consent)
    rules = tuple(_compile_rule(rule, number, findings) for number, rule in enumerate(model.rules))
    return CompiledFile(
        name=findings.document.file,
        sources=sources,
        feed=feed,
        rules=rules,
        _by_action=_by_action(rules),
        cases=model.tests,
        cases_at=tuple(findings.document.at(("tests", number)) for number in range(len(model.tests))),
        frame=Frame(
            sources=sources,
            object=feed.object if feed else None,
            provider=providers[0] if len(providers) == 1 else None,
            consent=consent,
            numbers=findings.numbers,
        ),
    )


def _by_action(rules: Sequence[CompiledRule]) -> dict[str | None, tuple[CompiledRule, ...]]:
    """For each action that a rule names, the rules that may match it; under None those for any other action."""
    demanded = [rule.when.actions if rule.when else None for rule in rules]
    named = {None}.union(*(actions for actions in demanded if actions is not None))
    return {
        action: tuple(
            rule for rule, actions in zip(rules, demanded, strict=True) if actions is None or action in actions
        )
        for action in named
    }


def _without_doubled_warnings(found: Sequence[Problem]) -> list[Problem]:
    """The problems without warnings that have an error at the same place."""
    errors = {(one.file, one.position, one.code) for one in found if one.severity is Severity.ERROR}
    return [one for one in found if one.severity is Severity.ERROR or (one.file, one.position, one.code) not in errors]


def _spelling(files: Sequence[CompiledFile], context: Context) -> Spelling:
    feeds = [(crm, file.feed) for file in files if file.feed for crm in _crms_of(file)]
    return Spelling(context, feeds, (item for file in files for rule in file.rules for item in rule.items))


def _crms_of(file: CompiledFile) -> list[str]:
    """The CRMs whose changes a file sees."""
    return [source.partition(".")[0] for source in file.sources]


def _spelled(file: CompiledFile, spelling: Spelling) -> CompiledFile:
    """The file, with each name of a CRM in its one spelling."""
    rules = tuple(replace(rule, items=tuple(map(spelling.item, rule.items))) for rule in file.rules)
    return replace(file, rules=rules, _by_action=_by_action(rules))


def _check_quotes(findings: Findings) -> None:
    """Report curly quotes: an error in a condition, which no event would meet, and elsewhere a warning."""
    for path in findings.document.curly:
        if "when" in path:
            warned = findings.document.at(path), findings.document.at(path, key=True)
            described = next(one for one in findings.document.warnings if one.code == CURLY and one.position in warned)
            findings.problems.append(replace(described, severity=Severity.ERROR))


def _compile_rule(rule: Rule, number: int, findings: Findings) -> CompiledRule:
    where = ("rules", number)
    label = f"{findings.document.file}: {rule.name}"
    return CompiledRule(
        name=rule.name,
        label=label,
        line=findings.document.at(where).line,
        when=None if rule.when is None else compile_when(rule.when, (*where, "when"), findings),
        when_at=findings.document.at((*where, "when")),
        items=compile_items(rule, label, where, findings),
        consent=rule.consent,
        ignore=rule.ignore,
    )


def _feeds(files: Sequence[CompiledFile], context: Context, spelling: Spelling) -> dict[str, dict[str, FeedPlan]]:
    """What to read of each object: the fields of all files, at the shortest interval that one of them wants.

    A record's country is read with its number, because it decides whose number it is.
    """
    feeds: dict[str, dict[str, FeedPlan]] = {}
    keys: dict[tuple[str, str], dict[str, None]] = {}
    for file in files:
        for item in (item for rule in file.rules for item in rule.items if isinstance(item, WriteItem)):
            if item.key_field is not None:
                keys.setdefault((item.sink, item.object), {})[item.key_field] = None
    for file in files:
        if file.feed is None:
            continue
        for crm in _crms_of(file):
            planned = feeds.setdefault(crm, {})
            name = spelling.object(crm, file.feed.object)
            fields = spelling.fields(crm, name, file.feed.fields)
            before = planned.get(name)
            consent = context.consent_of(crm, name)
            country = (consent.country,) if consent and consent.country and consent.phone in fields else ()
            planned[name] = FeedPlan(
                fields=tuple(dict.fromkeys((*(before.fields if before else ()), *fields, *country))),
                key_fields=tuple(keys.get((crm, name), ())),
                every=min(before.every, file.feed.every) if before else file.feed.every,
            )
    return feeds
