import hashlib
import sqlite3

import pytest
from console.browserless import ahead, audit_of, client, link_of
from console.harness import BLANKS, IN_ONE_LOOP, SECRET, console_world, one_time_link

from connector.telemetry.log_events import Lifecycle
from connector.web.console.console import NUMBERS, SIGN_IN, SIGN_OUT

pytestmark = IN_ONE_LOOP


async def test_a_one_time_link_works_once(world):
    link = link_of(await one_time_link(world, "viewer"))
    async with client(world) as first, client(world) as second:
        assert 'name="link"' in (await first.get(f"{SIGN_IN}?link={link}")).text
        assert (await first.post(SIGN_IN, {"link": link})).to == "/console/now"
        reply = await second.post(SIGN_IN, {"link": link})
    assert (reply.status, "used already" in reply.text) == (403, True)
    assert "Set-Cookie" not in reply.headers


async def test_a_one_time_link_is_valid_for_five_minutes(world):
    link = link_of(await one_time_link(world))
    ahead(world, minutes=5)
    async with client(world) as late:
        assert (await late.post(SIGN_IN, {"link": link})).status == 403


async def test_the_cookie_is_hidden_from_scripts_and_only_its_hash_is_stored(world):
    link = link_of(await one_time_link(world))
    async with client(world) as browser:
        cookie = (await browser.post(SIGN_IN, {"link": link})).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    secret = cookie.partition(";")[0].partition("=")[2]
    with sqlite3.connect(world.app.store.path) as database:
        rows = [row for (row,) in database.execute("SELECT hash FROM console_sessions")]
    database.close()
    assert hashlib.sha256(secret.encode()).hexdigest() in rows
    assert secret not in rows


async def test_a_cookie_is_invalid_after_sign_out(world):
    async with client(world, "admin") as browser, client(world) as thief:
        thief.cookie, thief.csrf = browser.cookie, browser.csrf
        assert (await thief.get("/console/now")).status == 200
        assert (await browser.post(SIGN_OUT)).is_sign_in
        assert (await thief.get("/console/now")).is_sign_in
        assert (await thief.post(NUMBERS, {"show": "yes"})).is_sign_in


async def test_signing_in_again_ends_the_previous_session(world):
    async with client(world, "viewer") as browser:
        before = browser.cookie
        await browser.post(SIGN_IN, {"link": link_of(await one_time_link(world))})
        assert browser.cookie != before
        browser.cookie = before
        assert (await browser.get("/console/now")).is_sign_in


async def test_a_session_ends_after_half_an_hour_without_use(world):
    async with client(world, "viewer") as browser:
        ahead(world, minutes=29)
        assert (await browser.get("/console/now")).status == 200
        ahead(world, minutes=29)
        assert (await browser.get("/console/now")).status == 200
        ahead(world, minutes=31)
        assert (await browser.get("/console/now")).is_sign_in


async def test_automatic_requests_of_a_page_do_not_extend_the_session(world):
    async with client(world, "viewer") as browser:
        ahead(world, minutes=29)
        assert (await browser.get("/console/now/summary", HX_Request="true")).status == 200
        ahead(world, minutes=2)
        assert (await browser.get("/console/now")).is_sign_in


async def test_a_session_ends_after_twelve_hours_in_any_case(world):
    async with client(world, "viewer") as browser:
        for _ in range(24):
            assert (await browser.get("/console/now")).status == 200
            ahead(world, minutes=29)
        assert (await browser.get("/console/now")).status == 200
        ahead(world, minutes=20)
        assert (await browser.get("/console/now")).status == 200
        ahead(world, minutes=5)
        assert (await browser.get("/console/now")).is_sign_in


async def test_numbers_are_shown_for_ten_minutes_and_it_is_audited(world):
    async with client(world, "operator", user="olga") as browser:
        assert (
            await browser.post(NUMBERS, {"show": "yes", "next": "/console/now", "why": "call +4790000001"})
        ).status == 303
        assert "Mask numbers" in (await browser.get("/console/now")).text
        ahead(world, minutes=10)
        assert "Show numbers" in (await browser.get("/console/now")).text
    newest = world.app.store.audit.listing(limit=1)[0]
    assert (newest.who, newest.role, newest.action, newest.why) == ("olga", "operator", "show numbers", "call …")


