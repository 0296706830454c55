"""`connector sandbox <provider or CRM>`: local stand-ins that use the real protocols.

Each folder of sandbox/ with a `command.py` is one. Its `command` has the options of that sandbox and returns the
application; the port, `--json` and serving are the same for all. `PORT` is its usual port.
"""

import asyncio
import errno
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from connector.cli.examples import examples
from connector.cli.exit_codes import Misused
from connector.cli.group import Group
from connector.cli.render import as_json

SANDBOXES = Path(__file__).parents[1] / "sandbox"
PORT = click.IntRange(0, 65535)


class Sandboxes(Group):
    """The sandboxes, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature.
        """Their names."""
        return sorted(one.parent.name.replace("_", "-") for one in SANDBOXES.glob("*/command.py"))

    def find(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command that serves a sandbox."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"connector.sandbox.{cmd_name.replace('-', '_')}.command")
        return _with_port(cmd_name, module.command, module.PORT)


@click.group(cls=Sandboxes)
def sandbox() -> None:
    """Play a CRM or a provider, to try things out without an account. Stops at Ctrl-C."""


def _with_port(name: str, command: click.Command, usual_port: int) -> click.Command:
    """The sandbox's own command, with a port to serve on."""

    @click.option("--port", type=PORT, default=usual_port, show_default=True, help="0 uses a free port.")
    @as_json
    @click.pass_context
    def serve(ctx: click.Context, /, port: int, *, as_json: bool, **options: Any) -> None:
        from connector.sandbox.refused import RefusedError  # noqa: PLC0415 - see the package's docstring.
        from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - the same.

        try:
            app = ctx.invoke(command, **options)
        except RefusedError as refused:
            raise click.UsageError(str(refused)) from refused
        try:
            asyncio.run(serve_until_stopped(app, "127.0.0.1", port, lambda url: _announce(url, json_wanted=as_json)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            cure = "stop the other program, or name another by --port (0 uses a free one)"
            raise Misused(f"port {port} is in use: {cure}") from error

    made = click.command(
        name, help=command.help, epilog=examples(*(command.epilog or f"connector sandbox {name}").splitlines())
    )(serve)
    made.params[1:1] = command.params
    return made


def _announce(url: str, *, json_wanted: bool) -> None:
    click.echo(json.dumps({"url": url}) if json_wanted else f"listening on {url}")
