"""Service commands: how we ask Strex to stop, unsubscribe or charge differently. When to ask is decided elsewhere.

Source: "Use services in StrexConnect and get your CRM automatically updated", section "Service commands". It names the answers
200, 204 and 404; the others are read as HTTP means them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import orjson

from connector.model.exchange import CallFailed, Exchange, Failure, HttpCall, HttpReply, Reply
from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.roles import Task

PATH = "/api/services/command"
PING = HttpCall(method="GET", path="/api/ping", timeout=timedelta(seconds=10), repeatable=True)
PONG = b"pong"  # as a JSON string, so in quotes
PRICED = "changesubscriberprice"
ACTIONS = frozenset({"stop", "unsubscribe", PRICED})
BATCH = 8  # commands at once: each makes Strex send an SMS, and no rate is documented
MOST_PATIENCE = timedelta(hours=1)  # a Retry-After beyond it is not believed: opt-outs have a deadline
DETAIL_LENGTH = 200  # characters of the provider's words that are kept
DIGITS = re.compile(r"\+?\d{5,}")  # a number in the provider's words may be somebody's
SECONDS = re.compile(r"[0-9]{1,9}")

FAILURES = {
    Failure.REFUSED: Retry(reason=Reason.UNAVAILABLE),
    Failure.TIMEOUT: Retry(reason=Reason.TIMEOUT, in_doubt=True),
    Failure.LOST: Retry(reason=Reason.CONNECTION_LOST, in_doubt=True),
    Failure.CREDENTIALS: Retry(reason=Reason.CREDENTIALS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StrexCommands:
    """The sink (model/roles.py) that sends service commands."""

    name: str
    batch: int = BATCH

    def write(self, tasks: Sequence[Task]) -> Exchange[Sequence[Outcome]]:
        """Send the commands together; those for one subscription one after another, in the order given."""
        outcomes: dict[int, Outcome] = {}
        valid: dict[int, ServiceCommand] = {}
        for place, task in enumerate(tasks):
            command = task.operation
            fault = _fault(command)
            if fault or not isinstance(command, ServiceCommand):
                outcomes[place] = Rejected(reason=Reason.BAD_COMMAND, detail=fault)
            else:
                valid[place] = command
        pong: bool | None = None
        for places in _rounds(valid):
            replies = yield [_call(valid[place]) for place in places]
            if pong is None and any(_status(reply) == HTTPStatus.NOT_FOUND for reply in replies):
                # A wrong address also says 404: it is believed only where Strex itself answers.
                (answer,) = yield [PING]
                pong = _is_pong(answer)
            for place, reply in zip(places, replies, strict=True):
                outcomes[place] = _outcome(valid[place], reply, pong=bool(pong))
        return [outcomes[place] for place in range(len(tasks))]


def _fault(command: object) -> str:
    if not isinstance(command, ServiceCommand):
        return "Strex takes service commands only; name the CRM in the mapping's operation"
    if command.action not in ACTIONS:
        return f"Strex has no command {command.action!r}; it has {', '.join(sorted(ACTIONS))}"
    if command.action == PRICED and command.price is None:
        return f"{PRICED} needs a price"
    return ""


def _rounds(commands: dict[int, ServiceCommand]) -> Iterator[list[int]]:
    """Places of commands that may go out together: none twice for one subscription."""
    left = list(commands)
    while left:
        seen = set()
        now: list[int] = []
        later: list[int] = []
        for place in left:
            command = commands[place]
            subscription = (command.phone, command.short_number, command.keyword.casefold())
            (later if subscription in seen else now).append(place)
            seen.add(subscription)
        yield now
        left = later


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
        method="POST", path=PATH, body=orjson.dumps(body), headers={"Content-Type": "application/json; charset=utf-8"}
    )


def _outcome(command: ServiceCommand, reply: Reply, *, pong: bool) -> Outcome:
    if isinstance(reply, CallFailed):
        return FAILURES[reply.failure]
    match reply.status:
        case HTTPStatus.OK:
            return Delivered()
        case HTTPStatus.NO_CONTENT:
            return Delivered(detail="was not active")
        case HTTPStatus.NOT_FOUND:
            return _unknown_to_strex(command, pong=pong)
        case _:
            return _not_done(reply)


def _not_done(reply: HttpReply) -> Outcome:
    match reply.status:
        case HTTPStatus.BAD_REQUEST:
            return Rejected(reason=Reason.BAD_COMMAND, detail=_words(reply))
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            detail = (
                f"Strex refuses the API key ({reply.status}): make a new one in Strex Connect and put it into api.key"
            )
            return Retry(reason=Reason.CREDENTIALS, detail=detail)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Retry(reason=Reason.RATE_LIMITED, detail=_words(reply), not_before=_patience(reply))
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Retry(reason=Reason.UNAVAILABLE, detail=_words(reply), not_before=_patience(reply))
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Retry(reason=Reason.SERVER_ERROR, detail=_words(reply), in_doubt=True)
        case status:
            detail = f"HTTP {status}, which Strex does not document for commands"
            return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, in_doubt=status < HTTPStatus.MULTIPLE_CHOICES)


def _unknown_to_strex(command: ServiceCommand, *, pong: bool) -> Outcome:
    if not pong:
        detail = "404, and no pong from /api/ping there either: see api.url in the provider's settings"
        return Retry(reason=Reason.WRONG_ADDRESS, detail=detail)
    if command.known_active:
        detail = (
            "Strex does not know this subscriber, whom the ledger holds active: see the keyword and the short number"
        )
        return Rejected(reason=Reason.PROVIDER_DISAGREES, detail=detail)
    return Delivered(absent=True, detail="not known to Strex")


def _status(reply: Reply) -> int | None:
    return reply.status if isinstance(reply, HttpReply) else None


def _is_pong(reply: Reply) -> bool:
    return isinstance(reply, HttpReply) and reply.status == HTTPStatus.OK and reply.body.strip().strip(b'"') == PONG


def _words(reply: HttpReply) -> str:
    """What Strex says, from `Message` (sdk-for-net, Target365Client) or else the body's beginning; numbers are taken out."""
    try:
        value = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        value = None
    said = None
    if isinstance(value, dict):
        said = next((value[name] for name in value if name.lower() == "message"), None)
    text = said if isinstance(said, str) else reply.body.decode("utf-8", "replace")
    return DIGITS.sub("…", " ".join(text.split()))[:DETAIL_LENGTH] or f"HTTP {reply.status}"


def _patience(reply: HttpReply) -> timedelta | None:
    """Retry-After as seconds or as a date (RFC 9110, 10.2.3); a date is held against the answer's own clock."""
    header = reply.headers.get("retry-after", "").strip()
    if SECONDS.fullmatch(header):
        return timedelta(seconds=min(int(header), MOST_PATIENCE.total_seconds()))
    try:
        wait = parsedate_to_datetime(header) - parsedate_to_datetime(reply.headers["date"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), MOST_PATIENCE)
