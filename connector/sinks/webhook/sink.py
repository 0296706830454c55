"""The sink (ports.py) that posts signed messages. A message is sent at least once, always with the same id.

Source: Standard Webhooks 1.0. A 2xx is success; redirects are never followed; 410 ends the webhook until a restart.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID, uuid5

import orjson

from connector.delivery.call_failures import outcome_of, retry_after
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Failure, Http, HttpCall, HttpError, HttpReply
from connector.model.operation import SinkCall
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Task
from connector.sinks.webhook.signature import signatures

NAMESPACE = UUID("b64ad9d5-6a05-5a44-9c9c-4d2fb0f5a1c7")  # of the ids of messages; ours, and never changed
BATCH = 8  # messages at once
LINE = "\n"  # in no name and in no key of an event
ANSWER_LIMIT = 64 * 2**10  # bytes: only the status of an answer counts
SLOW = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
GONE = Retry(
    reason=Reason.SINK_REFUSES,
    detail="410: the receiver has ended this webhook",
    code="GONE",
    cure="ask the receiver for the new address, change `url` in the config and restart; or remove the sink",
)


@dataclass(slots=True, kw_only=True)
class WebhookSink:
    """Posts to one address."""

    name: str
    url: str
    secrets: Sequence[bytes]  # the current one first
    headers: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.time  # Unix seconds
    batch: int = BATCH
    traits: CrmTraits = PLAIN
    gone: bool = False  # it has answered 410

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Send the messages together."""
        if self.gone:
            return [GONE] * len(tasks)
        outcomes: dict[int, Outcome] = {}
        calls: dict[int, HttpCall] = {}
        for place, task in enumerate(tasks):
            if isinstance(task.operation, SinkCall) and task.operation.action == "post":
                calls[place] = self._call(task.operation)
            else:
                outcomes[place] = Rejected(reason=Reason.BAD_COMMAND, detail="a webhook takes `post:` only")
        for place, reply in zip(calls, await http.call_all(list(calls.values())), strict=True):
            outcomes[place] = self._outcome(reply)
        return [outcomes[place] for place in range(len(tasks))]

    def _call(self, message: SinkCall) -> HttpCall:
        body = orjson.dumps({"type": message.target, "timestamp": message.at, "data": message.values})
        message_id = f"msg_{uuid5(NAMESPACE, self.name + LINE + message.key).hex}"
        timestamp = int(self.clock())
        return HttpCall(
            method="POST",
            base=self.url,
            path="",
            body=body,
            headers={
                **self.headers,
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signatures(self.secrets, message_id, timestamp, body),
            },
            answer_limit=ANSWER_LIMIT,
        )

    def _outcome(self, reply: HttpReply | HttpError) -> Outcome:
        if isinstance(reply, HttpError):
            if reply.failure is Failure.UNREADABLE:
                return Retry(reason=Reason.NOT_ACCEPTED, detail=reply.detail, in_doubt=True)
            return outcome_of(reply)
        match reply.status:
            case status if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
                return Delivered()
            case HTTPStatus.GONE:
                self.gone = True
                return GONE
            case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
                return Retry(
                    reason=Reason.WRONG_ADDRESS,
                    detail=f"HTTP {status}: redirects are not followed",
                    cure="write the address that it redirects to as `url`, if it is the right one",
                )
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN as status:
                return Retry(
                    reason=Reason.CREDENTIALS,
                    detail=f"HTTP {status}: the receiver does not accept the signature or the headers",
                )
            case status if status in SLOW:
                reason = Reason.RATE_LIMITED if status == HTTPStatus.TOO_MANY_REQUESTS else Reason.UNAVAILABLE
                return Retry(reason=reason, detail=f"HTTP {status}", not_before=retry_after(reply.headers))
            case status:
                return Retry(reason=Reason.NOT_ACCEPTED, detail=f"HTTP {status}", not_before=retry_after(reply.headers))
