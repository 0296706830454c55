"""The queries of a backfill, and what Salesforce says of a row. Pure."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from connector.crm.backfill.decide import Contact, ContactReader, Verdict
from connector.crm.crm import DescribeResult
from connector.crm.salesforce.client.api import identifier
from connector.crm.salesforce.client.error_codes import classify
from connector.crm.salesforce.client.responses import value_of
from connector.crm.salesforce.write.trigger_limits import is_for_request_size
from connector.mapping.checks.crm_fields import key_faults
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Rejected, Retry
from connector.ports import Task

OBJECT = "Contact"

# Codes of a row that report a change since it was read; only the external ID is written, so no other field can be
# meant.
TAKEN = frozenset({"DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID"})
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})


def lacking(described: DescribeResult, key_field: str, read: Sequence[str]) -> list[str]:
    """What contacts lack for a backfill: one sentence each, with advice."""
    if described is None or isinstance(described, Retry):
        why = "it does not exist, or is hidden" if described is None else f"{described.reason}, {described.detail}"
        return [f"{OBJECT} cannot be described ({why}): give the integration user access to it"]
    found = [
        f"{OBJECT}.{name} does not exist, or field-level security hides it: create it, or show it to the integration user"
        for name in (key_field, *read)
        if described.field(name) is None
    ]
    key = described.field(key_field)
    if key is not None:
        found += [f"{message}: {hint}" for _, message, hint in key_faults(OBJECT, key)]
        if not key.updateable:
            found.append(f"{OBJECT}.{key.name} is read-only: allow the integration user to edit it")
    return found


class Contacts(ContactReader):
    """The queries for contacts, and how their rows are read."""

    @property
    def soql(self) -> str:
        """The query for all contacts. Raises BadName."""
        return f"SELECT {', '.join((*self._fields, 'CreatedDate', 'AccountId'))} FROM {OBJECT}"  # noqa: S608 - names are checked.

    def changed_since(self, moment: str) -> str:
        """The query for contacts changed at or after a time. Raises BadName."""
        return f"SELECT {', '.join(self._fields)} FROM {OBJECT} WHERE SystemModstamp >= {moment}"  # noqa: S608 - names are checked.

    @property
    def _fields(self) -> tuple[str, ...]:
        names = ("Id", self.key_field, *self.phone_fields, *((self.country,) if self.country else ()))
        return tuple(dict.fromkeys(identifier(name) for name in names))

    def read(self, row: Mapping[str, str]) -> Contact:
        """Parse a row of the query, and decide on it alone."""
        return self.decide(
            row["Id"],
            partial(value_of, row),
            created=str(value_of(row, "CreatedDate") or ""),
            account=str(value_of(row, "AccountId") or ""),
        )


class RowResult(NamedTuple):
    """What became of a row of a job."""

    verdict: Verdict
    code: str = ""  # Salesforce's, if it was not written
    may_be_retried: bool = False


def result_of_error(error: str) -> RowResult:
    """The result of a row, from its `sf__Error`.

    The text has the form `CODE:message:fields --`. The message is not stored: it may contain the donor's data.
    """
    code, _, message = error.partition(":")
    return _result_of(code, classify(code, message))


def exceeds_trigger_limit(error: str) -> bool:
    """Whether a row's `sf__Error` says that a trigger cannot handle this many rows: a job always uses 200."""
    code, _, message = error.partition(":")
    return is_for_request_size(classify(code, message))


def task_of_row(record_id: str, key_field: str, key: str) -> Task:
    """The change of a job's row as a record of an ordinary request, which may have any size."""
    return Task(
        RecordWrite(sink="", object=OBJECT, key_field=ID_FIELD, key=record_id, set={key_field: key}, may_create=False)
    )


def result_of_outcome(outcome: Outcome) -> RowResult:
    """The result of a row that was written by an ordinary request."""
    if isinstance(outcome, Delivered):
        return RowResult(Verdict.WRITTEN)
    return _result_of(outcome.code or outcome.reason, outcome)


def _result_of(code: str, outcome: Retry | Rejected) -> RowResult:
    if code in TAKEN:
        return RowResult(Verdict.TAKEN, code)
    if code in GONE:
        return RowResult(Verdict.GONE, code)
    return RowResult(Verdict.REFUSED, code, may_be_retried=isinstance(outcome, Retry))
