"""The sink (ports.py) that writes rows of data extensions by their primary key. A repeated row changes nothing.

Source: Marketing Cloud REST reference, "postDataExtensionRowsetByKey": 50 rows a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

import orjson

from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Http, HttpCall, HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Task
from connector.sinks.marketing_cloud.client import Package, document, not_done, refused

ROWS = 50  # in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSink:
    """Writes rows of one business unit."""

    name: str
    package: Package
    batch: int = 8 * ROWS
    traits: CrmTraits = PLAIN

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Write the rows; of several with one key, one after another. A refused call is halved until the row at fault is alone."""
        outcomes: dict[int, Outcome] = {}
        rows: dict[int, SinkCall] = {}
        for place, task in enumerate(tasks):
            if isinstance(task.operation, SinkCall) and task.operation.action == "row":
                rows[place] = task.operation
            else:
                outcomes[place] = Rejected(reason=Reason.BAD_COMMAND, detail="this sink takes `row:` only")
        for turn in _turns(rows):
            calls = _calls(turn, rows)
            while calls:
                replies = await self.package.call_all(http, [_call([rows[place] for place in call]) for call in calls])
                halves: list[Sequence[int]] = []
                for call, reply in zip(calls, replies, strict=True):
                    outcome = _outcome(reply)
                    if isinstance(outcome, Rejected) and len(call) > 1:
                        halves += [call[: len(call) // 2], call[len(call) // 2 :]]
                    else:
                        outcomes.update(dict.fromkeys(call, outcome))
                calls = halves
        return [outcomes[place] for place in range(len(tasks))]


def _turns(rows: dict[int, SinkCall]) -> list[list[int]]:
    """Places of rows that may be sent together: no key occurs twice in a turn."""
    turns: list[list[int]] = []
    seen: dict[tuple[str, str], int] = {}
    for place, row in rows.items():
        key = (row.target, orjson.dumps(row.keys, option=orjson.OPT_SORT_KEYS).decode())
        turn = seen[key] = seen.get(key, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(place)
    return turns


def _calls(turn: Sequence[int], rows: dict[int, SinkCall]) -> list[Sequence[int]]:
    extensions: dict[str, list[int]] = {}
    for place in turn:
        extensions.setdefault(rows[place].target, []).append(place)
    return [places[start : start + ROWS] for places in extensions.values() for start in range(0, len(places), ROWS)]


def _call(rows: Sequence[SinkCall]) -> HttpCall:
    return HttpCall(
        method="POST",
        path=f"/hub/v1/dataevents/key:{quote(rows[0].target, safe='')}/rowset",
        body=orjson.dumps([{"keys": row.keys, "values": row.values} for row in rows]),
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )


def _outcome(reply: HttpReply | Retry) -> Outcome:
    if isinstance(reply, Retry):
        return reply
    if (rejected := refused(reply)) is not None:
        return rejected
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return not_done(reply)
    if not isinstance(document(reply), list):
        return Retry(
            reason=Reason.UNEXPECTED_ANSWER,
            detail="the answer does not list the rows",
            in_doubt=True,
            cure=SOMETHING_ELSE,
        )
    return Delivered()
