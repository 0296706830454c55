"""The operating system's side of a service: signals, systemd's notifications and watchdog, passed sockets, memory.

sd_notify is ten lines; a library for it would add more than it saves. Sources: sd_notify(3), sd_listen_fds(3).
"""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from types import TracebackType
from typing import Self

FIRST_PASSED = 3  # sd_listen_fds(3): the first descriptor that systemd passes
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STATUS_EVERY = 5.0  # seconds between two updates of the state
NOTIFICATIONS_PER_LIMIT = 3  # notifications of the watchdog within WatchdogSec: one may be late
# New objects between two searches for cycles. A batch in progress has some ten thousand, none of them in a cycle. With
# Python's 700 a quarter of a delivery's time went into searching it.
OBJECTS_BETWEEN_SEARCHES = 20_000


def tune_garbage_collector() -> None:
    """Make Python search for cycles rarely, and never among the objects that exist now: they live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)


class Signals:
    """The operator's signals as events. A second stop signal gets the system's default action, which kills the process."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()  # the code that reloads clears it first

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        self.stop.set()
        asyncio.get_running_loop().remove_signal_handler(number)


class Notifier:
    """Tells systemd the state of the service. Without systemd it does nothing."""

    def __init__(self, address: str | None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        # A leading @ means the zero byte of an abstract address.
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._monotonic = monotonic

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Self:
        """The notifier that systemd's environment names. It is removed there, so that no child process uses it."""
        return cls(environ.pop("NOTIFY_SOCKET", None))

    def ready(self) -> None:
        """The endpoints are open, or open again with new mappings."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The mappings are being reloaded. systemd also wants the time by its own clock."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """The service stops, and finishes its work."""
        self._send("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(words.split())}")

    def notify_watchdog(self) -> None:
        """Notify the watchdog that the process is alive."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # If systemd is away or busy, the notification is lost and the service continues.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.setblocking(False)
            speaker.connect(self._address)
            speaker.send(message.encode())


def watchdog_interval(environ: MutableMapping[str, str] = os.environ) -> float | None:
    """Seconds between two watchdog notifications, or None without a watchdog.

    From WATCHDOG_USEC, if it is meant for this process (WATCHDOG_PID).
    """
    limit, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not limit.isdigit() or int(limit) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(limit) / 1_000_000 / NOTIFICATIONS_PER_LIMIT


async def keep_notifying_watchdog(
    notifier: Notifier,
    interval: float,
    alive: Callable[[], bool],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Notify the watchdog while `alive` returns true; runs until it is cancelled.

    It runs in the event loop, so a blocked loop stops it. `alive` covers the writer, the planner and the deliveries,
    so a hang of these stops it too.
    """
    while True:
        if alive():
            notifier.notify_watchdog()
        await sleep(interval)


async def keep_status(
    notifier: Notifier, line: Callable[[], str], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Show the state of the service in `systemctl status` whenever it changes; runs until it is cancelled."""
    reported = ""
    while True:
        if (current := line()) != reported:
            notifier.status(current)
            reported = current
        await sleep(STATUS_EVERY)


def passed_sockets(environ: MutableMapping[str, str] = os.environ, *, first: int = FIRST_PASSED) -> list[socket.socket]:
    """The listening sockets that systemd passed to this process, in its order; empty if none."""
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or pid != str(os.getpid()):
        return []
    sockets = []
    for descriptor in range(first, first + int(count)):
        os.set_inheritable(descriptor, False)
        passed = socket.socket(fileno=descriptor)
        passed.setblocking(False)
        sockets.append(passed)
    return sockets
