"""Which tests are slow: those that need the daemon, a sandbox or a process of their own, or take seconds.

`make test-fast` leaves them out. A folder of SLOW_FOLDERS is slow as a whole, and so is a test that uses a fixture of
SLOW_FIXTURES; elsewhere `pytest.mark.slow` says it. Without the mark, a test that starts a process fails, and so does one
that opens a port, except in PORT_FOLDERS: a listener and an HTTP client are nothing without one.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from connector.process import tune_garbage_collector

TESTS = Path(__file__).parent
# A busy machine, or one that measures coverage, may take seconds for what is quick: time is no reason to fail.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
NOT_SLOW = "not slow"  # the -m of `make test-fast` and `make coverage`
SLOW_FOLDERS = {"acceptance", "cli", "console", "flow", "sandbox"}
SLOW_FIXTURES = {"org"}
PORT_FOLDERS = {"delivery", "web"}
# Events of Python's audit hooks.
PORT = "socket.bind"
PROCESS = {"subprocess.Popen", "os.fork", "os.posix_spawn"}


class NotFast(Exception):  # noqa: N818 - it says what the test is.
    """A test without the mark does what only a slow test may do."""


class Guard:
    """An audit hook, which Python calls for every port and process. It cannot be removed, so one serves all tests."""

    refused = frozenset()

    def __call__(self, event, _args):
        if event in self.refused:
            raise NotFast(f"{event}: mark the test with pytest.mark.slow, or do without")


guard = Guard()
sys.addaudithook(guard)


def folder(item):
    return item.path.relative_to(TESTS).parts[0]


def pytest_ignore_collect(collection_path, config):
    """`make test-fast` does not even read the folders that are slow as a whole."""
    return (
        config.option.markexpr == NOT_SLOW and collection_path.parent == TESTS and collection_path.name in SLOW_FOLDERS
    ) or None


def pytest_collection_modifyitems(items):
    for item in items:
        if folder(item) in SLOW_FOLDERS or SLOW_FIXTURES & {*item.fixturenames}:
            item.add_marker("slow")


def pytest_collection_finish():
    # As the daemon does: searching nine thousand tests for cycles, again and again, takes a fifth of all time.
    tune_garbage_collector()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    if item.get_closest_marker("slow") is None:
        guard.refused = PROCESS if folder(item) in PORT_FOLDERS else {*PROCESS, PORT}
    try:
        return (yield)
    finally:
        guard.refused = frozenset()
