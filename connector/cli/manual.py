"""`connector manual`: the man page, made of the commands' own helps, so that it is always that of this version."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import cast

import click

from connector.cli.examples import examples_of
from connector.cli.exit_codes import HELP

FILES = (
    ("/etc/connector/config.yaml", "The config. Another one is named by --config or $CONNECTOR_CONFIG."),
    ("/etc/connector/mappings", "The mapping files."),
    ("/var/lib/connector/connector.db", "The database, when the service runs under systemd."),
)


@click.command()
@click.pass_context
def manual(ctx: click.Context) -> None:
    """Print the man page connector(1), in the form that `man` reads."""
    click.echo("\n".join(_page(ctx.find_root())))


def _page(root: click.Context) -> Iterator[str]:
    group = cast("click.Group", root.command)
    yield f'.TH CONNECTOR 1 "" "connector {version("crm-connector")}" "User Commands"'
    yield ".SH NAME"
    yield "connector \\- write SMS callbacks to a CRM, and send opt\\-outs back to the provider"
    yield ".SH SYNOPSIS"
    yield ".B connector"
    yield "[\\fB\\-\\-config\\fR FILE] COMMAND [OPTIONS]"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(group.help or "")
    yield ".SH COMMANDS"
    yield from _commands(group, root, "connector")
    yield ".SH FILES"
    for path, about in FILES:
        yield from (".TP", f".I {_plain(path)}", _plain(about))
    yield ".SH EXIT STATUS"
    yield _plain(" ".join(HELP.split()))


def _commands(group: click.Group, ctx: click.Context, path: str) -> Iterator[str]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        words = f"{path} {name}"
        here = click.Context(command, info_name=name, parent=ctx)
        usage = " ".join(command.collect_usage_pieces(here))
        yield f'.SS "{_plain(f"{words} {usage}".strip())}"'
        yield from _paragraphs(command.help or "")
        for parameter in command.get_params(here):
            record = parameter.get_help_record(here)
            if record is not None:
                yield from (".TP", f".B {_plain(record[0])}", _plain(record[1]) or ".br")
        examples = examples_of(command.epilog)
        if examples:
            yield ".PP"
            yield "Examples:"
            yield from (".PP", ".nf", *(f"    {_plain(one)}" for one in examples), ".fi")
        if isinstance(command, click.Group):
            yield from _commands(command, here, words)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.replace("\b", "").splitlines() if line.strip()]
        yield from (".PP", _plain(" ".join(lines)))


def _plain(text: str) -> str:
    """A text that troff prints as it is."""
    shown = text.replace("\\", "\\e").replace("-", "\\-").replace("\n", " ")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown
