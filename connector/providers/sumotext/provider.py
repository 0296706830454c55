"""Settings of Sumotext → a provider of the house."""

from connector.consent.stopwords import START_WORDS, STOP_WORDS, plain_words
from connector.delivery.transport import FixedCredentials
from connector.model.consent import Subscription
from connector.providers.form_door import FormDoor
from connector.providers.lock_settings import Reveal, build_locks
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words
from connector.providers.sumotext.callback import CALLBACKS, Reader
from connector.providers.sumotext.repeats import Repeats
from connector.providers.sumotext.samples import opt_out_samples as samples_of
from connector.providers.sumotext.settings import COUNTRIES, SumotextSettings

# An opt-out comes in `msg`, which polls and delivery reports do not have.
SHAPES = {"form": True, "message": True, "poll_reply": False, "delivery_report": False}
WORDS: Words = {"action": tuple(one.action for one in CALLBACKS.values())}
NOWHERE = "https://sumotext.com"  # nothing is ever called: no API takes an opt-out


def build(name: str, settings: SumotextSettings, reveal: Reveal) -> Provider:
    """The provider of that name; `reveal` reads a secret, and what it raises goes through."""
    secret = reveal(settings.path_secrets[0]).get_secret_value().encode() if settings.path_secrets else b""
    reader = _reader(name, settings, secret)
    locks = build_locks(settings, reveal)
    return Provider(
        name=name,
        doors=tuple(FormDoor(name=door, reader=reader, locks=locks) for door in CALLBACKS),
        shapes=SHAPES,
        credentials=FixedCredentials(NOWHERE, {}),
    )


def _reader(name: str, settings: SumotextSettings, secret: bytes) -> Reader:
    return Reader(
        provider=name,
        repeats=Repeats(window=settings.repeat_window, secret=secret),
        stop_words=STOP_WORDS | {plain_words(word) for word in settings.stop_words},
        start_words=START_WORDS | {plain_words(word) for word in settings.start_words},
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
