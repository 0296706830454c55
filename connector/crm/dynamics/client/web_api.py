"""Sends the calls to one org and reads the answers. This is where a call without an answer becomes an outcome."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connector.crm.dynamics.client import api, responses
from connector.crm.dynamics.client.api import Operation
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.delivery.call_failures import outcome_of
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.outcome import Reason, Retry

MOST_AT_ONCE = 8  # batches: far below the limit of 52 requests of one user
HINT = "x-ms-dop-hint"  # the org's recommended degree of parallelism
PAGES = 200  # of one query: a million records


class Gate:
    """What one application user must keep to: the pause after a limit, and how many requests may run at once.

    Carrying on during the pause makes it longer, so sink, feeds and checks share the gate. `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._closed_until = 0.0
        self.at_once = 4  # until the org recommends a number

    def check(self) -> None:
        """Raise RequestFailed during a pause."""
        left = self._closed_until - self._clock()
        if left > 0:
            wait = timedelta(seconds=left)
            raise RequestFailed(
                Retry(reason=Reason.RATE_LIMITED, detail="Dataverse asked this user to wait", not_before=wait)
            )

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take the recommended parallelism from the headers of an answer."""
        hint = headers.get(HINT, "")
        if hint.isdecimal() and int(hint) > 0:
            self.at_once = min(int(hint), MOST_AT_ONCE)

    def close(self, failed: RequestFailed) -> None:
        """Begin a pause if a limit was reached."""
        if failed.outcome.reason is Reason.RATE_LIMITED and isinstance(failed.outcome, Retry):
            wait = (failed.outcome.not_before or responses.DEFAULT_WAIT).total_seconds()
            self._closed_until = max(self._closed_until, self._clock() + wait)


@dataclass(frozen=True, slots=True)
class WebApi:
    """The Web API of one org. Its methods raise RequestFailed."""

    http: Http
    gate: Gate

    async def send(self, call: HttpCall) -> Answer:
        """The answer to a call."""
        return responses.answer(await self._reply(call))

    async def get(self, target: str, *, prefer: str = "") -> Answer:
        """The answer to a call that reads."""
        return await self.send(api.get(target, prefer=prefer))

    async def rows(self, target: str) -> list[Mapping[str, Any]]:
        """All records of a query, page by page."""
        return [row async for page in self.pages(target) for row in page]

    async def pages(self, target: str) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """The pages of a query."""
        for _ in range(PAGES):
            page = await self.get(target)
            yield responses.rows(page)
            following = next_page(page, target)
            if following is None:
                return
            target = following
        raise RequestFailed(responses.unexpected_answer("a query whose pages do not end"))

    async def batch(self, operations: Sequence[Operation]) -> list[Answer | RequestFailed]:
        """The answers to the operations, in their order. Raises if the batch failed as a whole."""
        reply = await self._reply(api.batch(operations))
        found = responses.parts(reply, len(operations))
        for one in found:
            if isinstance(one, RequestFailed):
                self.gate.close(one)
        return found

    async def _reply(self, call: HttpCall) -> HttpReply:
        self.gate.check()
        try:
            reply = await self.http.call(call)
        except HttpError as error:
            raise RequestFailed(outcome_of(error)) from None
        self.gate.learn(reply.headers)
        if reply.status not in responses.OK:
            failed = responses.failed(reply.status, reply.headers, reply.body)
            self.gate.close(failed)
            raise failed
        return reply


def next_page(answer: Answer, asked: str | None) -> str | None:
    """The link to the next page, if there is one. Raises RequestFailed for a page that leads to itself."""
    link = answer.body.get("@odata.nextLink") if isinstance(answer.body, dict) else None
    if not isinstance(link, str):
        return None
    if asked is not None and api.get(link).path == api.get(asked).path:
        raise RequestFailed(responses.unexpected_answer("a page that leads to itself"))
    return link
