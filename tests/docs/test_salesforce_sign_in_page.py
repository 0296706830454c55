"""docs/salesforce-sign-in.md equals the table of sign-in errors, in order. Rows with the same cure share an entry."""

from itertools import groupby
from pathlib import Path

from docs.list_entries import entries

from connector.crm.salesforce.client.sign_in_errors import SIGN_IN_ERRORS

PAGE = Path(__file__).parents[2] / "docs" / "salesforce-sign-in.md"


def test_the_page_has_the_whole_table():
    emitted = [entry for entry in entries(PAGE.read_text()) if entry.startswith("`")]
    assert emitted == [
        f"{', '.join(f'`{row.says}`' for row in rows)}: {means}. Cure: {cure}"
        for (means, cure), rows in groupby(SIGN_IN_ERRORS, key=lambda row: (row.means, row.cure))
    ]
