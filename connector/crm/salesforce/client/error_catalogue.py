"""Salesforce's error codes: for each its meaning for us and Salesforce's documentation. A table without logic.

docs/salesforce-errors.md shows this table to people; a test keeps the two equal.
"""

from connector.crm.salesforce.client.error_rows import Row
from connector.crm.salesforce.client.org_errors import ORG_ERRORS
from connector.crm.salesforce.client.record_errors import RECORD_ERRORS

# If several rows have the same code, the first that matches is used.
CATALOGUE: tuple[Row, ...] = (*ORG_ERRORS, *RECORD_ERRORS)

BY_CODE: dict[str, tuple[Row, ...]] = {
    row.code: tuple(one for one in CATALOGUE if one.code == row.code) for row in CATALOGUE
}


def find(code: str, message: str, key_field: str) -> Row | None:
    """The row for a rejection; None if the code is unknown."""
    return next((row for row in BY_CODE.get(code, ()) if row.test is None or row.test(message, key_field)), None)


def cure_of(code: str) -> str:
    """What a person does about a code; empty if the advice for its reason is enough."""
    return next((row.cure for row in BY_CODE.get(code, ()) if row.cure), "")
