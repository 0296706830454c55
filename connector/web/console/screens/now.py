"""Screen 1, Now: whether the connector works, what waits, and what is wrong with its cure."""

from collections.abc import Mapping
from typing import Any

from connector.web.console.charts import Box, Flow, flow
from connector.web.console.render import number
from connector.web.console.request import ConsoleRequest, Page, PageRoute, Screen

OPEN = ("waiting", "ready", "resting", "claimed")  # states of units that are not settled


async def now(request: ConsoleRequest) -> Page:
    """The whole page."""
    return Page(template="now.html", title="Now", values=await _values(request))


async def summary(request: ConsoleRequest) -> Page:
    """The part that is asked for every five seconds."""
    return Page(template="now.html", fragment="now_summary.html", title="Now", values=await _values(request))


async def _values(request: ConsoleRequest) -> dict[str, Any]:
    status = await request.call("status")
    sinks = [{**sink, "waiting": _waiting(sink)} for sink in status["sinks"]]
    return {"status": status, "sinks": sinks, "flow": _flow(request, status, sinks)}


def _waiting(sink: Mapping[str, Any]) -> int:
    return sum(sink["units"][state] for state in OPEN)


def _flow(request: ConsoleRequest, status: Mapping[str, Any], sinks: list[dict[str, Any]]) -> Flow:
    states = status["states"]
    return flow(
        [Box(name=name, text="webhooks") for name in request.context.providers],
        Box(name="Inbox", text=f"{number(states['pending'])} to plan"),
        Box(name="Outbox", text=f"{number(sum(sink['waiting'] for sink in sinks))} waiting"),
        [
            Box(
                name=sink["sink"],
                text="paused" if sink["trouble"] else f"{number(sink['units']['delivered'])} delivered",
                paused=sink["trouble"] is not None,
            )
            for sink in sinks
        ],
    )


SCREEN = Screen(
    label="Now",
    path="/console/now",
    pages=[
        PageRoute(path="/console/now", show=now),
        PageRoute(path="/console/now/summary", show=summary, background=True),
    ],
)
