"""Service commands: asks Strex to stop, unsubscribe or change a price. Other modules decide when.

Source: "Use services in StrexConnect and get your CRM automatically updated", section "Service commands". It names the
answers 200, 204 and 404; other answers are read as HTTP defines them. It does not show the body of a 200.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from connector.delivery.call_failures import outcome_of, retry_after
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Task
from connector.providers.strex.responses import (
    ANSWER_LIMIT,
    REDIRECTS,
    SuccessForm,
    answers_ping,
    message_of,
    redirect_failure,
    success_form,
    unexpected_success,
)

PATH = "/api/services/command"
PRICED = "changesubscriberprice"
ACTIONS = frozenset({"stop", "unsubscribe", PRICED})
BATCH = 8  # commands at once; each makes Strex send an SMS, and no rate limit is documented


@dataclass(frozen=True, slots=True, kw_only=True)
class StrexCommands:
    """The sink (ports.py) that sends service commands."""

    name: str
    batch: int = BATCH
    traits: CrmTraits = PLAIN

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Send the commands concurrently, but those for one subscription one after another, in order."""
        outcomes: dict[int, Outcome] = {}
        valid: dict[int, ServiceCommand] = {}
        for index, task in enumerate(tasks):
            command = task.operation
            fault = _why_invalid(command)
            if fault or not isinstance(command, ServiceCommand):
                outcomes[index] = Rejected(reason=Reason.BAD_COMMAND, detail=fault)
            else:
                valid[index] = command
        pong: bool | None = None
        for indexes in _rounds(valid):
            replies = await http.call_all([_call(valid[index]) for index in indexes])
            if pong is None and any(_needs_ping(reply) for reply in replies):
                pong = await answers_ping(http)
            for index, reply in zip(indexes, replies, strict=True):
                outcomes[index] = _outcome(valid[index], reply, pong=pong)
        return [outcomes[index] for index in range(len(tasks))]


def _why_invalid(command: object) -> str:
    if not isinstance(command, ServiceCommand):
        return "Strex takes service commands only; name the CRM in the mapping's operation"
    if command.action not in ACTIONS:
        return f"Strex has no command {command.action!r}; it has {', '.join(sorted(ACTIONS))}"
    if command.action == PRICED and command.price is None:
        return f"{PRICED} needs a price"
    return ""


def _needs_ping(reply: HttpReply | HttpError) -> bool:
    """Whether the answer may come from another server. It is trusted only if Strex itself answers the ping."""
    if isinstance(reply, HttpError):
        return False
    if reply.status == HTTPStatus.OK:
        return success_form(reply) is not SuccessForm.PLAIN
    return reply.status == HTTPStatus.NOT_FOUND


def _rounds(commands: dict[int, ServiceCommand]) -> Iterator[list[int]]:
    """Positions of commands that may be sent together: no subscription occurs twice."""
    remaining = list(commands)
    while remaining:
        seen = set()
        now: list[int] = []
        later: list[int] = []
        for index in remaining:
            command = commands[index]
            subscription = (command.phone, command.short_number, command.keyword.casefold())
            (later if subscription in seen else now).append(index)
            seen.add(subscription)
        yield now
        remaining = later


def _call(command: ServiceCommand) -> HttpCall:
    body: dict[str, str | float] = {
        "phone": command.phone.e164,
        "shortNumber": command.short_number,
        "keyword": command.keyword,
        "action": command.action,
    }
    if command.action == PRICED and command.price is not None:
        body["price"] = command.price
    return HttpCall(
        method="POST",
        path=PATH,
        body=orjson.dumps(body),
        headers={"Content-Type": "application/json; charset=utf-8"},
        answer_limit=ANSWER_LIMIT,
    )


def _outcome(command: ServiceCommand, reply: HttpReply | HttpError, *, pong: bool | None) -> Outcome:
    if isinstance(reply, HttpError):
        return outcome_of(reply)
    match reply.status:
        case HTTPStatus.OK:
            return _success(reply, pong=pong)
        case HTTPStatus.NO_CONTENT if command.action == PRICED:
            return _price_not_changed("204: the subscriber is not active at Strex")
        case HTTPStatus.NO_CONTENT:
            return Delivered(detail="was not active")
        case HTTPStatus.NOT_FOUND:
            return _unknown_to_strex(command, pong=pong is True)
        case _:
            return _failure(reply)


def _success(reply: HttpReply, *, pong: bool | None) -> Outcome:
    form = success_form(reply)
    if form is SuccessForm.PLAIN or (form is SuccessForm.OTHER and pong):
        return Delivered()
    return unexpected_success(reply, pong=pong)


def _failure(reply: HttpReply) -> Outcome:
    match reply.status:
        case HTTPStatus.BAD_REQUEST:
            return Rejected(reason=Reason.BAD_COMMAND, detail=message_of(reply))
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            detail = (
                f"Strex refuses the API key ({reply.status}): make a new one in Strex Connect and put it into api.key"
            )
            return Retry(reason=Reason.CREDENTIALS, detail=detail)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Retry(reason=Reason.RATE_LIMITED, detail=message_of(reply), not_before=retry_after(reply.headers))
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Retry(reason=Reason.UNAVAILABLE, detail=message_of(reply), not_before=retry_after(reply.headers))
        case status if status in REDIRECTS:
            return redirect_failure(reply)
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Retry(reason=Reason.SERVER_ERROR, detail=message_of(reply), in_doubt=True)
        case status:
            detail = f"HTTP {status}, which Strex does not document for commands"
            return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, in_doubt=status < HTTPStatus.MULTIPLE_CHOICES)


def _unknown_to_strex(command: ServiceCommand, *, pong: bool) -> Outcome:
    if not pong:
        detail = "404, and no pong from /api/ping there either: see api.url in the provider's settings"
        return Retry(reason=Reason.WRONG_ADDRESS, detail=detail)
    if command.action == PRICED:
        return _price_not_changed("404: Strex does not know this subscriber")
    if command.known_active:
        detail = (
            "Strex does not know this subscriber, who is active in the ledger: check the keyword and the short number"
        )
        return Rejected(reason=Reason.PROVIDER_DISAGREES, detail=detail)
    return Delivered(absent=True, detail="not known to Strex")


def _price_not_changed(why: str) -> Rejected:
    """The outcome of 204 and 404: there is no active subscriber, so no price was changed (source: "Service commands")."""
    return Rejected(reason=Reason.PRICE_NOT_CHANGED, detail=f"{why}, so the price was not changed")
