"""Sends a command to the running daemon or, if none runs, to the store itself, which is locked meanwhile."""

import asyncio
import getpass
import http.client
import json
import os
import pwd
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exit_codes import Broken, Misused, Unreachable
from connector.cli.render import show_slow_step
from connector.cli.setup import Setup, rules_once
from connector.model.errors import AlreadyRunning, ConnectorError

if TYPE_CHECKING:
    from connector.registry import LoadedConfig

TIMEOUT = 120.0  # seconds: planning thousands of old opt-outs takes a few
TOKEN_FILE = "admin-token"  # noqa: S105 - the file beside the database in which the daemon stores its token
START = "start it: `systemctl start connector`, or `connector run`"
LATER = "The connector is not running: this takes effect when it starts."


class Refusal(ConnectorError):  # noqa: N818 - named after what happened.
    """The daemon rejects the command because of problems in the files."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def ask(
    setup: Setup, command: str, payload: Mapping[str, Any] | None = None, *, is_change: bool = False
) -> dict[str, Any]:
    """The reply of the daemon; if none runs, of the command on the store itself.

    What a change (`is_change`) does to the store takes effect when the daemon starts; then the user is told so.

    Raises Unreachable, and ConnectorError for problems that the user can fix.
    """
    loaded = setup.config()
    with show_slow_step("asking the connector"):
        reply = ask_daemon(loaded, command, payload or {})
        if reply is not None:
            return reply
        reply = asyncio.run(_ask_store(loaded, command, payload or {}))
    if is_change:
        click.echo(LATER, err=True)
    return reply


def user_name() -> str:
    """Who runs the command, for the audit log. The number of a user who has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def ask_daemon(loaded: "LoadedConfig", command: str, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """The daemon's reply; None if no daemon is listening."""
    token = _token(loaded.database.with_name(TOKEN_FILE))
    admin = loaded.settings.admin
    if token is None or admin.port == 0:
        return None
    connection = http.client.HTTPConnection(admin.host, admin.port, timeout=TIMEOUT)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", f"/admin/{command}", json.dumps(payload).encode(), headers)
        reply = connection.getresponse()
        return _read_reply(reply.status, reply.read(), f"{admin.host}:{admin.port}")
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"the connector at {admin.host}:{admin.port} does not answer ({type(error).__name__}): see its log, or try again"
        ) from error
    finally:
        connection.close()


def _token(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreachable(f"cannot read {path}: run this as the service's user, {_as_owner(path.parent)}") from error


def _read_reply(status: int, body: bytes, place: str) -> dict[str, Any]:
    try:
        reply = json.loads(body)
        error = reply.get("error", "") if status != HTTPStatus.OK else ""
    except (ValueError, AttributeError):
        raise Unreachable(f"another program answers at {place}: check `admin: port` in the config") from None
    match status:
        case HTTPStatus.OK:
            answer: dict[str, Any] = reply
            return answer
        case HTTPStatus.CONFLICT:
            raise ConnectorError(error)
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            raise Refusal(list(reply.get("problems", ())))
        case HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise Misused(error)
        case HTTPStatus.UNAUTHORIZED:
            raise Unreachable(f"the connector at {place} rejects our token: check that it uses the same `store: path`")
        case HTTPStatus.NOT_FOUND:
            raise Unreachable(f"the connector at {place} does not know this command: restart it after an update")
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Broken(f"{error}\nThis is a bug in the connector: please report it with this line.")
        case _:
            raise Unreachable(f"the connector at {place} answers {status}: {error}")


async def _ask_store(loaded: "LoadedConfig", command: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    from connector.admin import AdminContext, commands_for  # noqa: PLC0415 - see the package's docstring.
    from connector.store.store import Store  # noqa: PLC0415 - the same.

    path = loaded.database
    if not path.exists():
        raise Unreachable(f"the connector is not running, and there is no database at {path} yet: {START}")
    become_owner(path)
    try:
        store = Store.open(path)
    except AlreadyRunning as held:
        admin = loaded.settings.admin
        raise Unreachable(
            f"{held.args[0].partition(':')[0]}, but does not answer at {admin.host}:{admin.port}: "
            "it may be starting or stopping, so try again; otherwise check `admin:` in the config, and its log"
        ) from held
    try:
        context = AdminContext.of(store, rules=rules_once(loaded), loaded=loaded, now=lambda: datetime.now(UTC))
        return await commands_for(context)[command](payload)
    finally:
        await store.close()


def become_owner(path: Path) -> None:
    """Let root go on as the owner of the database, or of its folder: the service could not open files that root leaves there."""
    place = path if path.exists() else path.parent
    if os.geteuid() != 0 or not place.exists() or (about := place.stat()).st_uid == 0:
        return
    os.umask(0o077)
    os.setgroups([about.st_gid])
    os.setgid(about.st_gid)
    os.setuid(about.st_uid)
    if not os.access(place, os.R_OK | os.W_OK):
        raise Unreachable(
            f"the connector is not running, and the owner of {place} may not open it: let it own the folder too, {_as_owner(place)}"
        )


def _as_owner(path: Path) -> str:
    try:
        return f"as in `sudo -u {pwd.getpwuid(path.stat().st_uid).pw_name} connector …`"
    except (OSError, KeyError):
        return "with `sudo -u USER connector …`"
