"""Rejections of one record or of a whole request, with the codes and texts of the REST API."""

from collections.abc import Mapping
from typing import Any


class RecordRefusedError(Exception):
    """One record cannot be written; others in its collection still can."""

    def __init__(self, code: str, message: str, *fields: str, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields
        self.more = more  # details that only a request for this single record gets

    def in_collection(self) -> dict[str, Any]:
        """The form in a collection's response, where the code is called `statusCode`."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}

    def as_request(self) -> "RequestRefusedError":
        """The same rejection as the response to a request for this single record."""
        gone = self.code == "ENTITY_IS_DELETED" or (self.code == "INVALID_CROSS_REFERENCE_KEY" and not self.fields)
        status = 404 if gone else 400
        return RequestRefusedError(status, self.code, self.message, *self.fields, more=self.more)


class RequestRefusedError(Exception):
    """The whole request is rejected and had no effect."""

    def __init__(
        self, status: int, code: str, message: str, *fields: str, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.more = more

    def body(self) -> list[dict[str, Any]]:
        """The form of a whole request's rejection, where the code is called `errorCode`."""
        refusal: dict[str, Any] = {**(self.more or {}), "message": self.message, "errorCode": self.code}
        if self.fields:
            refusal["fields"] = list(self.fields)
        return [refusal]


def not_found() -> RequestRefusedError:
    """The path does not exist."""
    return RequestRefusedError(404, "NOT_FOUND", "The requested resource does not exist")


def undecodable(wanted: str, value: object) -> RequestRefusedError:
    """A value does not fit its field's type; Salesforce's JSON reader then rejects the whole request."""
    kind, shown = "VALUE_STRING", str(value)
    match value:
        case None:
            kind, shown = "VALUE_NULL", "null"
        case bool():
            kind, shown = f"VALUE_{str(value).upper()}", str(value).lower()
        case int():
            kind = "VALUE_NUMBER_INT"
        case float():
            kind = "VALUE_NUMBER_FLOAT"
        case dict():
            kind, shown = "START_OBJECT", "{"
        case list():
            kind, shown = "START_ARRAY", "["
        case _:
            pass
    return RequestRefusedError(
        400,
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {wanted} from {kind} value {shown} "
        "or request may be missing a required field at [line:1, column:1]",
    )


def no_such_column(column: str, object_name: str) -> RequestRefusedError:
    """A record names a field that the object does not have (or that the user may not see)."""
    return RequestRefusedError(400, "INVALID_FIELD", f"No such column '{column}' on sobject of type {object_name}")
