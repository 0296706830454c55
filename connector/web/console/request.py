"""What a page gets and what it returns."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from connector.admin.context import AdminContext, stored_id
from connector.config.console_settings import Role
from connector.model.errors import ConnectorError

FORM_LIMIT = 64 * 1024  # bytes of a form

Command = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class NoSuchPage(ConnectorError):  # noqa: N818 - it reads as what happened.
    """There is nothing at this address, such as an event with this id. The answer is 404."""


class Forbidden(ConnectorError):  # noqa: N818 - the same.
    """The person's role does not allow it. The answer is 403."""


class Fields:
    """The fields of a form, or of the query of an address."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field, without blanks at its ends."""
        return self._values.get(name, [default])[0].strip()

    def text(self, name: str) -> str:
        """A field as it was typed, blanks at its ends included. Windows line ends, which browsers send, become plain ones."""
        return self._values.get(name, [""])[0].replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        """All values of a field, such as those of ticked boxes."""
        return list(self._values.get(name, ()))

    def __contains__(self, name: object) -> bool:
        return name in self._values


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is signed in."""

    user: str
    role: Role
    csrf: str  # the token that every form of the session holds
    reveals: bool  # whether numbers are shown unmasked now


@dataclass(slots=True, kw_only=True)
class ConsoleRequest:
    """One request of a person who is signed in."""

    person: Person
    context: AdminContext
    commands: Mapping[str, Command]
    path: str
    values: Mapping[str, str]  # the parts of the path that its route names, such as `id`
    query: Fields
    form: Fields
    is_htmx: bool  # whether htmx asks, and takes a fragment of the page
    showed_numbers: bool = field(default=False)  # whether unmasked numbers were asked for

    @property
    def reveal(self) -> bool:
        """Whether to show phone numbers. Reading it while they are shown writes this page into the audit log."""
        self.showed_numbers = self.showed_numbers or self.person.reveals
        return self.person.reveals

    @property
    def now(self) -> datetime:
        """The time."""
        return self.context.now()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the config."""
        return ZoneInfo(self.context.loaded.settings.timezone)

    async def call(self, command: str, payload: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The answer of a command of connector/admin/. Raises ConnectorError for what a person can fix."""
        return await self.commands[command](payload or {})

    def id(self, name: str = "id") -> int:
        """A whole number in the path. Raises NoSuchPage."""
        if (found := stored_id(self.values[name])) is None:
            raise NoSuchPage(f"the {name} in this address is not a number")
        return found

    def form_ids(self) -> list[int]:
        """The ids of what a form is about: its fields `id`."""
        return [found for text in self.form.all("id") if (found := stored_id(text)) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A template and its values. With htmx, `fragment` is rendered in its place, if there is one."""

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    fragment: str | None = None
    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page, at which the messages are shown once."""

    to: str
    messages: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that the browser saves. It is never shown as a page of the console."""

    name: str
    content_type: str
    body: bytes


Answer = Page | Redirect | Download


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRoute:
    """A page and its address. `background` says that htmx asks by itself: that does not keep a session alive."""

    path: str  # such as /console/events/{id}
    show: Callable[[ConsoleRequest], Awaitable[Answer]]
    role: Role = Role.VIEWER
    background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRoute:
    """What a form does. `name` stands in the audit log; None for what only looks, such as a search."""

    path: str
    act: Callable[[ConsoleRequest], Awaitable[Answer]]
    role: Role
    name: str | None
    form_limit: int = FORM_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Pages and actions that belong together. A screen with a `label` stands in the navigation, for who has its role."""

    label: str
    path: str  # of its first page
    pages: Sequence[PageRoute]
    actions: Sequence[ActionRoute] = ()
    role: Role = Role.VIEWER
