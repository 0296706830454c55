"""Each command that a page or a message of the connector names exists, with its options."""

import re
import shlex
from pathlib import Path

import click
import pytest

from connector.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
CONFIGS = [ROOT / "config.example.yaml", *sorted((ROOT / "mappings").rglob("*.yaml"))]
SOURCES = sorted((ROOT / "connector").rglob("*.py"))
BLOCK = re.compile(r"^```(?:console|sh|text)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(connector [^`{}]*)`")
FILLED_IN = re.compile(r"\{[^{}`\n]*\}")  # a value in an f-string
TYPED = re.compile(r"^\$ (.*)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"[A-Z<]|x$")  # as in `connector sandbox NAME`; … was made an x
CALL = re.compile(r"(?:^|\bsudo (?:-u connector )?)connector (.*)")


def typed(block):
    """The commands of a block: without prompt, comment, pipe and what follows `&&`."""
    for line in TYPED.findall(block.replace("\\\n", " ")):
        for part in re.split(r"&&|;|\||>(?!\w)| # ", line):
            if call := CALL.match(part.strip()):
                yield call[1]


def commands(text):
    plain = BLOCK.sub("", text)
    for span in SPAN.findall(plain):
        yield re.sub(r"\s*\n[\s#]*", " ", span).removeprefix("connector ")
    for block in BLOCK.findall(text):
        yield from typed(block)


def unknown(line):
    """What of a command line the connector does not have, or what it lacks; empty if it can be typed so."""
    words = shlex.split(line.replace("…", "x").replace("'", ""))
    arguments = 0
    command, context = cli, click.Context(cli, info_name="connector")
    options = {name for one in cli.params for name in one.opts}
    for word in words:
        if word.startswith("-"):
            if word.partition("=")[0] not in options | {"--help", "--version", "-h"}:
                return f"{word} of `{command.name}`"
        elif isinstance(command, click.Group):
            if PLACEHOLDER.match(word):
                return ""
            for name in word.split("|"):
                found = command.get_command(context, name)
                if found is None:
                    return name
            command, context = found, click.Context(found, info_name=word, parent=context)
            options |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        else:
            arguments += 1
    lacks = [one.opts[0] for one in command.params if isinstance(one, click.Option) and one.required]
    # A command without arguments is only named.
    return " ".join(name for name in lacks if arguments and name not in words)


@pytest.mark.parametrize("file", [*PAGES, *CONFIGS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_exist(file):
    found = list(commands(file.read_text()))
    assert [(line, unknown(line)) for line in found if unknown(line)] == []


def test_the_commands_of_messages_exist():
    found = [
        line for source in SOURCES for line in commands(FILLED_IN.sub("x", source.read_text())) if "(?" not in line
    ]
    assert len(found) > 200
    assert [(line, unknown(line)) for line in found if unknown(line)] == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`connector dead retry --group 1`", ""),
        ("`connector dead revive`", "revive"),
        ("```console\n$ sudo connector check --alive && x\n```", "--alive of `check`"),
        ("```console\n$ connector chekc > file\n```", "chekc"),
        ("`connector keywords reserve KATT`", "--channel"),
        ("`connector keywords reserve KATT --channel 2002`", ""),
        ("`connector keywords reserve`", ""),
    ],
)
def test_a_command_that_does_not_exist_is_found(text, missing):
    assert [unknown(line) for line in commands(text)] == [missing]
