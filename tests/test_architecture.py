"""Layers: imports only go downwards, and each third-party library is imported only in its own packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "connector"
FILES = sorted(ROOT.rglob("*.py"))
# By package or module below connector/; the longest name that fits counts.
LEVELS = {
    "model": 0,
    "ports": 1,
    **dict.fromkeys(("config", "telemetry"), 2),
    **dict.fromkeys(("mapping", "consent", "delivery"), 3),
    **dict.fromkeys(("charging", "providers", "crm", "sinks", "store", "worker", "process"), 4),
    **dict.fromkeys(("pipeline", "crm.backfill"), 5),
    "registry": 6,
    **dict.fromkeys(
        (
            "admin",
            "checks",
            "web",
            "scheduler",
            "health",
            "current_mappings",
            "alarms",
            "crm.*.setup",
        ),
        7,
    ),
    "editing": 8,  # uses the commands of admin/ and the files of the mappings
    "web.console": 8,  # pages call the commands of admin/
    "application": 8,
    "daemon": 9,
    "cli": 10,
    "crm.*.commands": 11,  # of one CRM, such as `connector salesforce setup`
    "__main__": 12,
}
COMMANDS = tuple(f"crm/{path.parent.name}/commands/" for path in ROOT.glob("crm/*/commands"))
# Which third party may be imported where; a prefix of the module's path below connector/.
ROOMS = {
    "apprise": ("alarms/send.py",),
    "yaml": ("config/yaml_document.py",),
    "sqlite3": ("store/", "sandbox/", "crm/backfill/backfill_file.py"),
    "sqlite_utils": ("store/", "sandbox/"),
    "aiohttp": ("web/", "sandbox/", "delivery/http_client.py"),
    "simple_salesforce": ("crm/salesforce/",),
    "apscheduler": ("scheduler.py",),
    "tenacity": (
        "delivery/http_client.py",
        "crm/sign_in.py",
    ),
    "click": ("cli/", "sandbox/", *COMMANDS),
    "jinja2": ("web/console/render.py", "admin/person_page.py"),
    "markupsafe": ("web/console/",),
    "rich": ("cli/", *COMMANDS),
    "prometheus_client": ("telemetry/", "web/"),
}
# Each CRM's folder, and who may import what it alone knows.
VENDOR_FOLDERS = [path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("crm/*/settings.py")]
VENDORS = ("registry.py",)
LINES = 400  # readable in one sitting


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def place(module: str) -> str:
    """The entry of LEVELS that a module below connector/ belongs to, or its first part."""
    parts = module.split(".")
    if parts[0] == "crm" and len(parts) > 2 and f"crm.*.{parts[2]}" in LEVELS:
        parts[1] = "*"  # the same folders of every CRM
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in LEVELS), parts[0])


def faults_of(path: Path) -> Iterator[str]:
    """What a file imports although it must not."""
    here = path.relative_to(ROOT).as_posix()
    own = place(here.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    for module in imports(path):
        if not module.startswith("connector."):
            allowed = ROOMS.get(module.split(".")[0])
            if allowed is not None and not here.startswith(allowed):
                yield f"{here} must not import {module}"
            continue
        other = place(module.removeprefix("connector."))
        folder = next((one for one in VENDOR_FOLDERS if module.startswith(f"connector.{one.replace('/', '.')}.")), None)
        if folder is not None and not here.startswith((f"{folder}/", *VENDORS)):
            yield f"{here} must not import {module}: what one CRM alone knows stays in its folder"
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


def imported_files(path: Path) -> set[Path]:
    """The files of ours that a file imports, also those that it imports only in a function or only for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("connector"):
            base = ROOT.parent / node.module.replace(".", "/")
            found |= {base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)}
    return {one for one in found if one.exists()}


def test_no_circle_of_imports_not_even_inside_a_folder():
    open_files = {path: imported_files(path) for path in FILES}
    while leaves := {path for path, others in open_files.items() if not others & open_files.keys()}:
        open_files = {path: others for path, others in open_files.items() if path not in leaves}
    assert sorted(path.relative_to(ROOT).as_posix() for path in open_files) == []


def test_a_file_is_short_or_its_first_lines_say_why_not():
    long = [path for path in FILES if len(path.read_text().splitlines()) > LINES]
    assert [str(path) for path in long if "long because" not in path.read_text()[:400]] == []


def test_no_file_or_folder_is_called_utils_or_the_like():
    names = {path.stem for path in FILES} | {path.name for path in ROOT.rglob("*") if path.is_dir()}
    assert not names & {"utils", "util", "common", "helpers", "misc", "manager"}
