"""Creates what the org lacks: one request after another, because each locks the org's customisation. Removes nothing.

Sources: "Create and update table definitions using the Web API" (MSCRM.SolutionUniqueName, PublishXml), "Define alternate
keys" (a job builds the index; ReactivateEntityKey repeats it).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from connector.crm.dynamics.client import api
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.setup import definitions
from connector.crm.dynamics.setup.definitions import TablePart
from connector.crm.dynamics.setup.survey import Part, Survey, by_unique_name, error_for_person
from connector.model.errors import ConnectorError

IN_SOLUTION = {"MSCRM.SolutionUniqueName": definitions.SOLUTION["uniquename"]}
FIRST_GAP, GROWTH, MAX_GAP = 0.25, 1.5, 15.0  # seconds between two looks at the index of a key
TIMEOUT = 900.0  # seconds: the index of a large table takes minutes


class Creator:
    """Creates the parts of one survey. `report` gets each step in words, `sleep` waits for seconds."""

    def __init__(
        self,
        web: WebApi,
        *,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._web = web
        self._report = report
        self._sleep = sleep

    async def create(self, found: Survey, wanted: tuple[TablePart, ...]) -> dict[str, str]:
        """Create what is missing; returns the status of each alternate key that was built, by its name.

        What exists after a failure stays: the next survey finds it. Raises ConnectorError and PeerUnavailable.
        """
        parts = found.to_do
        for number, part in enumerate(parts, start=1):
            self._report(f"creating {number} of {len(parts)}: {part.kind} {part.name}")
            if part.target:
                try:
                    await self._create(part)
                except RequestFailed as failed:
                    done = f"{number - 1} of {len(parts)} parts were created before" if number > 1 else ""
                    what = f"the org refused the {part.kind} {part.name}{f' ({done})' if done else ''}"
                    raise error_for_person(failed, what) from None
        if parts:
            await self._publish(wanted)
        return {part.name: await self._built(part) for part in parts if part.key}

    async def _create(self, part: Part) -> None:
        body: dict[str, Any] = dict(part.body)
        if part.kind == "solution":
            body["publisherid@odata.bind"] = f"publishers{api.by_id(await self._publisher())}"
        headers = IN_SOLUTION if part.kind not in {"publisher", "solution"} else {}
        await self._web.send(api.post(part.target, body, headers))

    async def _publisher(self) -> str:
        name = definitions.PUBLISHER["uniquename"]
        rows = await self._web.rows(by_unique_name("publishers", str(name), "publisherid"))
        if not rows:
            raise ConnectorError(f"the org does not show the publisher {name} that it has: run the command again")
        return str(rows[0]["publisherid"])

    async def _publish(self, wanted: tuple[TablePart, ...]) -> None:
        """Publish the tables, so that forms and apps show the new columns."""
        self._report("publishing")
        names = "".join(f"<entity>{one.name}</entity>" for one in wanted)
        xml = f"<importexportxml><entities>{names}</entities></importexportxml>"
        try:
            await self._web.send(api.post("PublishXml", {"ParameterXml": xml}))
        except RequestFailed as failed:
            raise error_for_person(failed, "everything was created, but the org did not publish it") from None

    async def _built(self, part: Part) -> str:
        """Wait until the index of a key is built or has failed; its last status."""
        gap = waited = FIRST_GAP
        while True:
            tables = Tables()
            try:
                await tables.learn(self._web, [part.table])
            except RequestFailed as failed:
                raise error_for_person(failed, f"the org does not say how the {part.kind} {part.name} is") from None
            known = tables.get(part.table)
            status = next((one.status for one in known.keys if one.name == part.key), "") if known else ""
            if status in {"Active", "Failed"} or waited > TIMEOUT:
                return status or "unknown"
            self._report(f"the index of {part.name} is being built ({status or 'not shown yet'})")
            await self._sleep(gap)
            waited += gap
            gap = min(gap * GROWTH, MAX_GAP)
