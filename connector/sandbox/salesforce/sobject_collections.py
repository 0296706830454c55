"""The collection calls: up to 200 records at once, one result per record, status 200 even if all of them failed."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Record
from connector.sandbox.salesforce.exchange import Answer, Call
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.reading import Reader
from connector.sandbox.salesforce.records import find_key, find_object
from connector.sandbox.salesforce.refusals import RecordRefusedError, RequestRefusedError
from connector.sandbox.salesforce.writing import Outcome, Writer

MOST_RECORDS = 200  # per writing call
MOST_READS = 2000  # per reading call
MOST_RUNS = 10  # runs of equal type per call
ROLLED_BACK = "Record rolled back because not all records were valid and the request was using AllOrNone header"

Write = Callable[[SObject, Sequence[Record]], list[Outcome]]


class Collections:
    """Answers calls below /composite/sobjects."""

    def __init__(self, database: Database, reader: Reader, writer: Writer) -> None:
        self._database = database
        self._reader = reader
        self._writer = writer

    def upsert(self, call: Call, name: str, field: str) -> Answer:
        """PATCH /composite/sobjects/{object}/{external id field}."""
        sobject = find_object(self._database.schema, name)
        key = find_key(sobject, field)
        records, together = _records(call)
        for record in records:
            if self._type(record) is not sobject:
                raise RequestRefusedError(
                    400, "INVALID_INPUT", f"Record type must be {sobject.name}: {record['attributes']['type']}"
                )
        outcomes = self._attempt(lambda: self._writer.upsert(sobject, key, records, call.writing), together=together)
        return Answer(body=[self._result(outcome, upsert=True) for outcome in outcomes])

    def write(self, call: Call) -> Answer:
        """POST or PATCH /composite/sobjects: inserts, or updates by id; types may be mixed."""
        records, together = _records(call)
        write = self._writer.insert if call.method == "POST" else self._writer.update
        runs = [(sobject, list(run)) for sobject, run in groupby(records, key=self._type)]
        if len(runs) > MOST_RUNS:
            raise RequestRefusedError(
                400,
                "LIMIT_EXCEEDED",
                f"Cannot have more than {MOST_RUNS} chunks in a single operation. "
                "Please rearrange the data to reduce chunking.",
            )

        def every() -> list[Outcome]:
            return [outcome for sobject, run in runs for outcome in write(sobject, run, call.writing)]

        return Answer(body=[self._result(outcome) for outcome in self._attempt(every, together=together)])

    def delete(self, call: Call) -> Answer:
        """DELETE /composite/sobjects?ids=…&allOrNone=…."""
        ids = [given for given in call.query.get("ids", "").split(",") if given]
        _within(len(ids), MOST_RECORDS)

        def every() -> list[Outcome]:
            outcomes: list[Outcome] = []
            for prefix, run in groupby(ids, key=lambda given: given[:3]):
                sobject = self._database.schema.of_id(prefix)
                if sobject is None:
                    refusal = RecordRefusedError("MALFORMED_ID", "malformed id")
                    outcomes += [Outcome(id=None, refusal=refusal) for _ in run]
                else:
                    outcomes += self._writer.delete(sobject, list(run), call.writing)
            return outcomes

        together = call.query.get("allOrNone", "").lower() == "true"
        return Answer(body=[self._result(outcome) for outcome in self._attempt(every, together=together)])

    def read(self, call: Call, name: str) -> Answer:
        """GET or POST /composite/sobjects/{object}: records by ids and field names."""
        sobject = find_object(self._database.schema, name)
        if call.method == "POST":
            ids, fields = call.fields.get("ids", []), call.fields.get("fields", [])
        else:
            ids, fields = call.query.get("ids", "").split(","), call.query.get("fields", "").split(",")
        if not isinstance(ids, list) or not isinstance(fields, list) or not all(fields):
            raise RequestRefusedError(400, "MISSING_ARGUMENT", "The ids and fields parameters are required")
        _within(len(ids), MOST_READS)
        for given in ids:
            if not (canonical(given) or "").startswith(sobject.prefix):
                raise RequestRefusedError(400, "MALFORMED_ID", f"malformed id {given}")
        return Answer(body=self._reader.read_several(sobject, ids, ["Id", *fields], call.base))

    def _type(self, record: Record) -> SObject:
        attributes = record.get("attributes")
        if not isinstance(attributes, dict) or not isinstance(attributes.get("type"), str):
            raise RequestRefusedError(400, "INVALID_INPUT", "Include an entity type for each record: attributes.type")
        sobject = self._database.schema.find(attributes["type"])
        if sobject is None:
            raise RequestRefusedError(400, "INVALID_TYPE", f"sObject type '{attributes['type']}' is not supported.")
        return sobject

    def _result(self, outcome: Outcome, *, upsert: bool = False) -> dict[str, Any]:
        if outcome.refusal is not None:
            return {
                "success": False,
                "errors": [self._database.wording.translate_error(outcome.refusal.in_collection())],
            }
        result: dict[str, Any] = {"id": outcome.id, "success": True, "errors": []}
        if upsert:
            result["created"] = outcome.created
        return result

    def _attempt(self, write: Callable[[], list[Outcome]], *, together: bool) -> list[Outcome]:
        if not together:
            return write()
        with self._database.attempt() as attempt:
            outcomes = write()
            if not any(outcome.refusal for outcome in outcomes):
                return outcomes
            attempt.undo()
        innocent = RecordRefusedError("ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK)
        return [Outcome(id=None, refusal=outcome.refusal or innocent) for outcome in outcomes]


def _records(call: Call) -> tuple[list[dict[str, Any]], bool]:
    body = call.fields
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RequestRefusedError(400, "JSON_PARSER_ERROR", "The records property must be an array of records")
    _within(len(records), MOST_RECORDS)
    return records, body.get("allOrNone") is True


def _within(number: int, most: int) -> None:
    if number > most:
        raise RequestRefusedError(
            400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {most} records into this call"
        )
