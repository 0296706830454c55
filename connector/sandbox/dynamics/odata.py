"""Reading of addresses, keys and `$filter` of the Web API. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

from connector.sandbox.dynamics.errors import RefusedError, bad_syntax
from connector.sandbox.dynamics.storage import folded

# "Define alternate keys": values with these characters cannot be used in an address. The issue powerapps-docs#1895
# adds `#`.
FORBIDDEN_IN_KEYS = frozenset("/<>*%&:\\?+#")
GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\d(?:T[0-9:.]+(?:Z|[+-]\d\d:\d\d))?)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<alias>@\w+)|(?P<name>[A-Za-z_][\w./]*)|(?P<mark>[(),\[\]=]))"
)
SPECIAL = re.compile(r"['()/]")
Test = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a path: a name and what stands in parentheses, None without them."""

    name: str
    key: str | None = None


def segments(path: str) -> list[Segment]:
    """The parts of a percent-encoded path. Raises RefusedError."""
    path = path.strip("/")
    parts: list[str] = []
    quoted = False
    depth = start = 0
    for found in SPECIAL.finditer(path):
        character = found.group()
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character == "/" and depth == 0:
            parts.append(path[start : found.start()])
            start = found.end()
        else:
            depth += (character == "(") - (character == ")")
    parts.append(path[start:])
    if quoted or depth:
        raise bad_syntax(f"There is an unterminated string literal or parenthesis at position {len(path)}.")
    made = []
    for part in parts:
        name, opened, rest = part.partition("(")
        if opened and not rest.endswith(")"):
            raise bad_syntax("Bad Request - Error in query syntax.")
        made.append(Segment(unquote(name), rest[:-1] if opened else None))
    return made


def key_values(inside: str) -> dict[str, Any]:
    """The columns and values of an alternate key in parentheses, percent-encoded or not. Raises RefusedError."""
    values: dict[str, Any] = {}
    for part in re.split(r",(?=(?:[^']*'[^']*')*[^']*$)", inside):
        name, equals, raw = part.partition("=")
        if not equals:
            raise bad_syntax("Bad Request - Error in query syntax.")
        value = unquote(raw)
        if value.startswith("'") and value.endswith("'") and len(value) > 1:
            text = value[1:-1].replace("''", "'")
            if FORBIDDEN_IN_KEYS & set(text):
                raise bad_syntax("Bad Request - Error in query syntax.")
            values[unquote(name).strip()] = text
        elif GUID.fullmatch(value):
            values[unquote(name).strip()] = value.lower()
        elif re.fullmatch(r"-?\d+(\.\d+)?", value):
            values[unquote(name).strip()] = float(value) if "." in value else int(value)
        else:
            raise bad_syntax("Bad Request - Error in query syntax.")
    return values


