"""The composite call: up to 25 calls in one, in order, each with its own response; later ones may refer to earlier ones."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.exchange import DATA, Answer, Call
from connector.sandbox.salesforce.refusals import RequestRefusedError

MOST_CALLS = 25
MOST_HEAVY_CALLS = 5  # of collections or queries
REFERENCE = re.compile(r"@\{([A-Za-z]\w*)((?:\.\w+|\[\d+\])*)\}")
REFERENCE_ID = re.compile(r"[A-Za-z]\w*")
STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
HALTED = "The transaction was rolled back since another operation in the same transaction failed."

Dispatch = Callable[[Call], Answer]


class Composite:
    """Answers POST /composite by passing each inner call to `dispatch`."""

    def __init__(self, database: Database, dispatch: Dispatch) -> None:
        self._database = database
        self._dispatch = dispatch

    def answer(self, call: Call) -> Answer:
        """Process all inner calls in order, each independently unless `allOrNone` is set."""
        parts = _parts(call)
        together = call.fields.get("allOrNone") is True
        answers: list[dict[str, Any]] = []
        earlier: dict[str, Any] = {}
        with self._database.attempt() as attempt:
            for part in parts:
                answer = self._one(call, part, earlier)
                answers.append(answer)
                if together and _failed(answer):
                    attempt.undo()
                    break
        if attempt.undone:
            halted = [{"errorCode": "PROCESSING_HALTED", "message": HALTED}]
            guilty = answers[-1]
            names = [part["referenceId"] for part in parts]
            answers = [
                guilty if name == guilty["referenceId"] else _rendered(name, HTTPStatus.BAD_REQUEST, halted)
                for name in names
            ]
        return Answer(body={"compositeResponse": answers})

    def _one(self, call: Call, part: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
        name = part["referenceId"]
        try:
            target = _resolve(part["url"], earlier)
            body = _resolve(part.get("body"), earlier) if b"@{" in call.raw else part.get("body")
            inner = replace(
                call, method=part["method"].upper(), target=target, headers=part.get("httpHeaders") or {}, raw=b""
            )
            # The body is already parsed; parsing it again for every inner call would take time.
            inner.__dict__["document"] = body
            with self._database.attempt():
                answer = self._dispatch(inner)
        except RequestRefusedError as refusal:
            return _rendered(
                name, refusal.status, [self._database.wording.translate_error(one) for one in refusal.body()]
            )
        earlier[name] = answer.body
        return {
            "body": _escaped_results(answer.body),
            "httpHeaders": dict(answer.headers),
            "httpStatusCode": answer.status,
            "referenceId": name,
        }


def _parts(call: Call) -> list[dict[str, Any]]:
    parts = call.fields.get("compositeRequest")
    if not isinstance(parts, list) or not parts:
        raise RequestRefusedError(
            400, "JSON_PARSER_ERROR", "The compositeRequest property must be an array of requests"
        )
    if len(parts) > MOST_CALLS:
        raise RequestRefusedError(
            400, "LIMIT_EXCEEDED", f"Cannot have more than {MOST_CALLS} subrequests in a composite"
        )
    names = set()
    heavy = 0
    for part in parts:
        if not isinstance(part, dict) or not all(
            isinstance(part.get(key), str) for key in ("method", "url", "referenceId")
        ):
            raise RequestRefusedError(400, "JSON_PARSER_ERROR", "Each subrequest needs method, url and referenceId")
        if not REFERENCE_ID.fullmatch(part["referenceId"]):
            raise RequestRefusedError(400, "INVALID_INPUT", f"Invalid referenceId: {part['referenceId']}")
        if part["referenceId"] in names:
            raise RequestRefusedError(400, "INVALID_INPUT", f"Duplicate referenceId: {part['referenceId']}")
        names.add(part["referenceId"])
        if not part["url"].startswith(DATA):
            raise RequestRefusedError(400, "INVALID_INPUT", f"The url must begin with {DATA}: {part['url']}")
        rest = part["url"].removeprefix(DATA).partition("/")[2]
        heavy += rest.startswith(("composite/sobjects", "query"))
    if heavy > MOST_HEAVY_CALLS:
        raise RequestRefusedError(
            400,
            "LIMIT_EXCEEDED",
            f"Cannot have more than {MOST_HEAVY_CALLS} sObject collections or query subrequests in a composite",
        )
    return parts


def _resolve(value: Any, earlier: dict[str, Any]) -> Any:
    """The value, with every `@{name.field}` replaced from that earlier call's response."""
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        if whole:
            return _look_up(whole, earlier)
        return REFERENCE.sub(lambda match: str(_look_up(match, earlier)), value)
    if isinstance(value, dict):
        return {name: _resolve(inner, earlier) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, earlier) for inner in value]
    return value


def _look_up(match: re.Match[str], earlier: dict[str, Any]) -> Any:
    found = earlier.get(match[1])
    for name, index in STEP.findall(match[2]):
        if name and isinstance(found, dict):
            found = found.get(name)
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            found = None
    if found is None or isinstance(found, dict | list):
        path = match[1] + match[2]
        raise RequestRefusedError(
            400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {path} found in {match[1]}"
        )
    return found


def _failed(answer: dict[str, Any]) -> bool:
    if answer["httpStatusCode"] >= HTTPStatus.BAD_REQUEST:
        return True
    rows = answer["body"] if isinstance(answer["body"], list) else []
    return any(isinstance(row, dict) and row.get("success") is False for row in rows)


def _rendered(name: str, status: int, body: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "body": [_escaped(entry) for entry in body],
        "httpHeaders": {},
        "httpStatusCode": status,
        "referenceId": name,
    }


def _escaped_results(body: Any) -> Any:
    """The body of a collection with its error texts escaped; other bodies unchanged."""
    if not isinstance(body, list):
        return body
    for row in body:
        if isinstance(row, dict) and row.get("success") is False:
            row["errors"] = [_escaped(error) for error in row["errors"]]
    return body


def _escaped(error: dict[str, Any]) -> dict[str, Any]:
    """Composite responses have messages as HTML, unlike all others."""
    return {**error, "message": html.escape(error["message"]).replace("&#x27;", "&#39;")}
