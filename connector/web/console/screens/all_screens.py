"""All screens, in the order of the navigation, and their routes."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from connector.web.console.request import ActionRoute, PageRoute, Screen
from connector.web.console.screens import audit, events, mappings, needs, now, people

SCREENS: tuple[Screen, ...] = (now.SCREEN, events.SCREEN, people.SCREEN, needs.SCREEN, mappings.SCREEN, audit.SCREEN)

R = TypeVar("R", PageRoute, ActionRoute)


def find_page(path: str) -> tuple[PageRoute, Mapping[str, str]] | None:
    """The page at this address, and the values in it."""
    return _find((one for screen in SCREENS for one in screen.pages), path)


def find_action(path: str) -> tuple[ActionRoute, Mapping[str, str]] | None:
    """The action at this address, and the values in it."""
    return _find((one for screen in SCREENS for one in screen.actions), path)


def _find(routes: Iterable[R], path: str) -> tuple[R, Mapping[str, str]] | None:
    parts = path.split("/")
    for route in routes:
        names = route.path.split("/")
        if len(names) == len(parts):
            pairs = list(zip(names, parts, strict=True))
            if all(part == name or (part and name.startswith("{")) for name, part in pairs):
                return route, {name[1:-1]: part for name, part in pairs if name.startswith("{")}
    return None
