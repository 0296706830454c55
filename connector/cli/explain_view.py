"""Prints explanations, top down: the input, the rules, the source of each value, the result."""

import json
from typing import Any

from connector.cli.render import Paper, ago


def show_event(paper: Paper, document: dict[str, Any]) -> None:
    """Print one event."""
    event, planned, became = document["event"], document["plan"], document["became"]
    paper.heading("What came")
    paper.line(event["words"], indent=2)
    came = f"received {paper.time(event['received_at'])}"
    happened = f", happened {paper.time(event['occurred_at'])}" if event["occurred_at"] else ""
    paper.line(f"{came}{happened}", indent=2)
    paper.line(f"event {became['id']}, key {event['key']}" if became else f"key {event['key']}", indent=2)
    for name, value in event["fields"].items():
        paper.line(f"{name}: {_value(value)}", indent=4)
    if planned is not None:
        _show_plan(paper, planned, stored=became is not None)
    if became is not None:
        paper.heading("Result")
        _show_became(paper, became)


def _show_plan(paper: Paper, planned: dict[str, Any], *, stored: bool) -> None:
    paper.heading(f"Rules (mappings {planned['mapping']})")
    if not planned["rules"]:
        paper.line(planned["no_rule"], indent=2)
    for rule in planned["rules"]:
        mark, style = ("matched", "green") if rule["matched"] else ("no", "")
        paper.line(f"{mark:8}{rule['file']}:{rule['line']} {rule['rule']}: {rule['why']}", indent=2, style=style)
        for operation in rule["operations"]:
            skipped = f": left out, because {operation['skipped']}" if operation["skipped"] else ""
            paper.line(f"{operation['label']}{skipped}", indent=10)
            for value in operation["values"]:
                shown = "nothing" if value["value"] is None else _value(value["value"])
                paper.line(f"{value['field']} = {shown}   from {value['source']}", indent=12)
    paper.heading("Consent")
    for sentence in planned["consent"] or ["no decision"]:
        paper.line(sentence, indent=2)
    paper.heading("Result with the present mappings" if stored else "Expected result")
    paper.line(_state(planned), indent=2)
    for operation in planned["operations"]:
        paper.line(describe(operation), indent=4)
    for note in planned["notes"]:
        paper.line(f"note: {note}", indent=4, style="yellow")
    if planned["cure"]:
        paper.line(f"cure: {planned['cure']}", indent=2)


def _show_became(paper: Paper, became: dict[str, Any], *, indent: int = 2) -> None:
    paper.line(_state(became), indent=indent)
    for note in became["notes"]:
        paper.line(f"note: {note}", indent=indent, style="yellow")
    if became["mapping_changed"]:
        paper.line(
            f"the mappings have changed since; this was planned with {became['mapping']}", indent=indent, style="yellow"
        )
    for sink in became["sinks"]:
        words = f"{sink['sink']}: {sink['words']}"
        if sink["reason"]:
            words += f" ({sink['reason']}{': ' + sink['detail'] if sink['detail'] else ''})"
        if sink["again_in_seconds"] is not None and sink["state"] == "resting":
            words += f", in {ago(sink['again_in_seconds'])}"
        if sink["settled_at"]:
            words += f", {paper.time(sink['settled_at'])}"
        paper.line(words, indent=indent + 2)
        for operation in sink["operations"]:
            _show_delivery(paper, operation, sink["state"], indent=indent + 4)
        if sink["cure"] and sink["state"] == "dead":
            paper.line(f"cure: {sink['cure']}", indent=indent + 4)
    if became["cure"] and not became["sinks"]:
        paper.line(f"cure: {became['cure']}", indent=indent)


def _show_delivery(paper: Paper, operation: dict[str, Any], state: str, *, indent: int) -> None:
    """What was written, or is to be, and by which rule."""
    mark = "done" if operation["done"] else "not done" if state in {"dead", "discarded"} else "to do"
    rule = f"   by {operation['rule']}" if operation["rule"] else ""
    paper.line(f"{mark}: {describe(operation).partition(': ')[2]}{rule}", indent=indent)


def _state(delivery: dict[str, Any]) -> str:
    detail = f": {delivery['detail']}" if delivery["detail"] else ""
    reason = f" ({delivery['reason']})" if delivery["reason"] else ""
    return f"{delivery['state']}{reason}: {delivery['words']}{detail}"


def describe(operation: dict[str, Any]) -> str:
    """An operation in one line."""
    if "command" in operation:
        price = f", price {operation['price']}" if "price" in operation else ""
        return (
            f"{operation['sink']}: {operation['command']} {operation['keyword']} on {operation['short_number']} "
            f"for {operation['phone']}{price}"
        )
    word = "upsert" if "upsert" in operation else "update"
    fields = {**operation.get("create", {}), **operation["set"]}
    return f"{operation['sink']}: {word} {operation[word]} {_record_in_words(operation)} {_value(fields)}"


def _record_in_words(operation: dict[str, Any]) -> str:
    """The record of a write, in words."""
    key = [_value(operation["key"])] if "key" in operation else []
    match = operation.get("match")
    if match is None:
        return key[0]
    fields = " or ".join(match["phone"])
    return " ".join([*key, f"matched by {match['number']} in {fields} (none: {match['none']}, many: {match['many']})"])


def show_person(paper: Paper, document: dict[str, Any]) -> None:
    """Print everything known about a person."""
    show_consents(paper, document, with_ledger=False)
    paper.heading("What happened, oldest first")
    if not document["history"]:
        paper.line("no events are stored any more", indent=2)
    for one in document["history"]:
        words = one["event"]["words"] if one["event"] else "an event that is no longer stored"
        paper.line(f"{paper.time(one['received_at'])}  event {one['id']}: {words}", indent=2, style="bold")
        if one["event"]:
            _show_became(paper, one, indent=6)
        for entry in one["ledger"]:
            paper.line(f"ledger: {entry['words']}", indent=6)


def show_consents(paper: Paper, document: dict[str, Any], *, with_ledger: bool = True) -> None:
    """Print the content of the ledger."""
    paper.heading(f"Consent of {document['phone']}")
    paper.line(f"last decision: {document['last_word'] or 'none: the ledger has no entry for this number'}", indent=2)
    for one in document["subscriptions"]:
        state = "active" if one["active"] else "ended"
        paper.line(f"{state}: {one['words']}, since {paper.time(one['since'])} (event {one['event']})", indent=2)
    for one in document["open_opt_outs"]:
        failed = ", which refused it" if one["failed"] else ""
        paper.line(
            f"not confirmed yet by {one['sink']}{failed}, since {paper.time(one['since'])}", indent=2, style="yellow"
        )
    if with_ledger:
        for one in document["ledger"]:
            paper.line(f"{paper.time(one['at'])}  event {one['event']}: {one['words']}", indent=2)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
