"""A row of the table of Salesforce's error codes, with its source. The rows are in org_errors and record_errors."""

from collections.abc import Callable
from dataclasses import dataclass

from connector.model.outcome import Reason, Rejected, Retry

DOCS = "https://developer.salesforce.com/docs/atlas.en-us"
REST = f"{DOCS}.api_rest.meta/api_rest"
ERRORS = f"{REST}/errorcodes.htm"  # "Status Codes and Error Responses": for whole requests
STATUS = f"{DOCS}.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm"  # "StatusCode", "ExceptionCode"
LIMITS = f"{REST}/headers_api_usage.htm"  # "Limit Info Header"
TOGETHER = f"{REST}/resources_composite_sobjects_collections.htm"  # "sObject Collections"
COMPOSITE = f"{REST}/resources_composite_composite.htm"  # "Composite"
UPSERT = f"{REST}/dome_upsert.htm"  # "Insert or Update (Upsert) a Record Using an External ID"
DUPLICATES = f"{REST}/headers_duplicaterules.htm"  # "Duplicate Rule Header"
QUERY = f"{REST}/resources_query.htm"  # "Query"

Test = Callable[[str, str], bool]  # message, the external ID of an upsert → whether the row applies


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One code, or one meaning of a code with several: then `test` checks the message, and `saying` describes the check."""

    code: str
    outcome: type[Retry] | type[Rejected]
    reason: Reason
    means: str
    source: str
    saying: str = ""
    test: Test | None = None
    cure: str = ""  # what a person does in the org, if the advice for the reason does not say it


def says(part: str) -> Test:
    """A test whether the message contains this lower-case text."""
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
    """A row for a rejection that is retried."""
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
    """A row for a rejection that no retry can help."""
    return Row(
        code=code, outcome=Rejected, reason=reason, means=means, source=source, saying=saying, test=test, cure=cure
    )
