"""The group of commands: full short helps, examples, "did you mean", completion, and errors as JSON where JSON is asked for."""

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from connector.cli.completion_values import complete
from connector.cli.examples import EXAMPLES, examples
from connector.model.terminal_text import escaped

JSON = "--json"
WIDEST = 500  # characters of a short help: its whole first sentence


class Group(click.Group):
    """A group whose commands show examples and complete what is stored."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, with its examples."""
        command = self.find(ctx, cmd_name)
        if command is not None:
            words = f"{ctx.command_path} {cmd_name}".split(maxsplit=1)[1]
            if words in EXAMPLES:
                command.epilog = examples(*EXAMPLES[words])
            complete(command)
        return command

    def find(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command as it is defined."""
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the commands, each with the whole first sentence of its help."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(WIDEST)) for name, one in found if one and not one.hidden]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The named command; an unknown one is refused with the nearest that there is."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            close = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            cure = f"Did you mean `{close[0]}`?" if close else f"See `{ctx.command_path} --help`."
            raise click.UsageError(f"There is no command `{name}`. {cure}", ctx)
        return super().resolve_command(ctx, args)


class PackageGroup(Group):
    """A group whose commands are modules of a package, each imported when it is called."""

    def __init__(self, *, package: str, names: Sequence[str], **more: Any) -> None:
        """Each of `names` is a module of `package`, and the command in it."""
        super().__init__(**more)
        self._package = package
        self._names = names

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature.
        """The commands, in the order in which they are needed."""
        return list(self._names)

    def find(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same.
        """The command, imported now."""
        if cmd_name not in self._names:
            return None
        command: click.Command = getattr(import_module(f"{self._package}.{cmd_name}"), cmd_name)
        return command


def json_wanted(args: list[str]) -> bool:
    """Whether the command line asks for JSON."""
    return JSON in args


def print_error(error: click.ClickException) -> None:
    """The error as the one JSON document on standard output; standard error has it for people."""
    document = {"ok": False, "error": error.format_message(), "exit_code": error.exit_code}
    click.echo(json_text(document))


def json_text(document: Mapping[str, Any]) -> str:
    """The document as JSON: letters as they are where the output is in UTF-8, escaped elsewhere."""
    in_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return escaped(json.dumps(document, ensure_ascii=not in_utf8, indent=2))
