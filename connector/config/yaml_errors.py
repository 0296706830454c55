"""YAML's syntax errors in plain words, with the cure. The parser's own words name tokens that administrators do not know."""

import re
from typing import NamedTuple, Protocol

from connector.model.problem import Position, Problem

# Characters that look like a blank but are none to YAML. Web pages, Word and chat programs insert them in place of
# spaces.
ODD_BLANKS = "\u00a0\u2000-\u200b\u202f\u205f\u3000\ufeff"
ODD_BLANK = re.compile(rf"^[ \t-]*([{ODD_BLANKS}])|^[ \t-]*[^\s:#{ODD_BLANKS}]+:([{ODD_BLANKS}])")
GLUED = re.compile(r"[ -]*([A-Za-z_]\w*:)[^\s:/]")
# A quoted text at the end of what was read, as a value or an item of a list.
QUOTED_VALUE = re.compile(r"""(?:^|[:,\[{-]\s*)(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")$""")
DOUBLED = {"'": "''", '"': '\\"'}
VALUE_WITH_COLON = re.compile(r"[ -]*([^\s:]+): +(?=[^\s{\['\"])")
BEGIN = re.compile(r"[ -]*([^\s:#]+):\s*(?:#.*)?$")  # a key with nothing behind its colon
FENCE = "```"  # around code in Markdown, which is copied with it
NO_START = re.compile(r"character '(.)' that")
MERGE_MARK = re.compile(r"^(?:<{7}|>{7})(?: |$)", re.MULTILINE)


class Mark(Protocol):
    """A position as the parser gives it, counted from 0."""

    line: int
    column: int


class SyntaxFinding(Protocol):
    """The parser's description of a syntax error."""

    context: str | None
    problem: str | None

    @property
    def context_mark(self) -> Mark | None:
        """Where the faulty construct begins."""

    @property
    def problem_mark(self) -> Mark | None:
        """Where the parser gave up."""


# The beginning of the parser's message → our message and the cure. The first match counts.
WORDS = (
    ("nested deeper", "the nesting is too deep", "at most 30 levels are read"),
    (
        "found character '\\t'",
        "a tab where YAML needs spaces",
        "indent with spaces; set the editor to insert spaces for tabs",
    ),
    (
        "mapping values are not allowed",
        "a `:` that is not allowed here",
        "put a text with `: ` in it in quotes; else check the indentation of this line and the one above",
    ),
    (
        "expected chomping or indentation",
        "a `>` or `|` begins a text of several lines",
        "to compare with a number write {above: 499} or {below: 499}; else put the text in quotes",
    ),
    (
        "expected indentation indicator",
        "a `>` or `|` begins a text of several lines",
        "to compare with a number write {above: 499} or {below: 499}; else put the text in quotes",
    ),
    (
        "expected a comment or a line break",
        "a `>` or `|` begins a text of several lines",
        "to compare with a number write {above: 499} or {below: 499}; else put the text in quotes",
    ),
    (
        "could not find expected ':'",
        "a key without a `:` behind it",
        "write `key: value`, with a blank behind the colon",
    ),
    (
        "expected <block end>",
        "this does not fit the lines above",
        'give lines of one block the same indentation; put a text that starts with a quote or brace wholly in quotes: "{msisdn} …"',
    ),
    (
        "expected ',' or '}'",
        "a `{` is not closed, or a comma is missing",
        """close it with `}`; between braces put templates and paths with brackets in quotes: '{msisdn}'""",
    ),
    (
        "expected ',' or ']'",
        "a `[` is not closed, or a comma is missing",
        "close it with `]`; put texts with `[` in quotes",
    ),
    ("found unexpected end of stream", "a quote is opened and never closed", "close it, or double it inside a text"),
    (
        "found unexpected document separator",
        "a quote is opened and never closed",
        "close it, or double it inside a text",
    ),
    ("found unknown escape", "a backslash that means nothing here", "use single quotes for a text with backslashes"),
    ("found undefined tag", "a text cannot start with `!`", "put it in quotes"),
    ("expected alphabetic or numeric", "a text cannot start with `*` or `&`", "put it in quotes"),
    ("expected the node content", "a value is missing here", "write it, or remove the sign before it"),
    (
        "sequence entries are not allowed",
        "a list cannot start in this place",
        "start it on a line of its own, with `- `",
    ),
    ("expected '<document start>'", "this does not fit the lines above it", "check the indentation of this line"),
    ("did not find expected", "something is missing here", "check the line above"),
)


