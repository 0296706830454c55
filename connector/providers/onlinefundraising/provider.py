"""Settings of OnlineFundraising → a provider of the house."""

from ipaddress import ip_network

from connector.consent.stopwords import STOP_WORDS, plain_words
from connector.delivery.transport import FixedCredentials
from connector.model.roles import CatchUp
from connector.providers.lock_settings import Reveal, build_locks
from connector.providers.onlinefundraising.addresses import PublishedAddresses
from connector.providers.onlinefundraising.catchup import KEYWORD, ChangedKeywords, MissedMessages
from connector.providers.onlinefundraising.keywords import OnlineFundraisingKeywords
from connector.providers.onlinefundraising.settings import OnlineFundraisingSettings
from connector.providers.onlinefundraising.webhook import MESSAGE, Reader, SmsDoor
from connector.providers.provider import Provider

SHAPES = {MESSAGE: True, KEYWORD: False}  # whether an opt-out may come in it


def build(name: str, settings: OnlineFundraisingSettings, reveal: Reveal) -> Provider:
    """The provider of that name; `reveal` reads a secret, and what it raises goes through."""
    reader = Reader(
        provider=name,
        keywords=frozenset(plain_words(one) for one in settings.keywords),
        stop_words=STOP_WORDS | {plain_words(word) for word in settings.stop_words},
        region=settings.region,
    )
    published = None
    if settings.address_list is not None:
        # Either list lets a caller in: as a lock of its own, `addresses` would shut out what is published.
        published = PublishedAddresses(
            url=settings.address_list.url,
            refresh=settings.address_list.refresh,
            besides=[ip_network(text, strict=False) for text in settings.addresses],
        )
        settings = settings.model_copy(update={"addresses": ()})
    door = SmsDoor(reader=reader, locks=build_locks(settings, reveal), published=published)
    api, catch_up = settings.api, settings.catch_up
    if api is None:
        return Provider(name=name, doors=(door,), shapes=SHAPES, credentials=FixedCredentials(""))
    catch_ups: tuple[CatchUp, ...] = (
        ChangedKeywords(provider=name, door=door.name, every=catch_up.keywords_every),
        MissedMessages(
            reader=reader,
            door=door.name,
            every=catch_up.every,
            overlap=catch_up.overlap,
            page_size=catch_up.page_size,
        ),
    )
    return Provider(
        name=name,
        doors=(door,),
        shapes=SHAPES,
        credentials=FixedCredentials(api.url, {"Authorization": reveal(api.key).get_secret_value()}),
        catch_ups=catch_ups if catch_up.enabled else (),
        keywords=OnlineFundraisingKeywords(door=door.name, own=settings.keywords),
    )


def commands(_settings: OnlineFundraisingSettings) -> frozenset[str]:
    """None: the SMS Inbound API has no call that ends a subscription by its number."""
    return frozenset()
