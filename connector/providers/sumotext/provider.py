"""Builds the Sumotext provider from its settings."""

from connector.config.secrets import Reveal
from connector.consent.opt_out_table import START_WORDS
from connector.consent.opt_out_words import STANDARD, OptOutWords, keywords_by_form
from connector.delivery.http_client import FixedCredentials
from connector.model.consent import Subscription
from connector.providers.auth_settings import build_authenticators
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words
from connector.providers.sumotext.callback import CALLBACKS, Reader
from connector.providers.sumotext.deduplicate import Deduplicator
from connector.providers.sumotext.samples import opt_out_samples as samples_of
from connector.providers.sumotext.settings import COUNTRIES, SumotextSettings

SETTINGS = SumotextSettings

# Any text of a donor may be an opt-out, even the answer to a poll.
SHAPES = {"form": True, "message": True, "poll_reply": True, "delivery_report": False}
WORDS: Words = {"action": tuple(one.action for one in CALLBACKS.values())}
UNUSED_URL = "https://sumotext.com"  # it is never called: no API takes an opt-out


def build(name: str, settings: SumotextSettings, reveal: Reveal, words: OptOutWords = STANDARD) -> Provider:
    """Build the provider of that name. `reveal` reads a secret, and what it raises is passed on; `words` apply to all providers."""
    secret = reveal(settings.path_secrets[0]).get_secret_value().encode() if settings.path_secrets else b""
    reader = _reader(name, settings, secret, words)
    authenticators = build_authenticators(settings, reveal)
    return Provider(
        name=name,
        endpoints=tuple(
            FormEndpoint(name=endpoint, reader=reader, authenticators=authenticators) for endpoint in CALLBACKS
        ),
        shapes=SHAPES,
        credentials=FixedCredentials(UNUSED_URL, {}),
    )


def _reader(name: str, settings: SumotextSettings, secret: bytes, words: OptOutWords = STANDARD) -> Reader:
    return Reader(
        provider=name,
        deduplicator=Deduplicator(window=settings.repeat_window, secret=secret),
        words=words.with_more(stop=settings.stop_words),
        keywords=keywords_by_form(settings.start_words),
        start_words=START_WORDS | keywords_by_form(settings.start_words).keys(),
        short_number=settings.short_number,
        region=settings.region,
        countries=COUNTRIES | {country.upper(): region for country, region in settings.countries.items()},
    )


def opt_out_samples(name: str, settings: SumotextSettings) -> tuple[OptOutSample, ...]:
    """Every kind of opt-out that Sumotext sends. Needs no secrets."""
    return tuple(samples_of(_reader(name, settings, b"")))


def subscriptions(_name: str, _settings: SumotextSettings) -> tuple[Subscription, ...]:
    """None are configured."""
    return ()


def commands(_settings: SumotextSettings) -> frozenset[str]:
    """None: Sumotext documents no call that unsubscribes."""
    return frozenset()
