"""The daemon waits for a command that holds the database of a stopped service for a moment."""

import asyncio

import pytest

from connector.daemon import LOCK_TRIES, open_when_free
from connector.model.errors import AlreadyRunning
from connector.store.database import FileLock


def test_it_opens_as_soon_as_the_other_lets_go(tmp_path):
    held, waits = FileLock(tmp_path / "connector.db"), []

    def pause(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            held.release()

    store = open_when_free(tmp_path / "connector.db", pause=pause)
    assert len(waits) == 3
    asyncio.run(store.close())


def test_after_a_few_seconds_it_names_who_holds_it(tmp_path):
    held, waits = FileLock(tmp_path / "connector.db"), []
    with pytest.raises(AlreadyRunning, match="is held by another connector"):
        open_when_free(tmp_path / "connector.db", pause=waits.append)
    assert (len(waits), sum(waits)) == (LOCK_TRIES, pytest.approx(5))
    held.release()