class Finding(NamedTuple):
    """Message, position (line and column from 0) and cure."""

    line: int
    column: int
    message: str
    hint: str


def merge_marks(text: str) -> Position | None:
    """Where an unresolved git merge begins, if there is one."""
    found = MERGE_MARK.search(text)
    return Position(text.count("\n", 0, found.start()) + 1, 1) if found else None


def odd_blank(line: str) -> tuple[int, str] | None:
    """Column (from 0) and name of a non-YAML blank in a line's indentation or after its key."""
    found = None if line.isascii() else ODD_BLANK.match(line)
    if found is None:
        return None
    group = 1 if found[1] else 2
    return found.start(group), f"U+{ord(found[group]):04X}"


def odd_blank_words(code: str) -> tuple[str, str]:
    """Message and cure for such a blank."""
    return f"this blank is none to YAML ({code}), though it looks like one", "delete it and type a blank in its place"


def syntax_problem(file: str, error: SyntaxFinding, text: str, *, open_quote: Mark | None = None) -> Problem:
    """The parser's error as a Problem. `open_quote`: where a quote begins that ends only where the parser gave up."""
    found = _explained(error, text.splitlines(), open_quote)
    position = None if found.line < 0 else Position(found.line + 1, found.column + 1)
    return Problem(file=file, position=position, code="syntax", message=found.message, hint=found.hint)


def _explained(error: SyntaxFinding, lines: list[str], open_quote: Mark | None) -> Finding:
    mark = error.problem_mark or error.context_mark
    message, hint = _words(error.problem or error.context or "")
    if mark is None:
        return Finding(-1, 0, message, hint)
    for number, line in enumerate(lines[: mark.line + 1]):
        if (blank := odd_blank(line)) is not None:
            return Finding(number, blank[0], *odd_blank_words(blank[1]))
    if open_quote is not None:
        cure = "close it; a quote inside the text is written twice, or the text stands in quotes of the other kind"
        if any(mark in lines[open_quote.line][open_quote.column :] for mark in "\u201c\u201d\u2018\u2019"):
            cure = "close it by the same straight quote: a curly one is none to YAML"
        return Finding(
            open_quote.line, open_quote.column, f"a quote opened in line {open_quote.line + 1} is not closed", cure
        )
    if mark.line < len(lines) and lines[mark.line].startswith(FENCE):
        return Finding(mark.line, 0, f"{FENCE} belongs to Markdown and not to YAML", "delete this line")
    if mark.line < len(lines) and (found := _behind_quote(lines[mark.line], mark)):
        return found
    if mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        return Finding(mark.line, mark.column, *WORDS[1][1:])
    return _at_its_cause(error, mark, lines, (message, hint))


def _behind_quote(line: str, mark: Mark) -> Finding | None:
    """Text behind a closing quote: `'donor's wish'`, `"{msisdn}" at home`."""
    before, behind = line[: mark.column], line[mark.column :]
    closed = before.rstrip()
    if not QUOTED_VALUE.search(closed) or not behind[:1].strip() or behind[0] in ",:}]#":
        return None
    quote, other = closed[-1], '"' if closed[-1] == "'" else "'"
    message = f"the text ends at the {quote} before this, and more follows"
    if closed == before:
        cure = f"put the whole text in {other}…{other}, or write a {quote} inside it as {DOUBLED[quote]}"
    else:
        cure = "put all of the text inside the quotes"
    return Finding(mark.line, mark.column, message, cure)


def _at_its_cause(error: SyntaxFinding, mark: Mark, lines: list[str], words: tuple[str, str]) -> Finding:
    """The error at the place of its cause, which is often above the place where the parser gave up."""
    said, begun = error.problem or "", error.context_mark
    better: Finding | None = None
    if said.startswith("mapping values are not allowed"):
        better = _line_above(lines, mark) or _colon_in_text(lines, mark)
    elif begun is not None and said.startswith("found unexpected"):
        better = Finding(begun.line, begun.column, *words)  # the open quote, and not the end of the file
    elif begun is not None and begun.line < mark.line:
        if said.startswith(("expected ',' or", "could not find expected ':'")):
            better = Finding(begun.line, begun.column, *words)  # the open brace, or the key without a colon
        elif said.startswith("expected <block end>"):
            better = _wrong_indentation(lines, mark)
    return better or Finding(mark.line, mark.column, *words)


