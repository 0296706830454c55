"""Builds the OnlineFundraising provider from its settings."""

from ipaddress import ip_network

from connector.config.secrets import Reveal
from connector.consent.opt_out_words import STANDARD, OptOutWords, keywords_by_form
from connector.delivery.http_client import FixedCredentials
from connector.model.consent import Subscription
from connector.ports import Poller
from connector.providers.auth_settings import build_authenticators
from connector.providers.onlinefundraising.ip_allowlist import PublishedAddresses
from connector.providers.onlinefundraising.keywords import OnlineFundraisingKeywords
from connector.providers.onlinefundraising.poller import ACTION as KEYWORD_ACTION
from connector.providers.onlinefundraising.poller import KEYWORD, ChangedKeywords, MissedMessages
from connector.providers.onlinefundraising.samples import opt_out_samples as samples_of
from connector.providers.onlinefundraising.settings import OnlineFundraisingSettings
from connector.providers.onlinefundraising.webhook import ACTION, MESSAGE, Reader, SmsEndpoint
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words

SETTINGS = OnlineFundraisingSettings

SHAPES = {MESSAGE: True, KEYWORD: False}  # whether an opt-out may come in it
WORDS: Words = {"action": (ACTION, KEYWORD_ACTION), "status": ("Received", "Processed", "Error")}


def build(name: str, settings: OnlineFundraisingSettings, reveal: Reveal, words: OptOutWords = STANDARD) -> Provider:
    """Build the provider of that name. `reveal` reads a secret, and what it raises is passed on; `words` apply to all providers."""
    reader = _reader(name, settings, words)
    published = None
    if settings.address_list is not None:
        # A caller on either list is accepted: as a separate authenticator, `addresses` would reject the published
        # addresses.
        published = PublishedAddresses(
            url=settings.address_list.url,
            refresh=settings.address_list.refresh,
            besides=[ip_network(text, strict=False) for text in settings.addresses],
        )
        settings = settings.model_copy(update={"addresses": ()})
    endpoint = SmsEndpoint(reader=reader, authenticators=build_authenticators(settings, reveal), published=published)
    api, catch_up = settings.api, settings.catch_up
    if api is None:
        return Provider(name=name, endpoints=(endpoint,), shapes=SHAPES, credentials=FixedCredentials(""))
    catch_ups: tuple[Poller, ...] = (
        ChangedKeywords(provider=name, endpoint=endpoint.name, every=catch_up.keywords_every),
        MissedMessages(
            reader=reader,
            endpoint=endpoint.name,
            every=catch_up.every,
            overlap=catch_up.overlap,
            page_size=catch_up.page_size,
        ),
    )
    return Provider(
        name=name,
        endpoints=(endpoint,),
        shapes=SHAPES,
        credentials=FixedCredentials(api.url, {"Authorization": reveal(api.key).get_secret_value()}),
        pollers=catch_ups if catch_up.enabled else (),
        keywords=OnlineFundraisingKeywords(endpoint=endpoint.name, configured=settings.keywords),
    )


def _reader(name: str, settings: OnlineFundraisingSettings, words: OptOutWords = STANDARD) -> Reader:
    return Reader(
        provider=name,
        keywords=keywords_by_form(settings.keywords),
        words=words.with_more(stop=settings.stop_words),
        region=settings.region,
    )


def opt_out_samples(name: str, settings: OnlineFundraisingSettings) -> tuple[OptOutSample, ...]:
    """Every kind of opt-out that OnlineFundraising sends. Needs no secrets."""
    return tuple(samples_of(_reader(name, settings), settings.keywords))


def subscriptions(_name: str, _settings: OnlineFundraisingSettings) -> tuple[Subscription, ...]:
    """None are configured."""
    return ()


def commands(_settings: OnlineFundraisingSettings) -> frozenset[str]:
    """None: the SMS Inbound API has no call that ends a subscription by its number."""
    return frozenset()
