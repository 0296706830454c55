"""docs/salesforce-errors.md equals the table of codes, line by line and in order."""

from pathlib import Path

from connector.crm.salesforce.client.error_catalogue import CATALOGUE
from connector.delivery.retry import POLICIES
from connector.model.outcome import Reason, Rejected, Retry

PAGE = Path(__file__).parents[2] / "docs" / "salesforce-errors.md"


def deed(row):
    if row.reason is Reason.CONFIGURATION:
        return "stops the mapping"
    if row.outcome is Rejected:
        return "dead letter"
    policy = POLICIES[row.reason]
    assert row.outcome is Retry
    if policy.waits:
        return "everything waits"
    return "sent again" if policy.attempts is None else f"sent again, {policy.attempts} times at the most"


def lines():
    for row in CATALOGUE:
        saying = f": {row.saying}" if row.saying else ""
        deeds = f"{deed(row)}; {row.cure}" if row.cure else deed(row)
        yield f"| [`{row.code}`]({row.source}){saying} | {row.means} | `{row.reason}` | {deeds} |"


def test_the_page_has_the_whole_table():
    emitted = [line for line in PAGE.read_text().splitlines() if line.startswith("| [`")]
    assert emitted == list(lines())
