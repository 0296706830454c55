"""The daemon as a process, with commands running beside it."""

import os
import queue
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest
from admin.scene import make_home
from aiohttp import web

from connector.sandbox.salesforce.app import build

SECRETS = {"SCENE_STREX_SECRET": "path-secret", "SCENE_STREX_KEY": "api-key", "SCENE_SF_SECRET": "sandbox"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def started(home):
    words = [sys.executable, "-m", "connector", "--config", str(home.config), "run"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ | SECRETS)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def ready(home, threaded):
    port = free_port()
    with threaded(build()) as org:
        make_home(home.directory, port=port)
        text = home.config.read_text().replace("https://acme.my.salesforce.com", org)
        text = text.replace("client_id: app", "client_id: sandbox")
        home.config.write_text(f"listen: {{port: 0}}\n{text}")
        yield home


def test_the_daemon_runs_answers_reloads_and_ends_at_sigterm(ready):
    with started(ready) as process:
        lines = iter(process.stderr.readline, "")
        assert any("listening" in line for line in lines)
        assert "Events: 0 received" in ready.run("status").stdout
        assert "/console/ (`connector console login`" in ready.run("status").stdout
        with urllib.request.urlopen(ready.json("console", "login")["url"]) as page:
            assert b"This link works once" in page.read()
        assert "-L " in ready.run("console", "login", "--role", "viewer").stdout
        assert ready.run("reload").exit_code == 0
        path = ready.mappings / "strex-log.yaml"
        path.write_text(path.read_text().replace("everything else", "all the rest"))
        tried = ready.run("reload", "--dry-run").stdout
        assert f"+ added   {path.name}: all the rest" in tried
        assert f"- removed {path.name}: everything else" in tried
        assert "0 of the last week's 0 events" in tried
        done = ready.run("reload").stdout
        assert all(f"{path.name}: {name}" in done for name in ("all the rest", "everything else"))
        assert "no rule differs" in ready.run("reload").stdout
        ready.edit("strex-log.yaml", "on: [strex.message,", "on: [strex.mesage,")
        refused = ready.run("reload")
        place = f"{path.name}:6:6: "
        assert (refused.exit_code, place in refused.stderr) == (1, True), refused.stderr
        assert place in ready.run("status").stdout
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_second_daemon_on_the_same_file_is_refused_with_the_first_one_s_pid(ready):
    with started(ready) as process:
        assert any("listening" in line for line in iter(process.stderr.readline, ""))
        second = subprocess.run(
            process.args, capture_output=True, text=True, env=os.environ | SECRETS, check=False, timeout=60
        )
        assert second.returncode == 3
        assert f"process {process.pid}" in second.stderr


def test_a_port_in_use_is_reported_with_its_cure(ready):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        text = ready.config.read_text().replace("listen: {port: 0}", f"listen: {{port: {other.getsockname()[1]}}}")
        ready.config.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "connector", "--config", str(ready.config), "run"],
            capture_output=True,
            text=True,
            env=os.environ | SECRETS,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert "the port is in use" in done.stderr


@pytest.mark.parametrize(
    ("host", "cure"),
    [
        ("no-such-host.invalid", "no-such-host.invalid` is no address"),
        ("192.0.2.77", "set `host` in the config to one"),
    ],
)
def test_a_host_that_this_machine_does_not_have_is_reported_with_its_cure(ready, host, cure):
    ready.config.write_text(ready.config.read_text().replace("listen: {port: 0}", f"listen: {{host: {host}, port: 0}}"))
    done = subprocess.run(
        [sys.executable, "-m", "connector", "--config", str(ready.config), "run"],
        capture_output=True,
        text=True,
        env=os.environ | SECRETS,
        check=False,
        timeout=60,
    )
    assert (done.returncode, cure in done.stderr, "bug" in done.stderr) == (2, True, False), done.stderr


def test_a_secret_with_a_line_break_is_a_config_that_cannot_be_used(home, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SCENE_STREX_KEY", "two\nlines")
    done = home.run("run")
    assert (done.exit_code, "write the secret it is made of on one line" in done.stderr) == (2, True)


def test_the_daemon_does_not_start_without_its_secrets(home):
    done = home.run("run")
    assert done.exit_code == 2
    assert "SCENE_S" in done.stderr


def test_a_failed_start_under_systemd_has_a_priority_and_its_exit_code(home, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    monkeypatch.setenv("INVOCATION_ID", "1")
    done = home.run("run")
    assert done.exit_code == 82
    assert all(line.startswith("<3>") for line in done.stderr.splitlines() if line)


def test_an_alarm_of_the_running_daemon_reaches_a_person(ready, threaded):
    taken, app = queue.Queue(), web.Application()

    async def take(request):
        taken.put(await request.json())
        return web.Response()

    app.router.add_post("/alarms", take)
    with threaded(app) as url:
        address = ready.directory / "address"
        address.write_text(f"{url.replace('http', 'json')}/alarms\n")
        address.chmod(0o600)
        ready.config.write_text(f"notify: {{to: [{{address: {{file: address}}}}]}}\n{ready.config.read_text()}")
        with started(ready) as process:
            assert any("listening" in line for line in iter(process.stderr.readline, ""))
            path = ready.edit("strex-log.yaml", "on: [strex.message,", "on: [strex.mesage,")
            assert ready.run("reload").exit_code == 1
            raised = taken.get(timeout=60)
            assert raised["title"] == "[warning] connector: mappings"
            assert f"{path.name}:6:6" in raised["message"]
            ready.edit("strex-log.yaml", "on: [strex.mesage,", "on: [strex.message,")
            assert ready.run("reload").exit_code == 0
            assert taken.get(timeout=60)["title"] == "[ended] connector: mappings"
