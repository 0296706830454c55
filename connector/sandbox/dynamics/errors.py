"""Rejections of the Web API, with their codes and sentences.

Sources: Microsoft's "Compose HTTP requests and handle errors", its list of Web service error codes, and "Web API client
errors". The sentences are worded like those of the service where a sample of them is public.
"""

from collections.abc import Mapping
from typing import Any


class RefusedError(Exception):
    """A request or an operation is rejected."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON of the response."""
        return {"error": {"code": self.code, "message": self.message}}


def bad_syntax(message: str) -> RefusedError:
    """The address cannot be read."""
    return RefusedError(400, "0x8006088a", message)


def no_segment(name: str) -> RefusedError:
    """The address names an entity set or a property that does not exist."""
    return RefusedError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")


def bad_payload(message: str) -> RefusedError:
    """A body that does not fit the table."""
    return RefusedError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'', For more information on this error please "
        f"follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ----> InnerException : "
        f"Microsoft.OData.ODataException: {message}",
    )


def unknown_property(name: str, table: str) -> RefusedError:
    """A column that the table does not have."""
    return bad_payload(
        f"The property '{name}' does not exist on type 'Microsoft.Dynamics.CRM.{table}'. Make sure to only use property "
        "names that are defined by the type."
    )


def unknown_navigation(name: str) -> RefusedError:
    """An `@odata.bind` for a navigation property that the table does not have."""
    return bad_payload(
        f"An undeclared property '{name}' which only has property annotations in the payload but no property value was "
        "found in the payload. In OData, only declared navigation properties and declared named streams can be "
        "represented as properties without values."
    )


def wrong_type(name: str, value: object, kind: str) -> RefusedError:
    """A value of the wrong JSON type."""
    return bad_payload(f"Cannot convert the literal '{value}' to the expected type '{kind}' (property '{name}').")


def too_long(column: str, table: str, limit: int) -> RefusedError:
    """A text that is longer than its column."""
    return RefusedError(
        400,
        "0x80044331",
        f"A validation error occurred.  The length of the '{column}' attribute of the '{table}' entity exceeded the "
        f"maximum allowed length of '{limit}'.",
    )


def no_option(column: str, table: str, value: object, options: str) -> RefusedError:
    """A value that the choice does not have."""
    return RefusedError(
        400,
        "0x8004431a",
        f"A validation error occurred.  The value {value} of '{column}' on record of type '{table}' is outside the valid "
        f"range. Accepted Values: {options}",
    )


def out_of_range(column: str, *, whole: bool) -> RefusedError:
    """A number outside the limits of its column."""
    return RefusedError(
        400,
        "0x8004432f" if whole else "0x80044330",
        f"A validation error occurred.  The value of '{column}' is outside the valid range.",
    )


def required(column: str, table: str) -> RefusedError:
    """A column that a record must have."""
    return RefusedError(400, "0x80040203", f"Attribute: {column} cannot be set to NULL (entity {table}).")


def does_not_exist(table: str, record_id: str) -> RefusedError:
    """No record has this id."""
    return RefusedError(404, "0x80040217", f"Entity '{table}' With Id = {record_id} Does Not Exist")


def no_record_by_key(table: str) -> RefusedError:
    """No record has these key values."""
    return RefusedError(404, "0x80060891", f"A record with the specified key values does not exist in {table} entity")


def bad_key(table: str) -> RefusedError:
    """Columns that are no key of the table."""
    return RefusedError(
        400, "0x80060888", f"The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{table}'."
    )


def duplicate_key(columns: str, values: str, table: str) -> RefusedError:
    """Another record has the same alternate key. The real sentence shows the values too."""
    return RefusedError(
        412,
        "0x80060892",
        f"A record that has the attribute values {columns} already exists. The entity key {table} requires that this set "
        f"of attributes contains unique values. Select unique values and try again. Values: {values}",
    )


def already_exists() -> RefusedError:
    """`If-None-Match: *` was sent, and the record exists."""
    return RefusedError(412, "0x80040237", "A record with matching key values already exists.")


def version_mismatch() -> RefusedError:
    """`If-Match` names another version of the record."""
    return RefusedError(
        412, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided."
    )


def plugin_fault(message: str) -> RefusedError:
    """A plug-in of the org throws an InvalidPluginExecutionException."""
    return RefusedError(400, "0x80040265", message)
