"""Sends webhooks in the background until the receiver responds with 200, as often as the provider documents."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

# SMS Inbound Webhooks: ten retries, with these waits in seconds after the previous attempt; about 22.5 hours in total.
WAITS = (10, 1800, 3600, 5400, 7200, 9000, 10800, 12600, 14400, 16200)
ATTEMPT_SECONDS = 30  # timeout of an attempt; the real one is not documented
SUCCESS = 200  # only this: another 2xx is retried like a failure


@dataclass(slots=True, kw_only=True)
class Webhook:
    """One webhook and its attempts; `state` is under_way, delivered, given_up or stopped."""

    url: str
    body: str
    state: str = "under_way"
    statuses: list[int | None] = field(default_factory=list)  # None for an attempt without a response


class Sender:
    """All webhooks since the start. Call `start` before the first one and `stop` at the end."""

    def __init__(self, compress: Callable[[], float]) -> None:
        self._compress = compress
        self._webhooks: list[Webhook] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Open the HTTP client; needs the running loop."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS))

    async def stop(self) -> None:
        """Cancel running webhooks and close the HTTP client."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def send(self, url: str, body: str) -> None:
        """Send this in the background."""
        webhook = Webhook(url=url, body=body)
        self._webhooks.append(webhook)
        if self._http is None:
            webhook.state = "stopped"
            return
        task = asyncio.create_task(self._send_until_accepted(webhook, self._http))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Wait until no webhook is running; one that waits for a retry is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def as_json(self) -> list[dict[str, Any]]:
        """Every webhook, oldest first."""
        return [asdict(webhook) for webhook in self._webhooks]

    async def _send_until_accepted(self, webhook: Webhook, http: aiohttp.ClientSession) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            for wait in (0, *WAITS):
                await asyncio.sleep(wait / self._compress())
                status: int | None = None
                try:
                    async with http.post(
                        webhook.url, data=webhook.body.encode(), headers=headers, allow_redirects=False
                    ) as answer:
                        status = answer.status
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass
                webhook.statuses.append(status)
                if status == SUCCESS:
                    webhook.state = "delivered"
                    return
            webhook.state = "given_up"
        except asyncio.CancelledError:
            webhook.state = "stopped"
            raise
