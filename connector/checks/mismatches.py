"""The one comparison of mappings and config with a CRM's objects. Used by check, doctor, the nightly watch and set-up."""

from dataclasses import dataclass

from connector.checks.consent_fields import consent_problems
from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import describe_what_is_used
from connector.config.yaml_document import Document
from connector.crm.crm import Crm
from connector.mapping.compile.ruleset import Ruleset
from connector.model.crm_schema import CrmSchema
from connector.model.http import Http
from connector.model.problem import Problem, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatches:
    """The problems of the mappings, and those of `consent_fields:` in the config."""

    mappings: list[Problem]
    config: list[Problem]

    @property
    def errors(self) -> list[Problem]:
        """All that would fail; warnings are for people who edit."""
        return [one for one in (*self.mappings, *self.config) if one.severity is Severity.ERROR]


def mismatches(rules: Ruleset, config: Document, crm: Crm, schema: CrmSchema) -> Mismatches:
    """What does not fit the CRM's objects."""
    schemas = {crm.name: schema}
    return Mismatches(
        mappings=rules.misfits(schemas),
        config=consent_problems(config, {crm.name: crm.consent_fields}, schemas),
    )


async def missing_in_crm(http: Http, crm: Crm, rules: Ruleset, config: Document) -> list[str]:
    """What a CRM still lacks: one sentence each, with advice. Raises ConnectorError if it does not answer."""
    pulled = await describe_what_is_used(http, crm, needs(rules).get(crm.name, ()))
    return [str(one) for one in mismatches(rules, config, crm, pulled.schema).errors]
