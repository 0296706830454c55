"""The tables, as steps from an empty file to the newest version. A released step is never changed; a new one is added.

Times are integer microseconds (sql.py). The legal transitions are not defined here: state_guard.py takes them
from the model. It is long because it holds every table of every version.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.model.errors import StoreUnavailable

FIRST = (
    # One row for every accepted event that is not yet deleted. `asks`: it has an open question, and is not to be
    # planned. The indexes of what is to be planned leave it out, so that a thousand open questions cost the planner
    # nothing.
    """CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        provider TEXT NOT NULL,
        shape TEXT NOT NULL,
        verdict TEXT NOT NULL,
        msisdn TEXT,
        received_at INTEGER NOT NULL,
        state TEXT NOT NULL,
        detail TEXT,
        reason TEXT,
        mapping TEXT,
        event TEXT,
        raw BLOB,
        asks INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX inbox_phone ON inbox (msisdn, id) WHERE msisdn IS NOT NULL",
    "CREATE INDEX inbox_pending ON inbox (id) WHERE state = 'pending' AND asks = 0",
    "CREATE INDEX inbox_urgent ON inbox (id) WHERE state = 'pending' AND asks = 0 AND verdict = 'opt_out'",
    "CREATE INDEX inbox_dead ON inbox (reason, id) WHERE state = 'dead'",
    # All events ever received, by their current state; `received` is counted separately, so that the totals can be
    # compared.
    "CREATE TABLE event_totals (state TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE swept_totals (state TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    """INSERT INTO event_totals (state, n) VALUES ('received', 0), ('pending', 0), ('delivering', 0), ('delivered', 0),
        ('ignored', 0), ('unmatched', 0), ('no_change', 0), ('superseded', 0), ('unreadable', 0), ('dead', 0)""",
    """CREATE TRIGGER inbox_moved AFTER UPDATE OF state ON inbox WHEN old.state <> new.state BEGIN
        UPDATE event_totals SET n = n - 1 WHERE state = old.state;
        UPDATE event_totals SET n = n + 1 WHERE state = new.state;
    END""",
    """CREATE TRIGGER inbox_swept AFTER DELETE ON inbox BEGIN
        INSERT INTO swept_totals (state, n) VALUES (old.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
    END""",
    # Look-ups that are needed before an event can be planned; only open ones. A delay is stored as its start and its
    # end, so that a clock that is set back ends it.
    """CREATE TABLE questions (
        event_id INTEGER PRIMARY KEY REFERENCES inbox (id),
        provider TEXT NOT NULL,
        msisdn TEXT,
        asked INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        deadline_at INTEGER NOT NULL
    )""",
    "CREATE INDEX questions_due ON questions (provider, due_at)",
    "CREATE INDEX questions_started ON questions (provider, started_at)",
    "CREATE INDEX questions_phone ON questions (msisdn, event_id) WHERE msisdn IS NOT NULL",
    "CREATE TABLE nonces (nonce TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX nonces_expiry ON nonces (expires_at)",
    # `open` says the same as the state does, in a column that seldom changes, so that the indexes on it stay untouched
    # while a unit changes state. `wrote`: something of it has reached the sink. `alone`: its event has no other unit.
    """CREATE TABLE units (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id INTEGER NOT NULL REFERENCES inbox (id),
        sink TEXT NOT NULL,
        lane TEXT NOT NULL,
        state TEXT NOT NULL,
        open INTEGER NOT NULL,
        urgent INTEGER NOT NULL,
        alone INTEGER NOT NULL,
        operations TEXT NOT NULL,
        size INTEGER NOT NULL,
        done TEXT,
        wrote INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        overtaken_by INTEGER,
        late INTEGER NOT NULL DEFAULT 0,
        in_doubt INTEGER NOT NULL DEFAULT 0,
        started_at INTEGER,
        due_at INTEGER,
        first_try_at INTEGER,
        settled_at INTEGER,
        claim TEXT,
        reason TEXT,
        detail TEXT,
        CHECK (open = (state IN ('waiting', 'ready', 'resting', 'claimed')))
    )""",
    "CREATE UNIQUE INDEX units_event ON units (event_id, sink)",
    "CREATE INDEX units_lane ON units (sink, lane, event_id)",
    "CREATE INDEX units_order ON units (sink, lane, urgent DESC, event_id) WHERE open = 1",
    "CREATE INDEX units_age ON units (sink, event_id) WHERE open = 1",
    "CREATE UNIQUE INDEX units_head ON units (sink, lane) WHERE state IN ('ready', 'resting')",
    "CREATE INDEX units_ready ON units (sink, urgent DESC, event_id) WHERE state = 'ready'",
    "CREATE INDEX units_due ON units (sink, urgent, due_at) WHERE state = 'resting'",
    "CREATE INDEX units_started ON units (sink, urgent, started_at) WHERE state = 'resting'",
    "CREATE INDEX units_claimed ON units (sink, lane) WHERE state = 'claimed'",
    "CREATE INDEX units_dead ON units (reason, id) WHERE state = 'dead'",
    "CREATE INDEX units_doubt ON units (sink) WHERE in_doubt = 1",
    "CREATE TABLE unit_totals (sink TEXT, state TEXT, n INTEGER NOT NULL, PRIMARY KEY (sink, state)) WITHOUT ROWID",
    """CREATE TRIGGER units_added AFTER INSERT ON units BEGIN
        INSERT INTO unit_totals VALUES (new.sink, new.state, 1) ON CONFLICT (sink, state) DO UPDATE SET n = n + 1;
    END""",
    """CREATE TRIGGER units_moved AFTER UPDATE OF state ON units WHEN old.state <> new.state BEGIN
        UPDATE unit_totals SET n = n - 1 WHERE sink = old.sink AND state = old.state;
        INSERT INTO unit_totals VALUES (new.sink, new.state, 1) ON CONFLICT (sink, state) DO UPDATE SET n = n + 1;
    END""",
    """CREATE TRIGGER units_swept AFTER DELETE ON units BEGIN
        UPDATE unit_totals SET n = n - 1 WHERE sink = old.sink AND state = old.state;
    END""",
    # Append-only: no statement of this package changes or removes a row. It outlives the events.
    """CREATE TABLE ledger (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id INTEGER NOT NULL,
        event_key TEXT NOT NULL,
        msisdn TEXT NOT NULL,
        phase TEXT NOT NULL,
        decision TEXT,
        of_id INTEGER REFERENCES ledger (id),
        sink TEXT,
        detail TEXT,
        recorded_at INTEGER NOT NULL
    )""",
    "CREATE INDEX ledger_phone ON ledger (msisdn, event_id, id)",
    "CREATE INDEX ledger_decided ON ledger (event_id) WHERE phase = 'decided'",
    # An opt-out that a sink has not confirmed yet. Closed when it did, or when a person decided so.
    """CREATE TABLE obligations (
        event_id INTEGER NOT NULL,
        event_key TEXT NOT NULL,
        sink TEXT NOT NULL,
        since INTEGER NOT NULL,
        failed TEXT,
        closed_at INTEGER,
        PRIMARY KEY (event_id, sink)
    ) WITHOUT ROWID""",
    "CREATE INDEX obligations_open ON obligations (since) WHERE closed_at IS NULL",
    """CREATE TABLE shadows (
        crm TEXT NOT NULL,
        object TEXT NOT NULL,
        record_id TEXT NOT NULL,
        fields TEXT NOT NULL,
        phone TEXT,
        opted_out INTEGER NOT NULL DEFAULT 0,
        seen_at INTEGER NOT NULL,
        PRIMARY KEY (crm, object, record_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX shadows_out ON shadows (crm, object, phone) WHERE opted_out = 1",
    """CREATE TABLE links (
        crm TEXT NOT NULL,
        object TEXT NOT NULL,
        key_field TEXT NOT NULL,
        key TEXT NOT NULL,
        record_id TEXT NOT NULL,
        PRIMARY KEY (crm, object, key_field, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX links_record ON links (crm, object, record_id)",
    "CREATE TABLE cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)

GONE = (
    # A record that a feed has shown deleted, and the one that it was merged into. What it held is kept until it cannot
    # come back.
    "ALTER TABLE shadows ADD COLUMN gone_at INTEGER",
    "ALTER TABLE shadows ADD COLUMN merged_into TEXT",
    "CREATE INDEX shadows_gone ON shadows (gone_at) WHERE gone_at IS NOT NULL",
    # Records that a feed must read now, without waiting for its next poll.
    """CREATE TABLE pointers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        crm TEXT NOT NULL,
        object TEXT NOT NULL,
        record_id TEXT NOT NULL
    )""",
    "CREATE INDEX pointers_object ON pointers (crm, object, id)",
)

STOPS_AND_CAUSES = (
    # Mappings whose units rest until the CRM's set-up is corrected.
    """CREATE TABLE stops (
        sink TEXT NOT NULL,
        rule TEXT NOT NULL,
        object TEXT NOT NULL,
        field TEXT NOT NULL,
        detail TEXT NOT NULL,
        since INTEGER NOT NULL,
        probe_at INTEGER NOT NULL,
        PRIMARY KEY (sink, rule, object, field)
    ) WITHOUT ROWID""",
    # Whose record a key named before a merge, until it is known whether the kept record has the key.
    "ALTER TABLE links ADD COLUMN moved_from TEXT",
    "CREATE INDEX links_moved ON links (crm, object, key_field, key) WHERE moved_from IS NOT NULL",
    # For dead letters: whose operation failed, and the sink's own code.
    "CREATE TABLE causes (unit_id INTEGER PRIMARY KEY REFERENCES units (id), rule TEXT NOT NULL, code TEXT NOT NULL)",
    "CREATE TRIGGER units_forgotten BEFORE DELETE ON units BEGIN DELETE FROM causes WHERE unit_id = old.id; END",
)


# Calls to a CRM, by hour since 1970: a CRM limits the calls in 24 hours, also across our restarts.
CALLS = "CREATE TABLE calls (crm TEXT, hour INTEGER, n INTEGER NOT NULL, PRIMARY KEY (crm, hour)) WITHOUT ROWID"

STOP_ANSWERS = (
    # People's answers about texts that may be stops.
    """CREATE TABLE stop_answers (
        provider TEXT NOT NULL,
        keyword TEXT NOT NULL,
        text TEXT NOT NULL,
        answer TEXT NOT NULL,
        event_id INTEGER NOT NULL,
        answered_at INTEGER NOT NULL,
        PRIMARY KEY (provider, keyword, text)
    ) WITHOUT ROWID""",
    "CREATE INDEX inbox_maybe_stop ON inbox (id) WHERE verdict = 'maybe_stop'",
    # What may be a stop is planned as urgently as a stop.
    "DROP INDEX inbox_urgent",
    """CREATE INDEX inbox_urgent ON inbox (id) WHERE state = 'pending' AND asks = 0
        AND verdict IN ('opt_out', 'maybe_stop')""",
)

LAST_WRITES = (
    # What we last wrote to a record (LastWrite as JSON): changes that the org's automation makes to it are not a
    # person's.
    "ALTER TABLE shadows ADD COLUMN last_write TEXT",
    # Whether another record with the number is left when a record is deleted.
    "CREATE INDEX shadows_phone ON shadows (crm, object, phone) WHERE gone_at IS NULL AND phone <> ''",
    # Opt-outs whose flag the CRM's automation has unset; there are few, and every opt-in reads them.
    """CREATE INDEX obligations_taken_back ON obligations (sink)
        WHERE closed_at IS NULL AND substr(failed, 1, 45) = 'automation of the CRM has taken the flag back'""",
)


UNMADE_AND_NOTES = (
    # What of a unit's event could not be planned for its sink: a dead letter, when all the rest of the unit is
    # delivered.
    "ALTER TABLE units ADD COLUMN unmade TEXT",
    # Fields that were left out because their values could not be computed; the first of an event has the number 0.
    """CREATE TABLE notes (
        event_id INTEGER NOT NULL REFERENCES inbox (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        rule TEXT NOT NULL,
        operation TEXT NOT NULL,
        field TEXT NOT NULL,
        why TEXT NOT NULL,
        PRIMARY KEY (event_id, number)
    ) WITHOUT ROWID""",
)


# Person and meaning of an event, as a digest: the same id with another digest is not a repeat (inbox.py).
MEANING = ("ALTER TABLE inbox ADD COLUMN meaning INTEGER",)

REPLAN_AND_SEARCH = (
    # A settled unit whose event is to be planned again: the new plan replaces what was not delivered of it.
    "ALTER TABLE units ADD COLUMN replan INTEGER NOT NULL DEFAULT 0",
    # Finds the events that led to nothing among millions that were delivered.
    """CREATE INDEX inbox_not_delivered ON inbox (state, id)
        WHERE state IN ('ignored', 'unmatched', 'no_change', 'superseded', 'unreadable')""",
)

# The mapping files that were accepted last, and the problems of those that were refused since; one row.
ACCEPTED_MAPPINGS = (
    """CREATE TABLE mappings (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        version TEXT,
        files BLOB,
        accepted_at INTEGER,
        problems BLOB,
        refused_at INTEGER
    )""",
)

CHARGES = (
    # What donors have agreed to give, by subscription. Kept for ever, like the ledger.
    """CREATE TABLE agreements (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        provider TEXT NOT NULL,
        msisdn TEXT NOT NULL,
        service_id TEXT NOT NULL,
        short_number TEXT,
        keyword TEXT,
        subscription_id TEXT NOT NULL,
        amount TEXT,
        amount_event_id INTEGER NOT NULL,
        event_id INTEGER NOT NULL,
        began_at INTEGER NOT NULL,
        last_period TEXT,
        failed_periods INTEGER NOT NULL DEFAULT 0,
        ended_at INTEGER,
        ended_why TEXT,
        UNIQUE (provider, msisdn, service_id)
    )""",
    # One row for each subscription and period: the reason why nobody is charged twice. Days are ISO texts.
    """CREATE TABLE charges (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        agreement_id INTEGER NOT NULL REFERENCES agreements (id),
        provider TEXT NOT NULL,
        period TEXT NOT NULL,
        reference TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        due_day TEXT NOT NULL,
        last_day TEXT NOT NULL,
        first_day TEXT,
        attempt INTEGER NOT NULL DEFAULT 0,
        amount TEXT,
        transaction_id TEXT,
        status TEXT,
        detail TEXT NOT NULL DEFAULT '',
        sent_at INTEGER,
        run_day TEXT,
        asked INTEGER NOT NULL DEFAULT 0,
        started_at INTEGER,
        next_at INTEGER,
        changed_at INTEGER NOT NULL,
        UNIQUE (agreement_id, period)
    )""",
    "CREATE INDEX charges_state ON charges (provider, state, due_day)",
    """CREATE TABLE charge_log (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        charge_id INTEGER NOT NULL REFERENCES charges (id),
        at INTEGER NOT NULL,
        state TEXT NOT NULL,
        detail TEXT NOT NULL
    )""",
    "CREATE INDEX charge_log_charge ON charge_log (charge_id, id)",
    """CREATE TABLE charge_runs (
        provider TEXT NOT NULL,
        day TEXT NOT NULL,
        size INTEGER NOT NULL,
        state TEXT NOT NULL,
        why TEXT NOT NULL DEFAULT '',
        planned INTEGER NOT NULL DEFAULT 0,
        results INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (provider, day)
    ) WITHOUT ROWID""",
    """CREATE TABLE charge_control (
        provider TEXT PRIMARY KEY,
        since TEXT,
        paused_at INTEGER,
        paused_why TEXT,
        hold TEXT,
        restored_at INTEGER
    ) WITHOUT ROWID""",
    # Whether any record of a person has the opt-out flag: asked before each charge.
    "CREATE INDEX shadows_out_phone ON shadows (phone) WHERE opted_out = 1",
)

# Units that wait for suspended rules: a reload of the mappings plans them again.
SUSPENDED = ("CREATE INDEX units_suspended ON units (event_id) WHERE open = 1 AND reason = 'configuration'",)

# Alarms that people were told of and whose end they are to be told.
SENT_ALARMS = (
    """CREATE TABLE sent_alarms (
        kind TEXT NOT NULL,
        about TEXT NOT NULL,
        message TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        PRIMARY KEY (kind, about)
    ) WITHOUT ROWID""",
)

CONSOLE = (
    # Only the hash of a session's secret is stored. `how`: link, password or proxy.
    """CREATE TABLE console_sessions (
        hash TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        how TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        reveal_until INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    # Who looked at numbers or did something in the console. It holds ids, never a phone number.
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        role TEXT NOT NULL,
        action TEXT NOT NULL,
        about TEXT NOT NULL,
        why TEXT NOT NULL
    )""",
    "CREATE INDEX audit_at ON audit (at)",
)

# `kind`: in, out or failed. `hour` is counted since 1970.
ACTIVITY = (
    """CREATE TABLE activity (
        hour INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        n INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        PRIMARY KEY (hour, kind, name)
    ) WITHOUT ROWID""",
)

# Random ids of people, for addresses and logs. The row is deleted when the person is forgotten.
PEOPLE = ("CREATE TABLE people (id TEXT PRIMARY KEY, msisdn TEXT NOT NULL UNIQUE) WITHOUT ROWID",)

ACTIONS = (
    # What people did to several events, so that it can be said what became of each. `events` is a JSON list of ids.
    """CREATE TABLE actions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        words TEXT NOT NULL,
        events TEXT NOT NULL
    )""",
    # The few charges that a person must look at, among all that were ever made.
    "CREATE INDEX charges_in_doubt ON charges (id) WHERE state = 'in_doubt'",
    "CREATE INDEX agreements_phone ON agreements (msisdn)",
)

FORGOTTEN = (
    # People who are forgotten, by their pseudonym (person_key.py). The number is here only until all is erased.
    """CREATE TABLE forgotten (
        person TEXT PRIMARY KEY,
        number TEXT,
        last_event_id INTEGER NOT NULL,
        asked_at INTEGER NOT NULL,
        erased_at INTEGER
    ) WITHOUT ROWID""",
    "CREATE INDEX forgotten_unfinished ON forgotten (asked_at) WHERE number IS NOT NULL",
    # Erased events: a provider's repeat is recognised by the hashes of key and meaning.
    """CREATE TABLE erased_events (
        key TEXT PRIMARY KEY,
        meaning INTEGER,
        event_id INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX erased_events_expiry ON erased_events (expires_at)",
    # The pseudonym of the person by whose text the question was named: the text is theirs.
    "ALTER TABLE stop_answers ADD COLUMN person TEXT",
)

# The newest dead letters.
EVENT_PAGES = ("CREATE INDEX inbox_dead_newest ON inbox (id) WHERE state = 'dead'",)

ERASED_RECORDS = (
    # Hashes of the ids of erased records. When a feed shows one again, its fields are no change of a person, and neither
    # is the flag if it was set.
    """CREATE TABLE erased_records (
        crm TEXT NOT NULL,
        object TEXT NOT NULL,
        record TEXT NOT NULL,
        opted_out INTEGER NOT NULL,
        PRIMARY KEY (crm, object, record)
    ) WITHOUT ROWID""",
)

# A transaction pays one charge.
CHARGE_TRANSACTIONS = (
    "CREATE INDEX charges_transaction ON charges (provider, transaction_id COLLATE NOCASE) WHERE transaction_id IS NOT NULL",
)

MERGED_RECORDS = (
    # An opt-out of a record that was kept in a merge is also for the numbers of the records that were merged into it.
    "CREATE INDEX shadows_merged ON shadows (crm, object, merged_into) WHERE merged_into IS NOT NULL",
)

STEPS: Mapping[str, Sequence[str]] = {
    "m001_first": FIRST,
    "m002_gone_records_and_pointers": GONE,
    "m003_stops_and_causes": STOPS_AND_CAUSES,
    "m004_calls": (CALLS,),
    "m005_stop_answers": STOP_ANSWERS,
    "m006_last_writes": LAST_WRITES,
    "m007_unmade_operations_and_notes": UNMADE_AND_NOTES,
    "m008_meaning": MEANING,
    "m009_replan_and_search": REPLAN_AND_SEARCH,
    "m010_accepted_mappings": ACCEPTED_MAPPINGS,
    "m011_charges": CHARGES,
    "m012_suspended_units": SUSPENDED,
    "m013_sent_alarms": SENT_ALARMS,
    "m014_console": CONSOLE,
    "m015_people": PEOPLE,
    "m016_activity": ACTIVITY,
    "m017_actions": ACTIONS,
    "m018_forgotten": FORGOTTEN,
    "m019_event_pages": EVENT_PAGES,
    "m020_erased_records": ERASED_RECORDS,
    "m021_charge_transactions": CHARGE_TRANSACTIONS,
    "m022_merged_records": MERGED_RECORDS,
}


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest version, in one transaction. Raises StoreUnavailable if it cannot, and the file is unchanged."""
    done = _done(connection)
    if newer := sorted(done - STEPS.keys()):
        # This version would misread the file.
        raise StoreUnavailable(
            f"the database was changed by a newer version of the connector (it has {newer[0]}): install that version, or "
            "put back the backup from before the update (docs/operations.md, Update and the way back)"
        )
    if done == STEPS.keys():
        return
    # It takes ten megabytes and a tenth of a second, and only an update needs it.
    from sqlite_utils import Database, Migrations  # noqa: PLC0415 - see the line above.

    migrations = Migrations("connector")
    for name, statements in STEPS.items():
        migrations()(_step(name, statements))
    database = Database(connection, execute_plugins=False)
    try:
        with database.atomic():
            migrations.apply(database)
    except sqlite3.Error as error:
        raise StoreUnavailable(
            f"the database cannot be updated to this version: {error}. It is unchanged: the version from before still opens it"
        ) from error


def _done(connection: sqlite3.Connection) -> set[str]:
    """The steps that the file has had."""
    table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"
    if connection.execute(table).fetchone() is None:
        return set()
    rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'connector'")
    return {name for (name,) in rows}


def _step(name: str, statements: Sequence[str]) -> Callable[[Any], None]:
    def step(db: Any) -> None:
        for statement in statements:
            db.conn.execute(statement)

    step.__name__ = name  # the file records by this name that it was done
    return step
