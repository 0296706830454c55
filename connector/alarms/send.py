"""Sends a message to an address by apprise, which knows the formats of mail, Slack, Teams and many others."""

import asyncio
import logging
import warnings

import apprise

from connector.alarms.policy import Message

TYPES = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}
# Its own log names addresses, which are secrets.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


def is_address(address: str) -> bool:
    """Whether apprise knows an address of this form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # one of its hundred plug-ins uses what Python 3.13 has not
        return apprise.Apprise.instantiate(address, suppress_exceptions=True) is not None


async def send(address: str, message: Message) -> bool:
    """Send the message; whether the service of the recipient accepted it. It waits a few seconds at most for an answer."""
    target = apprise.Apprise()
    if not target.add(address):
        return False
    body, title, kind = message.body, message.title, TYPES[message.severity]
    return bool(await asyncio.to_thread(target.notify, body=body, title=title, notify_type=kind))
