"""A row of the table of Salesforce's error codes, and where Salesforce tells of them. Rows are in org_errors and record_errors."""

from collections.abc import Callable
from dataclasses import dataclass

from connector.model.outcome import Reason, Rejected, Retry

DOCS = "https://developer.salesforce.com/docs/atlas.en-us"
REST = f"{DOCS}.api_rest.meta/api_rest"
ERRORS = f"{REST}/errorcodes.htm"  # "Status Codes and Error Responses": of whole requests
STATUS = f"{DOCS}.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm"  # "StatusCode", "ExceptionCode"
LIMITS = f"{REST}/headers_api_usage.htm"  # "Limit Info Header"
TOGETHER = f"{REST}/resources_composite_sobjects_collections.htm"  # "sObject Collections"
COMPOSITE = f"{REST}/resources_composite_composite.htm"  # "Composite"
UPSERT = f"{REST}/dome_upsert.htm"  # "Insert or Update (Upsert) a Record Using an External ID"
DUPLICATES = f"{REST}/headers_duplicaterules.htm"  # "Duplicate Rule Header"
QUERY = f"{REST}/resources_query.htm"  # "Query"

Test = Callable[[str, str], bool]  # message, the external ID of an upsert → whether the row is meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One code, or one thing that a code of several meanings stands for: then `test` tells by the message, and `saying` how."""

    code: str
    outcome: type[Retry] | type[Rejected]
    reason: Reason
    means: str
    source: str
    saying: str = ""
    test: Test | None = None
    cure: str = ""  # what a person does in the org, where the cure of the reason does not say it


def says(part: str) -> Test:
    """A test whether the message has this part, given in lower case."""
    return lambda message, _: part in message.lower()


def again(
    code: str,
    reason: Reason,
    means: str,
    source: str = ERRORS,
    saying: str = "",
    test: Test | None = None,
    *,
    cure: str = "",
) -> Row:
    """A row of a refusal that is repeated."""
    return Row(code=code, outcome=Retry, reason=reason, means=means, source=source, saying=saying, test=test, cure=cure)


def refused(
    code: str,
    reason: Reason,
    means: str,
    source: str = STATUS,
    saying: str = "",
    test: Test | None = None,
    *,
    cure: str = "",
) -> Row:
    """A row of a refusal that repeating cannot help."""
    return Row(
        code=code, outcome=Rejected, reason=reason, means=means, source=source, saying=saying, test=test, cure=cure
    )
