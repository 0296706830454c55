"""The steps of `salesforce setup` in the org: survey, deploy, assign, and survey again as the integration user."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from connector.checks.crm_requirements import needs
from connector.checks.mismatches import missing_in_crm
from connector.cli.orgs import administrator_of, chosen_org
from connector.cli.setup import load_rules
from connector.config.yaml_document import Document, read
from connector.crm.crm import Crm
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.settings import SalesforceSettings
from connector.crm.salesforce.setup import permissions
from connector.crm.salesforce.setup.metadata import MetadataApi, Progress
from connector.crm.salesforce.setup.package import Package, shipped
from connector.crm.salesforce.setup.survey import Survey, survey
from connector.crm.salesforce.traits import relationship_column
from connector.delivery.http_client import Client, Credentials, Transport
from connector.mapping.compile.ruleset import Ruleset
from connector.model.errors import ConnectorError
from connector.registry import LoadedConfig, build_crms

FIRST_PAUSE, MAX_PAUSE = 0.2, 5.0  # seconds between two status checks of a deployment
TIMEOUT = 900.0  # seconds: a busy org queues deployments


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSetup:
    """One org that is set up by the administrator for the integration user."""

    crm: str
    user: str  # the integration user's id
    settings: SalesforceSettings
    administrator: Credentials
    as_administrator: Client
    as_integration: Client
    role: Crm
    rules: Ruleset
    config: Document
    package: Package

    @property
    def _administered(self) -> RestClient:
        return RestClient(self.settings.api, self.as_administrator)

    async def survey(self) -> Survey:
        """Find out what exists and what is missing. Raises ConnectorError."""
        return await survey(self._administered, self.package, self.user)

    async def deploy(self, package: Package, *, check_only: bool, on_progress: Callable[[int, int], None]) -> Progress:
        """Deploy and wait for the end; `on_progress` gets the finished parts and their total. Raises ConnectorError."""
        base, headers = await self.administrator.authorization()
        api = self.settings.api
        with MetadataApi(base, headers, version=api.version, client=api.client) as metadata:
            archive = package.archive()
            deployment = await asyncio.to_thread(metadata.deploy, archive, check_only=check_only)
            pause = waited = FIRST_PAUSE
            while waited < TIMEOUT:
                progress = await asyncio.to_thread(metadata.progress, deployment)
                if progress.ended:
                    return progress
                on_progress(progress.done, progress.total)
                await asyncio.sleep(pause)
                waited += pause
                pause = min(pause * 1.5, MAX_PAUSE)
        raise ConnectorError(
            f"deployment {deployment} is still waiting in the org: see Setup, Deployment Status, and run this again afterwards"
        )

    async def assigned(self) -> list[dict[str, Any]]:
        """The integration user's permission sets, with advice for missing ones. Raises ConnectorError."""
        return [_described(one.label, await self._granted(one.name), new=False) for one in self.package.permission_sets]

    async def assign(self) -> list[dict[str, Any]]:
        """Assign missing permission sets to the integration user. Raises ConnectorError."""
        described = []
        for one in self.package.permission_sets:
            granted = await self._granted(one.name)
            new = granted.id is not None and not granted.assigned
            if granted.id is not None and new:
                await permissions.assign(self._administered, granted.id, self.user, label=one.label)
                granted = await self._granted(one.name)
            described.append(_described(one.label, granted, new=new))
        return described

    async def lacks(self) -> list[str]:
        """What the mappings still need in the org, seen as the integration user."""
        return await missing_in_crm(self.as_integration, self.role, self.rules, self.config)

    async def _granted(self, name: str) -> permissions.Granted:
        return await permissions.granted(self._administered, name, self.user)


@asynccontextmanager
async def working(loaded: LoadedConfig, crm: str | None, token_env: str | None) -> AsyncIterator[OrgSetup]:
    """The org of that name, signed in; with the variable of a token, as its administrator for what the integration user may not do.

    Raises Misused if it is not clear which org is meant, else ConnectorError.
    """
    name, settings = chosen_org(loaded, crm, SalesforceSettings, "Salesforce")
    role = build_crms(loaded)[name]
    rules = load_rules(loaded)
    wanted = needs(rules).get(name, ())
    used = {
        f"{one.object}.{relationship_column(field)}"
        for one in wanted
        for field in (*one.key_fields, *one.written, *one.read)
    }
    administrator = administrator_of(role.credentials, settings.url, token_env)
    async with Transport() as transport:
        as_integration = transport.client(role.credentials)
        yield OrgSetup(
            crm=name,
            user=await permissions.user_id(RestClient(settings.api, as_integration)),
            settings=settings,
            administrator=administrator,
            as_administrator=transport.client(administrator),
            as_integration=as_integration,
            role=role,
            rules=rules,
            config=read(loaded.path),
            package=shipped(used | {one.object for one in wanted}),
        )


def _described(label: str, granted: permissions.Granted, *, new: bool) -> dict[str, Any]:
    if granted.assigned:
        text = f"the integration user has the permission set {label}{' now' if new else ''}"
    else:
        by_hand = permissions.ASSIGN.format(name=label)
        text = f"the integration user lacks the permission set {label}: run this with --assign, or {by_hand}"
    return {"name": label, "assigned": granted.assigned, "new": new, "text": text}
