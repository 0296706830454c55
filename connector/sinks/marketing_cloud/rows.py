"""The sink (ports.py) that writes rows of data extensions by their primary key. A repeated row changes nothing.

Source: Marketing Cloud REST reference, "postDataExtensionRowsetByKey": 50 rows a call.
"""

from collections.abc import Mapping, Sequence
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
from connector.sinks.marketing_cloud.client import Package, failure_of, parse_json, rejection_of

ROWS = 50  # in one call
LATER = Retry(reason=Reason.HALTED, detail="an earlier row with the same key is not written yet")
Key = tuple[str, str]  # the data extension, and the row's primary key as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSink:
    """Writes rows of one business unit."""

    name: str
    package: Package
    batch: int = 8 * ROWS
    traits: CrmTraits = PLAIN

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Write the rows, those with the same key one after another."""
        outcomes: dict[int, Outcome] = {}
        rows: dict[int, SinkCall] = {}
        for index, task in enumerate(tasks):
            if isinstance(task.operation, SinkCall) and task.operation.action == "row":
                rows[index] = task.operation
            else:
                outcomes[index] = Rejected(reason=Reason.BAD_COMMAND, detail="this sink takes `row:` only")
        waiting: set[Key] = set()  # an earlier row with this key is not written yet
        for turn in _turns(rows):
            ready = [index for index in turn if _key(rows[index]) not in waiting]
            outcomes |= dict.fromkeys(turn, LATER) | await self._write_each(
                {index: rows[index] for index in ready}, http
            )
            waiting |= {_key(rows[index]) for index in turn if isinstance(outcomes[index], Retry)}
        return [outcomes[index] for index in range(len(tasks))]

    async def _write_each(self, rows: Mapping[int, SinkCall], http: Http) -> dict[int, Outcome]:
        """Write rows with different keys. A refused call is halved until the row at fault is alone."""
        outcomes: dict[int, Outcome] = {}
        calls = _calls(rows)
        while calls:
            replies = await self.package.call_all(http, [_call([rows[index] for index in call]) for call in calls])
            halves: list[Sequence[int]] = []
            for call, reply in zip(calls, replies, strict=True):
                outcome = _outcome(reply)
                if isinstance(outcome, Rejected) and len(call) > 1 and not _is_missing(reply):
                    halves += [call[: len(call) // 2], call[len(call) // 2 :]]
                else:
                    outcomes.update(dict.fromkeys(call, outcome))
            calls = halves
        return outcomes


def _key(row: SinkCall) -> Key:
    return row.target, orjson.dumps(row.keys, option=orjson.OPT_SORT_KEYS).decode()


def _turns(rows: Mapping[int, SinkCall]) -> list[list[int]]:
    """Indexes of rows that may be sent together: no key occurs twice in a turn."""
    turns: list[list[int]] = []
    seen: dict[Key, int] = {}
    for index, row in rows.items():
        turn = seen[_key(row)] = seen.get(_key(row), -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(index)
    return turns


def _calls(rows: Mapping[int, SinkCall]) -> list[Sequence[int]]:
    extensions: dict[str, list[int]] = {}
    for index, row in rows.items():
        extensions.setdefault(row.target, []).append(index)
    return [indexes[start : start + ROWS] for indexes in extensions.values() for start in range(0, len(indexes), ROWS)]


def _call(rows: Sequence[SinkCall]) -> HttpCall:
    return HttpCall(
        method="POST",
        path=f"/hub/v1/dataevents/key:{quote(rows[0].target, safe='')}/rowset",
        body=orjson.dumps([{"keys": row.keys, "values": row.values} for row in rows]),
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )


def _is_missing(reply: HttpReply | Retry) -> bool:
    """Whether the data extension itself is missing: then no row is at fault."""
    return isinstance(reply, HttpReply) and reply.status == HTTPStatus.NOT_FOUND


def _outcome(reply: HttpReply | Retry) -> Outcome:
    if isinstance(reply, Retry):
        return reply
    if (rejected := rejection_of(reply)) is not None:
        return rejected
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return failure_of(reply)
    if not isinstance(parse_json(reply), list):
        return Retry(
            reason=Reason.UNEXPECTED_ANSWER,
            detail="the answer does not list the rows",
            in_doubt=True,
            cure=SOMETHING_ELSE,
        )
    return Delivered()
