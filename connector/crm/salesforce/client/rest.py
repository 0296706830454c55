"""Sends the calls to one org and reads the answers. This is where a call without an answer becomes an outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.delivery.call_failures import outcome_of
from connector.model.http import Http, HttpCall, HttpError, HttpReply

QUERIES = 5  # per composite

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RestClient:
    """The REST API of one org. Its methods raise RequestFailed."""

    api: Api  # builds the calls
    http: Http  # sends them

    async def send(self, call: HttpCall) -> Answer:
        """The answer to a call, whatever its status."""
        try:
            return responses.answer(await self.http.call(call))
        except HttpError as error:
            raise no_answer(error) from None

    async def send_all(self, calls: Sequence[HttpCall]) -> list[Answer | RequestFailed]:
        """The answers to calls that are sent together."""
        return [_answer(reply) for reply in await self.http.call_all(calls)]

    async def rows(self, call: HttpCall, *, before: int | None = 0) -> Row:
        """The body of a query's answer; see responses.rows()."""
        return responses.rows(await self.send(call), before=before)

    async def rows_of(self, queries: Sequence[str]) -> list[list[Row]]:
        """The rows of each query, including the recycle bin. Raises if one of them failed."""
        found: list[list[Row]] = []
        for start in range(0, len(queries), QUERIES):
            some = queries[start : start + QUERIES]
            whole = await self.send(self.api.queries(some, deleted=range(len(some))))
            found += [responses.rows(part)["records"] for part in responses.subanswers(whole, len(some))]
        return found


def no_answer(error: HttpError) -> RequestFailed:
    """The failure of a call that got no answer."""
    return RequestFailed(outcome=outcome_of(error))


def _answer(reply: HttpReply | HttpError) -> Answer | RequestFailed:
    return no_answer(reply) if isinstance(reply, HttpError) else responses.answer(reply)
