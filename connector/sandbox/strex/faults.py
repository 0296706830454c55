"""Faults that can be switched on over HTTP; each makes certain calls to the provider's interface fail."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.body import Body

COMMAND_PATH = "/api/services/command"
FAULT = web.RequestKey("fault", str)
RETRY_AFTER_SECONDS = 1.0  # Unless the fault has `seconds`.

# The responses of the simple faults; the texts are ours, because the document has none.
ANSWERS = {
    "unauthorized": (401, "Unauthorized"),
    "forbidden": (403, "Forbidden"),
    "too_many": (429, "Too many requests"),
    "server_error": (500, "An error has occurred"),
    "unavailable": (503, "Service unavailable"),
}
WITH_RETRY_AFTER = frozenset({"too_many"})
NAMES = (*ANSWERS, "slow", "dropped", "wrong_address")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault; `times` None means until it is removed, `path` is the start of the affected paths."""

    fault: str
    path: str
    times: int | None
    seconds: float
    fired: int = 0

    def affects(self, path: str) -> bool:
        """Whether a call to this path fails now."""
        return path.startswith(self.path) and (self.times is None or self.fired < self.times)


class Faults:
    """The active faults, oldest first; the first one that applies to a call is used."""

    def __init__(self) -> None:
        self._all: list[Fault] = []

    def add(self, body: Body) -> None:
        """Add {"fault", "times", "seconds", "path"}; RefusedError if it is invalid."""
        body.refuse_other_fields("fault", "times", "seconds", "path")
        name = body.text("fault")
        if name not in NAMES:
            raise RefusedError(f"there is no fault {name!r}; the faults are {', '.join(NAMES)}")
        # A wrong address stays wrong: the ping after the 404 must fail too.
        everywhere = name == "wrong_address"
        times = body.fields.get("times", None if everywhere else 1)
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise RefusedError("times must be a whole number from 1, or null for until it is removed")
        seconds = body.number("seconds")
        if seconds is not None and seconds < 0:
            raise RefusedError("seconds must not be below 0")
        path = body.text("path", "/api/" if everywhere else COMMAND_PATH)
        if not path.startswith("/api/"):
            raise RefusedError("path must begin with /api/, where the provider's interface is")
        self._all.append(
            Fault(
                fault=name,
                path=path,
                times=times,
                seconds=RETRY_AFTER_SECONDS if seconds is None else seconds,
            )
        )

    def clear(self) -> None:
        """Remove all faults."""
        self._all.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """Every fault, with how often it occurred."""
        return [asdict(fault) for fault in self._all]

    def take(self, path: str) -> Fault | None:
        """The fault for this call, which is counted."""
        fault = next((each for each in self._all if each.affects(path)), None)
        if fault:
            fault.fired += 1
        return fault

    def middleware(self) -> Middleware:
        """The middleware that applies the faults."""

        @web.middleware
        async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = self.take(request.path) if request.path.startswith("/api/") else None
            if fault is None:
                return await handler(request)
            request[FAULT] = fault.fault
            if fault.fault in ANSWERS:
                return _error_answer(fault)
            if fault.fault == "wrong_address":
                # Another web server is at that address, so the response does not look like the provider's.
                return web.Response(status=404, text="<html><h1>Not Found</h1></html>", content_type="text/html")
            if fault.fault == "slow":
                await asyncio.sleep(fault.seconds)
                return await handler(request)
            response = await handler(request)
            if request.transport is not None:
                request.transport.abort()
            return response

        return play


def _error_answer(fault: Fault) -> web.Response:
    status, text = ANSWERS[fault.fault]
    headers = {"Retry-After": f"{fault.seconds:g}"} if fault.fault in WITH_RETRY_AFTER else {}
    return web.json_response({"Message": text}, status=status, headers=headers)
