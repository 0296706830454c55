"""Screen 1, Now: whether the connector works, what waits, and what is wrong with its cure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.config.console_settings import Role
from connector.web.console.charts import Bars, Box, Flow, bars, flow
from connector.web.console.render import age, number
from connector.web.console.request import ActionRoute, ConsoleRequest, Page, PageRoute, Redirect, Screen

OPEN = ("waiting", "ready", "resting", "claimed")  # states of units that are not settled
PATH = "/console/now"
LABEL_EVERY = 6  # hours


async def now(request: ConsoleRequest) -> Page:
    """The whole page."""
    return Page(template="now.html", title="Now", values=await _values(request))


async def summary(request: ConsoleRequest) -> Page:
    """The part that is asked for every five seconds."""
    return Page(template="now.html", fragment="now_summary.html", title="Now", values=await _values(request))


async def reload(request: ConsoleRequest) -> Redirect:
    """Reload the mapping files, all or none."""
    done = await request.call("reload")
    changes = done["changes"]
    words = [f"{len(changes[kind])} {kind}" for kind in ("added", "changed", "removed") if changes[kind]]
    return Redirect(PATH, [f"The mappings were reloaded. Rules: {', '.join(words) or 'no change'}."])


async def _values(request: ConsoleRequest) -> dict[str, Any]:
    status = await request.call("status")
    systems = _systems(request, status)
    hours = status["activity"]["hours"]
    return {
        "status": status,
        "systems": systems,
        "late": [one for one in status["problems"] if one["about"] == "opt_out"],
        "others": [one for one in status["problems"] if one["about"] != "opt_out"],
        "waiting": status["states"]["pending"] + sum(one["waiting"] for one in systems),
        "flow": _flow(request, status, systems),
        "received": _bars(request, hours, "received"),
        "delivered": _bars(request, hours, "delivered"),
        "sums": {kind: sum(hour[kind] for hour in hours) for kind in ("received", "delivered", "dead")},
        "may_reload": request.person.role.may(Role.ADMIN),
    }


def _systems(request: ConsoleRequest, status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each provider, CRM and other sink: what came in last, what was written last, what waits, and why it is paused."""
    sinks = {sink["sink"]: sink for sink in status["sinks"]}
    last = status["activity"]["last"]
    return [
        {
            "name": name,
            "kind": "provider" if name in request.context.providers else "CRM or other sink",
            "received": last.get(name, {}).get("received"),
            "delivered": last.get(name, {}).get("delivered"),
            "sink": sinks.get(name),
            "waiting": sum(sinks[name]["units"][state] for state in OPEN) if name in sinks else 0,
            "oldest": sinks[name]["oldest_open_seconds"] if name in sinks else None,
            "dead": sinks[name]["units"]["dead"] if name in sinks else 0,
            "troubles": _troubles(name, sinks, status["feeds"]),
        }
        for name in dict.fromkeys((*request.context.providers, *sinks))
    ]


def _troubles(name: str, sinks: Mapping[str, Any], feeds: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    troubles = [("Deliveries are paused", sinks[name]["trouble"])] if name in sinks else []
    troubles += [
        (f"Polls of {one['feed']} are paused", one["trouble"]) for one in feeds if one["feed"].startswith(f"{name}.")
    ]
    return [{"words": words, **trouble} for words, trouble in troubles if trouble]


def _flow(request: ConsoleRequest, status: Mapping[str, Any], systems: list[dict[str, Any]]) -> Flow:
    states = status["states"]
    return flow(
        [
            Box(name=one["name"], text=_ago(request, one["received"], "in"))
            for one in systems
            if one["kind"] == "provider"
        ],
        Box(name="Inbox", text=f"{number(states['pending'])} to plan"),
        Box(name="Outbox", text=f"{number(sum(one['waiting'] for one in systems))} waiting"),
        [
            Box(
                name=one["name"],
                text="paused" if one["troubles"] else f"{number(one['sink']['units']['delivered'])} delivered",
                paused=bool(one["troubles"]),
            )
            for one in systems
            if one["sink"]
        ],
    )


def _ago(request: ConsoleRequest, moment: str | None, word: str) -> str:
    if moment is None:
        return "nothing yet"
    return f"last {word} {age(max(0.0, (request.now - datetime.fromisoformat(moment)).total_seconds()))} ago"


def _bars(request: ConsoleRequest, hours: list[Mapping[str, Any]], kind: str) -> Bars:
    values = []
    for hour in hours:
        begins = datetime.fromisoformat(hour["from"]).astimezone(request.zone)
        values.append((f"{begins:%H:%M}", hour[kind], f"{begins:%a %H:%M}: {number(hour[kind])} {kind}"))
    return bars(values, every=LABEL_EVERY)


SCREEN = Screen(
    label="Now",
    path=PATH,
    pages=[
        PageRoute(path=PATH, show=now),
        PageRoute(path=f"{PATH}/summary", show=summary, background=True),
    ],
    actions=[ActionRoute(path=f"{PATH}/reload", act=reload, role=Role.ADMIN, name="reload mappings")],
)
