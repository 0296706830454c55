"""The command `connector`: its subcommands by name, each imported when it is called."""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

import click

from connector.cli import exit_codes
from connector.cli.group import JSON, WIDEST, Group, json_wanted, print_error
from connector.cli.setup import Setup

# Name → (module, one line of help). The help is here, so that the list of commands imports none of them.
COMMANDS = {
    "run": ("run", "Run the daemon until it is stopped."),
    "init": ("init", "Write a config, its secrets, mappings and the unit's drop-in."),
    "check": ("check", "Check config and mappings; with --live also CRM and providers."),
    "doctor": ("doctor", "Check everything that the connector needs, and say how to fix it."),
    "test": ("test", "Run the tests of the mapping files."),
    "preview": ("preview", "Show what edited mappings would change for past events."),
    "explain": ("explain", "Explain an event, a file or a person in words."),
    "status": ("status", "Show the state of events, sinks and feeds."),
    "console": ("console", "Sign in to the web console; sign people out; show its audit log."),
    "events": ("events", "List events of any state, by conditions."),
    "dead": ("dead", "List, retry or discard dead letters."),
    "parked": ("parked", "List, release or discard what waits for a person."),
    "notes": ("notes", "List the fields that events were delivered without."),
    "consents": ("consents", "Show a person's consent; send opt-outs that the CRM had before."),
    "person": ("person", "Show, export or forget all data of a person."),
    "retention": ("retention", "Show what is held, how old it is, and what is deleted next."),
    "charges": ("charges", "Show, approve and resolve recurring charges."),
    "reconcile": ("reconcile", "Compare all records of the CRM with the stored ones."),
    "replay": ("replay", "Plan events again by the mappings in use."),
    "backup": ("backup", "Copy the database to a file, and check the copy."),
    "restore": ("restore", "Replace the database with a backup."),
    "reload": ("reload", "Reload the mappings of the running daemon."),
    "notify": ("notify", "Test the messages of alarms, and show the weekly digest."),
    "keywords": ("keywords", "List, reserve and switch keywords at the provider."),
    "sinks": ("sinks", "Make signing secrets for webhooks."),
    "sandbox": ("sandbox", "Run a stand-in for a CRM or a provider, to try things out."),
    "schema": ("schema", "Write or print JSON Schemas; pull the schema of the CRM."),
    "completion": ("completion", "Print the script that completes the commands in a shell."),
    "manual": ("manual", "Print the man page."),
    "demo": ("demo", "Play a donor's story with a daemon and the sandboxes."),
}


NO_ANSWER = (
    "no answer, so nothing was changed: answer at a terminal, or add --yes if the command's --help has that option"
)
CRMS = Path(__file__).parents[1] / "crm"


def crm_commands() -> list[str]:
    """The CRMs with commands of their own, each of which is a folder in crm/ with a package `commands`."""
    return sorted(one.parent.name for one in CRMS.glob("*/commands"))


class LazyGroup(Group):
    """A group that imports a command only when it is called, and ends with the documented exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature.
        """The commands, in the order in which a new user needs them."""
        names = list(COMMANDS)
        place = names.index("sandbox")
        return [*names[:place], *crm_commands(), *names[place:]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command. `--json` may stand there too."""
        if args[:1] == [JSON]:
            args = [*args[1:], JSON]
        ctx.meta[JSON] = json_wanted(args)
        return super().parse_args(ctx, args)

    def find(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature.
        """The command, imported now."""
        command: click.Command | None = None
        if cmd_name in COMMANDS:
            module, _ = COMMANDS[cmd_name]
            command = getattr(import_module(f"connector.cli.{module}"), module)
        elif cmd_name in crm_commands():
            command = import_module(f"connector.crm.{cmd_name}.commands").group
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the commands, without importing those of the table."""
        lines = []
        for name in self.list_commands(ctx):
            command = None if name in COMMANDS else self.find(ctx, name)
            lines.append((name, command.get_short_help_str(WIDEST) if command else COMMANDS[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(lines)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. This is the only place where errors become messages and exit codes."""
        try:
            with exit_codes.exit_on_error():
                result: object = super().invoke(ctx)
                return result
        except click.Abort as error:
            if sys.stdin is not None and sys.stdin.isatty():
                raise
            click.echo(err=True)  # the question is without an end of its line
            ended = exit_codes.Ended(NO_ANSWER, exit_codes.Exit.NO)
            if ctx.meta[JSON]:
                print_error(ended)
            raise ended from error
        except click.ClickException as error:
            if ctx.meta[JSON]:
                with suppress(OSError):  # the error may be that nothing can be written
                    print_error(error)
            raise


@click.group(cls=LazyGroup, epilog=exit_codes.HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="The config file. Default: $CONNECTOR_CONFIG, ./config.yaml, /etc/connector/config.yaml.",
)
@click.version_option(package_name="crm-connector", prog_name="connector")
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Writes to the CRM what SMS providers report, and sends opt-outs of the CRM to the providers.

    Every command that answers something takes --json, and then prints one JSON document and nothing else on standard output, also
    when it fails. `connector completion` lets your shell complete commands, events, rules and keywords.
    """
    ctx.obj = Setup(config)


def main() -> None:
    """The entry point."""
    # Imports make many objects that stay: searching them for cycles would take a tenth of each start.
    gc.set_threshold(20_000)
    make_streams_writable()
    try:
        cli(prog_name="connector")
    finally:
        discard_unwritten()


def make_streams_writable() -> None:
    """Let every text be printed: with a stream that the caller has closed, and in an encoding that lacks some letters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - it stays open.
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def discard_unwritten() -> None:
    """Drop what could not be written, as to a full disk: Python would report it once more at its end, as a bug."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
