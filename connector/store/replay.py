"""Replaying: plan an event again that led to nothing, or whose opt-out no rule has sent.

The provider's endpoint parses it again.
"""

import sqlite3

from connector.model.consent import NO_RULE
from connector.model.event import Event
from connector.model.states import EventState
from connector.store.consents import plan_again
from connector.store.enrichment_queue import Question, open_questions, row_of
from connector.store.notes import drop_notes

REPLAYABLE = {EventState.UNREADABLE, EventState.UNMATCHED, EventState.IGNORED, EventState.DEAD}
# An opt-out that no rule has sent to a CRM or provider: after the rule is corrected it is planned again, whatever else
# was delivered.
NOT_NOTIFIED = "SELECT 1 FROM obligations WHERE event_id = ? AND closed_at IS NULL AND sink LIKE '%' || ?"
READ_AGAIN = "UPDATE inbox SET key = ?, shape = ?, verdict = ?, msisdn = ?, event = ? WHERE id = ?"


def replay(
    connection: sqlite3.Connection,
    event_id: int,
    event: Event | None,
    document: str | None,
    question: Question | None,
    now: int,
) -> None:
    """Let an event be planned again, after the answer to its question if it has one. Runs inside the writer.

    `document` is the event as JSON, `now` in microseconds. Raises what Inbox.replay() raises.
    """
    row = connection.execute("SELECT state, event IS NULL FROM inbox WHERE id = ?", (event_id,)).fetchone()
    if not row:
        raise LookupError(f"there is no event {event_id}")
    state, unread = row
    if unread and event is None:
        raise ValueError(
            f"event {event_id} is unreadable: it can be replayed when its provider's reader understands it"
        )
    not_notified = connection.execute(NOT_NOTIFIED, (event_id, NO_RULE)).fetchone()
    if not_notified:
        _take_back_units(connection, event_id)
    elif connection.execute("SELECT 1 FROM units WHERE event_id = ?", (event_id,)).fetchone():
        raise ValueError(f"event {event_id} has deliveries: retry its dead letters instead")
    elif state not in REPLAYABLE:
        raise ValueError(
            f"event {event_id} is {state}: only what was not understood, matched or planned can be replayed"
        )
    if event is not None:
        twin = connection.execute("SELECT id FROM inbox WHERE key = ? AND id <> ?", (event.key, event_id)).fetchone()
        if twin:
            raise ValueError(f"event {event_id} came again since and was understood: see event {twin[0]}")
        msisdn = event.msisdn.e164 if event.msisdn else None
        connection.execute(READ_AGAIN, (event.key, event.shape, event.verdict.value, msisdn, document, event_id))
    plan_again(connection, [event_id])
    drop_notes(connection, event_id)
    connection.execute(
        "UPDATE inbox SET state = 'pending', detail = NULL, reason = NULL, mapping = NULL WHERE id = ?", (event_id,)
    )
    if question is not None:
        provider, msisdn = connection.execute("SELECT provider, msisdn FROM inbox WHERE id = ?", (event_id,)).fetchone()
        open_questions(connection, [row_of(question, event_id, provider, msisdn, now)])


def _take_back_units(connection: sqlite3.Connection, event_id: int) -> None:
    """Remove the old units for the new plan. What they wrote is written again, which changes nothing: see Repeat."""
    if connection.execute("SELECT 1 FROM units WHERE event_id = ? AND open = 1", (event_id,)).fetchone():
        raise ValueError(f"event {event_id} is still being delivered: replay it when it is delivered")
    connection.execute("DELETE FROM units WHERE event_id = ?", (event_id,))
