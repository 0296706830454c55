"""Every page that a link leads to, for each role: what must hold on all of them, also on those that are added later."""

import re
from html.parser import HTMLParser

import pytest
import pytest_asyncio
from console.browserless import audit_of, client
from console.harness import HOSTILE, IN_ONE_LOOP

from connector.config.console_settings import Role
from connector.web.console.console import NUMBERS
from connector.web.console.screens.all_screens import SCREENS

pytestmark = IN_ONE_LOOP
DONOR, REFUSED, ASKED = "+4790000701", "+4790000702", "+4790000703"
DIGITS = ("90000701", "90000702", "90000703")
MOST = 120  # pages
ALONE = {"script", "img", "iframe", "object", "embed", "base", "link", "style"}
ALLOWED = {"script": "src", "link": "href"}  # the console's own files


def report(number, turn):
    properties = {"SystemAction": "Subscribe", "Keyword": "KATT", "Note": HOSTILE["end"]}
    return {
        "transactionId": f"c-{number[1:]}-{turn}",
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "detailedStatusCode": HOSTILE["script"],
        "delivered": True,
        "properties": properties,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full(world):
    """Delivered, dead, unreadable and doubtful events, with what strangers write in them."""
    key = world.crm.key(REFUSED)
    fault = {"fault": "refuse", "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": f"{HOSTILE['image']} {REFUSED}"}
    await world.fault(world.crm_url, **fault, records=[key])
    for number in (DONOR, REFUSED, ASKED):
        await world.callback("dlr", report(number, 1))
    texts = " ".join(text for name, text in HOSTILE.items() if name != "one word")
    sms = {"transactionId": "c-2", "sender": ASKED, "recipient": "2002"}
    await world.callback("mo", {**sms, "content": f"stopp! jeg er {DONOR} {texts}"})
    await world.callback("mo", b"<b>no JSON " + DONOR.encode())
    await world.settled()
    return world


class Reader(HTMLParser):
    """What stands in a page."""

    def __init__(self, html):
        super().__init__()
        self.links, self.faults, self.posts, self.tokens, self.headings = [], [], 0, 0, 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.faults += [
            f"{tag} {name}" for name in values if name.startswith("on") or name in {"style", "hx-on", "srcdoc"}
        ]
        self.faults += [f"{tag} {name}={value}" for name, value in attrs if value and "javascript:" in value.lower()]
        if tag in ALONE and not (values.get(ALLOWED.get(tag, "")) or "").startswith("/console/static/"):
            self.faults.append(f"{tag} {values}")
        self.headings += tag == "h1"
        self.posts += tag == "form" and values.get("method") == "post"
        self.tokens += tag == "input" and values.get("name") == "csrf"
        if tag == "a" and (values.get("href") or "").startswith("/"):
            self.links.append(values["href"].partition("#")[0])


def starts(role):
    """The screens that the navigation shows to a person of this role."""
    return [screen.path for screen in SCREENS if screen.label and Role(role).may(screen.role)]


async def crawl(browser, start):
    """Each page that links lead to, with its address."""
    seen, waiting, kinds = set(), [*start], {}
    while waiting and len(seen) < MOST:
        path = waiting.pop(0)
        # Many addresses lead to one kind of page: some of each are enough.
        kind = (
            re.sub(r"[0-9a-f]{24}|\d+", "N", path.partition("?")[0])
            + "?"
            + ",".join(sorted(re.findall(r"[?&](\w+)=", path)))
        )
        if path in seen or kinds.get(kind, 0) >= 4:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        seen.add(path)
        reply = await browser.get(path)
        yield path, reply
        if reply.status == 200:
            waiting += Reader(reply.text).links


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_every_page_obeys_the_common_rules(full, role):
    visited = []
    async with client(full, role) as browser:
        async for path, reply in crawl(browser, starts(role)):
            visited.append(path)
            assert reply.status == 200, (path, reply.status, reply.text[-500:])
            assert "script-src 'self'" in reply.headers["Content-Security-Policy"], path
            assert reply.headers["Cache-Control"] == "no-store", path
            page = Reader(reply.text)
            assert page.faults == [], path
            assert page.headings == 1, path
            assert page.posts == page.tokens, f"{path}: a form without its token"
            shown = re.sub(r"[\s\u00a0\u202f]", "", reply.text)
            assert not [digits for digits in DIGITS if digits in shown], f"{path} shows a number to {role}"
            assert not re.search(r"4790000|%2B47|90000[0-9]{3}", path), path
    assert len(visited) >= len(starts(role))
    assert not [one for one in audit_of(full) if one[1] == "look at numbers"]


async def test_showing_numbers_is_in_the_audit_log(full):
    async with client(full, "operator", user="looker") as browser:
        await browser.post(NUMBERS, {"show": "yes"})
        showing = [
            path
            async for path, reply in crawl(browser, starts("operator"))
            if any(digits in re.sub(r"[\s\u00a0\u202f]", "", reply.text) for digits in DIGITS)
        ]
    looked = {
        about.partition(" ")[0]
        for who, action, about in audit_of(full, 1000)
        if (who, action) == ("looker", "look at numbers")
    }
    assert showing
    assert not {path.partition("?")[0] for path in showing} - looked
