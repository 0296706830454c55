"""The operating system's side of a service: signals as wishes, systemd's notifications and watchdog, passed sockets, memory.

sd_notify is ten lines, and the libraries for it bring more than they save. Sources: sd_notify(3), sd_listen_fds(3).
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
FEEDS_IN_TIME = 3  # times within WatchdogSec: one may be late
# New objects between two searches for cycles. A batch on its way is some ten thousand, none of them in a cycle: with Python's 700
# a quarter of the time of a delivery went into looking through it.
SEARCH_EVERY = 20_000


def tune_garbage_collector() -> None:
    """Let Python look for cycles seldom, and never among what is there now: it lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(SEARCH_EVERY)


class Signals:
    """What the operator wants of the running service, as events. A second wish to stop is left to the system's default: it kills."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()  # the one who reloads clears it first

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
    """Tells systemd how we are. Without systemd it says nothing to nobody."""

    def __init__(self, address: str | None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        # A leading @ stands for the zero byte of an abstract address.
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._monotonic = monotonic

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Self:
        """The one that systemd named; taken out of the environment, so that no child speaks for us."""
        return cls(environ.pop("NOTIFY_SOCKET", None))

    def ready(self) -> None:
        """The doors are open, or open again with new mappings."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The mappings are being read again. systemd wants the time on its own clock with it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """We leave, and finish what we hold."""
        self._send("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(words.split())}")

    def feed(self) -> None:
        """We live."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # systemd being away or busy is no reason to fall over.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.setblocking(False)
            speaker.connect(self._address)
            speaker.send(message.encode())


def watchdog_interval(environ: MutableMapping[str, str] = os.environ) -> float | None:
    """Seconds between two feeds, or None where nobody watches us: WATCHDOG_USEC, if meant for this process (WATCHDOG_PID)."""
    limit, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not limit.isdigit() or int(limit) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(limit) / 1_000_000 / FEEDS_IN_TIME


async def keep_fed(
    notifier: Notifier,
    interval: float,
    alive: Callable[[], bool],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Feed the watchdog while `alive` says so; runs until it is cancelled.

    Fed from the event loop, so a blocked loop starves it; `alive` stands for the writer, the planner and the deliveries, so
    that a hang of theirs does too.
    """
    while True:
        if alive():
            notifier.feed()
        await sleep(interval)


def passed_sockets(environ: MutableMapping[str, str] = os.environ, *, first: int = FIRST_PASSED) -> list[socket.socket]:
    """The listening sockets that systemd passed to this process, in its order; none where it passed none."""
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
