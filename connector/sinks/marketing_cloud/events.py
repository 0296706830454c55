"""The sink (ports.py) that fires journey events, each at most once: Marketing Cloud has no key that makes a repeat harmless.

Each event is a call of its own, so that a lost answer puts one person in doubt and not a batch. Source: Marketing Cloud
REST reference, "postEvent".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import orjson

from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Http, HttpCall, HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Task
from connector.sinks.marketing_cloud.client import Package, failure_of, parse_json, rejection_of
from connector.sinks.marketing_cloud.settings import MAX_EVENT_DELAY

BATCH = 8  # events at once


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSink:
    """Fires events of one business unit."""

    name: str
    package: Package
    now: Callable[[], datetime]
    batch: int = BATCH
    traits: CrmTraits = PLAIN

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Fire the events that are due; the others come back with the time that is left."""
        outcomes: dict[int, Outcome] = {}
        calls: dict[int, HttpCall] = {}
        for index, task in enumerate(tasks):
            event = task.operation
            if not isinstance(event, SinkCall) or event.action != "event":
                outcomes[index] = Rejected(reason=Reason.BAD_COMMAND, detail="this sink takes `event:` only")
            elif (left := self._time_left(event)) > timedelta():
                outcomes[index] = Retry(reason=Reason.HALTED, detail="its time has not come", not_before=left)
            else:
                calls[index] = _call(event)
        for index, reply in zip(calls, await self.package.call_all(http, list(calls.values())), strict=True):
            outcomes[index] = _outcome(reply)
        return [outcomes[index] for index in range(len(tasks))]

    def _time_left(self, event: SinkCall) -> timedelta:
        if not event.not_before:
            return timedelta()
        left = datetime.fromisoformat(event.not_before) - self.now()
        # No delay is longer: the clock was set back since the event was planned.
        return left if left <= MAX_EVENT_DELAY else timedelta()


def _call(event: SinkCall) -> HttpCall:
    body = {"ContactKey": event.keys["contact"], "EventDefinitionKey": event.target, "Data": event.values}
    return HttpCall(
        method="POST",
        path="/interaction/v1/events",
        body=orjson.dumps(body),
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )


def _outcome(reply: HttpReply | Retry) -> Outcome:
    if isinstance(reply, Retry):
        return reply
    if (rejected := rejection_of(reply)) is not None:
        return rejected
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return failure_of(reply)
    found = parse_json(reply)
    if not isinstance(found, dict) or not found.get("eventInstanceId"):
        return Retry(
            reason=Reason.UNEXPECTED_ANSWER,
            detail="the answer has no eventInstanceId",
            in_doubt=True,
            cure=SOMETHING_ELSE,
        )
    return Delivered(record_id=str(found["eventInstanceId"]))
