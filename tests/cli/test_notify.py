"""`connector notify`: a real receiver on this machine takes what apprise sends."""

import json

import pytest
from aiohttp import web


@pytest.fixture
def receiver(threaded):
    taken = []
    app = web.Application()

    async def take(request):
        taken.append(await request.json())
        return web.Response(status=500 if "broken" in request.path else 200)

    app.router.add_post("/{path:.*}", take)
    with threaded(app) as url:
        yield url.replace("http://", "json://"), taken


def tell(home, *addresses, rest=""):
    recipients = []
    for number, address in enumerate(addresses, start=1):
        file = home.directory / f"address-{number}"
        file.write_text(address)
        file.chmod(0o600)
        recipients.append(f"    - {{address: {{file: {file.name}}}}}")
    home.config.write_text("\n".join(["notify:", "  to:", *recipients, rest, home.config.read_text()]))


def test_a_test_message_reaches_every_recipient(home, receiver):
    url, taken = receiver
    tell(home, f"{url}/alarms", f"{url}/broken")
    done = home.run("notify", "test", "--severity", "critical")
    assert done.exit_code == 1, (done.output, done.exc_info)
    assert "recipient 1 (json): the message was sent" in done.stdout
    assert "recipient 2 (json): the message was NOT sent" in done.stdout
    assert [one["title"] for one in taken] == ["[critical] connector: test"] * 2
    assert url.partition("//")[2] not in done.output


def test_an_invalid_address_is_reported_without_showing_it(home):
    tell(home, "hunter2-secret")
    done = home.run("notify", "test")
    assert (done.exit_code, "recipient 1 of notify: the file address-1 holds no address" in done.stdout) == (1, True)
    assert "hunter2" not in done.output


def test_without_recipients_the_cure_is_shown(home):
    done = home.run("notify", "test")
    assert (done.exit_code, "under `notify: to:`" in done.stderr) == (2, True)


def test_the_digest_is_shown_and_sent(home, receiver):
    url, taken = receiver
    tell(home, f"{url}/digest")

    async def nothing(scene):
        return scene

    home.on_the_road(nothing)
    assert "0 opt-ins, 0 opt-outs" in home.run("notify", "digest").stdout
    assert taken == []
    said = json.loads(home.run("notify", "digest", "--send", "--json").stdout)
    assert (said["ok"], said["recipients"][0]["taken"]) == (True, True)
    assert "0 opt-ins, 0 opt-outs" in taken[0]["message"]