def query_options(query: str) -> dict[str, str]:
    """The options of a query string; aliases such as `@m` too."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def compile_filter(text: str, options: Mapping[str, str]) -> Test:
    """A function that tests a record. Raises RefusedError for what the sandbox cannot read."""
    return _Parser(text, options).whole()


class _Parser:
    def __init__(self, text: str, options: Mapping[str, str]) -> None:
        self._options = options
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            if found is None:
                raise bad_syntax(f"Syntax error at position {at} in the filter.")
            self._tokens.append((str(found.lastgroup), found.group(str(found.lastgroup))))
            at = found.end()
        self._at = 0

    def whole(self) -> Test:
        test = self._either()
        if self._at != len(self._tokens):
            raise bad_syntax("Syntax error: the filter goes on after its end.")
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, mark: str) -> None:
        if self._next()[1] != mark:
            raise bad_syntax(f"Syntax error: '{mark}' expected in the filter.")

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek() == ("name", "or"):
            self._next()
            tests.append(self._both())
        if len(tests) == 1:
            return tests[0]
        equal = [one for one in tests if isinstance(one, _Equals)]
        others = [one for one in tests if not isinstance(one, _Equals)]
        sets: dict[str, set[Any]] = {}
        for one in equal:
            sets.setdefault(one.name, set()).add(one.value)
        alternatives: list[Test] = [*others, *(AnyOf(name, values) for name, values in sets.items())]
        return alternatives[0] if len(alternatives) == 1 else lambda row: any(one(row) for one in alternatives)

    def _both(self) -> Test:
        tests = [self._single()]
        while self._peek() == ("name", "and"):
            self._next()
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else lambda row: all(one(row) for one in tests)

    def _single(self) -> Test:
        kind, text = self._next()
        if text == "not":
            test = self._single()
            return lambda row: not test(row)
        if text == "(":
            test = self._either()
            self._expect(")")
            return test
        if kind != "name":
            raise bad_syntax(f"Syntax error at '{text}' in the filter.")
        if text in {"contains", "startswith", "endswith"}:
            return self._function(text)
        if text == "Microsoft.Dynamics.CRM.In":
            return self._in()
        return self._comparison(text)

    def _function(self, function: str) -> Test:
        self._expect("(")
        name = self._next()[1]
        self._expect(",")
        wanted = _wildcards(str(folded(self._value())))
        self._expect(")")
        before, after = ("" if function == "startswith" else ".*"), ("" if function == "endswith" else ".*")
        pattern = re.compile(f"{before}{wanted}{after}", re.DOTALL)

        def test(row: Mapping[str, Any]) -> bool:
            value = _resolved(row, name)
            return value is not None and pattern.fullmatch(str(value).casefold()) is not None

        return test

    def _in(self) -> Test:
        self._expect("(")
        self._expect("PropertyName")
        self._expect("=")
        name = str(self._value())
        self._expect(",")
        self._expect("PropertyValues")
        self._expect("=")
        self._expect("[")
        values = {folded(self._value())}
        while self._peek()[1] == ",":
            self._next()
            values.add(folded(self._value()))
        self._expect("]")
        self._expect(")")
        return AnyOf(name, values)

    def _comparison(self, name: str) -> Test:
        operator = self._next()[1]
        wanted = folded(self._value())
        if operator == "eq":
            return _Equals(name, wanted)
        if operator == "ne":
            return lambda row: folded(_resolved(row, name)) != wanted
        comparisons: dict[str, Callable[[Any], bool]] = {
            "gt": lambda value: value > wanted,
            "ge": lambda value: value >= wanted,
            "lt": lambda value: value < wanted,
            "le": lambda value: value <= wanted,
        }
        if operator not in comparisons:
            raise bad_syntax(f"Syntax error at '{operator}' in the filter.")
        compare = comparisons[operator]

        def test(row: Mapping[str, Any]) -> bool:
            value = folded(_resolved(row, name))
            return value is not None and compare(value)

        return test

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "alias":
            if text not in self._options:
                raise bad_syntax(f"The parameter alias {text} has no value.")
            return _Parser(self._options[text], {})._value()  # noqa: SLF001 - the same class.
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind in {"guid", "time"}:
            return text.lower() if kind == "guid" else text
        if kind == "number":
            return float(text) if "." in text else int(text)
        words = {"true": True, "false": False, "null": None}
        if text in words:
            return words[text]
        if kind == "name" and self._peek()[0] == "text":
            return self._value()  # a value with its type: Microsoft.Dynamics.CRM.AttributeTypeCode'Picklist'
        raise bad_syntax(f"Syntax error at '{text}' in the filter.")


class _Equals:
    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def __call__(self, row: Mapping[str, Any]) -> bool:
        return bool(folded(_resolved(row, self.name)) == self.value)


class AnyOf:
    """A test for one of several values of a property."""

    def __init__(self, name: str, values: set[Any]) -> None:
        self.name, self.values = name, values

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether a record has one of the values."""
        return folded(_resolved(row, self.name)) in self.values


def _wildcards(text: str) -> str:
    """A text with the wildcards of the query functions as a regular expression.

    Source: "Wildcard characters in conditions for string values": % is any text, _ any character.
    """
    return "".join({"%": ".*", "_": "."}.get(one) or re.escape(one) for one in text)


def _resolved(row: Mapping[str, Any], path: str) -> Any:
    if "/" not in path:
        try:
            return row[path] if path in row else row[f"_{path}_value"]
        except KeyError:
            raise RefusedError(
                400, "0x80060888", f"Could not find a property named '{path}' on the type of the resource."
            ) from None
    value: Any = row
    for name in path.split("/"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