def _words(said: str) -> tuple[str, str]:
    for begins, message, hint in WORDS:
        if said.startswith(begins):
            return message, hint
    if "cannot start any token" in said:
        found = NO_START.search(said)
        what = f"`{found[1]}`" if found else "this character"
        return f"a text cannot start with {what}", "put the whole text in quotes"
    return "this is not YAML", "check quotes, colons and indentation"


def _colon_in_text(lines: list[str], mark: Mark) -> Finding | None:
    """A text with a `: ` in it: `Source: SMS: Strex`. Its words are not repeated, because the file may hold a secret."""
    found = VALUE_WITH_COLON.match(lines[mark.line]) if mark.line < len(lines) else None
    if found is None or mark.column < found.end():
        return None
    cure = f'put the text in quotes: {found[1]}: "…"'
    return Finding(mark.line, mark.column, "a `: ` inside a text looks like a second key", cure)


def _line_above(lines: list[str], mark: Mark) -> Finding | None:
    """The cause of an unexpected `:`: the line above, which made this line part of its text, or this line's indentation."""
    blanks, key = _key(lines[mark.line])
    above = next((number for number in range(mark.line - 1, -1, -1) if lines[number].strip()), None)
    if above is None or mark.column != blanks + len(key) - 1:
        return None
    glued = GLUED.match(lines[above])
    if glued is not None:
        return Finding(above, glued.start(1), "a key without a blank behind its `:`", "write `key: value`")
    if blanks > _key(lines[above])[0] and (begin := _not_indented(lines, above, blanks)) is not None:
        return begin
    wrong = _indentation(lines, mark) if blanks > _key(lines[above])[0] else None
    return Finding(mark.line, blanks, *wrong) if wrong else None


def _not_indented(lines: list[str], last: int, blanks: int) -> Finding | None:
    """The first line below a `set:` that stands under it and should stand below it, as a later one with more blanks does."""
    indent = _key(lines[last])[0]
    first = last
    for number in range(last, -1, -1):
        if not lines[number].strip():
            continue
        if _key(lines[number])[0] != indent:
            return None
        if (begin := BEGIN.fullmatch(lines[number])) is not None:
            name = lines[first].strip().partition(":")[0]
            message = f"`{name}` is not indented below `{begin[1]}:`"
            cure = f"begin each line that belongs to `{begin[1]}:` with {blanks} blanks"
            return Finding(first, indent, message, cure) if first != number else None
        first = number
    return None


def _wrong_indentation(lines: list[str], mark: Mark) -> Finding | None:
    blanks = _key(lines[mark.line])[0] if mark.line < len(lines) else 0
    above = next((number for number in range(mark.line - 1, -1, -1) if lines[number].strip()), None)
    if above is not None and mark.column == blanks > _key(lines[above])[0]:
        begin = _not_indented(lines, above, blanks)
        if begin is not None:
            return begin
    wrong = _indentation(lines, mark)
    return Finding(mark.line, mark.column, *wrong) if wrong else None


def _indentation(lines: list[str], mark: Mark) -> tuple[str, str] | None:
    """Message and cure for a line whose indentation fits no block; None if indentation is not the problem."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    blanks, key = _key(line)
    if mark.column not in {blanks, blanks + len(key) - 1} or key[:1] in {'"', "'", "{", "[", ""}:
        return None
    message = f"this line is indented by {blanks} blank{'' if blanks == 1 else 's'}, and no block above it is"
    others = sorted(range(len(lines)), key=lambda number: abs(number - mark.line))
    like = next(
        (number for number in others if _key(lines[number])[1] == key and _key(lines[number])[0] != blanks), None
    )
    if like is None:
        return message, "give all lines of a block the same number of blanks"
    shown = key.removesuffix(":").strip()
    return (
        message,
        f"give all lines of a block the same number of blanks: `{shown}` in line {like + 1} has {_key(lines[like])[0]}",
    )


def _key(line: str) -> tuple[int, str]:
    """The number of blanks before a line, and its beginning: its key with the dash before it, if it has them."""
    stripped = line.lstrip(" ")
    before, colon, _ = stripped.partition(":")
    return len(line) - len(stripped), before + colon
