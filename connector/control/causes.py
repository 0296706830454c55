"""Dead letters by their causes, and mappings that are stopped, each with its place in the files and its cure."""

import hashlib
from typing import Any

from connector.adapters import cure_of_code
from connector.control.cures import cure
from connector.control.house import House
from connector.control.shown import Shown, when
from connector.delivery.stops import CURE, Stop
from connector.model.errors import ConnectorError
from connector.model.outcome import Reason
from connector.model.problem import ProblemsFound
from connector.observe.mask import mask
from connector.store.dead_letters import Cause

NAME_LENGTH = 6  # hex digits of a group's name: enough for the few causes that there are at a time


def groups(house: House) -> list[dict[str, Any]]:
    """The causes of dead letters, the most frequent first."""
    lines = places(house)
    return [_group(house, one, lines) for one in house.store.dead_letters.causes()]


def cause_of(house: House, name: str) -> dict[str, Any]:
    """What the dead letters of a group have in common. Raises ConnectorError where there is no such group."""
    for one in house.store.dead_letters.causes():
        if _name(one) == name:
            return {"reason": one.reason, "sink": one.sink, "rule": one.rule, "code": one.code}
    raise ConnectorError(f"there is no group {mask(name)}: see `connector dead list`")


def stopped(house: House) -> list[dict[str, Any]]:
    """The mappings that are stopped."""
    lines = places(house)
    return [
        {
            "sink": stop.sink,
            "rule": stop.rule,
            "place": lines.get(stop.rule),
            "object": stop.object,
            "field": stop.field or None,
            "detail": Shown().text(stop.detail),
            "since": when(stop.since),
            "tried_again": when(stop.probe_at),
            "cure": CURE,
        }
        for stop in house.store.stops.all()
    ]


def stopped_by(house: House, reason: Reason | None, rule: str | None) -> list[Stop]:
    """The stops that a person means who lets dead letters of this reason or rule (or file), or all, try again."""
    if reason not in {None, Reason.CONFIGURATION}:
        return []
    return [
        stop
        for stop in house.store.stops.all()
        if rule is None or stop.rule == rule or stop.rule.startswith(f"{rule}: ")
    ]


def places(house: House) -> dict[str, str]:
    """Where each rule of the present mappings stands: file and line."""
    try:
        rules = house.rules()
    except ProblemsFound:
        return {}
    return {rule.label: f"{file.name}:{rule.line}" for file in rules.files for rule in file.rules}


def _group(house: House, one: Cause, lines: dict[str, str]) -> dict[str, Any]:
    rule = one.rule
    if not one.sink:
        # The detail of what could not be planned begins with its rule.
        rule = next((label for label in lines if one.rule == label or one.rule.startswith(f"{label}: ")), "")
    return {
        "group": _name(one),
        "count": one.count,
        "sink": one.sink or None,
        "reason": one.reason.value,
        "code": one.code or None,
        "rule": rule or None,
        "place": lines.get(rule),
        "detail": None if one.sink else Shown().text(one.rule) or None,
        "first": one.first,
        "cure": cure_of_code(house.loaded, one.sink, one.code) or cure(one.reason),
    }


def _name(one: Cause) -> str:
    text = f"{one.sink}\x00{one.reason.value}\x00{one.rule}\x00{one.code}"
    return hashlib.sha256(text.encode()).hexdigest()[:NAME_LENGTH]
