import re
from datetime import timedelta

import pytest
from console.browserless import audit_of, client
from console.harness import IN_ONE_LOOP

from connector.admin import AdminContext
from connector.web.console.console import NUMBERS, SIGN_IN, SIGN_OUT, Console
from connector.web.console.request import Role
from connector.web.console.screens.all_screens import SCREENS
from connector.web.console.static_files import static_files
from connector.web.listener import Listener

pytestmark = IN_ONE_LOOP
PAGES = [one for screen in SCREENS for one in screen.pages]
ACTIONS = [one for screen in SCREENS for one in screen.actions]


def filled(path):
    """A path with a number for each of its values."""
    return re.sub(r"\{[a-z_]+\}", "1", path)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "a b"])
@pytest.mark.parametrize("path", ["/console/now", "/console/sign-in", "/"])
async def test_a_foreign_host_name_is_refused(world, host, path):
    async with client(world, "admin") as browser:
        reply = await browser.get(path, Host=host or " ")
    assert reply.status in {400, 421}
    assert "csrf" not in reply.text


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:9", "[::1]:8081"])
async def test_a_tunnel_to_another_port_works(world, host):
    async with client(world, "viewer") as browser:
        assert (await browser.get("/console/now", Host=host)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": "", "Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "", "Origin": "http://[::1"},
    ],
)
async def test_a_form_of_another_site_is_refused(world, headers):
    async with client(world, "admin") as browser:
        assert (await browser.post(NUMBERS, {"show": "yes"}, **headers)).status == 403
        assert ("tester", "show numbers", "") not in audit_of(world)


async def test_a_browser_that_sends_only_origin_works(world):
    async with client(world, "admin") as browser:
        headers = {"Sec-Fetch-Site": "", "Origin": browser.base}
        assert (await browser.post(NUMBERS, {"show": "no"}, **headers)).status == 303


@pytest.mark.parametrize("token", ["", "0" * 64, "ø"])
async def test_a_form_without_the_sessions_token_is_refused(world, token):
    async with client(world, "admin") as browser:
        reply = await browser.post(NUMBERS, {"show": "yes"}, csrf=token)
    assert (reply.status, "earlier session" in reply.text) == (403, True)


async def test_the_token_of_another_session_is_refused(world):
    async with client(world, "admin") as one, client(world, "admin") as other:
        assert (await one.post(NUMBERS, {"show": "yes"}, csrf=other.csrf)).status == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=a"])
async def test_only_form_bodies_are_accepted(world, kind):
    async with client(world, "admin") as browser:
        assert (await browser.post(NUMBERS, {"show": "yes"}, **{"Content-Type": kind})).status == 415
        assert (await browser.post(NUMBERS, {"show": "yes"}, **{"Content-Encoding": "deflate"})).status in {400, 415}


async def test_a_form_has_at_most_64_kib_and_5000_fields(world):
    async with client(world, "admin") as browser:
        assert (await browser.post(NUMBERS, {"show": "x" * 65_536})).status == 413
        assert (await browser.post(NUMBERS, {f"f{number}": "" for number in range(5001)})).status == 400
        assert (await browser.post(NUMBERS, {"show": "x" * 60_000})).status == 303


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(world, method):
    async with client(world, "admin") as browser:
        assert (await browser._ask(method, "/console/now", {})).status == 405


async def test_every_reply_has_the_security_policy_and_is_not_cached(world):
    async with client(world, "viewer") as browser, client(world) as stranger:
        replies = [
            await browser.get("/console/now"),
            await browser.get("/console/no-such-page"),
            await browser.get("/console/now", Host="evil.example"),
            await browser.post(NUMBERS),
            await stranger.get("/console/now"),
            await stranger.get(SIGN_IN),
        ]
        kept = await stranger.get(static_files()["console.css"].address)
    assert [reply.status for reply in replies] == [200, 404, 421, 403, 303, 200]
    for reply in [*replies, kept]:
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "same-origin"
    assert {reply.headers["Cache-Control"] for reply in replies} == {"no-store"}
    assert (kept.status, "immutable" in kept.headers["Cache-Control"]) == (200, True)


async def test_a_static_address_with_another_hash_or_a_path_upwards_is_not_found(world):
    async with client(world) as stranger:
        for path in ("/console/static/0000/console.css", "/console/static/%252e%252e/console.py", "/console/static/"):
            assert (await stranger.get(path)).status == 404


async def test_the_webhook_listener_has_no_console(world):
    async with client(world) as stranger:
        stranger.base = world.app.url
        for path in ("/", "/console/", "/console/now", SIGN_IN):
            assert (await stranger.get(path)).status == 404


@pytest.mark.parametrize("path", [filled(one.path) for one in PAGES])
async def test_a_page_without_a_session_leads_to_the_sign_in(world, path):
    async with client(world) as stranger:
        assert (await stranger.get(path)).is_sign_in
        reply = await stranger.get(path, HX_Request="true")
    assert (reply.status, reply.headers["HX-Redirect"]) == (204, SIGN_IN)


@pytest.mark.parametrize("path", [*(filled(one.path) for one in ACTIONS), NUMBERS, SIGN_OUT])
async def test_an_action_without_a_session_leads_to_the_sign_in(world, path):
    async with client(world) as stranger:
        assert (await stranger.post(path)).is_sign_in


@pytest.mark.parametrize("one", [one for one in ACTIONS if one.role is not Role.VIEWER], ids=lambda one: one.path)
async def test_a_user_with_a_lower_role_is_refused_an_action(world, one):
    lower = list(Role)[list(Role).index(one.role) - 1]
    async with client(world, lower.value, user="lower") as browser:
        reply = await browser.post(filled(one.path))
    assert (reply.status, f"needs the role {one.role.value}" in reply.text) == (403, True)
    assert ("lower", one.name, "1") not in audit_of(world)


async def test_a_viewer_cannot_show_numbers(world):
    async with client(world, "viewer") as browser:
        assert (await browser.post(NUMBERS, {"show": "yes"})).status == 403
        assert "Show numbers" not in (await browser.get("/console/now")).text


async def test_a_refused_action_is_a_message_for_htmx(world):
    async with client(world, "viewer") as browser:
        reply = await browser.post(NUMBERS, {"show": "yes"}, HX_Request="true")
    assert reply.status == 403
    assert reply.text.startswith('<p class="error"')


async def test_a_bug_in_a_page_is_reported_without_data_and_the_listener_continues(world):
    async def bug(payload):
        raise KeyError("+4790000001")

    facts = []
    context = AdminContext.of(
        world.app.store, rules=lambda: world.app.pipeline.rules, loaded=world.app.loaded, now=world.clock.now
    )
    console = Console(context, {"status": bug}, address=str, monotonic=world.clock.monotonic, emit=facts.append)
    listener = Listener(console.handle, host="127.0.0.1", port=0, linger=timedelta())
    try:
        base = await listener.start()
        async with client(world, "viewer") as browser:
            browser.base = base
            reply = await browser.get("/console/now")
            assert (reply.status, "This is a bug" in reply.text) == (500, True)
            assert "90000001" not in reply.text
            assert (await browser.get("/console/no-such-page")).status == 404
        (fact,) = facts
        assert (fact.worker, fact.error.startswith("KeyError")) == ("console", True)
    finally:
        await listener.stop()
