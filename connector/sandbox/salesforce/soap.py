"""SOAP as the org speaks it: envelopes read without any trick that XML allows, and answers written.

SOAP 1.1, sections 4 and 4.4 (faults); Metadata API Developer Guide, "Error Handling".
"""

from xml.etree import ElementTree as ET
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape

METADATA = "http://soap.sforce.com/2006/04/metadata"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ANSWER = f"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:sf="http://soap.sforce.com/2006/04/metadata/fault" xmlns="{METADATA}">\
<soapenv:Body>{{body}}</soapenv:Body></soapenv:Envelope>"""


class SoapError(Exception):
    """A fault: `code` without its prefix, and the words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parse(text: bytes) -> ET.Element:
    """XML as a tree; a document type, and with it every entity, is refused before it is read any further.

    Raises:
        SoapError: it is no XML, or declares a document type.
    """
    guard = ParserCreate()
    guard.StartDoctypeDeclHandler = _refuse
    try:
        guard.Parse(text, True)
        return ET.fromstring(text)  # noqa: S314 - the guard has seen to it that nothing expands.
    except (ExpatError, ET.ParseError) as error:
        raise SoapError("UNKNOWN_EXCEPTION", f"Error parsing file: {error}") from None


def _refuse(*_: object) -> None:
    raise SoapError("UNKNOWN_EXCEPTION", "DOCTYPE is disallowed")


def word(element: ET.Element | None, name: str) -> str:
    """The text of a child, or of nothing."""
    found = None if element is None else element.find(f"{{{METADATA}}}{name}")
    return "" if found is None or found.text is None else found.text.strip()


def answer(body: str) -> str:
    """An answer; `body` is XML already."""
    return ANSWER.format(body=body)


def fault(error: SoapError) -> str:
    """The answer that says no."""
    text = escape(f"{error.code}: {error.message}")
    return ANSWER.format(
        body=f"<soapenv:Fault><faultcode>sf:{error.code}</faultcode><faultstring>{text}</faultstring></soapenv:Fault>"
    )


def elements(**values: object) -> str:
    """Children by their names, booleans in XML's own words."""
    return "".join(
        f"<{name}>{str(value).lower() if isinstance(value, bool) else escape(str(value))}</{name}>"
        for name, value in values.items()
    )
