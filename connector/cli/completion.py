"""`connector completion`: the script that lets a shell complete commands, options, events, rules and keywords."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_CONNECTOR_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes the commands in a shell.

    Put it where the shell looks: /etc/bash_completion.d/connector for bash, a folder of $fpath as _connector for zsh,
    ~/.config/fish/completions/connector.fish for fish.
    """
    click.echo(SHELLS[shell](ctx.find_root().command, {}, "connector", VARIABLE).source())
