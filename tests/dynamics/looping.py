"""Answers of Dynamics 365 whose pages lead to themselves."""

import orjson
from msgspec.structs import replace


class Looping:
    """An `Http` whose pages of contacts lead to themselves."""

    def __init__(self, http):
        self.http = http

    async def call(self, call):
        reply = await self.http.call(call)
        if "/contacts?" not in call.path:
            return reply
        page = {"value": [], "@odata.nextLink": f"https://org.example{call.path}"}
        return replace(reply, body=orjson.dumps(page))
