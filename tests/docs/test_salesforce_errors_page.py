"""docs/salesforce-errors.md equals the table of codes: one heading for each reason, one entry for each row, in order."""

import re
from pathlib import Path

from docs.list_entries import entries

from connector.crm.salesforce.client.error_catalogue import CATALOGUE
from connector.delivery.retry import POLICIES
from connector.model.outcome import Reason, Rejected, Retry

PAGE = Path(__file__).parents[2] / "docs" / "salesforce-errors.md"
SOURCE = re.compile(r"^\[([a-z-]+)\]: (\S+)$", re.MULTILINE)


def deed(row):
    if row.reason is Reason.CONFIGURATION:
        return "suspends the rule"
    if row.outcome is Rejected:
        return "dead letter"
    policy = POLICIES[row.reason]
    assert row.outcome is Retry
    if policy.waits:
        return "everything waits"
    return "sent again" if policy.attempts is None else f"sent again, {policy.attempts} times at the most"


def entry(row):
    saying = " (“" + row.saying.replace("<", "\\<") + "”)" if row.saying else ""
    cure = f". Cure: {row.cure}" if row.cure else ""
    return f"[`{row.code}`]({row.source}){saying}: {row.means}{cure}"


def catalogue():
    """The entries under their headings. A heading stands where its first row does."""
    found = {}
    for row in CATALOGUE:
        found.setdefault(f"`{row.reason}`: {deed(row)}", []).append(entry(row))
    return found


def test_the_page_has_the_whole_table():
    text = PAGE.read_text()
    sources = dict(SOURCE.findall(text))
    codes = text.partition("\n## The codes\n")[2]
    shown = {}
    for part in codes.split("\n### ")[1:]:
        heading, _, rest = part.partition("\n")
        shown[heading] = [
            re.sub(r"\]\[([a-z-]+)\]", lambda link: f"]({sources[link[1]]})", one, count=1)
            for one in entries(rest)
            if one.startswith("[`")
        ]
    assert shown == catalogue()
    assert list(shown) == list(catalogue())
