"""YAML's syntax errors in plain words, with the cure. The parser's own words name tokens that no admin has heard of."""

from typing import Protocol

from connector.model.problem import Position, Problem


class Mark(Protocol):
    """A place as the parser tells it, counted from 0."""

    line: int
    column: int


class SyntaxFinding(Protocol):
    """What the parser says about a syntax error."""

    context: str | None
    problem: str | None

    @property
    def context_mark(self) -> Mark | None:
        """Where the thing began that is wrong."""

    @property
    def problem_mark(self) -> Mark | None:
        """Where the parser gave up."""


# The beginning of the parser's words → ours, and the cure. The first that fits.
WORDS = (
    ("nested deeper", "the nesting is too deep", "at most 30 levels are read"),
    (
        "found character '\\t'",
        "a tab where YAML wants blanks",
        "indent with blanks; set the editor to insert blanks for tabs",
    ),
    (
        "mapping values are not allowed",
        "a `:` where none can be",
        "put a text with `: ` in it in quotes; else check the indentation of this line and the one above",
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
    ("expected '<document start>'", "this does not belong to what stands above", "check the indentation of this line"),
    ("did not find expected", "something is missing here", "check the line above"),
)


def syntax_problem(file: str, error: SyntaxFinding, text: str) -> Problem:
    """The parser's finding as a Problem."""
    said = error.problem or error.context or ""
    mark = error.problem_mark or error.context_mark
    if said.startswith("found unexpected") and error.context_mark is not None:
        mark = error.context_mark  # the quote that is open, not the end of the file
    found = [words[1:] for words in WORDS if said.startswith(words[0])]
    if found:
        message, hint = found[0]
    elif "cannot start any token" in said:
        message, hint = "a text cannot start with this character", "put it in quotes"
    else:
        message, hint = "this is not YAML", "check quotes, colons and indentation"
    if mark is None:
        return Problem(file=file, position=None, code="syntax", message=message, hint=hint)
    lines = text.splitlines()
    if mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        _, message, hint = WORDS[1]
    return Problem(
        file=file, position=Position(mark.line + 1, mark.column + 1), code="syntax", message=message, hint=hint
    )
