"""Builds the Twilio provider from its settings."""

from connector.config.secrets import Reveal
from connector.consent.opt_out_words import STANDARD, OptOutWords, keywords_by_form
from connector.delivery.http_client import FixedCredentials
from connector.model.consent import Subscription
from connector.providers.auth_settings import build_authenticators
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words
from connector.providers.twilio.callback import ENDPOINTS, RESULTS, Reader
from connector.providers.twilio.endpoints import TwilioEndpoint
from connector.providers.twilio.samples import opt_out_samples as samples_of
from connector.providers.twilio.settings import TwilioSettings
from connector.providers.twilio.signature import Signature

SETTINGS = TwilioSettings

SHAPES = {"message": True, "delivery_report": True}  # whether an opt-out may come in it
WORDS: Words = {"action": tuple(ENDPOINTS.values()), "status": tuple(RESULTS)}
UNUSED_URL = "https://api.twilio.com"  # it is never called: nothing is sent, and Twilio handles opt-outs itself


def build(name: str, settings: TwilioSettings, reveal: Reveal, words: OptOutWords = STANDARD) -> Provider:
    """Build the provider of that name. `reveal` reads a secret, and what it raises is passed on; `words` apply to all providers."""
    tokens = [reveal(token).get_secret_value().encode() for token in settings.auth_tokens]
    reader = _reader(name, settings, words)
    authenticators = build_authenticators(settings, reveal)
    return Provider(
        name=name,
        endpoints=tuple(
            TwilioEndpoint(
                name=endpoint,
                reader=reader,
                authenticators=authenticators,
                signature=Signature(tokens) if tokens else None,
            )
            for endpoint in ENDPOINTS
        ),
        shapes=SHAPES,
        credentials=FixedCredentials(UNUSED_URL, {}),
    )


def _reader(name: str, settings: TwilioSettings, words: OptOutWords = STANDARD) -> Reader:
    return Reader(
        provider=name,
        keywords=keywords_by_form(settings.keywords),
        words=words.with_more(stop=settings.stop_words),
        region=settings.region,
    )


def opt_out_samples(name: str, settings: TwilioSettings) -> tuple[OptOutSample, ...]:
    """Every kind of opt-out that Twilio sends. Needs no secrets."""
    return tuple(samples_of(_reader(name, settings)))


def subscriptions(_name: str, _settings: TwilioSettings) -> tuple[Subscription, ...]:
    """None are configured."""
    return ()


def commands(_settings: TwilioSettings) -> frozenset[str]:
    """None: Twilio stops sending by itself after a STOP, and no command is needed."""
    return frozenset()
