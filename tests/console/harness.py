"""A real Chromium against the console of a daemon in this process. Each page is watched: see Watch."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from contract.crms import SALESFORCE
from flow.world import SECRETS, World, a_world, config_of
from playwright.async_api import Browser, Page, async_playwright

from connector.config.passwords import password_hash

CHROMIUM = Path("/usr/bin/chromium")
MISSING = "Chromium is missing: apt-get install -y --no-install-recommends chromium fonts-dejavu-core"
# Every test of this folder runs in one event loop for the session, because the browser lives there.
IN_ONE_LOOP = pytest.mark.asyncio(loop_scope="session")
SECRET = "correct horse battery"
BLANKS = f" {SECRET} "  # the blanks are part of the password
USERS = f"""
console:
  users:
    vera: {{role: viewer, password_hash: "{password_hash(SECRET)}"}}
    olga: {{role: operator, password_hash: "{password_hash(SECRET)}"}}
    anne: {{role: admin, password_hash: "{password_hash(SECRET)}"}}
    berit: {{role: viewer, password_hash: "{password_hash(BLANKS)}"}}
"""
PHONE = {"viewport": {"width": 390, "height": 844}}
DARK = {"color_scheme": "dark"}
NO_SCRIPT = {"java_script_enabled": False}
MARKS = ("4790000", "90000", "%2B47")  # of the tests' phone numbers: no address may hold one
# What strangers may write: each must be shown as text, and the page must hold.
HOSTILE = {
    "script": "<script>document.title='pwned'</script>",
    "image": "<img src=x onerror=\"document.title='pwned'\">",
    "attribute": "\"' autofocus onfocus=document.title='pwned' x=\"",
    "template": "{{ 7 * 7 }} {% include 'layout.html' %} ${7*7} #{7*7}",
    "end": "</title></textarea></script></svg><svg onload=document.title='pwned'>",
    "htmx": "<div hx-get=/console/now hx-trigger=load>x</div>",
    "bidi": "pay \u202e0001 ynnep\u202c \u2067abc",
    "controls": "a\x00b\x1b[31mc\r\nd\u2028e",
    "one word": "W" * 65_536,
    "marks": "Z" + "\u0301" * 300,
}
TABS = 200  # the most presses of Tab to reach something


@asynccontextmanager
async def chromium(executable: Path = CHROMIUM) -> AsyncIterator[Browser]:
    """The browser. Without one the test is skipped, but fails in CI."""
    if not os.access(executable, os.X_OK):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable)
        yield browser
        await browser.close()


@asynccontextmanager
async def console_world(base: Path, *, config: str = "", replaced: tuple[str, str] = ("", "")) -> AsyncIterator[World]:
    """A running daemon with three users of the console.

    `config` is added to its `console:`, and `replaced` puts other words in the place of some of its config.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        old, new = replaced
        text = config_of(SALESFORCE).replace(old, _braced(new)) if old else config_of(SALESFORCE)
        text = text.rstrip() + _braced(USERS + config)
        async with a_world(base, config=text) as world, world.running():
            await world.poll()
            yield world


def _braced(text: str) -> str:
    """The config is a template: its braces are doubled."""
    return text.replace("{", "{{").replace("}", "}}")


async def one_time_link(world: World, role: str = "admin", user: str = "tester") -> str:
    """What `connector console login` prints."""
    token = (world.app.store.path.with_name("admin-token")).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    body = {"role": role, "user": user}
    async with world.http.post(f"{world.app.admin_url}/admin/console_login", json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json())["url"]


@dataclass
class Watch:
    """What a page must not do: say something in the browser's console, fail, or ask another host or for a number."""

    host: str
    complaints: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        page.on("console", lambda message: self.complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("request", lambda request: self._look_at(request.url))

    def _look_at(self, url: str) -> None:
        if urlsplit(url).scheme != "data" and urlsplit(url).netloc != self.host:
            self.complaints.append(f"request to another host: {url}")
        if any(mark in url for mark in MARKS):
            self.complaints.append(f"a number in an address: {url}")

    def check(self) -> None:
        """Fails for all that was not allowed."""
        assert [one for one in self.complaints if not any(words in one for words in self.allowed)] == []


@dataclass
class Visits:
    """Opens watched pages. At the end of the test all are checked."""

    browser: Browser
    world: World
    contexts: list = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)

    async def __call__(self, role: str | None = "admin", path: str = "", **options) -> Page:
        """A page at the path, signed in with the role by a one-time link; None stays outside. `options` are the context's."""
        context = await self.browser.new_context(base_url=self.world.app.admin_url, **options)
        self.contexts.append(context)
        context.set_default_timeout(30_000)  # a busy machine is no failure
        page = await context.new_page()
        watch = Watch(urlsplit(self.world.app.admin_url).netloc)
        watch.over(page)
        self.watches.append(watch)
        if role is not None:
            await page.goto(await one_time_link(self.world, role))
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url("**/console/now")
        if path:
            await page.goto(path)
        return page

    def allow(self, *words: str) -> None:
        """The last page may say this in the browser's console, such as the 403 that a test causes."""
        self.watches[-1].allowed.extend(words)

    async def close(self) -> None:
        for context in self.contexts:
            await context.close()
        for watch in self.watches:
            watch.check()


async def is_accessible(page: Page) -> None:
    """Fails for what axe finds."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


async def fits(page: Page) -> None:
    """Fails if the page scrolls sideways."""
    wide, shown = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= shown, f"the page is {wide} pixels wide, and {shown} are shown"


async def tab_to(page: Page, name: str | Callable[[str], bool]) -> None:
    """Press Tab until the focus is on the element with this text or label."""
    script = """() => {const one = document.activeElement;
        return (one.getAttribute('aria-label') || one.innerText || (one.labels && one.labels[0] && one.labels[0].innerText)
            || '').trim()}"""
    seen = []
    for _ in range(TABS):
        await page.keyboard.press("Tab")
        text = await page.evaluate(script)
        seen.append(text)
        if name(text) if callable(name) else text == name:
            return
    pytest.fail(f"Tab does not reach {name}: {seen[:40]}")


def report(number, action, turn, **properties):
    """A delivery report of Strex about a donor."""
    return {
        "transactionId": f"{number[1:]}-{turn}",
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "delivered": True,
        "properties": {"SystemAction": action, "Keyword": "KATT", **properties},
    }


def message(number, text, turn):
    """A message of a donor."""
    return {"transactionId": f"m-{number[1:]}-{turn}", "sender": number, "recipient": "2002", "content": text}


async def refuse(world, *numbers, message="Ask <b>Kari</b> first"):
    """A validation rule of the org refuses the contacts with these numbers."""
    keys = [world.crm.key(number) for number in numbers]
    fault = {"fault": "refuse", "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": message}
    await world.fault(world.crm_url, **fault, records=keys)


async def let_rules_take_less(world):
    """No rule takes an ordinary message any more, and no event record is made."""
    (world.base / "mappings" / "strex-log.yaml").unlink()
    for name in ("strex-messages.yaml", "strex-stops.yaml"):
        file = world.base / "mappings" / name
        file.write_text(file.read_text().partition("\n  - name: any other message")[0])
    await world.app.reload()
