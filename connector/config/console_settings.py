"""`console:` in the config: the pages for administrators on the admin listener, and who may sign in to them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from connector.config.passwords import is_password_hash
from connector.config.validation import Strict, wrong

USER = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
HOST = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)$"


class Role(StrEnum):
    """What a person may do in the console. Each role may do what the roles before it may."""

    VIEWER = "viewer"  # look at everything; phone numbers are masked
    OPERATOR = "operator"  # retry, discard, answer questions, show numbers
    ADMIN = "admin"  # reload and edit mappings, forget people

    def may(self, needed: "Role") -> bool:
        """Whether a person of this role may do what needs that role."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


def _hash(text: str) -> str:
    if not is_password_hash(text):
        raise wrong(
            "not-a-password-hash",
            "this is not the hash of a password",
            "`connector console password` asks for the password and prints the line",
        )
    return text


def _console_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
        raise wrong("bad-url", "this is not an address without a path", "write it like https://connector.example.org")
    return text.rstrip("/")


class ConsoleUser(Strict):
    """One person who may sign in."""

    example: ClassVar[str] = "{role: operator, password_hash: …}"

    role: Role = Role.VIEWER
    """`viewer` sees masked numbers, `operator` also acts on events and may show numbers, `admin` also edits mappings."""
    password_hash: Annotated[str, AfterValidator(_hash)] | None = None
    """The line that `connector console password` prints. Without it, this person can only sign in through the proxy."""


class ConsoleSettings(Strict):
    """The console: pages for administrators on the admin listener, at /console/."""

    other_words: ClassVar[Mapping[str, str]] = {"url": "public_url", "host": "hosts", "user": "users"}

    public_url: Annotated[str, AfterValidator(_console_url)] | None = None
    """The address under which a proxy with TLS shows the console, such as https://connector.example.org."""
    hosts: tuple[Annotated[str, Field(pattern=HOST)], ...] = ()
    """Other host names under which browsers reach it. 127.0.0.1, localhost and that of `public_url` are always allowed."""
    users: dict[Annotated[str, Field(pattern=USER)], ConsoleUser] = Field(default_factory=dict)
    """Who may sign in by a password or through a proxy. `connector console login` works without any user."""
    proxy_header: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")] | None = None
    """The header in which a proxy that signs people in names the user, such as X-Forwarded-User. It counts only from
    `listen: trusted_proxies`, and only for names in `users`."""

    edit_mappings: bool = True
    """Whether the console may write mapping files. Set it to false where the files come from git or a package."""

    @model_validator(mode="after")
    def _can_sign_in(self) -> Self:
        for name, user in self.users.items():
            if user.password_hash is None and self.proxy_header is None:
                raise wrong(
                    "no-password",
                    f"{name} cannot sign in: there is no password_hash",
                    "add the line that `connector console password` prints, or set proxy_header:",
                )
        return self
