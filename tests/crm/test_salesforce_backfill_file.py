"""A backfill's file: what it counts, what it gives to a job, and that a kill loses nothing."""

import stat

import pytest

from connector.crm.backfill.backfill_file import BackfillFile, ContactRow
from connector.model.errors import AlreadyRunning, StoreUnavailable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.backfill"


@pytest.fixture
def file(path):
    made = BackfillFile.open(path)
    yield made
    made.close()


def line(one, verdict="open", *, held="", wanted="", created="", account=""):
    return ContactRow(one, verdict, held, wanted, "+47…001", created, account)


def fill(file, *ids):
    file.add(line(one, "fill", wanted=f"+479000000{number}") for number, one in enumerate(ids))


def test_contacts_with_one_number_are_grouped_oldest_first_with_the_holder_of_the_key(file):
    file.add(
        [
            line("c", wanted="K1", created="2023"),
            line("b", wanted="k1", created="2024"),
            line("x", wanted="K2"),
            line("h", "filled", held="k2", wanted="K2"),
            line("n", "no_phone"),
        ]
    )
    assert [tuple(one) for one in file.sharers("open")] == [(("c", "b"), None), (("x",), "h")]


def test_verdicts_can_be_set_while_groups_are_read(file):
    file.add(line(f"c{number:05}", wanted=f"k{number:05}") for number in range(5000))
    file.set_verdicts(("fill", (), one) for sharers in file.sharers("open") for one in sharers.ids)
    assert file.counts() == {"fill": 5000}


def test_a_job_takes_free_contacts_ordered_by_account(file):
    file.add(
        [line("a", "fill", account="2"), line("b", "fill", account="1"), line("c", "fill", account="1"), line("d")]
    )
    assert file.assign("j1", 2) == 2
    assert [one for one, _ in file.rows_of_job("j1")] == ["b", "c"]
    assert file.current_job() == "j1"
    assert (file.key_to_fill("a"), file.key_to_fill("b")) == ("", None)
    assert file.assign("j2", 9) == 1
    file.finish_job("j1", written=["b", "c"], refused=[], again=[])
    assert file.current_job() == "j2"
    assert [one for one, _ in file.rows_of_job("j2")] == ["a"]


def test_the_results_of_a_job_are_stored_by_contact(file):
    fill(file, "a", "b", "c", "d")
    file.assign("j1", 9)
    left = file.finish_job("j1", written=["d"], refused=[("a", "taken", "DUPLICATE_VALUE")], again=["b"])
    assert (left, file.current_job()) == (1, None)
    assert file.counts() == {"taken": 1, "fill": 2, "written": 1}
    assert (file.failed_tries("b"), file.failed_tries("c")) == (1, 0)
    (found,) = file.findings(["taken"])
    assert (found.id, found.detail) == ("a", "DUPLICATE_VALUE")


def test_a_job_that_did_not_start_releases_its_contacts(file):
    fill(file, "a", "b")
    file.assign("j1", 9)
    file.release_job("j1")
    assert file.current_job() is None
    assert file.assign("j2", 9) == 2


def test_the_file_keeps_its_content_after_the_process_ends(path):
    file = BackfillFile.open(path)
    fill(file, "a")
    file.set_facts(phase="reading")
    file.set_facts(phase="writing", plan={"many": "skip"})
    file.assign("j1", 9)
    file.close()
    again = BackfillFile.open(path)
    assert again.facts() == {"phase": "writing", "plan": {"many": "skip"}}
    assert again.current_job() == "j1"
    again.clear()
    assert (again.facts(), again.counts()) == ({}, {})
    again.close()


def test_only_the_owner_can_read_the_file_and_it_is_deleted_at_the_end(path):
    file = BackfillFile.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.discard()
    assert list(path.parent.iterdir()) == []


def test_a_second_process_is_refused(path, file):
    with pytest.raises(AlreadyRunning, match="another backfill runs"):
        BackfillFile.open(path)


def test_the_error_for_an_invalid_file_names_the_cure(path):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreUnavailable, match="remove it"):
        BackfillFile.open(path)
    with pytest.raises(StoreUnavailable, match="Check that its directory exists"):
        BackfillFile.open(path.parent / "nowhere" / "c.backfill")


def test_a_full_disk_is_reported_and_keeps_the_written_rows(file):
    file.add([line("1")])
    (pages,) = file._connection.execute("PRAGMA page_count").fetchone()
    file._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreUnavailable, match=r"too full.*run the command again to continue"):
        file.add(line(str(number)) for number in range(10_000))
    file._connection.execute("PRAGMA max_page_count = 1000000")
    assert sum(file.counts().values()) == 1
    file.add([line("2")])
    assert sum(file.counts().values()) == 2
