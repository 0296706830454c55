"""docs/architecture.md lists the files of one webhook's path to the CRM; this test sends one and records its path."""

import re
import sys
import threading

from flow.test_examples import DONOR
from flow.world import ROOT, a_world

PAGE = ROOT / "docs" / "architecture.md"
CODE = f"{ROOT}/connector/"


class Moves:
    """The files of connector/ in the order in which calls enter them, by all threads; a file stands once for each time."""

    def __init__(self):
        self.files = [""]

    def __call__(self, frame, event, _arg):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(CODE) and name != self.files[-1]:
            self.files.append(name)

    def __enter__(self):
        threading.setprofile(self)
        sys.setprofile(self)
        return self.files

    def __exit__(self, *_error):
        sys.setprofile(None)
        threading.setprofile(None)


def listed(heading):
    """The files that the page lists under a heading."""
    _, _, part = PAGE.read_text().partition(f"\n## {heading}\n")
    return re.findall(r"^\d+\. `([^`]+\.py)`", part.partition("\n## ")[0], re.MULTILINE)


async def test_a_webhook_goes_the_way_that_the_page_names(tmp_path, secrets):
    async with a_world(tmp_path) as world, world.running():
        await world.phone(DONOR, "KATT")
        await world.settled()
        with Moves() as entered:
            await world.phone(DONOR, "KATT 200")
            await world.settled()
    path = listed("The path of one webhook")
    assert len(path) == len(set(path)) >= 12
    moves = iter(entered)
    not_reached = [name for name in path if f"{CODE}{name}" not in moves]
    assert not_reached == []


def test_each_file_that_the_page_names_is_there():
    named = re.findall(r"`((?!tests/)[a-z_]+/[a-z_/]+\.py)`", PAGE.read_text())
    assert len(named) >= 18
    assert [name for name in named if not (ROOT / "connector" / name).is_file()] == []
