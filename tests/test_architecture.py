"""The layers: imports go only downwards, and each third party is imported in its own rooms alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

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
LINES = 400  # readable in one sitting


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def faults_of(path: Path) -> Iterator[str]:
    """What a file imports although it must not."""
    here = path.relative_to(ROOT).as_posix()
    own = here.split("/", maxsplit=1)[0].removesuffix(".py")
    for module in imports(path):
        if not module.startswith("connector."):
            allowed = ROOMS.get(module.split(".")[0])
            if allowed is not None and not here.startswith(allowed):
                yield f"{here} must not import {module}"
            continue
        other = room(module)
        if other == own:
            continue
        if own == "sandbox":
            yield f"{here} imports {module}: the sandbox knows nothing of the rest"
        elif other == "sandbox":
            if own != "cli":
                yield f"{here} imports {module}: only cli/ starts the sandbox"
        elif LEVELS[other] >= LEVELS[own]:
            yield f"{here} must not import {module}: only downwards, never sideways"


def test_imports_go_only_downwards():
    assert [fault for path in FILES for fault in faults_of(path)] == []


def test_a_file_is_short_or_its_first_lines_say_why_not():
    long = [path for path in FILES if len(path.read_text().splitlines()) > LINES]
    assert [str(path) for path in long if "long because" not in path.read_text()[:400]] == []


def test_no_room_for_leftovers():
    names = {path.stem for path in FILES} | {path.name for path in ROOT.rglob("*") if path.is_dir()}
    assert not names & {"utils", "util", "common", "helpers", "misc", "manager"}
