"""Parses the part of SOQL that a connector needs to a tree; soql_sql.py converts the tree to SQL."""

import re
from dataclasses import dataclass
from typing import NoReturn

from connector.sandbox.salesforce.refusals import RequestRefusedError

LONGEST_QUERY = 100_000  # characters, Salesforce's own limit
LARGEST_OFFSET = 2_000  # rows, Salesforce's own limit

TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_][\w.]*)
    | (?P<symbol><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
WORDS = {"true": "boolean", "false": "boolean", "null": "null"}
COMPARISONS = frozenset({"=", "!=", "<>", "<", ">", "<=", ">="})


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the query and its column (from 1)."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Path:
    """A field, or a parent's field: `Contact__r.SMS_Key__c`."""

    names: tuple[str, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A value of kind string, datetime, date, number, boolean or null. Strings keep their backslashes for LIKE."""

    kind: str
    text: str
    column: int

    @property
    def plain(self) -> str:
        """A string with its escapes resolved."""
        return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), self.text, flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one value, or against several for IN and NOT IN."""

    path: Path
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation of a condition."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Group:
    """Several conditions joined by AND or by OR."""

    word: str
    conditions: tuple["Condition", ...]


Condition = Comparison | Not | Group


@dataclass(frozen=True, slots=True)
class Order:
    """One column of ORDER BY; nulls are first unless the query says otherwise."""

    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A parsed SELECT; no fields means COUNT()."""

    text: str
    fields: tuple[Path, ...]
    source: Token
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


def pointed(text: str, column: int, message: str) -> str:
    """A message with the place in the query, in Salesforce's form."""
    excerpt = text[max(0, column - 40) : column + 40].replace("\n", " ")
    mark = " " * min(column - 1, 40) + "^"
    return f"\n{excerpt}\n{mark}\nERROR at Row:1:Column:{column}\n{message}"


def malformed(text: str, column: int, message: str) -> RequestRefusedError:
    """The error for an invalid query."""
    return RequestRefusedError(400, "MALFORMED_QUERY", pointed(text, column, message))


class _Parser:
    """Parses one query from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                raise malformed(text, start + 1, f"unexpected token: '{text[start]}'")
            self.tokens.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1))
            position = match.end()
        self.at = 0

    def peek(self, *words: str) -> bool:
        """Whether the next words are these."""
        following = self.tokens[self.at : self.at + len(words)]
        return [token.text.upper() for token in following] == list(words) and all(
            token.kind in {"word", "symbol"} for token in following
        )

    def take(self, *words: str) -> bool:
        """Skip these words if they come next; returns whether they did."""
        if self.peek(*words):
            self.at += len(words)
            return True
        return False

    def need(self, *words: str) -> None:
        if not self.take(*words):
            self.fail()

    def next(self, kind: str) -> Token:
        if self.at >= len(self.tokens) or self.tokens[self.at].kind != kind:
            self.fail()
        self.at += 1
        return self.tokens[self.at - 1]

    def fail(self) -> NoReturn:
        if self.at >= len(self.tokens):
            raise malformed(self.text, len(self.text) + 1, "unexpected token: '<EOF>'")
        token = self.tokens[self.at]
        raise malformed(self.text, token.column, f"unexpected token: '{token.text}'")

    def path(self) -> Path:
        token = self.next("word")
        return Path(tuple(token.text.split(".")), token.column)

    def query(self) -> Query:
        self.need("SELECT")
        fields: list[Path] = []
        if not self.take("COUNT", "(", ")"):
            fields.append(self.path())
            while self.take(","):
                fields.append(self.path())
        self.need("FROM")
        source = self.next("word")
        where = self.condition() if self.take("WHERE") else None
        order: list[Order] = []
        if self.take("ORDER", "BY"):
            order.append(self.order())
            while self.take(","):
                order.append(self.order())
        limit = self.whole() if self.take("LIMIT") else None
        offset = self.whole() if self.take("OFFSET") else 0
        self.take("ALL", "ROWS")
        if self.at < len(self.tokens):
            self.fail()
        if offset > LARGEST_OFFSET:
            raise RequestRefusedError(
                400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {LARGEST_OFFSET}"
            )
        return Query(
            text=self.text,
            fields=tuple(fields),
            source=source,
            where=where,
            order=tuple(order),
            limit=limit,
            offset=offset,
        )

    def whole(self) -> int:
        token = self.next("number")
        if not token.text.isdigit():
            self.at -= 1
            self.fail()
        return int(token.text)

    def order(self) -> Order:
        path = self.path()
        descending = self.take("DESC")
        if not descending:
            self.take("ASC")
        nulls_last = self.take("NULLS", "LAST")
        if not nulls_last:
            self.take("NULLS", "FIRST")
        return Order(path, descending, nulls_last)

    def condition(self) -> Condition:
        first = self.factor()
        for word, other in (("AND", "OR"), ("OR", "AND")):
            if self.peek(word):
                conditions = [first]
                while self.take(word):
                    conditions.append(self.factor())
                if self.peek(other):
                    # SOQL has no precedence between AND and OR: mixing them needs parentheses.
                    self.fail()
                return Group(word, tuple(conditions))
        return first

    def factor(self) -> Condition:
        if self.take("NOT"):
            return Not(self.factor())
        if self.take("("):
            inner = self.condition()
            self.need(")")
            return inner
        path = self.path()
        if self.take("LIKE"):
            return Comparison(path, "LIKE", (self.literal(),))
        negated = self.take("NOT")
        if self.take("IN"):
            self.need("(")
            values = [self.literal()]
            while self.take(","):
                values.append(self.literal())
            self.need(")")
            return Comparison(path, "NOT IN" if negated else "IN", tuple(values))
        if negated:
            self.fail()
        operator = self.next("symbol")
        if operator.text not in COMPARISONS:
            self.at -= 1
            self.fail()
        return Comparison(path, "!=" if operator.text == "<>" else operator.text, (self.literal(),))

    def literal(self) -> Literal:
        if self.at >= len(self.tokens):
            self.fail()
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "string":
            return Literal("string", token.text[1:-1], token.column)
        if token.kind in {"datetime", "date", "number"}:
            return Literal(token.kind, token.text, token.column)
        word = token.text.lower()
        if word not in WORDS:
            self.at -= 1
            self.fail()
        return Literal(WORDS[word], word, token.column)


def parse(text: str) -> Query:
    """Parse a query.

    Raises:
        RequestRefusedError: it is not SOQL, or not in the supported part; MALFORMED_QUERY with the place.
    """
    if len(text) > LONGEST_QUERY:
        raise RequestRefusedError(
            400, "MALFORMED_QUERY", f"SOQL statements cannot be longer than {LONGEST_QUERY} characters."
        )
    return _Parser(text).query()
