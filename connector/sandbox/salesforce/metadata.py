"""The Metadata API over HTTP: checks the session, and passes the call to the deployments."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from aiohttp import web

from connector.sandbox.salesforce import org, soap
from connector.sandbox.salesforce.administration import Administration
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.deployments import Deployments
from connector.sandbox.salesforce.faults import Faults
from connector.sandbox.salesforce.login import Sessions
from connector.sandbox.salesforce.soap import ENVELOPE, METADATA, SoapError, word
from connector.sandbox.salesforce.usage import Usage
from connector.sandbox.salesforce.writing import Writer

NO_SESSION = SoapError("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
NO_METADATA = SoapError(
    "INSUFFICIENT_ACCESS",
    "use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions",
)


class Metadata:
    """Answers calls below /services/Soap/m."""

    def __init__(
        self, database: Database, *, sessions: Sessions, usage: Usage, faults: Faults, clock: Callable[[], float]
    ) -> None:
        self._sessions = sessions
        self._usage = usage
        self._faults = faults
        self.administration = Administration(database, Writer(database), clock)
        self._deployments = Deployments(database, self.administration)

    async def answer(self, request: web.Request) -> web.Response:
        """POST /services/Soap/m/{version}/…."""
        self._usage.requests["POST /services/Soap/m"] += 1
        try:
            envelope = soap.parse(await request.read())
            self._let_in(envelope)
            text, status = soap.answer(self._deployments.answer(envelope)), 200
        except SoapError as error:
            text, status = soap.fault(error), 500
        return web.Response(status=status, text=text, content_type="text/xml")

    def _let_in(self, envelope: Element) -> None:
        header = envelope.find(f"{{{ENVELOPE}}}Header/{{{METADATA}}}SessionHeader")
        user = self._sessions.user(f"Bearer {word(header, 'sessionId')}")
        if user is None:
            raise NO_SESSION
        self._usage.spend()
        if user == org.INTEGRATION_USER and any(fault.name == "no_metadata_access" for fault in self._faults.all):
            raise NO_METADATA
