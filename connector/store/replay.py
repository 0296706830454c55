"""Replaying: plan an event again by the mappings in use; its provider's endpoint parses it again if it was unreadable."""

import sqlite3

from msgspec import Struct

from connector.model.event import Event
from connector.model.outcome import Reason
from connector.model.states import OPEN_UNITS, UnitState
from connector.store.consents import delete_obligations
from connector.store.documents import event_to_json
from connector.store.enrichment_queue import Question, open_questions, row_of
from connector.store.notes import drop_notes
from connector.store.replan import mark_for_planning

# An event in one of these states is planned or delivered already, or soon: there is nothing to replay.
UNDER_WAY = {"pending": "waits to be planned", "delivering": "is still being delivered: replay it when it is delivered"}
UNITS = "SELECT id, state, reason FROM units WHERE event_id = ?"
READ_AGAIN = "UPDATE inbox SET key = ?, shape = ?, verdict = ?, msisdn = ?, event = ? WHERE id = ?"


class Replay(Struct, frozen=True, kw_only=True):
    """An event to be planned again: as `event`, if a corrected reader now understands it; after the answer to `question`."""

    event_id: int
    event: Event | None = None
    question: Question | None = None


def replay(connection: sqlite3.Connection, request: Replay, now: int) -> None:
    """Let an event be planned again, after the answer to its question if it has one. Runs inside the writer.

    `now` in microseconds. Raises what Inbox.replay() raises, and changes nothing then. Its units stay, and its new plan
    changes them: see replan.py.
    """
    event_id, event = request.event_id, request.event
    units = _replayable_units(connection, request)
    if event is not None:
        msisdn = event.msisdn.e164 if event.msisdn else None
        connection.execute(
            READ_AGAIN, (event.key, event.shape, event.verdict.value, msisdn, event_to_json(event), event_id)
        )
    if units:
        mark_for_planning(connection, [event_id], units)
    else:
        delete_obligations(connection, [event_id])
        drop_notes(connection, event_id)
        connection.execute(
            "UPDATE inbox SET state = 'pending', detail = NULL, reason = NULL, mapping = NULL WHERE id = ?", (event_id,)
        )
    if request.question is not None:
        provider, msisdn = connection.execute("SELECT provider, msisdn FROM inbox WHERE id = ?", (event_id,)).fetchone()
        open_questions(connection, [row_of(request.question, event_id, provider, msisdn, now)])


def _replayable_units(connection: sqlite3.Connection, request: Replay) -> list[int]:
    """The units that the new plan may change. Raises LookupError or ValueError if the event cannot be replayed."""
    event_id, event = request.event_id, request.event
    row = connection.execute("SELECT state, reason, event IS NULL FROM inbox WHERE id = ?", (event_id,)).fetchone()
    if not row:
        raise LookupError(f"there is no event {event_id}")
    state, reason, unread = row
    if unread and event is None:
        raise ValueError(
            f"event {event_id} is unreadable: it can be replayed when its provider's reader understands it"
        )
    if state in UNDER_WAY:
        raise ValueError(f"event {event_id} {UNDER_WAY[state]}")
    units = connection.execute(UNITS, (event_id,)).fetchall()
    if any(UnitState(unit_state) in OPEN_UNITS for _, unit_state, _ in units):
        raise ValueError(f"event {event_id} {UNDER_WAY['delivering']}")
    if reason == Reason.NEEDS_PERSON or any(why == Reason.NEEDS_PERSON for _, _, why in units):
        raise ValueError(f"event {event_id} waits for a person's decision: see `connector parked list`")
    settled = [unit_id for unit_id, unit_state, _ in units if unit_state != UnitState.DISCARDED]
    if units and not settled:
        raise ValueError(f"event {event_id} was discarded by a person")
    if event is not None:
        twin = connection.execute("SELECT id FROM inbox WHERE key = ? AND id <> ?", (event.key, event_id)).fetchone()
        if twin:
            raise ValueError(f"event {event_id} came again since and was understood: see event {twin[0]}")
    return settled
