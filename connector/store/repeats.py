"""Recognising a provider's repeat of a callback: by its key, and by a digest of person and meaning."""

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from connector.model.event import Event, Verdict
from connector.store.sql import as_list, read_rows

PHONE = 5  # its position in a row that is inserted into the inbox
VERDICT, EVENT, MEANING = 3, 8, 10  # the same, in a row that has no id yet
KNOWN = """SELECT json_group_array(json_array(key, id, meaning, msisdn, verdict)) FROM inbox
    WHERE key IN (SELECT value FROM json_each(?))"""
# Of these keys: erased events of forgotten people.
ERASED = """SELECT json_group_array(json_array(each.value, erased.event_id, erased.meaning)) FROM json_each(?) AS each
    CROSS JOIN erased_events AS erased ON erased.key = pseudonym(each.value)"""


class Known(NamedTuple):
    """What is stored under a key. `meaning` is None for rows of earlier versions and for unreadable entries.

    Of an event that is erased the meaning is known as a hash only.
    """

    id: int
    meaning: int | None
    msisdn: str | None = None
    verdict: str = ""
    erased: bool = False

    def is_repeated_by(self, row: Sequence[Any], connection: sqlite3.Connection) -> bool:
        """Whether the row (without its id) says the same again."""
        meaning = row[MEANING]
        if self.erased:
            (meaning,) = connection.execute("SELECT hashed_meaning(?)", (meaning,)).fetchone()
        if meaning is None or self.meaning == meaning:
            return True
        if self.meaning is not None:
            return False
        # Rows of an earlier version allow comparing only the person and the opt-out.
        said_stop = row[VERDICT] == Verdict.OPT_OUT.value and self.verdict != Verdict.OPT_OUT.value
        return self.msisdn == row[PHONE - 1] and not said_stop


def meaning_of(event: Event) -> int:
    """A digest of the person and the meaning.

    The same id with another digest is not a repeat: a counter restarted, or the id is a filler.

    It leaves out what may differ in a provider's repeat: times, counts of attempts, look-ups, properties.
    """
    phone = event.msisdn.e164 if event.msisdn else ""
    said = (phone, event.verdict.value, event.action or "", (event.text or "").strip(), str(event.price or ""))
    digest = blake2b("\x00".join(said).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def known_events(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Known]:
    """What is stored under these keys; also of erased events. Runs inside the writer."""
    known = {key: Known(*rest) for key, *rest in read_rows(connection, KNOWN, (as_list(list(keys)),))}
    (erased,) = connection.execute("SELECT EXISTS (SELECT 1 FROM erased_events)").fetchone()
    if erased and (new := [key for key in keys if key not in known]):
        rows = read_rows(connection, ERASED, (as_list(new),))
        known |= {key: Known(event_id, meaning, erased=True) for key, event_id, meaning in rows}
    return known
