"""SOAP: parses envelopes without XML's dangerous features, and writes responses.

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
    """A fault: `code` without its prefix, and the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parse(text: bytes) -> ET.Element:
    """Parse XML; a document type, and with it every entity, is rejected first.

    Raises:
        SoapError: it is not XML, or declares a document type.
    """
    guard = ParserCreate()
    guard.StartDoctypeDeclHandler = _refuse
    try:
        guard.Parse(text, True)
        return ET.fromstring(text)  # noqa: S314 - the check above prevents entity expansion.
    except (ExpatError, ET.ParseError) as error:
        raise SoapError("UNKNOWN_EXCEPTION", f"Error parsing file: {error}") from None


def _refuse(*_: object) -> None:
    raise SoapError("UNKNOWN_EXCEPTION", "DOCTYPE is disallowed")


def word(element: ET.Element | None, name: str) -> str:
    """The text of a child element; empty if there is none."""
    found = None if element is None else element.find(f"{{{METADATA}}}{name}")
    return "" if found is None or found.text is None else found.text.strip()


def answer(body: str) -> str:
    """A response; `body` is XML."""
    return ANSWER.format(body=body)


def fault(error: SoapError) -> str:
    """A fault response."""
    text = escape(f"{error.code}: {error.message}")
    return ANSWER.format(
        body=f"<soapenv:Fault><faultcode>sf:{error.code}</faultcode><faultstring>{text}</faultstring></soapenv:Fault>"
    )


def elements(**values: object) -> str:
    """Child elements by name, with XML's words for booleans."""
    return "".join(
        f"<{name}>{str(value).lower() if isinstance(value, bool) else escape(str(value))}</{name}>"
        for name, value in values.items()
    )
