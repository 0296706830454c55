"""Files that browsers keep: each has its content's hash in its address, so that a new version has a new one."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

from connector.web.console.guards import HEADERS

ROOT = Path(__file__).parent / "static"
PREFIX = "/console/static/"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
CACHING = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file."""

    address: str
    content_type: str
    body: bytes


@cache
def static_files() -> dict[str, StaticFile]:
    """All files by their names below static/. They are read once."""
    files = {}
    for path in sorted(ROOT.rglob("*")):
        if path.suffix in TYPES:
            body, name = path.read_bytes(), path.relative_to(ROOT).as_posix()
            digest = hashlib.sha256(body).hexdigest()[:16]
            files[name] = StaticFile(f"{PREFIX}{digest}/{name}", TYPES[path.suffix], body)
    return files


def static_address(name: str) -> str:
    """The address of a file. Raises KeyError if there is none."""
    return static_files()[name].address


@cache
def _by_address() -> dict[str, StaticFile]:
    return {one.address: one for one in static_files().values()}


def static_answer(path: str) -> web.Response | None:
    """The file at this address; None if there is none."""
    file = _by_address().get(path)
    if file is None:
        return None
    headers = {**HEADERS, hdrs.CACHE_CONTROL: CACHING, hdrs.CONTENT_TYPE: file.content_type}
    return web.Response(body=file.body, headers=headers)
