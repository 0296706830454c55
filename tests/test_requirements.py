"""The lock files: that of a server holds what the program imports, with the pins of the other, and no development tools."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(name):
    return dict(PIN.findall((ROOT / name).read_text()))


def names(requirements):
    return {re.split(r"[<>=\[; ]", one)[0].lower() for one in requirements}


def test_a_server_gets_what_the_program_needs_and_no_development_tools():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    served, everything = pins("requirements-run.txt"), pins("requirements.txt")
    assert names(project["dependencies"]) <= set(served)
    assert not {"pytest", "mypy", "ruff", "pip-tools", "hypothesis"} & set(served)
    assert {name: version for name, version in served.items() if everything.get(name) != version} == {}


def test_the_lock_files_name_no_index_and_hash_everything():
    for name in ("requirements.txt", "requirements-run.txt"):
        text = (ROOT / name).read_text()
        assert not re.search(r"^-|://", text, re.MULTILINE)
        pinned = [block for block in re.split(r"\n(?=\S)", text.strip()) if not block.startswith("#")]
        assert [block for block in pinned if "--hash=sha256:" not in block] == []
