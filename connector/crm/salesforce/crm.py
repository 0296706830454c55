"""Settings of one Salesforce org → a CRM of the house."""

from collections.abc import Sequence
from pathlib import Path

from connector.crm.crm import Crm, Needs, Watching
from connector.crm.salesforce import decode
from connector.crm.salesforce.describe import Wanted, preflight
from connector.crm.salesforce.feed import SalesforceFeed
from connector.crm.salesforce.login import SalesforceCredentials
from connector.crm.salesforce.settings import SalesforceSettings
from connector.crm.salesforce.sink import SalesforceSink
from connector.delivery.quota import Quota
from connector.model.exchange import Exchange
from connector.model.roles import Feed


def build(name: str, settings: SalesforceSettings, base: Path) -> Crm:
    """The CRM of that name; `base` is the directory of the config. Raises SecretMissing."""
    api, consent = settings.api, settings.consent

    def feed(watching: Watching) -> Feed:
        return SalesforceFeed(
            name,
            watching.object,
            api=api,
            fields=watching.fields,
            key_fields=watching.key_fields,
            every=watching.every,
        )

    def look(needs: Sequence[Needs]) -> Exchange[list[str]]:
        return preflight(
            api,
            [Wanted(object=one.object, key_fields=one.key_fields, written=one.written, read=one.read) for one in needs],
        )

    return Crm(
        name=name,
        credentials=SalesforceCredentials(settings.url, settings.sign_in.resolve(base)),
        sink=SalesforceSink(name, api=api, consent_fields=consent, batch=settings.batch, composite=settings.composites),
        feed=feed,
        quota=Quota(share=settings.quota.share, reserve=settings.quota.reserve_for_opt_outs),
        usage=decode.usage,
        preflight=look,
        consent_fields=consent,
    )
