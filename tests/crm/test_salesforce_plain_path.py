"""Records that go through: their writes enter no code of what is rare (matching, merges, duplicates, bisecting)."""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from crm.salesforce_writes import contact, deliver, event, sink
from msgspec.structs import replace

import connector.crm.salesforce.write.sink as sink_file
from connector.model.operation import IfMany, IfNone, Match
from connector.model.outcome import Delivered
from connector.model.phone import Phone
from connector.ports import Task

WRITE = Path(sink_file.__file__).parent
PLAIN = {"sink", "writes", "dependencies", "existence", "org_fields", "requests", "send"}


@contextmanager
def entered():
    """The files of the sink's folder in which a function is called."""
    files = set()

    def note(frame, what, _):
        path = Path(frame.f_code.co_filename)
        if what == "call" and path.parent == WRITE:
            files.add(path.stem)

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


NEW = contact("k", create={"FirstName": "Kari"})
BY_NUMBER = Match(phone=Phone("+4790000001"), fields=("MobilePhone",), none=IfNone.CREATE, many=IfMany.OLDEST)
CHILD = event("e", "k")


async def test_a_plain_upsert_enters_no_code_for_rare_cases(org):
    by = sink()
    with entered() as files:
        first = await deliver(org, NEW, CHILD, by=by)
        again = await deliver(org, Task(NEW, record_id=first[0].record_id), CHILD, by=by)
    assert all(type(one) is Delivered for one in (*first, *again))
    assert [one.created for one in (*first, *again)] == [True, True, False, False]
    assert files == PLAIN


@pytest.mark.parametrize(
    ("write", "file"),
    [
        (replace(NEW, may_create=False), "lookups"),
        (contact("k", Nonsense__c="x"), "recovery"),
        (replace(NEW, match=BY_NUMBER), "match"),
    ],
)
async def test_a_rare_case_enters_its_own_file(org, write, file):
    with entered() as files:
        await deliver(org, write)
    assert file in files
