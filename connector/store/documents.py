"""Values of the model as JSON text and back. What has its default is left out, so that rows stay small and quick to read."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from connector.model.consent import Decision, Scope, Subscription
from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Verdict
from connector.model.operation import IfMany, IfNone, Match, Operation, Parent, RecordWrite, ServiceCommand
from connector.model.phone import Phone

REQUIRED = object()  # the default of a field that has none: always written


def _defaults(model: type[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (
            field.name,
            {} if field.default_factory is not MISSING else REQUIRED if field.default is MISSING else field.default,
        )
        for field in fields(model)
    )


EVENT, WRITE, COMMAND = _defaults(Event), _defaults(RecordWrite), _defaults(ServiceCommand)
MATCH = _defaults(Match)
PARENT, DECISION, SUBSCRIPTION = _defaults(Parent), _defaults(Decision), _defaults(Subscription)


def _plain(value: Any, defaults: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {name: part for name, default in defaults if (part := getattr(value, name)) != default}


def dumps(value: Any) -> str:
    """JSON text. Raises Unreadable for what JSON cannot hold, such as half a surrogate pair or a number beyond 64 bits."""
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise Unreadable(f"not storable: {error}") from error


def event_to_json(event: Event) -> str:
    """An event; raises Unreadable where it holds what cannot be stored."""
    document = _plain(event, EVENT)
    if event.msisdn is not None:
        document["msisdn"] = event.msisdn.e164
    if event.price is not None:
        document["price"] = str(event.price)
    return dumps(document)


def event_from_json(text: str) -> Event:
    """The event that event_to_json() wrote."""
    document: dict[str, Any] = orjson.loads(text)
    document["received_at"] = datetime.fromisoformat(document["received_at"])
    if "verdict" in document:
        document["verdict"] = Verdict(document["verdict"])
    if "msisdn" in document:
        document["msisdn"] = Phone(document["msisdn"])
    if "price" in document:
        document["price"] = Decimal(document["price"])
    if "result" in document:
        document["result"] = Result(document["result"])
    if "occurred_at" in document:
        document["occurred_at"] = datetime.fromisoformat(document["occurred_at"])
    if "changed" in document:
        document["changed"] = tuple(document["changed"])
    return Event(**document)


def operations_to_json(operations: Sequence[Operation]) -> str:
    """The operations of a unit, in their order."""
    return dumps([_write(each) if isinstance(each, RecordWrite) else _command(each) for each in operations])


def operations_from_json(text: str) -> tuple[Operation, ...]:
    """The operations that operations_to_json() wrote."""
    return tuple(_operation(document) for document in orjson.loads(text))


def _write(write: RecordWrite) -> dict[str, Any]:
    document = _plain(write, WRITE)
    if write.match is not None:
        document["match"] = _plain(write.match, MATCH) | {"phone": write.match.phone.e164}
    for name in ("set", "create"):
        if values := document.get(name):
            document[name] = {
                field: _plain(value, PARENT) if isinstance(value, Parent) else value for field, value in values.items()
            }
    return document


def _command(command: ServiceCommand) -> dict[str, Any]:
    document = _plain(command, COMMAND)
    document["phone"] = command.phone.e164
    return document


def _operation(document: dict[str, Any]) -> Operation:
    if "action" in document:
        document["phone"] = Phone(document["phone"])
        return ServiceCommand(**document)
    for name in ("set", "create"):
        if fields := document.get(name):
            for field, value in fields.items():
                if isinstance(value, dict):
                    fields[field] = Parent(**value)
    if "consent" in document:
        document["consent"] = tuple(document["consent"])
    if match := document.get("match"):
        document["match"] = Match(
            phone=Phone(match["phone"]),
            fields=tuple(match["fields"]),
            none=IfNone(match["none"]),
            many=IfMany(match["many"]),
        )
    return RecordWrite(**document)


def decision_to_json(decision: Decision) -> str:
    """A decision; its phone number too, so that the document stands for itself."""
    document = _plain(decision, DECISION)
    document["phone"] = decision.phone.e164
    document["subscription"] = _plain(decision.subscription, SUBSCRIPTION)
    return dumps(document)


def decision_from_json(text: str) -> Decision:
    """The decision that decision_to_json() wrote."""
    document: dict[str, Any] = orjson.loads(text)
    occurred_at = document.get("occurred_at")
    return Decision(
        phone=Phone(document["phone"]),
        word=Verdict(document["word"]),
        scope=Scope(document["scope"]),
        subscription=Subscription(**document["subscription"]),
        origin=document["origin"],
        occurred_at=datetime.fromisoformat(occurred_at) if occurred_at else None,
        rule=document.get("rule"),
        mapping=document.get("mapping"),
    )
