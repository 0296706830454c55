"""Values of the model as JSON text and back, written by msgspec. Default values are left out, so that rows stay small."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from connector.model.consent import Decision
from connector.model.errors import Unreadable
from connector.model.event import Event
from connector.model.last_write import LastWrite
from connector.model.operation import Operation, RecordWrite, ServiceCommand, SinkCall
from connector.model.phone import Phone
from connector.model.plan import Unplanned


def _plain(value: Any) -> Any:
    """Converts the types that msgspec does not support."""
    if isinstance(value, Phone):
        return value.e164
    raise TypeError(f"a {type(value).__name__} is not JSON")


def _made(kind: type[Any], plain: Any) -> Any:
    if kind is Phone:
        return Phone(plain)
    raise TypeError(f"no {kind.__name__} can be made of JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_EVENT = msgspec.json.Decoder(Event, dec_hook=_made)
_DECISION = msgspec.json.Decoder(Decision, dec_hook=_made)
_LAST_WRITE = msgspec.json.Decoder(LastWrite)
_DONE = msgspec.json.Decoder(frozenset[int])
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_WRITE = msgspec.json.Decoder(RecordWrite, dec_hook=_made)
_UNPLANNED = msgspec.json.Decoder(Unplanned)
_COMMAND = msgspec.json.Decoder(ServiceCommand, dec_hook=_made)
_SINK_CALL = msgspec.json.Decoder(SinkCall)


def dumps(value: Any) -> str:
    """JSON text. Raises Unreadable for what JSON cannot hold, such as half a surrogate pair."""
    try:
        return _ENCODER.encode(value).decode()
    except (TypeError, ValueError) as error:
        raise Unreadable(f"not storable: {error}") from error


def event_to_json(event: Event) -> str:
    """An event; raises Unreadable if it cannot be stored."""
    return dumps(event)


def event_from_json(text: str) -> Event:
    """The event that event_to_json() wrote."""
    return _EVENT.decode(text)


def last_write_from_json(text: str) -> LastWrite:
    """The last write that dumps() wrote."""
    return _LAST_WRITE.decode(text)


def operations_to_json(operations: Sequence[Operation]) -> str:
    """The operations of a unit, in their order."""
    return dumps(operations)


def operations_from_json(text: str) -> tuple[Operation, ...]:
    """The operations that operations_to_json() wrote."""
    return tuple(_operation(part) for part in _PARTS.decode(text))


def _operation(part: msgspec.Raw) -> Operation:
    # A write alone has an `object`, and a command alone has a `phone`.
    try:
        return _WRITE.decode(part)
    except msgspec.ValidationError:
        pass
    try:
        return _COMMAND.decode(part)
    except msgspec.ValidationError:
        return _SINK_CALL.decode(part)


def done_to_json(done: Collection[int]) -> str | None:
    """The positions of a unit's delivered operations; None if there are none."""
    return dumps(sorted(done)) if done else None


def done_from_json(text: str | None) -> frozenset[int]:
    """The positions that done_to_json() wrote."""
    return _DONE.decode(text) if text else frozenset()


def unplanned_to_json(unplanned: Unplanned) -> str:
    """The parts of an event that could not be planned."""
    return dumps(unplanned)


def unplanned_from_json(text: str | None) -> Unplanned | None:
    """What unplanned_to_json() wrote; None if there is nothing."""
    return _UNPLANNED.decode(text) if text else None


def decision_to_json(decision: Decision) -> str:
    """A decision, including its phone number, so that the document is complete."""
    return dumps(decision)


def decision_from_json(text: str) -> Decision:
    """The decision that decision_to_json() wrote."""
    return _DECISION.decode(text)
