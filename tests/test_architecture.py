"""The rooms of the house (DESIGN, section 3): imports go only downwards, and third parties stay in their rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "connector"
FILES = sorted(ROOT.rglob("*.py"))
LEVELS = {
    "model": 0,
    "config": 1,
    **dict.fromkeys(("mapping", "consent", "delivery", "observe"), 2),
    **dict.fromkeys(("providers", "crm", "store", "planning", "loops", "service"), 3),
    "steps": 4,
    **dict.fromkeys(("pipeline", "adapters"), 5),
    **dict.fromkeys(("control", "jobs", "web", "house"), 6),
    "daemon": 7,
    "cli": 8,
    "__main__": 9,
}
# Which third party may be imported where; a prefix of the module's path below connector/.
ROOMS = {
    "yaml": ("config/document.py",),
    "sqlite3": ("store/", "sandbox/"),
    "sqlite_utils": ("store/", "sandbox/"),
    "aiohttp": ("web/", "sandbox/", "delivery/transport.py"),
    "simple_salesforce": ("crm/salesforce/",),
    "apscheduler": ("jobs.py",),
    "tenacity": ("delivery/transport.py", "crm/salesforce/login.py", "crm/dynamics/login.py"),
    "click": ("cli/",),
    "rich": ("cli/",),
    "prometheus_client": ("observe/", "web/"),
}
LINES = 300


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_only_downwards(path: Path):
    here = path.relative_to(ROOT).as_posix()
    own = here.split("/", maxsplit=1)[0].removesuffix(".py")
    for module in imports(path):
        if not module.startswith("connector."):
            allowed = ROOMS.get(module.split(".")[0])
            assert allowed is None or here.startswith(allowed), f"{here} must not import {module}"
            continue
        other = room(module)
        if other == own:
            continue
        assert own != "sandbox", f"the sandbox is an island, and {here} imports {module}"
        if other == "sandbox":
            assert own == "cli", f"{here} must not know the sandbox"
            continue
        assert LEVELS[other] < LEVELS[own], f"{here} must not import {module}: only downwards, never sideways"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path):
    assert len(path.read_text().splitlines()) <= LINES, f"{path} is longer than one sitting: find its second noun"


def test_no_room_for_leftovers():
    names = {path.stem for path in FILES} | {path.name for path in ROOT.rglob("*") if path.is_dir()}
    assert not names & {"utils", "util", "common", "helpers", "misc", "manager"}
