"""The calls for one record: create, change, read, delete, and upsert by an external ID."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from connector.sandbox.salesforce.drafts import Record
from connector.sandbox.salesforce.exchange import Answer, Call
from connector.sandbox.salesforce.fields import Field, SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.reading import Reader, SeveralMatchError
from connector.sandbox.salesforce.refusals import RequestRefusedError, not_found
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.writing import Outcome, Writer

UPSERT_HAS_BODY = 46.0  # the first API version that responds to an updating upsert with 200 and a body instead of 204


def find_object(schema: Schema, name: str) -> SObject:
    """The object of that name; NOT_FOUND if the org has none."""
    sobject = schema.find(name)
    if sobject is None:
        raise not_found()
    return sobject


def find_key(sobject: SObject, name: str) -> Field:
    """The field of that name, if records can be found by it."""
    found = sobject.find(name)
    if found is None or not found.keyed:
        raise RequestRefusedError(
            404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}"
        )
    return found


class Records:
    """Answers the calls below /sobjects/{object} that concern one record."""

    def __init__(self, schema: Schema, reader: Reader, writer: Writer) -> None:
        self._schema = schema
        self._reader = reader
        self._writer = writer

    def create(self, call: Call, name: str) -> Answer:
        """POST /sobjects/{object}."""
        outcome = _accepted(self._writer.insert(find_object(self._schema, name), [call.fields], call.writing))
        return Answer(status=201, body={"id": outcome.id, "success": True, "errors": []})

    def by_id(self, call: Call, name: str, record: str) -> Answer:
        """GET, PATCH or DELETE /sobjects/{object}/{id}."""
        sobject = find_object(self._schema, name)
        full = canonical(record)
        if full is None or not full.startswith(sobject.prefix):
            raise not_found()
        if call.method == "GET":
            return self._read(call, sobject, sobject.by_name["Id"], full)
        if call.method == "PATCH":
            if any(field.lower() == "id" for field in call.fields):
                raise RequestRefusedError(
                    400, "INVALID_FIELD", "The Id field should not be specified in the sobject data."
                )
            if self._changed_since(call, sobject, full):
                return Answer(status=412)
            _accepted(self._writer.update(sobject, [{**call.fields, "Id": full}], call.writing))
        else:
            _accepted(self._writer.delete(sobject, [full], call.writing))
        return Answer(status=204)

    def by_key(self, call: Call, name: str, field: str, value: str) -> Answer:
        """GET, PATCH or DELETE /sobjects/{object}/{external id field}/{value}."""
        sobject = find_object(self._schema, name)
        key = find_key(sobject, field)
        if key.name == "Id":
            return self.by_id(call, name, value)
        if call.method == "GET":
            return self._read(call, sobject, key, value)
        if call.method == "DELETE":
            found = self._reader.read_one(sobject, key, value, call.base, ["Id"])
            _accepted(self._writer.delete(sobject, [found["Id"]], call.writing))
            return Answer(status=204)
        return self._upsert(call, sobject, key, value)

    def _upsert(self, call: Call, sobject: SObject, key: Field, value: str) -> Answer:
        record: dict[str, Any] = call.fields
        if any(field.lower() == key.name.lower() for field in record):
            raise RequestRefusedError(
                400, "INVALID_FIELD", f"The {key.name} field should not be specified in the sobject data."
            )
        whole: Record = {**record, key.name: value}
        create = call.query.get("updateOnly", "").lower() != "true"
        outcomes = self._writer.upsert(sobject, key, [whole], call.writing, create=create)
        refusal = outcomes[0].refusal
        if refusal is not None and refusal.code == "DUPLICATE_EXTERNAL_ID":
            self._reader.read_one(sobject, key, value, call.base, ["Id"])  # raises with the addresses of all records
        outcome = _accepted(outcomes)
        body: dict[str, Any] = {"id": outcome.id, "success": True, "errors": [], "created": outcome.created}
        if outcome.created:
            return Answer(status=201, body=body)
        if float(call.version.removeprefix("v")) < UPSERT_HAS_BODY:
            return Answer(status=204)
        return Answer(body=body)

    def _changed_since(self, call: Call, sobject: SObject, record: str) -> bool:
        """Whether the record was changed after `If-Unmodified-Since`, which has whole seconds.

        Source: REST API Developer Guide, "Conditional Request Headers": 412 if it was, 400 for an invalid date. It is
        only for single records; collections do not support it.
        """
        since = {name.lower(): text for name, text in call.headers.items()}.get("if-unmodified-since")
        if since is None:
            return False
        try:
            limit = parsedate_to_datetime(since)
        except ValueError:
            raise RequestRefusedError(400, "INVALID_HEADER_VALUE", "If-Unmodified-Since is no HTTP date") from None
        row = self._reader.read_one(sobject, sobject.by_name["Id"], record, call.base, ["LastModifiedDate"])
        return datetime.fromisoformat(row["LastModifiedDate"]).replace(microsecond=0) > limit

    def _read(self, call: Call, sobject: SObject, key: Field, value: str) -> Answer:
        fields = [name for name in call.query.get("fields", "").split(",") if name]
        return Answer(body=self._reader.read_one(sobject, key, value, call.base, fields))


def several_matches(error: SeveralMatchError) -> Answer:
    """The response if a key matches several records: their addresses."""
    return Answer(status=300, body=error.urls)


def _accepted(outcomes: list[Outcome]) -> Outcome:
    refusal = outcomes[0].refusal
    if refusal is None:
        return outcomes[0]
    if refusal.code == "NOT_FOUND" and not refusal.fields:
        raise not_found()
    raise refusal.as_request()
