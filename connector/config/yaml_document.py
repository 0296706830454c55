"""YAML text to plain values with positions. The only module that imports yaml; it does not know what the values mean.

PyYAML reads YAML 1.1, in which `NO` is false and `+4790000001` a number. Here only what a person means as a number
or a truth value becomes one; everything else stays the text that was written.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from connector.config.unusable_files import SAVE_AS_UTF8, why_not_text, why_unreadable
from connector.config.yaml_errors import merge_marks, odd_blank, odd_blank_words, syntax_problem
from connector.config.yaml_scalars import scalar_value
from connector.model.problem import Position, Problem, ProblemsFound, Severity

MAX_BYTES = 1024 * 1024  # a mapping of this size has 20,000 lines; more is a mistake or an attack
MAX_DEPTH = 30  # levels of nesting: the grammar needs fewer than ten
# Single, double, low and angle quotation marks.
QUOTATION_MARKS = frozenset("\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a")
CURLY_CURE = "write straight quotes, \" or '"
# A comment has a blank after its `#`. YAML would cut a text such as `Gift #1`.
CUT_TEXT = re.compile(r"[ \t]+#[^\s#!]")

REPEATED = frozenset({"anchor", "alias", "merge-key", "tag"})  # one file may have hundreds of them
SHOWN_REPEATS = 3
SHARE = "quote a text that begins so; else write the lines out, or describe a record once under `records:`"

Where = tuple[str | int, ...]  # a place in a document: keys and list positions, from its top


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML file as plain dicts, lists and scalars, with the position of each."""

    file: str
    value: Any
    text: str = field(default="", repr=False)  # as it was read
    digest: str = ""  # of its text, SHA-256 in hex
    warnings: tuple[Problem, ...] = ()
    blanks: frozenset[Where] = frozenset()  # keys with nothing after the colon, unlike an explicit null
    curly: frozenset[Where] = frozenset()  # keys and values in quotes that YAML does not recognise
    _values: Mapping[Where, Position] = field(default_factory=dict, repr=False)
    _keys: Mapping[Where, Position] = field(default_factory=dict, repr=False)

    def at(self, path: Where, *, key: bool = False) -> Position:
        """The position of the value at the path, or with `key` of its key. For a missing one, the position of its nearest parent."""
        for length in range(len(path), -1, -1):
            here = path[:length]
            if key and here in self._keys:
                return self._keys[here]
            if here in self._values:
                return self._values[here]
        return Position(1, 1)

    def moved(self, value: Any, places: Mapping[Where, Where]) -> "Document":
        """The same file with another value: what is now at one path is written at the other, with all that is below it."""
        made: list[dict[Where, Position]] = [dict(self._values), dict(self._keys)]
        marks: list[set[Where]] = [set(self.blanks), set(self.curly)]
        for now, written in places.items():
            length = len(written)
            for table, own in zip(made, (self._values, self._keys), strict=True):
                table.update({(*now, *path[length:]): at for path, at in own.items() if path[:length] == written})
            for paths, own_paths in zip(marks, (self.blanks, self.curly), strict=True):
                paths.update([(*now, *path[length:]) for path in own_paths if path[:length] == written])
        (values, keys), (blanks, curly) = made, marks
        return replace(self, value=value, blanks=frozenset(blanks), curly=frozenset(curly), _values=values, _keys=keys)

    def problem(
        self,
        path: Where,
        code: str,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """A problem at this path of this file."""
        return Problem(
            file=self.file, position=self.at(path, key=key), code=code, message=message, hint=hint, severity=severity
        )


def read(path: Path, name: str | None = None) -> Document:
    """Read and parse a file; `name` is its name in problems. Raises ProblemsFound, also if it cannot be read."""
    shown = name or str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        message, hint = why_unreadable(path, error)
        problem = Problem(file=shown, position=None, code="unreadable-file", message=message, hint=hint)
        raise ProblemsFound([problem]) from error
    return _parse_once(data, shown)


def parse(text: str | bytes, file: str) -> Document:
    """Parse one YAML document. Raises ProblemsFound with all its problems."""
    reader = _Reader(file)
    decoded = reader.decode(text)
    if (begin := merge_marks(decoded)) is not None:
        message = "marks of a merge that is not solved"
        cure = "keep one of the two versions, and delete the lines with <<<<<<<, ======= and >>>>>>>"
        raise ProblemsFound([Problem(file=file, position=begin, code="merge-marks", message=message, hint=cure)])
    try:
        loader = _Loader(decoded, reader)
        root = loader.get_single_node()
        value = reader.build(root, (), decoded) if root is not None else None
    except yaml.MarkedYAMLError as error:
        reader.problems.append(syntax_problem(file, error, decoded, open_quote=_open_quote(decoded, error)))
    except yaml.reader.ReaderError as error:
        what = f"U+{ord(error.character):04X}" if isinstance(error.character, str) else f"U+{error.character:04X}"
        reader.add(
            _mark(decoded[: error.position]), "syntax", f"a character that YAML does not allow: {what}", "remove it"
        )
    except (ValueError, OverflowError):
        # The scanner passes an escape to chr() unchecked.
        reader.add(
            loader.get_mark(), "syntax", "an escape sequence that names no character", "write the character itself"
        )
    if reader.failed:
        raise ProblemsFound(sorted(reader.problems, key=lambda problem: problem.position or Position(0, 0)))
    return Document(
        file=file,
        value=value,
        text=decoded,
        digest=hashlib.sha256(decoded.encode("utf-8", "surrogatepass")).hexdigest(),
        warnings=tuple(reader.problems),
        blanks=frozenset(reader.blanks),
        curly=frozenset(reader.curly),
        _values=reader.values,
        _keys=reader.keys,
    )


# `check` reads each mapping several times, and a reload reads those that did not change. Nobody changes a document.
_parse_once = lru_cache(maxsize=64)(parse)


class _TooDeep(yaml.MarkedYAMLError):
    """Nesting beyond the limit: the only error after which reading stops."""


class _Reader:
    """Collects the problems and positions of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.repeats = 0  # of what the file may not have and can have hundreds of times
        self.values: dict[Where, Position] = {}
        self.keys: dict[Where, Position] = {}
        self.blanks: set[Where] = set()
        self.curly: set[Where] = set()

    @property
    def failed(self) -> bool:
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    def add(self, mark: Any, code: str, message: str, hint: str, severity: Severity = Severity.ERROR) -> None:
        position = Position(mark.line + 1, mark.column + 1) if mark is not None else None
        if code in REPEATED:
            self.repeats += 1
            if self.repeats > SHOWN_REPEATS:
                last = next(number for number, one in reversed([*enumerate(self.problems)]) if one.code in REPEATED)
                message = self.problems[last].message.partition(", and ")[0]
                more = f"{message}, and {self.repeats - SHOWN_REPEATS} more of these in this file"
                self.problems[last] = replace(self.problems[last], message=more)
                return
        self.problems.append(
            Problem(file=self.file, position=position, code=code, message=message, hint=hint, severity=severity)
        )

    def decode(self, text: str | bytes) -> str:
        size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_BYTES:
            self.add(
                None, "too-large", f"the file is larger than {MAX_BYTES // 1024} KiB", "split it into several files"
            )
            raise ProblemsFound(self.problems)
        if isinstance(text, str):
            return text.removeprefix("\ufeff")
        if (other := why_not_text(text)) is not None:
            self.add(_mark(""), "encoding", *other)
            raise ProblemsFound(self.problems)
        try:
            return text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = text[: error.start].decode("utf-8-sig", "replace")
            self.add(_mark(before), "encoding", "the file is not in UTF-8", SAVE_AS_UTF8)
            raise ProblemsFound(self.problems) from error

    def build(self, node: yaml.Node, path: Where, text: str) -> Any:
        """The plain value of a node. The loader has already limited its depth."""
        self.values[path] = Position(node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, text)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), text) for index, item in enumerate(node.value)]
        return self._scalar(node, path, text) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: Where, text: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if _is_bare_template(node, text):
            name = node.value[0][0].value
            self.add(
                node.start_mark,
                "unquoted-template",
                f"`{{{name}}}` without quotes is not a template to YAML",
                f'put it in quotes: "{{{name}}}"',
            )
            return result
        if (inside := _doubled_template(node, text)) is not None:
            message = f"`{{{{ {inside} }}}}` is not a template: there are too many braces and no quotes"
            self.add(
                node.start_mark, "unquoted-template", message, f'write one pair of braces, in quotes: "{{{inside}}}"'
            )
            return result
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or (not key_node.value and key_node.style is None):
                self.add(
                    key_node.start_mark,
                    "bad-key",
                    "a key must be a text",
                    "write `name: value`; put odd names in quotes",
                )
                continue
            key = key_node.value
            here = (*path, key)
            if key == "<<" and key_node.style is None:
                self.add(key_node.start_mark, "merge-key", "merge keys (`<<`) are not supported", SHARE)
                continue
            if key in result:
                first = self.keys[here]
                self.add(
                    key_node.start_mark,
                    "duplicate-key",
                    f"`{key}` is here twice; the first is in line {first.line}",
                    "remove one of the two" + _or_dash(path, key, result),
                )
                continue
            self.keys[here] = Position(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            self._check_text(key_node)
            self._check_quotes(key_node, here)
            if key_node.style is None and (blank := odd_blank(key)) is not None:
                mark = yaml.Mark("", 0, key_node.start_mark.line, key_node.start_mark.column + blank[0], None, 0)
                self.add(mark, "odd-blank", *odd_blank_words(blank[1]))
            result[key] = self.build(value_node, here, text)
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Where, text: str) -> Any:
        written: str = node.value
        self._check_text(node)
        self._check_quotes(node, path)
        if node.style is not None:
            return written
        if CUT_TEXT.match(text, node.end_mark.index):
            self.add(
                node.end_mark,
                "cut-text",
                f"the text ends here, because ` #` starts a comment: it is read as `{written}`"
                if written
                else "there is no value here, because ` #` starts a comment",
                "put the whole text in quotes; if it is a comment, write a blank behind the `#`",
                Severity.WARNING,
            )
        if not written:
            self.blanks.add(path)
        return scalar_value(written)

    def _check_quotes(self, node: yaml.ScalarNode, path: Where) -> None:
        """Warn about curly quotes, which word processors and phones make of straight ones. YAML takes them as part of the text."""
        text = node.value
        if node.style is None and not text.isascii() and text[0] in QUOTATION_MARKS:
            self.curly.add(path)
            end = text[-1] if len(text) > 1 and text[-1] in QUOTATION_MARKS else ""
            shown = f"`{text[0]}` and `{end}` are" if end else f"`{text[0]}` is"
            message = f"{shown} no quote{'s' if end else ''} to YAML, but a part of the text"
            self.add(node.start_mark, "curly-quotes", message, CURLY_CURE, Severity.WARNING)

    def _check_text(self, node: yaml.ScalarNode) -> None:
        if not node.value.isascii() and any("\ud800" <= character <= "\udfff" for character in node.value):
            self.add(
                node.start_mark, "bad-character", "half a character (a lone surrogate)", "write the character itself"
            )


class _Loader(yaml.SafeLoader):
    """Composes nodes without anchors, tags, deep nesting or a second document. It never constructs objects."""

    def __init__(self, text: str, reader: _Reader) -> None:
        super().__init__(text)
        self._reader = reader
        self._depth = 0

    def get_single_node(self) -> yaml.Node | None:
        self.get_event()  # type: ignore[no-untyped-call]  # the start of the stream
        node = None
        if not self.check_event(yaml.StreamEndEvent):
            node = self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            self._reader.add(mark, "several-documents", "a second document starts here", "make it a file of its own")
        return node

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self._reader.add(event.start_mark, "alias", f"aliases (`*{event.anchor}`) are not supported", SHARE)
            return yaml.ScalarNode("", "", event.start_mark, event.end_mark, '"')  # type: ignore[arg-type]
        if event.anchor is not None:
            self._reader.add(event.start_mark, "anchor", f"anchors (`&{event.anchor}`) are not supported", SHARE)
            event.anchor = None
        if event.tag is not None:
            self._reader.add(
                event.start_mark,
                "tag",
                f"tags (`{event.tag}`) are not supported",
                "remove it; quotes make a value a text",
            )
            event.tag = None
            if isinstance(event, yaml.ScalarEvent):
                event.implicit = (True, False)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep(None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self._depth -= 1
        return node


def _open_quote(text: str, error: yaml.MarkedYAMLError) -> yaml.Mark | None:
    """Where an unclosed quote begins, which ended only at the next quote lines further down, where the parser gave up."""
    mark = error.problem_mark
    found: yaml.Mark | None = None
    if mark is None or isinstance(error, _TooDeep):
        return None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if token.start_mark.line > mark.line:
                return found
            quoted = isinstance(token, yaml.ScalarToken) and token.style in {'"', "'"}
            if quoted and token.start_mark.line < token.end_mark.line == mark.line:
                found = token.start_mark
    except yaml.YAMLError:
        return found
    return found


def _or_dash(path: Where, key: str, before: Mapping[str, Any]) -> str:
    """The other cure for a second first key of a list's item: a forgotten dash."""
    is_first = bool(before) and next(iter(before)) == key
    return (
        f", or put `- ` before `{key}` if a new item of the list begins here"
        if path and isinstance(path[-1], int) and is_first
        else ""
    )


def _is_bare_template(node: yaml.MappingNode, text: str) -> bool:
    if not node.flow_style or len(node.value) != 1:
        return False
    key, value = node.value[0]
    empty = isinstance(value, yaml.ScalarNode) and not value.value and value.style is None
    # `{a: }` has a colon after its key; `{a}` and `{ a }` have none.
    return empty and isinstance(key, yaml.ScalarNode) and ":" not in text[key.end_mark.index : value.start_mark.index]


def _doubled_template(node: yaml.MappingNode, text: str) -> str | None:
    """The name in `{{ name }}`, which YAML reads as a mapping used as a key."""
    if not node.flow_style or len(node.value) != 1:
        return None
    key = node.value[0][0]
    return str(key.value[0][0].value) if isinstance(key, yaml.MappingNode) and _is_bare_template(key, text) else None


def _mark(before: str) -> yaml.Mark:
    line = before.count("\n")
    return yaml.Mark("", len(before), line, len(before) - before.rfind("\n") - 1, None, 0)
