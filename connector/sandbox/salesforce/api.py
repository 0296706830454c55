"""Routes the data API: finds the response for each path and method. Knows no web framework and no faults."""

from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime

from connector.sandbox.salesforce import describe
from connector.sandbox.salesforce.bulk import Bulk
from connector.sandbox.salesforce.composite import Composite
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.exchange import Answer, Call
from connector.sandbox.salesforce.reading import LARGEST_BATCH, Reader, SeveralMatchError
from connector.sandbox.salesforce.records import Records, find_object, several_matches
from connector.sandbox.salesforce.refusals import RequestRefusedError, not_found
from connector.sandbox.salesforce.sobject_collections import Collections
from connector.sandbox.salesforce.writing import Writer


class Api:
    """Answers calls below /services/data; the caller holds the transaction."""

    def __init__(
        self,
        database: Database,
        started: float,
        usage: Callable[[], tuple[int, int]],
        bulk: Bulk,
        shown: Callable[[], None],
    ) -> None:
        self._schema = database.schema
        self.reader = Reader(database)
        self.writer = Writer(database)
        self._records = Records(database.schema, self.reader, self.writer)
        self._collections = Collections(database, self.reader, self.writer)
        self._composite = Composite(database, self.dispatch)
        self._started = int(started)
        self._usage = usage
        self._bulk = bulk
        self._shown = shown

    def dispatch(self, call: Call) -> Answer:
        """The response to one call.

        Raises:
            RequestRefusedError: the whole call is rejected.
        """
        self._check_version(call)
        try:
            match call.method, call.segments:
                case "GET", []:
                    return Answer(body=describe.resources(call.base, call.author.user, call.base_url))
                case "GET", ["limits"]:
                    return Answer(body=describe.limits(*self._usage()))
                case "GET", ["query" | "queryAll" as resource, *rest]:
                    return self._query(call, resource, rest)
                case _, ["sobjects", *rest]:
                    return self._sobjects(call, rest)
                case _, ["jobs", *rest]:
                    return self._bulk.answer(call, rest)
                case "POST", ["composite"]:
                    return self._composite.answer(call)
                case _, ["composite", "sobjects", *rest]:
                    return self._collection(call, rest)
                case _:
                    raise not_found()
        except SeveralMatchError as error:
            return several_matches(error)

    @staticmethod
    def _check_version(call: Call) -> None:
        number = call.version.removeprefix("v").removesuffix(".0")
        if not number.isdigit() or int(number) > describe.NEWEST:
            raise not_found()
        if int(number) < describe.OLDEST:
            raise RequestRefusedError(410, "UNSUPPORTED_API_VERSION", f"API version {call.version} has been retired")

    def _query(self, call: Call, resource: str, rest: list[str]) -> Answer:
        if rest:
            return Answer(body=self.reader.more(rest[0], call.base))
        text = call.query.get("q")
        if not text:
            raise RequestRefusedError(400, "MALFORMED_QUERY", "SOQL query is missing: use the parameter q")
        options = {name.lower(): value for name, value in call.headers.items()}.get("sforce-query-options", "")
        size = options.lower().replace(" ", "").partition("batchsize=")[2].split(",")[0]
        batch = int(size) if size.isdigit() else LARGEST_BATCH
        return Answer(body=self.reader.query(text, call.base, deleted=resource == "queryAll", batch=batch))

    def _sobjects(self, call: Call, rest: list[str]) -> Answer:
        match call.method, rest:
            case "GET", []:
                return Answer(body=describe.objects(self._schema, call.base))
            case "GET", [name]:
                return Answer(body=describe.basic_information(find_object(self._schema, name), call.base))
            case "POST", [name]:
                made = self._records.create(call, name)
                if name.lower() == "permissionsetassignment":
                    self._shown()
                return made
            case "GET", [name, "describe"]:
                return self._describe(call, name)
            case "GET", [name, "updated"]:
                return Answer(body=self.reader.updated(find_object(self._schema, name), call.query, call.author.time))
            case "GET", [name, "deleted"]:
                return Answer(body=self.reader.deleted(find_object(self._schema, name), call.query, call.author.time))
            case "GET" | "PATCH" | "DELETE", [name, record]:
                return self._records.by_id(call, name, record)
            case "GET" | "PATCH" | "DELETE", [name, field, value]:
                return self._records.by_key(call, name, field, value)
            case _:
                raise _wrong_method(call)

    def _collection(self, call: Call, rest: list[str]) -> Answer:
        match call.method, rest:
            case "POST" | "PATCH", []:
                return self._collections.write(call)
            case "DELETE", []:
                return self._collections.delete(call)
            case "GET" | "POST", [name]:
                return self._collections.read(call, name)
            case "PATCH", [name, field]:
                if not call.collection_upserts:
                    raise not_found()
                return self._collections.upsert(call, name, field)
            case _:
                raise _wrong_method(call)

    def _describe(self, call: Call, name: str) -> Answer:
        sobject = find_object(self._schema, name)
        since = {key.lower(): value for key, value in call.headers.items()}.get("if-modified-since")
        # Headers have whole seconds: every change counts as one second, so that two changes within a second differ.
        modified = self._started + self._schema.changes
        headers = {"Last-Modified": formatdate(modified, usegmt=True)}
        try:
            unchanged = since is not None and parsedate_to_datetime(since).timestamp() >= modified
        except ValueError:
            unchanged = False
        return (
            Answer(status=304, headers=headers)
            if unchanged
            else Answer(body=describe.full_description(sobject, call.base), headers=headers)
        )


def _wrong_method(call: Call) -> RequestRefusedError:
    return RequestRefusedError(
        405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed. Allowed are HEAD,GET,POST,PATCH,DELETE"
    )
