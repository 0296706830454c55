"""Outbound Messages: the endpoint at which a Flow of the org reports changed records.

The field values are not read. Messages arrive at least once and in any order, with the values of the time at which they
were sent. An old message could therefore overwrite newer values. Messages are used only as notices: the feed queries
these records at once, and compares the result with the shadow as for every page. So there is one source of truth and
one order, and a forged message costs at most a query.

Source: SOAP API Developer Guide, "Outbound Messaging", "Understanding Notifications", "Building a Listener".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from connector.config.secrets import is_one_of
from connector.crm.salesforce.client.api import IDENTIFIER, RECORD_ID
from connector.model.errors import HttpRejected
from connector.model.event import Event
from connector.model.http import Http, HttpRequest, HttpResponse
from connector.model.text_encoding import read_text
from connector.ports import AuthResult, Notice

NOTIFICATIONS = "http://soap.sforce.com/2005/09/outbound"
TYPE = "http://www.w3.org/2001/XMLSchema-instance type"
MAX = 100  # notifications per message
MAX_LENGTH = 255  # characters of an id or a name; longer ones are invalid
SHORT_ID = 15  # characters that identify a record; the other three are check digits
METHODS = frozenset({"POST"})
# Numeric references to characters that XML 1.0 does not allow, which may stop a parser early.
CHARACTER_REFERENCE = re.compile(r"&#(?:[0-9]{1,7}|x[0-9A-Fa-f]{1,6});")
ACK = HttpResponse(
    status=200,
    content_type="text/xml; charset=utf-8",
    body=(
        b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
        b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
        b"</soapenv:Body></soapenv:Envelope>"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The parts of an outbound message that are read."""

    organization_id: str
    notices: tuple[Notice, ...]


class NotAMessage(ValueError):  # noqa: N818 - it describes a body, not a fault in our code.
    """A body that is not an outbound message; the text is a short constant."""


class NotProperXml(NotAMessage):
    """A body that the XML parser cannot read to its end."""


def read_message(body: bytes) -> Message:
    """Parse the message in a body.

    A document type is rejected, and with it every entity that could make a small body large, or read a file. A field's
    text may contain what XML does not allow: bytes in another encoding, control characters. It is dropped, because no
    field text is read here.

    Raises:
        NotAMessage: it is not an outbound message.
    """
    try:
        return _read(body)
    except NotProperXml:
        text = CHARACTER_REFERENCE.sub("", read_text(body))
        return _read(text.encode(), "utf-8")


def _read(body: bytes, encoding: str | None = None) -> Message:
    reading = _Reading()
    parser = expat.ParserCreate(encoding, namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(body, True)
    except NotAMessage:
        raise
    except (expat.ExpatError, ValueError, LookupError):
        raise NotProperXml("no proper XML") from None
    return reading.message()


class _Reading:
    """Collects the few required texts while the XML elements are parsed."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._organization = ""
        self._of: dict[str, str] = {}  # the notification being read
        self._notices: list[Notice] = []
        self._seen = False

    def doctype(self, *_: object) -> None:
        """Reject a document type: no sender of these messages uses one."""
        raise NotAMessage("a document type")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        self._path.append(name)
        self._text = []
        if name == f"{NOTIFICATIONS} notifications":
            self._seen = True
        elif name == f"{NOTIFICATIONS} Notification":
            self._of = {}
        elif name == f"{NOTIFICATIONS} sObject":
            self._of["object"] = attributes.get(TYPE, "").rpartition(":")[2]

    def text(self, data: str) -> None:
        """Handle text within the innermost element."""
        self._text.append(data)

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        self._path.pop()
        text, self._text = "".join(self._text).strip(), []
        parent = self._path[-1] if self._path else ""
        if name == f"{NOTIFICATIONS} OrganizationId":
            self._organization = text
        elif name == f"{NOTIFICATIONS} Id" and parent == f"{NOTIFICATIONS} Notification":
            self._of["id"] = text
        elif parent == f"{NOTIFICATIONS} sObject" and name.rpartition(" ")[2] == "Id":
            self._of["record"] = text
        elif name == f"{NOTIFICATIONS} Notification":
            self._notices.append(_notice(self._of))
            if len(self._notices) > MAX:
                raise NotAMessage("too many notifications")

    def message(self) -> Message:
        """The parsed message."""
        if not self._seen or not self._organization:
            raise NotAMessage("no notifications")
        return Message(organization_id=self._organization, notices=tuple(self._notices))


def _notice(raw: dict[str, str]) -> Notice:
    notification, name, record = raw.get("id", ""), raw.get("object", ""), raw.get("record", "")
    if not RECORD_ID.fullmatch(notification) or not RECORD_ID.fullmatch(record):
        raise NotAMessage("a notification without its ids")
    if not IDENTIFIER.fullmatch(name) or len(name) > MAX_LENGTH:
        raise NotAMessage("a notification about nothing")
    return Notice(id=notification[:SHORT_ID], object=name, record_id=record)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundEndpoint:
    """The endpoint (ports.py). It stores no events: the feed reads what has changed."""

    provider: str
    secrets: Sequence[bytes] = field(repr=False)
    organization_id: str
    name: str = "outbound"

    @property
    def methods(self) -> frozenset[str]:
        """The HTTP methods: Salesforce uses POST."""
        return METHODS

    def check_head(self, head: HttpRequest) -> bool:
        """Check the secret, which does not need the body."""
        if not is_one_of(head.secret or "", self.secrets):
            raise HttpRejected(401, "wrong path secret" if head.secret else "no path secret")
        return True

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:  # noqa: ARG002 - it makes no call.
        """Accept a request with a known secret from our org. Raises HttpRejected; Salesforce then repeats the message."""
        self.check_head(request)
        try:
            message = read_message(request.body)
        except NotAMessage as finding:
            raise HttpRejected(400, f"no outbound message: {finding}") from None
        if message.organization_id[:SHORT_ID] != self.organization_id[:SHORT_ID]:
            raise HttpRejected(403, "another org")
        return AuthResult(notices=message.notices)

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event, ...]:  # noqa: ARG002 - there are no events.
        """Return no events."""
        return ()

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - always the same response.
        """Acknowledge: the notices are stored by now."""
        return ACK
