import asyncio
import configparser
import gc
import os
import shutil
import signal
import socket
import subprocess
import weakref
from pathlib import Path

import pytest

from connector.process import (
    Notifier,
    Signals,
    keep_notifying_watchdog,
    keep_status,
    passed_sockets,
    tune_garbage_collector,
    watchdog_interval,
)

UNIT = Path(__file__).parent.parent / "systemd" / "connector.service"


@pytest.fixture
def systemd(tmp_path):
    """A socket as systemd listens on it, by path."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(5)
        yield path, listener


@pytest.mark.slow
def test_systemd_is_told_the_state_of_the_service(systemd):
    path, listener = systemd
    environ = {"NOTIFY_SOCKET": str(path)}
    notifier = Notifier.from_environment(environ)
    assert environ == {}
    for say, on_reply in (
        (notifier.ready, b"READY=1"),
        (notifier.stopping, b"STOPPING=1"),
        (notifier.notify_watchdog, b"WATCHDOG=1"),
        (lambda: notifier.status("two\nlines"), b"STATUS=two lines"),
    ):
        say()
        assert listener.recv(1000) == on_reply


@pytest.mark.slow
def test_a_reload_notification_has_the_monotonic_time(systemd):
    path, listener = systemd
    Notifier(str(path), monotonic=lambda: 1.5).reloading()
    assert listener.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=1500000"


@pytest.mark.slow
def test_an_abstract_socket_address_is_notified():
    name = f"connector-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        Notifier(f"@{name}").ready()
        assert listener.recv(1000) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "x" * 500])
def test_without_systemd_nothing_happens(address):
    Notifier(address).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_notified_three_times_within_its_limit(environ, seconds):
    assert watchdog_interval(environ) == seconds
    assert environ == {}


@pytest.mark.slow
async def test_the_watchdog_is_notified_only_while_the_daemon_is_healthy(systemd):
    path, listener = systemd
    listener.setblocking(False)
    rounds = []
    on_reply = []

    async def sleep(seconds):
        rounds.append(seconds)
        try:
            on_reply.append(listener.recv(1000))
        except BlockingIOError:
            on_reply.append(None)
        if len(rounds) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_notifying_watchdog(Notifier(str(path)), 10.0, lambda: len(rounds) != 1, sleep=sleep)
    assert rounds == [10.0, 10.0, 10.0]
    assert on_reply == [b"WATCHDOG=1", None, b"WATCHDOG=1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_signal_sets_the_stop_event(number):
    before = signal.getsignal(number)
    with Signals() as signals:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await signals.stop.wait()
        # The next one would do what it always does.
        assert signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}
    signal.signal(number, before)


async def test_each_hangup_signal_sets_the_reload_event():
    with Signals() as signals:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(5):
                await signals.reload.wait()
            signals.reload.clear()
        assert not signals.stop.is_set()


@pytest.mark.slow
def test_sockets_passed_by_systemd_are_used_in_their_order():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        names = [one.getsockname(), two.getsockname()]
        first = 200
        os.dup2(one.fileno(), first)
        os.dup2(two.fileno(), first + 1)
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "a:b", "OTHER": "x"}
    passed = passed_sockets(environ, first=first)
    assert [sock.getsockname() for sock in passed] == names
    assert not any(os.get_inheritable(sock.fileno()) for sock in passed)
    assert environ == {"OTHER": "x"}
    for sock in passed:
        sock.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_sockets_passed_to_another_process_are_ignored(environ):
    assert passed_sockets(environ) == []


class Unit(configparser.RawConfigParser):
    optionxform = staticmethod(str)


@pytest.fixture(scope="module")
def unit():
    """The unit file; of a key that stands several times, the values joined."""
    text = UNIT.read_text()
    parser = Unit(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_the_systemd_unit_has_the_settings_that_the_daemon_needs(unit):
    service = unit["Service"]
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    for key, value in {
        "Type": "notify",
        "NotifyAccess": "main",
        "Restart": "always",
        "RestartSec": "2",
        "WatchdogSec": "30",
        "ExecReload": "/opt/connector/bin/connector --config /etc/connector/config.yaml reload",
        "User": "connector",
        "RestartSteps": "8",
        "RestartMaxDelaySec": "60",
        "StateDirectory": "connector",
        "StateDirectoryMode": "0700",
        "UMask": "0077",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
    }.items():
        assert service[key] == value, key
    # The secrets are in the drop-in that `connector init` writes: with a file that is missing the unit would not start.
    assert not any(line.startswith("LoadCredential") for line in UNIT.read_text().splitlines())
    # A type that systemd 252 of Debian 12 does not know yet.
    assert "notify-reload" not in UNIT.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.slow
def test_systemd_analyze_accepts_the_unit_and_rates_it_secure():
    verdict = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False, timeout=60
    )
    lines = [line for line in (verdict.stdout + verdict.stderr).splitlines() if "is not executable" not in line]
    # systemd 252 does not know these yet, and says that it goes on without them.
    lines = [line for line in lines if "RestartSteps" not in line and "RestartMaxDelaySec" not in line]
    assert lines == []
    subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=12", str(UNIT)],
        capture_output=True,
        check=True,
        timeout=60,
    )


@pytest.fixture
def collector():
    """Python's own settings, given back afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.slow
def test_cycles_of_new_objects_are_still_collected(collector):
    tune_garbage_collector()

    class Node:
        pass

    gone = []
    node = Node()
    node.itself = node
    weakref.finalize(node, gone.append, "node")
    del node
    kept = [[] for _ in range(2 * gc.get_threshold()[0])]
    assert gone == ["node"], len(kept)


async def test_the_status_line_is_sent_when_it_changes():
    sent, lines = [], iter(["0 events waiting", "0 events waiting", "1 event waiting"])

    class Recorder(Notifier):
        def status(self, words):
            sent.append(words)

    async def sleep(_):
        if len(sent) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_status(Recorder(None), lambda: next(lines), sleep=sleep)
    assert sent == ["0 events waiting", "1 event waiting"]


def test_systemd_sysusers_creates_the_service_user(unit):
    lines = UNIT.with_suffix(".sysusers").read_text().splitlines()
    (user,) = [line.split() for line in lines if not line.startswith("#")]
    assert user[:2] == ["u", unit["Service"]["User"]]
    assert user[-1] == f"/var/lib/{unit['Service']['StateDirectory']}"
