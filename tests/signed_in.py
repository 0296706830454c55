"""A signed-in `Http` over a sandbox of a CRM, with its control interface, for the parts of an adapter."""

from collections.abc import Awaitable, Sequence

import aiohttp

from connector.model.http import Failure, HttpCall, HttpError, HttpReply


class SignedIn:
    """`_token` is set by the subclass when it signs in."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.sent: list[HttpCall] = []
        self.between: Awaitable[None] | None = None  # what happens in the org behind the first call
        self._session = session
        self._token = ""

    def address(self, call: HttpCall):
        """The address of a call."""
        return self.base + call.path

    async def call(self, call: HttpCall) -> HttpReply:
        """Send one call. `between` is awaited once, behind the first call."""
        self.sent.append(call)
        headers = {**call.headers, "Authorization": f"Bearer {self._token}"}
        try:
            async with self._session.request(
                call.method, self.address(call), data=call.body, headers=headers
            ) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                reply = HttpReply(status=response.status, headers=names, body=await response.read())
        except aiohttp.ClientError:
            raise HttpError(Failure.LOST) from None
        if self.between is not None:
            between, self.between = self.between, None
            await between
        return reply

    async def call_all(self, calls: Sequence[HttpCall]) -> Sequence[HttpReply | HttpError]:
        results: list[HttpReply | HttpError] = []
        for call in calls:
            try:
                results.append(await self.call(call))
            except HttpError as error:
                results.append(error)
        return results
