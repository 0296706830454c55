"""An `Http` for unit tests: prepared replies, and a record of the calls."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from connector.model.http import Http, HttpCall, HttpError, HttpReply

T = TypeVar("T")
Result = HttpReply | HttpError


class ScriptedHttp:
    """Gives its replies in order, one to each call. A call beyond the last reply fails the test."""

    def __init__(self, *replies: Result) -> None:
        self.calls: list[HttpCall] = []
        self.together: list[tuple[HttpCall, ...]] = []  # the calls that were sent together
        self.replies = list(replies)  # those that no call has asked for yet

    def reply(self, call: HttpCall) -> Result:
        """The reply to a call."""
        assert self.replies, f"no reply is prepared for call {len(self.calls)}, {call.method} {call.path}"
        return self.replies.pop(0)

    async def call(self, call: HttpCall) -> HttpReply:
        (result,) = await self.call_all([call])
        if isinstance(result, HttpError):
            raise result
        return result

    async def call_all(self, calls: Sequence[HttpCall]) -> Sequence[Result]:
        self.calls.extend(calls)
        self.together.append(tuple(calls))
        return [self.reply(call) for call in calls]


class AnsweringHttp(ScriptedHttp):
    """Gives the reply that a function makes of each call."""

    def __init__(self, answer: Callable[[HttpCall], Result]) -> None:
        super().__init__()
        self._answer = answer

    def reply(self, call: HttpCall) -> Result:
        return self._answer(call)


def ask(question: Callable[[Http], Coroutine[Any, Any, T]], *replies: Result) -> tuple[T, ScriptedHttp]:
    """The result of a question that gets these replies, and its `Http`. All replies must be used up."""
    http = ScriptedHttp(*replies)
    result = asyncio.run(question(http))
    assert not http.replies
    return result, http
