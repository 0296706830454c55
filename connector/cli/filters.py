"""The options by which events are selected, the same for every command that takes several."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

STATES = ("pending", "delivering", "delivered", "ignored", "unmatched", "no_change", "superseded", "unreadable", "dead")
F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="In this state; may be repeated."),
    click.option("--provider", help="Of this provider, or CRM."),
    click.option("--keyword", help="About this keyword."),
    click.option("--action", help="With this action, such as Unsubscribe."),
    click.option("--rule", help="Of this rule (`file: rule`) or file."),
    click.option("--phone", help="Of this phone number."),
    click.option("--text", help="With this text in what the person wrote, or in a body that could not be read."),
    click.option("--since", help="Received since: a span such as 12h or 7d, a date or a time."),
    click.option("--until", help="Received before: the same forms."),
)


def event_filters(command: F) -> F:
    """Adds the options to a command, whose keyword arguments filter_payload() takes."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def filter_payload(given: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions that were given, as an admin command takes them."""
    names = ("provider", "keyword", "action", "rule", "phone", "text", "since", "until")
    payload: dict[str, Any] = {name: given[name] for name in names if given.get(name) is not None}
    if given.get("states"):
        payload["state"] = list(given["states"])
    return payload
