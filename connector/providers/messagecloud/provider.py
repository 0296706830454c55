"""Builds the MessageCloud provider from its settings."""

from connector.config.secrets import Reveal
from connector.consent.opt_out_words import STANDARD, OptOutWords, keywords_by_form
from connector.delivery.http_client import FixedCredentials
from connector.model.charge import CHARGE, CHARGED, ENDED
from connector.model.consent import Subscription
from connector.ports import WebhookEndpoint
from connector.providers.auth_settings import build_authenticators
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.messagecloud.charges import DobCharger, charge_rules
from connector.providers.messagecloud.gateway import ENDPOINTS, Reader
from connector.providers.messagecloud.local_commands import ACTIONS, LocalCommands
from connector.providers.messagecloud.oneclick import Account
from connector.providers.messagecloud.rate_limit import RateLimiter
from connector.providers.messagecloud.samples import opt_out_samples as samples_of
from connector.providers.messagecloud.settings import URL, MessageCloudSettings
from connector.providers.messagecloud.statuses import STATUSES
from connector.providers.messagecloud.subscription import ACTION, SHAPE, Offer, StatusEnricher
from connector.providers.messagecloud.web_endpoints import ReturnEndpoint, SubscribeEndpoint
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words

SETTINGS = MessageCloudSettings

SHAPES = {"message": True, "delivery_report": False, SHAPE: False, CHARGE: False}  # whether an opt-out may come in it
WORDS: Words = {"action": (*ENDPOINTS.values(), ACTION, CHARGED, ENDED), "status": tuple(STATUSES)}


def build(name: str, settings: MessageCloudSettings, reveal: Reveal, words: OptOutWords = STANDARD) -> Provider:
    """Build the provider of that name. `reveal` reads a secret, and what it raises is passed on; `words` apply to all providers."""
    offers = {
        key: Offer(
            name=key,
            service_id=one.service_id,
            short_number=one.short_number,
            keyword=one.keyword,
            price=one.price,
            thank_you=one.thank_you,
            cancelled=one.cancelled,
        )
        for key, one in settings.offers.items()
    }
    reader = _reader(name, settings, words)
    authenticators = build_authenticators(settings, reveal)
    endpoints: list[WebhookEndpoint] = [
        FormEndpoint(name=endpoint, reader=reader, authenticators=authenticators) for endpoint in ENDPOINTS
    ]
    api, enricher, charger = settings.api, None, None
    if api is not None:
        account = Account(campaign_name=api.campaign_name, api_key=reveal(api.key).get_secret_value())
        enricher = StatusEnricher(provider=name, account=account, deadline=settings.subscribe.deadline)
        charger = DobCharger(provider=name, account=account, rules=charge_rules(settings))
        rate_limiter = RateLimiter(per_minute=settings.subscribe.per_minute, at_once=settings.subscribe.at_once)
        endpoints += [
            SubscribeEndpoint(provider=name, account=account, offers=offers, rate_limiter=rate_limiter),
            ReturnEndpoint(provider=name, offers=offers),
        ]
    return Provider(
        name=name,
        endpoints=tuple(endpoints),
        shapes=SHAPES,
        credentials=FixedCredentials(api.url if api else URL),
        sink=LocalCommands(name=name),
        enricher=enricher,
        commands=ACTIONS,
        subscriptions=subscriptions(name, settings),
        charger=charger,
    )


def _reader(name: str, settings: MessageCloudSettings, words: OptOutWords = STANDARD) -> Reader:
    keywords = (*settings.keywords, *(offer.keyword for offer in settings.offers.values()))
    return Reader(
        provider=name,
        keywords=keywords_by_form(keywords),
        words=words.with_more(stop=settings.stop_words),
        region=settings.region,
    )


def subscriptions(name: str, settings: MessageCloudSettings) -> tuple[Subscription, ...]:
    """The subscriptions of the offers."""
    return tuple(
        Subscription(provider=name, short_number=one.short_number, keyword=one.keyword, service_id=one.service_id)
        for one in settings.offers.values()
    )


def opt_out_samples(name: str, settings: MessageCloudSettings) -> tuple[OptOutSample, ...]:
    """Every kind of opt-out that MessageCloud sends. Needs no secrets."""
    offers = [(one.short_number, one.keyword) for one in settings.offers.values()]
    return tuple(samples_of(_reader(name, settings), offers))


def commands(_settings: MessageCloudSettings) -> frozenset[str]:
    """The commands that end a subscription or change its price; they are settled without a call."""
    return ACTIONS
