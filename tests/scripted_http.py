"""An `Http` for unit tests: prepared replies, and a record of the calls."""

from collections.abc import Callable, Sequence

from connector.model.http import HttpCall, HttpError, HttpReply

Result = HttpReply | HttpError


class ScriptedHttp:
    """Gives its replies in order, one to each call. A call beyond the last reply fails the test."""

    def __init__(self, *replies: Result) -> None:
        self.calls: list[HttpCall] = []
        self.together: list[tuple[HttpCall, ...]] = []  # the calls that were sent together
        self._replies = iter(replies)

    def reply(self, call: HttpCall) -> Result:
        """The reply to a call."""
        reply = next(self._replies, None)
        assert reply is not None, f"no reply is prepared for call {len(self.calls)}, {call.method} {call.path}"
        return reply

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
