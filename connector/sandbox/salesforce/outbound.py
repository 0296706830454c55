"""Sends outbound messages as an org's Flow does: SOAP to a URL, repeated until the receiver acknowledges.

SOAP API Developer Guide, "Outbound Messaging": at least once, unordered, 1 to 100 notifications each, with the values
at the time of sending.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Any
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import ClientTimeout

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.identifiers import record_id

MOST_NOTIFICATIONS = 100  # per message
ANSWER_SECONDS = 60.0  # timeout of a receiver's response
LONGEST_GAP = 7200.0  # seconds between two attempts
FIRST_GAP = 1.0  # seconds; Salesforce does not document it, and a sandbox need not be slow

NOTE = (
    '<Notification><Id>{id}</Id><sObject xsi:type="sf:{name}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
    "{fields}</sObject></Notification>"
)
MESSAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
    '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
    "<OrganizationId>{org}</OrganizationId><ActionId>{action}</ActionId>"
    '<SessionId xsi:nil="true"/><EnterpriseUrl>{base}/services/Soap/c/62.0</EnterpriseUrl>'
    "<PartnerUrl>{base}/services/Soap/u/62.0</PartnerUrl>{notes}</notifications></soapenv:Body></soapenv:Envelope>"
)

Read = Callable[[SObject, Sequence[str], Sequence[str]], list[dict[str, Any] | None]]


@dataclass(slots=True, kw_only=True)
class Target:
    """The receiver of messages about one object, and its unacknowledged ones (notification id → record id)."""

    url: str
    sobject: SObject
    fields: tuple[str, ...]
    first_gap: float = FIRST_GAP
    action: str = ""
    waiting: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    acknowledged: int = 0

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {
            "url": self.url,
            "object": self.sobject.name,
            "fields": list(self.fields),
            "waiting": len(self.waiting),
            "attempts": self.attempts,
            "acknowledged": self.acknowledged,
        }


class Outbound:
    """All targets, each with its task."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._targets: dict[str, tuple[Target, asyncio.Event, asyncio.Task[None]]] = {}
        self._numbers = count(1)

    def add(self, target: Target) -> None:
        """Start sending changes of the target's object to it."""
        target.action = record_id("04k", next(self._numbers))
        wake = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._serve(target, wake))
        self._targets[target.action] = (target, wake, task)

    def changed(self, sobject: SObject, ids: Sequence[str]) -> None:
        """Queue messages: a person has changed these records."""
        for target, wake, _ in self._targets.values():
            if target.sobject is sobject:
                for record in ids:
                    target.waiting[record_id("04l", next(self._numbers))] = record
                wake.set()

    def as_json(self) -> list[dict[str, Any]]:
        """The JSON for the control interface."""
        return [target.as_json() for target, _, _ in self._targets.values()]

    async def stop(self) -> None:
        """Remove all targets; unacknowledged messages are lost, as after Salesforce's 24 hours."""
        tasks = [task for _, _, task in self._targets.values()]
        self._targets.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _serve(self, target: Target, wake: asyncio.Event) -> None:
        gap = target.first_gap
        async with aiohttp.ClientSession(timeout=ClientTimeout(total=ANSWER_SECONDS)) as session:
            while True:
                await wake.wait()
                portion = list(target.waiting.items())[:MOST_NOTIFICATIONS]
                target.attempts += 1
                if await self._acknowledged(session, target, portion):
                    gap = target.first_gap
                    target.acknowledged += len(portion)
                    for notification, _ in portion:
                        target.waiting.pop(notification, None)
                    if not target.waiting:
                        wake.clear()
                else:
                    await asyncio.sleep(gap)
                    gap = min(gap * 2, LONGEST_GAP)

    async def _acknowledged(
        self, session: aiohttp.ClientSession, target: Target, portion: list[tuple[str, str]]
    ) -> bool:
        records = self._read(target.sobject, [record for _, record in portion], target.fields)
        notes = "".join(
            NOTE.format(id=notification, name=target.sobject.name, fields=_elements(values))
            for (notification, _), values in zip(portion, records, strict=True)
            if values is not None
        )
        if not notes:
            return True
        message = MESSAGE.format(
            org=org.ORGANIZATION, action=target.action, base="https://sandbox.my.salesforce.com", notes=notes
        )
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
        try:
            async with session.post(target.url, data=message.encode(), headers=headers) as answer:
                body = await answer.text(errors="replace")
                return answer.status == HTTPStatus.OK and "<Ack>true</Ack>" in body.replace(" ", "")
        except (aiohttp.ClientError, TimeoutError):
            return False


def _elements(values: dict[str, Any]) -> str:
    """The fields of a record as XML, without null fields."""
    return "".join(
        f"<sf:{name}>{escape(str(value).lower() if isinstance(value, bool) else str(value))}</sf:{name}>"
        for name, value in values.items()
        if name != "attributes" and value is not None
    )
