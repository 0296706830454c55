"""Secrets by reference: the config names where a secret is, never its value. Checks that only our user can read the files."""

import hmac
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from connector.config.validation import Strict, wrong
from connector.config.validation_errors import CREDENTIAL, VARIABLE
from connector.model.errors import ConnectorError

MAX_BYTES = 64 * 1024  # a private key has 3 KiB; more is the wrong file
CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5): where LoadCredential= puts its files
BESIDE = "credentials"  # the folder beside the config from which the unit loads them: for commands outside the service
QUOTES = "\"'\u201c\u201d\u00ab\u00bb"
PEM = "-----BEGIN"  # of a private key, which has many lines
IN_PATH = re.compile(r"[A-Za-z0-9._~-]+")  # needs no escape in an address (RFC 3986, section 2.3)
MIN_IN_PATH = 8  # characters (NIST SP 800-63B, section 5.1.1.2)
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretMissing(ConnectorError):  # noqa: N818 - it reads as the state it tells of.
    """A secret that cannot be read or used. The message says where it was searched and what to do, never its value."""


class SecretRef(Strict):
    """Where a secret is: exactly one of the three."""

    example: ClassVar[str] = "{credential: name}"

    credential: Annotated[str, Field(pattern=CREDENTIAL)] | None = None
    """The name of a systemd credential (`LoadCredential=` in the unit). The safest."""
    file: str | None = None
    """A file that only the service's user may read; relative to the config file."""
    env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    """The name of an environment variable. Other processes of the same user can read it."""

    @model_validator(mode="before")
    @classmethod
    def _not_in_clear(cls, written: object) -> object:
        if isinstance(written, str | int | float):
            raise wrong(
                "secret-in-clear",
                "a secret is never written here, only where it is",
                "write {credential: name}, {file: path} or {env: NAME}; replace the secret if others may have read it",
            )
        return written

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len([one for one in (self.credential, self.file, self.env) if one is not None]) != 1:
            raise wrong(
                "bad-secret", "a secret is named by exactly one of its places", "write one of credential:, file:, env:"
            )
        return self

    def __str__(self) -> str:
        if self.credential is not None:
            return f"credential {self.credential}"
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


# Reads a secret from where it is stored; raises ConnectorError if it is missing.
Reveal = Callable[[SecretRef], SecretStr]


def is_one_of(given: str, secrets: Iterable[bytes]) -> bool:
    """Whether a caller knows one of the secrets. The time that it takes reveals nothing."""
    # A path or header may contain bytes that cannot be decoded; they must not raise here.
    plain = given.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(plain, secret) for secret in secrets]
    return any(matches)


def resolve(ref: SecretRef, base: Path, environ: Mapping[str, str] = os.environ) -> SecretStr:
    """The secret, without one newline at its end. `base` is the directory of the config. Raises SecretMissing."""
    if ref.env is not None:
        value = environ.get(ref.env)
        if value is None:
            raise SecretMissing(f"the {ref} is not set: set it for the service, or use credential: or file:")
    elif ref.credential is not None:
        directory = environ.get(CREDENTIALS)
        if not directory:
            beside = base / BESIDE / ref.credential
            if not _may_exist(beside):
                raise SecretMissing(
                    f"the {ref} is not there, as ${CREDENTIALS} is not set and {beside} is no file: start the service by "
                    f"systemd with LoadCredential={ref.credential}:{beside}, or use file: instead"
                )
            return _without_line_end(_read(beside, ref, private=True), ref)
        # systemd protects its directory itself, and its files show the group bits of an access list.
        value = _read(Path(directory) / ref.credential, ref, private=False)
    else:
        value = _read(base / Path(ref.file or "").expanduser(), ref, private=True)
    return _without_line_end(value, ref)


def oddities(secret: str, *, in_path: bool) -> list[str]:
    """What is odd about a secret that can be read, each with its cure; `in_path` if it is the last part of an address."""
    if PEM in secret:
        return []
    found = []
    if secret != secret.strip():
        found.append("begins or ends with a blank, which is a part of it: delete the blank")
    if secret[0] in QUOTES and secret[-1] in QUOTES:
        found.append("has quotes around it, which are a part of it: delete the quotes")
    if "\n" in secret.strip():
        found.append("has several lines: write it on one line")
    if in_path and not IN_PATH.fullmatch(secret):
        found.append(
            "cannot be a part of an address: use letters, digits, `-` and `_`, such as those of `openssl rand -hex 16`"
        )
    elif in_path and len(secret) < MIN_IN_PATH:
        found.append(f"can be guessed: use at least {MIN_IN_PATH} characters, such as those of `openssl rand -hex 16`")
    return found


def _may_exist(path: Path) -> bool:
    """Whether this is a file, or one in a folder that only another user may open: reading it says so."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def _without_line_end(value: str, ref: SecretRef) -> SecretStr:
    """The secret without the end of its line."""
    plain = value.removesuffix("\n").removesuffix("\r")
    if not plain.strip():
        raise SecretMissing(f"the {ref} is empty: write the secret into it")
    return SecretStr(plain)


def _read(path: Path, ref: SecretRef, *, private: bool) -> str:
    try:
        # Without O_NONBLOCK a named pipe would block the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        cure = "check the path, and that the service's user may read it"
        raise SecretMissing(f"the {ref} cannot be read ({error.strerror}): {cure}") from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise SecretMissing(f"the {ref} is not a file: name the file that holds the secret")
        if private and state.st_mode & FOR_OTHERS:
            raise SecretMissing(
                f"the {ref} can be read by others: chmod 600 it, and replace the secret if they may have"
            )
        data = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise SecretMissing(f"the {ref} is larger than {MAX_BYTES // 1024} KiB: this is not the secret's file")
    try:
        return data.decode("utf-8-sig")  # Notepad can save it with a mark at its beginning
    except UnicodeDecodeError:
        raise SecretMissing(f"the {ref} is not text in UTF-8: save it as text") from None
