"""Dead letters grouped by cause, and suspended mappings, each with its place in the files and advice."""

import hashlib
from typing import Any

from connector.admin.advice import cure
from connector.admin.context import AdminContext
from connector.admin.masking import Masked, iso_time
from connector.delivery.suspended_rules import CURE, Suspension
from connector.model.errors import ConnectorError
from connector.model.outcome import Reason
from connector.model.problem import ProblemsFound
from connector.registry import cure_of_code
from connector.store.dead_letters import Cause
from connector.telemetry.mask import mask

NAME_LENGTH = 6  # hex digits of a group's name: enough for the few causes at one time


def failure_groups(context: AdminContext) -> list[dict[str, Any]]:
    """The causes of dead letters, the most frequent first."""
    lines = rule_places(context)
    return [_group(context, one, lines) for one in context.store.dead_letters.causes()]


def cause_of(context: AdminContext, name: str) -> dict[str, Any]:
    """What the dead letters of a group have in common. Raises ConnectorError where there is no such group."""
    for one in context.store.dead_letters.causes():
        if _name(one) == name:
            return {"reason": one.reason, "sink": one.sink, "rule": one.rule, "code": one.code}
    raise ConnectorError(f"there is no group {mask(name)}: see `connector dead list`")


def suspended_rules(context: AdminContext) -> list[dict[str, Any]]:
    """The suspended mappings."""
    lines = rule_places(context)
    return [
        {
            "sink": stop.sink,
            "rule": stop.rule,
            "place": lines.get(stop.rule),
            "object": stop.object,
            "field": stop.field or None,
            "detail": Masked().text(stop.detail),
            "since": iso_time(stop.since),
            "tried_again": iso_time(stop.probe_at),
            "cure": CURE,
        }
        for stop in context.store.suspensions.all()
    ]


def suspensions_for(context: AdminContext, reason: Reason | None, rule: str | None) -> list[Suspension]:
    """The suspensions that are meant when a person retries dead letters of this reason or rule (or file), or all."""
    if reason not in {None, Reason.CONFIGURATION}:
        return []
    return [
        stop
        for stop in context.store.suspensions.all()
        if rule is None or stop.rule == rule or stop.rule.startswith(f"{rule}: ")
    ]


def rule_places(context: AdminContext) -> dict[str, str]:
    """File and line of each rule of the current mappings."""
    try:
        rules = context.rules()
    except ProblemsFound:
        return {}
    return {rule.label: f"{file.name}:{rule.line}" for file in rules.files for rule in file.rules}


def _group(context: AdminContext, cause: Cause, lines: dict[str, str]) -> dict[str, Any]:
    rule = cause.rule
    if not cause.sink:
        # The detail of what could not be planned begins with its rule.
        rule = next((label for label in lines if cause.rule == label or cause.rule.startswith(f"{label}: ")), "")
    return {
        "group": _name(cause),
        "count": cause.count,
        "sink": cause.sink or None,
        "reason": cause.reason.value,
        "code": cause.code or None,
        "rule": rule or None,
        "place": lines.get(rule),
        "detail": None if cause.sink else Masked().text(cause.rule) or None,
        "first": cause.first,
        "cure": cure(cause.reason, f"--group {_name(cause)}", cure_of_code(context.loaded, cause.sink, cause.code)),
    }


def _name(cause: Cause) -> str:
    text = f"{cause.sink}\x00{cause.reason.value}\x00{cause.rule}\x00{cause.code}"
    return hashlib.sha256(text.encode()).hexdigest()[:NAME_LENGTH]
