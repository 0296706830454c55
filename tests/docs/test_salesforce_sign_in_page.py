"""docs/salesforce-sign-in.md equals the table of sign-in errors, line by line and in order."""

from pathlib import Path

from connector.crm.salesforce.client.sign_in_errors import SIGN_IN_ERRORS

PAGE = Path(__file__).parents[2] / "docs" / "salesforce-sign-in.md"


def test_the_page_has_the_whole_table():
    emitted = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert emitted == [f"| `{row.says}` | {row.means} | {row.cure} |" for row in SIGN_IN_ERRORS]
