"""Deploys a package through the Metadata API with simple-salesforce. It blocks, and is called in a thread.

Source: Metadata API Developer Guide, "deploy()", "checkDeployStatus()", "DeployResult".
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from xml.etree.ElementTree import ParseError

import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from connector.crm.salesforce.client.oauth import OrgSession
from connector.model.errors import ConnectorError, PeerUnavailable

T = TypeVar("T")
TIMEOUTS = (5.0, 60.0)  # seconds to connect and between two bytes
ENDED = frozenset({"Succeeded", "SucceededPartial", "Failed", "Canceled"})
FAULT = re.compile(r"<faultstring>([^<]*)</faultstring>")
WARNING = "Warning"
# Messages about a deployment or a component, in lower case, with advice. The first match is used.
ADMINISTRATOR = (
    "sign in as an administrator: give an administrator's access token with --token-env, as docs/salesforce-setup.md says, or deploy "
    "the directory salesforce/ with Salesforce's own command line"
)
OTHER_TYPE = "a field of this name is there with another type: rename or remove the old one in Setup"
TRY_AGAIN = "another person changes the org's setup at this moment: try again in some minutes"
NAME_TAKEN = "another part of the org has this name, perhaps one that was deleted: rename it, or erase it in Setup, Deleted Fields"
CURES: tuple[tuple[str, str], ...] = (
    ("use of the metadata api requires", ADMINISTRATOR),
    ("invalid_session_id", "the access token has expired: get a new one, or leave --token-env out"),
    ("api_disabled_for_org", "the org's edition has no API, or the user lacks the permission API Enabled"),
    ("depends on permission", "give the permission set that permission too, in salesforce/"),
    ("cannot change type", OTHER_TYPE),
    ("cannot update a field from", OTHER_TYPE),
    ("unable_to_lock_row", TRY_AGAIN),
    ("unable to obtain exclusive access", TRY_AGAIN),
    ("administration setup", TRY_AGAIN),
    ("already been locked by another change", TRY_AGAIN),
    ("value found: <unknown>", NAME_TAKEN),
    ("value found: &lt;unknown&gt;", NAME_TAKEN),
    ("duplicate", "the field holds a value twice: make them different before it can be unique"),
    ("limit", "the org has no space for another one: remove what is not used, or ask Salesforce"),
    ("no customfield named", "the org's edition lacks the field: take it out of the permission set in salesforce/"),
    ("no customobject named", "the org's edition lacks the object: take it out of salesforce/"),
)
LOOK = "look at Setup, Deployment Status, where the org says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentFailure:
    """Why one part of a package was rejected, with advice."""

    file: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a deployment."""

    state: str  # Salesforce's own word
    done: int
    total: int
    failures: tuple[ComponentFailure, ...]

    @property
    def ended(self) -> bool:
        """Whether it is finished."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether all of it was deployed."""
        return self.state == "Succeeded" and not self.failures


class MetadataApi:
    """One org's Metadata API at the address `base`; `authorization` are the headers. Every method raises ConnectorError."""

    def __init__(self, base: str, authorization: Mapping[str, str], *, version: str, client: str) -> None:
        self._session = OrgSession(base, timeouts=TIMEOUTS)
        self._client = client
        self._org = Salesforce(
            instance_url=base,
            session_id=authorization.get("Authorization", "").removeprefix("Bearer "),
            version=version,
            session=self._session,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def deploy(self, archive: bytes, *, check_only: bool) -> str:
        """Start a deployment, all or nothing; returns its id. With `check_only` the org only validates it."""
        # simple-salesforce would send `None` for missing testLevel and tests. Its parameter `sandbox` means that a part
        # may fail alone.
        deployment, _ = _asked(
            lambda: self._org.mdapi.deploy(
                io.BytesIO(archive),
                sandbox=False,
                client=self._client,
                checkOnly=_word(yes=check_only),
                testLevel="",
                tests="",
                autoUpdatePackage="false",
                ignoreWarnings="true",
                performRetrieve="false",
                purgeOnDelete="false",
            )
        )
        if deployment is None:
            raise ConnectorError("the Metadata API took the package, and did not say under which id: try again")
        return deployment

    def progress(self, deployment: str) -> Progress:
        """The progress of a deployment."""
        state, _, parts, _ = _asked(lambda: self._org.mdapi.check_deploy_status(deployment, client=self._client))
        raw = parts or {}
        return Progress(
            state=state or "Pending",
            done=_number(raw.get("deployed_count")),
            total=_number(raw.get("total_count")),
            failures=tuple(_failure(one) for one in raw.get("errors", ()) if one.get("status") != WARNING),
        )


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except requests.RequestException as error:
        raise PeerUnavailable(
            f"Salesforce's Metadata API does not answer ({type(error).__name__}): check the network, and run this again"
        ) from error
    except SalesforceError as error:
        raise ConnectorError(_refusal(error.status, str(error.content))) from error
    except (ParseError, AttributeError) as error:
        raise ConnectorError("the server is not Salesforce's Metadata API: check url: in the config") from error


def _refusal(status: int, content: str) -> str:
    found = FAULT.search(content)
    said = found[1] if found else f"HTTP {status}"
    return f"Salesforce refuses the deployment ({said}): {cure(said)}"


def cure(said: str) -> str:
    """Advice for an error message of the org."""
    lower = said.lower()
    return next((cure for needle, cure in CURES if needle in lower), LOOK)


def _failure(raw: Mapping[str, Any]) -> ComponentFailure:
    message = str(raw.get("message") or "no reason given")
    return ComponentFailure(file=str(raw.get("file") or ""), message=message, cure=cure(message))


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdigit() else 0


def _word(*, yes: bool) -> str:
    return "true" if yes else "false"
