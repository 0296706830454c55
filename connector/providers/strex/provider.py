"""Builds the Strex Connect provider from its settings."""

from connector.config.secrets import Reveal
from connector.consent.opt_out_words import STANDARD, OptOutWords, keywords_by_form
from connector.delivery.http_client import FixedCredentials
from connector.model.consent import Subscription
from connector.providers.auth_settings import build_authenticators
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words
from connector.providers.strex.callback import Reader
from connector.providers.strex.commands import ACTIONS, StrexCommands
from connector.providers.strex.endpoints import MessageEndpoint, ReportEndpoint
from connector.providers.strex.enricher import StrexEnricher
from connector.providers.strex.keywords import StrexKeywords
from connector.providers.strex.number_lookup import StrexLookups
from connector.providers.strex.public_keys import PublicKeys
from connector.providers.strex.rest import RestApi
from connector.providers.strex.samples import opt_out_samples as samples_of
from connector.providers.strex.settings import StrexSettings
from connector.providers.strex.signature import Signature
from connector.providers.strex.system_actions import NAMES, STATUS_CODES

SETTINGS = StrexSettings

SHAPES = {"message": True, "delivery_report": True}  # both can bring an opt-out
WORDS: Words = {"action": NAMES, "status": STATUS_CODES}


def build(name: str, settings: StrexSettings, reveal: Reveal, words: OptOutWords = STANDARD) -> Provider:
    """Build the provider of that name. `reveal` reads a secret, and what it raises is passed on; `words` apply to all providers."""
    reader = _reader(name, settings, words)
    authenticators = build_authenticators(settings, reveal)
    signature = None
    if settings.signature.mode != "off":
        required = settings.signature.mode == "required"
        signature = Signature(keys=PublicKeys(), required=required, drift=settings.signature.drift)
    message_endpoint = MessageEndpoint(reader=reader, authenticators=authenticators, signature=signature)
    api, headers, keywords, enricher = settings.api, {}, None, None
    if api.key is not None:
        key = reveal(api.key).get_secret_value()
        headers[api.header] = api.form.replace("{key}", key)
        secret = reveal(settings.path_secrets[0]).get_secret_value() if settings.path_secrets else None
        rest = RestApi(url=api.url, header=api.rest_header, key=key)
        keywords = StrexKeywords(api=rest, endpoint=message_endpoint.name, secret=secret)
        if settings.look_up.enabled:
            asking = settings.look_up
            enricher = StrexEnricher(
                provider=name, lookups=StrexLookups(api=rest), keep=asking.keep, deadline=asking.deadline
            )
    return Provider(
        name=name,
        endpoints=(message_endpoint, ReportEndpoint(reader=reader, authenticators=authenticators, signature=signature)),
        shapes=SHAPES,
        credentials=FixedCredentials(api.url, headers),
        sink=StrexCommands(name=name) if api.key is not None else None,
        commands=commands(settings),
        keywords=keywords,
        enricher=enricher,
        subscriptions=subscriptions(name, settings),
    )


def _reader(name: str, settings: StrexSettings, words: OptOutWords = STANDARD) -> Reader:
    return Reader(
        provider=name,
        keywords=keywords_by_form(one.keyword for one in settings.subscriptions),
        words=words.with_more(stop=settings.stop_words),
        region=settings.region,
    )


def subscriptions(name: str, settings: StrexSettings) -> tuple[Subscription, ...]:
    """The configured subscriptions."""
    return tuple(
        Subscription(
            provider=name,
            short_number=one.short_number,
            keyword=one.keyword,
            keyword_id=one.keyword_id,
            service_id=one.service_id,
        )
        for one in settings.subscriptions
    )


def opt_out_samples(name: str, settings: StrexSettings) -> tuple[OptOutSample, ...]:
    """Every kind of opt-out that Strex sends. Needs no secrets."""
    return tuple(samples_of(_reader(name, settings), subscriptions(name, settings)))


def commands(settings: StrexSettings) -> frozenset[str]:
    """The commands that the provider takes: none without an API key."""
    return ACTIONS if settings.api.key is not None else frozenset()
