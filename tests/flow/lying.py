"""A real HTTP server on loopback in front of a sandbox: it passes calls on, or answers them with a false response."""

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

KEPT = ("Content-Type", "Date", "Location", "Sforce-Limit-Info", "Last-Modified", "Retry-After")
Lie = Callable[[str, bytes], bytes | None]  # path and body of a call → the bytes of the answer; None passes the call on


@dataclass
class LyingPeer:
    """Stands before one sandbox."""

    target: str
    http: aiohttp.ClientSession
    url: str = ""
    lie: Lie | None = None
    about: str = ""  # a part of the path: other calls are passed on
    emitted: int = 0  # lies, since the last one was begun

    def begin(self, lie: Lie, about: str) -> None:
        self.lie, self.about, self.emitted = lie, about, 0

    def end(self) -> None:
        self.lie = None

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, path, _ = first.split(" ")
            headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("Content-Length", 0)))
            lie = self.lie(path, body) if self.lie is not None and self.about in path else None
            if lie is not None:
                self.emitted += 1
            writer.write(await self._passed_on(method, path, headers, body) if lie is None else lie)
            await writer.drain()
        writer.close()

    async def _passed_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        headers = {name: value for name, value in headers.items() if name not in {"Content-Length", "Accept-Encoding"}}
        async with self.http.request(
            method, self.target + path, data=body or None, headers=headers, allow_redirects=False
        ) as reply:
            content = await reply.read()
            kept = {name: reply.headers[name] for name in KEPT if name in reply.headers}
            return http(content, status=reply.status, **kept)


@asynccontextmanager
async def lying(target: str, http: aiohttp.ClientSession) -> AsyncIterator[LyingPeer]:
    peer = LyingPeer(target, http)
    server = await asyncio.start_server(peer.answer, "127.0.0.1", 0)
    async with server:
        peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield peer


def http(body: bytes, *, status: int = 200, length: int | None = None, **headers: str) -> bytes:
    named = {"Content-Length": str(len(body) if length is None else length), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def as_json(value: object, **more: object) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return http(body, **{"Content_Type": "application/json;charset=UTF-8", **more})


PAGE = b"<!DOCTYPE html><html><title>Service maintenance</title><p>Please log in</html>"


def bomb(size: int = 200 * 2**20) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * 2**20
    return b"".join([pack.compress(block) for _ in range(size // 2**20)] + [pack.flush()])


def always(answer: bytes) -> Lie:
    return lambda path, body: answer


# What no peer of any kind may say.
LIES: dict[str, bytes] = {
    "a page with status 200": http(PAGE, Content_Type="text/html"),
    "a page that calls itself JSON": as_json(PAGE),
    "a page with status 503": http(PAGE, status=503, Content_Type="text/html"),
    "a page with status 403": http(PAGE, status=403, Content_Type="text/html"),
    "a redirect to elsewhere": http(b"", status=302, Location="http://127.0.0.1:9/login"),
    "a permanent redirect": http(b"", status=308, Location="http://127.0.0.1:9/"),
    "a redirect to nowhere": http(b"", status=301),
    "another 2xx": http(PAGE, status=203, Content_Type="text/html"),
    "half a body": as_json(b'[{"id": "003', length=400),
    "a connection that is closed": b"",
    "half a status line": b"HTTP/1.1 2",
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no number as status": b"HTTP/1.1 good OK\r\n\r\n",
    "a status of its own": http(b"", status=299, Content_Type="text/html"),
    "two lengths": http(b"[]", Content_length="9"),
    "too long a header": http(b"[]", X_Long="x" * 200_000),
    "too many headers": http(b"[]", **{f"X-{number}": "y" for number in range(5_000)}),
    "a gzip bomb": as_json(bomb(), Content_Encoding="gzip"),
    "gzip that is none": as_json(b"[]", Content_Encoding="gzip"),
    "a way of compressing that was not asked for": as_json(b"[]", Content_Encoding="br"),
    "a thousand interim answers, and a page": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000
    + http(PAGE, Content_Type="text/html"),
    "something huge": as_json(b" " * (33 * 2**20)),
    "100,000 levels, as a page": http(b"<" * 100_000, Content_Type="text/html"),
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
}
