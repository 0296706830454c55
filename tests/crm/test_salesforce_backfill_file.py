"""A backfill's file: what it counts, what it gives to a job, and that a kill loses nothing."""

import stat

import pytest

from connector.crm.backfill.book import BackfillBook, Line
from connector.model.errors import AlreadyRunning, StoreUnavailable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.backfill"


@pytest.fixture
def book(path):
    made = BackfillBook.open(path)
    yield made
    made.close()


def line(one, verdict="open", *, held="", wanted="", created="", account=""):
    return Line(one, verdict, held, wanted, "+47…001", created, account)


def fill(book, *ids):
    book.add(line(one, "fill", wanted=f"+479000000{number}") for number, one in enumerate(ids))


def test_contacts_with_one_number_are_grouped_oldest_first_with_the_holder_of_the_key(book):
    book.add(
        [
            line("c", wanted="K1", created="2023"),
            line("b", wanted="k1", created="2024"),
            line("x", wanted="K2"),
            line("h", "filled", held="k2", wanted="K2"),
            line("n", "no_phone"),
        ]
    )
    assert [tuple(one) for one in book.sharers("open")] == [(("c", "b"), None), (("x",), "h")]


def test_verdicts_can_be_set_while_groups_are_read(book):
    book.add(line(f"c{number:05}", wanted=f"k{number:05}") for number in range(5000))
    book.set_verdicts(("fill", (), one) for sharers in book.sharers("open") for one in sharers.ids)
    assert book.counts() == {"fill": 5000}


def test_a_job_takes_free_contacts_ordered_by_account(book):
    book.add(
        [line("a", "fill", account="2"), line("b", "fill", account="1"), line("c", "fill", account="1"), line("d")]
    )
    assert book.take("j1", 2) == 2
    assert [one for one, _ in book.rows("j1")] == ["b", "c"]
    assert book.job() == "j1"
    assert (book.wanted("a"), book.wanted("b")) == ("", None)
    assert book.take("j2", 9) == 1
    book.conclude("j1", written=["b", "c"], refused=[], again=[])
    assert book.job() == "j2"
    assert [one for one, _ in book.rows("j2")] == ["a"]


def test_the_results_of_a_job_are_stored_by_contact(book):
    fill(book, "a", "b", "c", "d")
    book.take("j1", 9)
    left = book.conclude("j1", written=["d"], refused=[("a", "taken", "DUPLICATE_VALUE")], again=["b"])
    assert (left, book.job()) == (1, None)
    assert book.counts() == {"taken": 1, "fill": 2, "written": 1}
    assert (book.tries("b"), book.tries("c")) == (1, 0)
    (found,) = book.findings(["taken"])
    assert (found.id, found.detail) == ("a", "DUPLICATE_VALUE")


def test_a_job_that_did_not_start_releases_its_contacts(book):
    fill(book, "a", "b")
    book.take("j1", 9)
    book.release("j1")
    assert book.job() is None
    assert book.take("j2", 9) == 2


def test_the_file_keeps_its_content_after_the_process_ends(path):
    book = BackfillBook.open(path)
    fill(book, "a")
    book.note(phase="reading")
    book.note(phase="writing", plan={"many": "skip"})
    book.take("j1", 9)
    book.close()
    again = BackfillBook.open(path)
    assert again.facts() == {"phase": "writing", "plan": {"many": "skip"}}
    assert again.job() == "j1"
    again.clear()
    assert (again.facts(), again.counts()) == ({}, {})
    again.close()


def test_only_the_owner_can_read_the_file_and_it_is_deleted_at_the_end(path):
    book = BackfillBook.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    book.discard()
    assert list(path.parent.iterdir()) == []


def test_a_second_process_is_refused(path, book):
    with pytest.raises(AlreadyRunning, match="another backfill runs"):
        BackfillBook.open(path)


def test_the_error_for_an_invalid_file_names_the_cure(path):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreUnavailable, match="remove it"):
        BackfillBook.open(path)
    with pytest.raises(StoreUnavailable, match="Check that its directory exists"):
        BackfillBook.open(path.parent / "nowhere" / "c.backfill")


def test_a_full_disk_is_reported_and_keeps_the_written_rows(book):
    book.add([line("1")])
    (pages,) = book._connection.execute("PRAGMA page_count").fetchone()
    book._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreUnavailable, match=r"too full.*run the command again to continue"):
        book.add(line(str(number)) for number in range(10_000))
    book._connection.execute("PRAGMA max_page_count = 1000000")
    assert sum(book.counts().values()) == 1
    book.add([line("2")])
    assert sum(book.counts().values()) == 2
