"""Salesforce's error codes, each with what it means for us and where Salesforce tells of it: one table, and nothing that acts.

docs/salesforce-errors.md is this table for people, and a test holds the two equal.
"""

from connector.crm.salesforce.client.error_rows import Row
from connector.crm.salesforce.client.org_errors import ORG_ERRORS
from connector.crm.salesforce.client.record_errors import RECORD_ERRORS

# Of several rows with one code the first that fits counts.
CATALOGUE: tuple[Row, ...] = (*ORG_ERRORS, *RECORD_ERRORS)

BY_CODE: dict[str, tuple[Row, ...]] = {
    row.code: tuple(one for one in CATALOGUE if one.code == row.code) for row in CATALOGUE
}


def find(code: str, message: str, key_field: str) -> Row | None:
    """The row of a refusal; None for a code that nobody has met yet."""
    return next((row for row in BY_CODE.get(code, ()) if row.test is None or row.test(message, key_field)), None)


def cure_of(code: str) -> str:
    """What a person does about a code; empty where the cure of its reason says all."""
    return next((row.cure for row in BY_CODE.get(code, ()) if row.cure), "")