async def test_blanks_are_part_of_a_password(world):
    async with client(world) as browser:
        assert (await browser.post(SIGN_IN, {"user": "berit", "password": BLANKS})).to == "/console/now"


async def test_a_password_signs_in_with_the_role_of_the_config(world):
    async with client(world) as browser:
        reply = await browser.post(SIGN_IN, {"user": "olga", "password": SECRET, "next": "/console/now"})
        assert reply.to == "/console/now"
        assert "olga (operator)" in (await browser.get("/console/now")).text
    assert audit_of(world)[0] == ("olga", "sign in by password", "")


@pytest.mark.parametrize(
    "next_", ["https://evil.example/", "//evil.example", "/console/\\evil", "/other", "/console/a\r\nX: y", ""]
)
async def test_signing_in_never_leads_to_another_site(world, next_):
    async with client(world) as browser:
        reply = await browser.post(SIGN_IN, {"user": "vera", "password": SECRET, "next": next_})
    assert (reply.status, reply.to) == (303, "/console/now")


async def test_signing_in_leads_to_the_requested_page(world):
    async with client(world) as browser:
        assert (await browser.get("/console/now")).to == f"{SIGN_IN}?next=/console/now"


async def test_wrong_passwords_delay_the_next_attempt(world):
    async with client(world) as browser:

        async def attempt(password):
            return (await browser.post(SIGN_IN, {"user": "anne", "password": password})).status

        assert [await attempt("wrong") for _ in range(5)] == [403] * 5
        assert await attempt(SECRET) == 429
        ahead(world, seconds=3)
        assert await attempt("wrong") == 403
        ahead(world, seconds=3)
        assert await attempt(SECRET) == 429
        ahead(world, seconds=2)
        assert await attempt(SECRET) == 303
    failed = [one for one in world.emitted(Lifecycle) if one.message == "a sign-in to the console failed"]
    assert [one.details for one in failed] == [{"address": "127.0.0.1"}] * 6


async def test_an_unknown_user_is_refused_with_the_same_message(world):
    ahead(world, minutes=20)
    async with client(world) as browser:
        unknown = await browser.post(SIGN_IN, {"user": "nobody", "password": ""})
        known = await browser.post(SIGN_IN, {"user": "vera", "password": ""})
    assert (unknown.status, unknown.text) == (known.status, known.text)


async def test_everybody_can_be_signed_out(world):
    async with client(world, "admin", user="one") as one, client(world, "viewer", user="two") as two:
        assert await world.app.store.console_sessions.delete_all("one") == 1
        assert (await one.get("/console/now")).is_sign_in
        assert (await two.get("/console/now")).status == 200
        assert await world.app.store.console_sessions.delete_all() >= 1
        assert (await two.get("/console/now")).is_sign_in


PROXY = """
  proxy_header: X-Forwarded-User
  public_url: https://connector.example.org
  hosts: [console.test]
"""


@pytest.fixture
def proxied(tmp_path):
    def world(trusted):
        listen = f"listen: {{port: 0, trusted_proxies: [{trusted}]}}"
        return console_world(tmp_path, config=PROXY, replaced=("listen: {{port: 0}}", listen))

    return world


async def test_a_trusted_proxy_signs_people_in(proxied):
    headers = {"X-Forwarded-User": "vera", "Host": "connector.example.org"}
    async with proxied("127.0.0.1") as world, client(world, **headers) as browser:
        reply = await browser.get("/console/now")
        assert (reply.status, reply.to) == (303, "/console/now")
        assert browser.cookie.startswith("__Host-connector=")
        assert "Secure" in reply.headers["Set-Cookie"]
        page = await browser.get("/console/now")
        assert "vera (viewer)" in page.text
        await browser.begin()
        # Another person at the same browser: the session of the first one is not used.
        other = {"X-Forwarded-User": "olga"}
        assert (await browser.post(NUMBERS, **other)).is_sign_in
        assert (await browser.get("/console/now", **{"X-Forwarded-User": "mallory"})).status == 403
        assert (await browser.get("/console/now", Host="console.test", **{"X-Forwarded-User": ""})).is_sign_in
        assert (await one_time_link(world)).startswith("https://connector.example.org/console/sign-in?link=")


async def test_the_user_header_of_an_untrusted_caller_is_ignored(proxied):
    async with proxied("192.0.2.7") as world, client(world, **{"X-Forwarded-User": "anne"}) as browser:
        assert (await browser.get("/console/now")).is_sign_in
