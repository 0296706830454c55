"""Templates: `"{path}"`, or a text with paths in it. `{path?}` may be missing; `{{` and `}}` are literal braces. No expressions."""

import re
from dataclasses import dataclass
from typing import Any

from connector.mapping.language.paths import BadPath, Get, Path, Reading, getter, parse_path
from connector.mapping.values.values import present, text

# The notations of Ansible, Jinja, GitHub Actions and shells.
DOUBLED = re.compile(r"\$?(?<!\{)\{\{\s*([^{}]*?)\s*\}\}(?!\})")
DOLLAR = re.compile(r"\$\{\s*([^{}]*?)\s*\}")
# a `$` before these may be meant as a currency sign
AMOUNTS = frozenset({"price", "properties", "lookup", "record", "consent"})
PIECE = re.compile(r'\{\{|\}\}|\{((?:[^{}"]|"[^"]*")*)\}|[{}]')


@dataclass(frozen=True, slots=True)
class Part:
    """A path in a template."""

    path: Path
    optional: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template: its literal texts and paths, in order."""

    parts: tuple[str | Part, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths that it reads."""
        return tuple(part.path for part in self.parts if isinstance(part, Part))

    @property
    def is_text(self) -> bool:
        """Whether its value, if present, is always text. A path alone keeps the type of its value."""
        match self.parts:
            case (Part(path=path),):
                return path.is_text
            case _:
                return True


def parse_template(written: str) -> Template:
    """Check a template as written; raises BadPath."""
    if "{{" in written or "${" in written:
        _refuse_other_languages(written)
    parts: list[str | Part] = []
    plain = ""
    end = 0
    for found in PIECE.finditer(written):
        plain += written[end : found.start()]
        end = found.end()
        piece = found.group()
        if piece in {"{{", "}}", "}"}:
            plain += piece[0]
        elif piece == "{":
            raise BadPath(f"a `{{` in `{written}` is never closed", "close it with `}`; for a literal brace write `{{`")
        else:
            inside = found[1].strip()
            if inside[:1] in {"!", "$"} and (meant := _path_or_none(inside[1:])) is not None:
                raise BadPath(f"`{inside}` is not a path", f'write "{{{meant}}}"')
            if plain:
                parts.append(plain)
                plain = ""
            parts.append(Part(parse_path(inside.removesuffix("?").rstrip()), inside.endswith("?")))
    plain += written[end:]
    if plain:
        parts.append(plain)
    return Template(tuple(parts))


def _refuse_other_languages(written: str) -> None:
    """Raise BadPath for a field of an event in the braces of another tool, because it would be sent as written."""
    for found in (*DOUBLED.finditer(written), *DOLLAR.finditer(written)):
        path = _path_or_none(found[1])
        doubled = found[0].endswith("}}")
        if path is not None and (doubled or path.root not in AMOUNTS):
            what = "two pairs of braces" if doubled else "the `$`"
            raise BadPath(f"{what} in `{found[0]}` would go out as written", f'write one pair of braces: "{{{path}}}"')


def odd_braces(written: str) -> str | None:
    """The part of a template that may be meant for another tool, and is sent as written."""
    for found in (*DOUBLED.finditer(written), *DOLLAR.finditer(written)):
        return found[0]
    return None


def _path_or_none(written: str) -> Path | None:
    try:
        return parse_path(written.removesuffix("?").rstrip())
    except BadPath:
        return None


def render(template: Template) -> Get:
    """A function that fills in the template; None if a required part is missing, or if the whole is blank.

    A path alone keeps the type of its value. With text around it the result is text.
    """
    match template.parts:
        case ():
            return lambda _reading: None
        case (str(constant),):
            fixed = present(constant)
            return lambda _reading: fixed
        case (Part(path=path),):
            return getter(path)
    pieces = [part if isinstance(part, str) else (getter(part.path), part.optional) for part in template.parts]

    def fill(reading: Reading) -> Any:
        made: list[str] = []
        left_out = False
        for piece in pieces:
            if isinstance(piece, str):
                made.append(piece)
                continue
            get, optional = piece
            value = get(reading)
            if value is not None:
                made.append(text(value))
            elif optional:
                left_out = True
            else:
                return None
        whole = "".join(made)
        # `{first?} {last?}` leaves a blank at one end if one of them is missing.
        return present(whole.strip() if left_out else whole)

    return fill
