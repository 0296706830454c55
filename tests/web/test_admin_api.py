import stat
from datetime import timedelta

import aiohttp
import pytest

from connector.model.errors import ConnectorError
from connector.model.problem import Position, Problem, ProblemsFound
from connector.telemetry.log_events import WorkerFailed
from connector.web.admin_api import AdminHandler, write_token
from connector.web.listener import Listener

TOKEN = "the-token"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


class Commands:
    def __init__(self):
        self.facts = []
        self.unhealthy = []
        self.not_ready = []
        self.asked = []

    async def echo(self, payload):
        self.asked.append(payload)
        return {"payload": payload}

    async def fix(self, payload):
        raise ConnectorError("do this")

    async def reload(self, payload):
        raise ProblemsFound([Problem(file="a.yaml", position=Position(1, 2), code="x", message="wrong", hint="cure")])

    async def bug(self, payload):
        raise KeyError("+4790000001")


@pytest.fixture
async def app():
    here = Commands()
    commands = {"echo": here.echo, "fix": here.fix, "reload": here.reload, "bug": here.bug}
    admin = AdminHandler(
        commands,
        token=TOKEN,
        unhealthy=lambda: here.unhealthy,
        not_ready=lambda: here.not_ready,
        metrics=lambda: (b"up 1\n", "text/plain; version=0.0.4"),
        emit=here.facts.append,
    )
    listener = Listener(admin.handle, host="127.0.0.1", port=0, linger=timedelta())
    base = await listener.start()
    async with aiohttp.ClientSession(base) as here.client:
        yield here
    await listener.stop()


@pytest.mark.parametrize(("path", "reasons"), [("/healthz", "unhealthy"), ("/readyz", "not_ready")])
async def test_health_reports_its_reasons(app, path, reasons):
    async with app.client.get(path) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})
    getattr(app, reasons).append("the writer does not answer")
    async with app.client.get(path) as answer:
        assert answer.status == 503
        assert (await answer.json())["reasons"] == ["the writer does not answer"]


async def test_metrics_are_served_unchanged(app):
    async with app.client.get("/metrics") as answer:
        assert (answer.status, await answer.read()) == (200, b"up 1\n")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_command_gets_a_json_object_and_returns_one(app):
    async with app.client.post("/admin/echo", json={"a": [1]}, headers=AUTH) as answer:
        assert (answer.status, await answer.json()) == (200, {"payload": {"a": [1]}})
    async with app.client.post("/admin/echo", headers=AUTH) as answer:
        assert (answer.status, await answer.json()) == (200, {"payload": {}})


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}]
)
@pytest.mark.parametrize("command", ["echo", "unheard"])
async def test_a_command_without_the_token_is_refused(app, headers, command):
    async with app.client.post(f"/admin/{command}", json={}, headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json())["cure"]
    assert app.asked == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "", "[", "127.0.0.1.evil.example"])
async def test_a_foreign_host_name_is_refused(app, host):
    async with app.client.post("/admin/echo", json={}, headers={**AUTH, "Host": host}) as answer:
        assert answer.status in {400, 421}
    async with app.client.get("/metrics", headers={"Host": host}) as answer:
        assert answer.status in {400, 421}
    assert app.asked == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8081", "[::1]:8081"])
async def test_each_name_of_loopback_is_served(app, host):
    async with app.client.get("/healthz", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [("fix", 409, "do this"), ("reload", 422, "a.yaml:1:2"), ("bug", 500, "KeyError"), ("unheard", 404, "known: bug")],
)
async def test_an_error_is_reported_with_its_cure(app, command, status, said):
    async with app.client.post(f"/admin/{command}", json={}, headers=AUTH) as answer:
        assert answer.status == status
        text = await answer.text()
    assert said in text
    assert "+47" not in text
    assert [type(fact) for fact in app.facts] == ([WorkerFailed] if command == "bug" else [])


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b'"x"'])
async def test_a_body_that_is_no_json_object_is_refused(app, body):
    async with app.client.post("/admin/echo", data=body, headers=AUTH) as answer:
        assert answer.status == 400
    assert app.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/admin/echo", 405), ("POST", "/metrics", 405), ("GET", "/", 404), ("GET", "/admin", 404)],
)
async def test_other_addresses_and_methods_are_refused(app, method, path, status):
    async with app.client.request(method, path, headers=AUTH) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


def test_the_token_is_new_each_time_and_its_file_private(tmp_path):
    path = tmp_path / "admin.token"
    path.write_text("old")
    path.chmod(0o644)
    first = write_token(path)
    assert path.read_text() == f"{first}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) >= 43
    assert write_token(path) != first
    assert [file.name for file in tmp_path.iterdir()] == ["admin.token"]
