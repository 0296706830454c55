"""The Metadata API: accepts packages, and reports the progress of each deployment.

Metadata API Developer Guide, "deploy()", "checkDeployStatus()", "DeployResult". A deployment is done at once, but
reported as if it took time.
"""

import base64
import binascii
from dataclasses import dataclass
from itertools import count
from xml.etree.ElementTree import Element

from connector.sandbox.salesforce.administration import Administration
from connector.sandbox.salesforce.components import Component, Failure, unpack
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.identifiers import record_id
from connector.sandbox.salesforce.soap import ENVELOPE, METADATA, SoapError, elements, word

CHECKS = 2  # status checks until a deployment is reported as finished


@dataclass(slots=True)
class Deployment:
    """One package and its result."""

    components: list[Component]
    failures: list[Failure]
    check_only: bool
    checks: int = 0


class Deployments:
    """The deployments of one org."""

    def __init__(self, database: Database, administration: Administration) -> None:
        self._database = database
        self._administration = administration
        self._all: dict[str, Deployment] = {}
        self._numbers = count(1)

    def answer(self, envelope: Element) -> str:
        """The body of the response to a call. Raises SoapError."""
        body = envelope.find(f"{{{ENVELOPE}}}Body")
        call = body[0] if body is not None and len(body) else None
        match None if call is None else call.tag:
            case tag if tag == f"{{{METADATA}}}deploy":
                return self._deploy(call)
            case tag if tag == f"{{{METADATA}}}checkDeployStatus":
                return self._status(word(call, "asyncProcessId"))
            case _:
                raise SoapError("INVALID_OPERATION", "No operation available for this request")

    def _deploy(self, call: Element | None) -> str:
        options = None if call is None else call.find(f"{{{METADATA}}}DeployOptions")
        try:
            archive = base64.b64decode(word(call, "ZipFile"), validate=True)
        except binascii.Error:
            raise SoapError("INVALID_VALUE", "ZipFile is not base64") from None
        components, failures = unpack(archive)
        failures += self._administration.check(components)
        deployment = Deployment(components, failures, check_only=word(options, "checkOnly").lower() == "true")
        if not failures and not deployment.check_only:
            with self._database.transaction():
                self._administration.deploy(components)
        name = record_id("0Af", next(self._numbers))
        self._all[name] = deployment
        return f"<deployResponse><result>{elements(done=False, id=name, state='Queued')}</result></deployResponse>"

    def _status(self, name: str) -> str:
        deployment = self._all.get(name)
        if deployment is None:
            raise SoapError("INVALID_CROSS_REFERENCE_KEY", f"invalid deploy id: {name}")
        deployment.checks += 1
        done = deployment.checks >= CHECKS
        failed = len(deployment.failures)
        total = max(len(deployment.components), failed)
        state = "InProgress" if not done else "Failed" if failed else "Succeeded"
        summary = elements(
            checkOnly=deployment.check_only,
            done=done,
            id=name,
            numberComponentErrors=failed if done else 0,
            numberComponentsDeployed=total - failed if done else total // 2,
            numberComponentsTotal=total,
            numberTestErrors=0,
            numberTestsCompleted=0,
            numberTestsTotal=0,
            rollbackOnError=True,
            status=state,
            success=done and not failed,
        )
        details = "".join(_told(failure) for failure in deployment.failures) if done else ""
        return f"<checkDeployStatusResponse><result>{summary}<details>{details}</details></result></checkDeployStatusResponse>"


def _told(failure: Failure) -> str:
    values = elements(
        componentType=failure.kind,
        fileName=failure.file,
        fullName=failure.name,
        problem=failure.problem,
        problemType="Error",
        success=False,
    )
    return f"<componentFailures>{values}</componentFailures>"
