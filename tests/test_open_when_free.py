"""The daemon waits for a command that holds the database of a stopped service for a moment."""

import asyncio

import pytest

from connector.daemon import LOCK_TRIES, open_when_free
from connector.model.errors import AlreadyRunning
from connector.store.database import FileLock


def test_the_database_is_opened_as_soon_as_the_other_process_closes_it(tmp_path):
    held, waits = FileLock(tmp_path / "connector.db"), []

    def pause(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            held.release()

    store = open_when_free(tmp_path / "connector.db", pause=pause)
    assert len(waits) == 3
    asyncio.run(store.close())


def test_a_database_that_stays_locked_is_reported_with_the_process_that_holds_it(tmp_path):
    held, waits = FileLock(tmp_path / "connector.db"), []
    with pytest.raises(AlreadyRunning, match="is held by another connector"):
        open_when_free(tmp_path / "connector.db", pause=waits.append)
    assert (len(waits), sum(waits)) == (LOCK_TRIES, pytest.approx(5))
    held.release()
