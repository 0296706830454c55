"""The exit codes, and the mapping from exceptions to them. Scripts rely on them: a code never changes its meaning."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import IO, Any

import click

from connector.model.errors import AlreadyRunning, ConnectorError, StoreUnavailable
from connector.model.problem import ProblemsFound
from connector.model.terminal_text import on_one_line


class Exit(IntEnum):
    """The meaning of a command's exit code."""

    OK = 0
    NO = 1  # the command worked, and the result is negative: tests failed, problems were found, nothing matched
    USAGE = 2  # wrong usage, or an unusable config
    UNREACHABLE = 3  # neither the daemon nor the store can be reached
    INTERNAL = 4  # a bug


HELP = """Exit codes: 0 done; 1 problems found, tests failed, or nothing matched; 2 wrong usage, or a config that cannot be used;
3 the daemon or the database cannot be reached; 4 a bug in the connector."""


# Cures for an address to listen on.
ADDRESS_CURES = {
    errno.EADDRINUSE: "the port is in use: stop the other program, or set another `port` in the config",
    errno.EADDRNOTAVAIL: "this machine has no such address: set `host` in the config to one that it has, such as 127.0.0.1",
    errno.EACCES: "ports below 1024 are for root: set a `port` above them in the config, such as 8080",
}
# Cures for a file, or for the output where no file is named.
FILE_CURES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "run this as root, or as a user who may use this file"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space on the disk, and run this again"),
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP), "check the path of this file"
    ),
    errno.EIO: "check the disk and the system's log (`dmesg`)",
}


class Unreachable(ConnectorError):  # noqa: N818 - named after the state that it reports.
    """Neither the daemon nor the store can be reached."""


class Misused(ConnectorError):  # noqa: N818 - the same.
    """A command has invalid input, or the config lacks what it needs."""


class Broken(ConnectorError):  # noqa: N818 - the same.
    """The running daemon has failed on a bug."""


class Ended(click.ClickException):
    """Ends a command, with a message for standard error."""

    def __init__(self, message: str, code: int, *, prefix: str = "Error: ") -> None:
        super().__init__("\n".join(on_one_line(line) for line in message.split("\n")))
        self.exit_code = int(code)  # type: ignore[misc]  # click reads it from the instance.
        self._prefix = prefix

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to standard error."""
        click.echo(f"{self._prefix}{self.format_message()}", file=file, err=file is None)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Convert exceptions in the block to a message and an exit code."""
    try:
        yield
    except ProblemsFound as found:
        count = len(found.problems)
        summary = f"{count} problem{'s' if count != 1 else ''}: see `connector check`"
        raise Ended(f"{found}\n{summary}", Exit.USAGE) from found
    except (Unreachable, AlreadyRunning, StoreUnavailable) as error:
        raise Ended(str(error), Exit.UNREACHABLE) from error
    except Broken as error:
        raise Ended(str(error), Exit.INTERNAL) from error
    except ConnectorError as error:
        from connector.config.secrets import SecretMissing  # noqa: PLC0415 - pydantic is too slow for `--help`.

        code = Exit.USAGE if isinstance(error, Misused | SecretMissing) else Exit.NO
        raise Ended(str(error), code) from error
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except BrokenPipeError:  # as of `| head`: click ends quietly
        raise
    except OSError as error:
        raise _ended(error) from error
    except Exception as error:
        raise Ended(_bug(error), Exit.INTERNAL) from error


def _ended(error: OSError) -> Ended:
    """The end of a command that the operating system has refused something."""
    number = error.errno or 0
    if error.filename is not None and number in FILE_CURES:
        return Ended(f"{error.filename}: {error.strerror}: {FILE_CURES[number]}", Exit.USAGE)
    if number in ADDRESS_CURES:
        return Ended(f"{error}: {ADDRESS_CURES[number]}", Exit.USAGE)
    if number in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
        return Ended(f"the output cannot be written: {error.strerror}: {FILE_CURES[number]}", Exit.USAGE)
    return Ended(_bug(error), Exit.INTERNAL)


def _bug(error: Exception) -> str:
    """The place of the bug, without its message, which may contain a donor's data."""
    from connector.telemetry.error_location import place  # noqa: PLC0415 - only needed after a failure.

    return f"{place(error)}\nThis is a bug in the connector: please report it with this line."
