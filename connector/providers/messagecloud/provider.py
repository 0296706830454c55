"""Settings of MessageCloud → a provider of the house."""

from connector.consent.stopwords import STOP_WORDS, plain_words
from connector.delivery.transport import FixedCredentials
from connector.model.consent import Subscription
from connector.model.roles import Door
from connector.providers.form_door import FormDoor
from connector.providers.lock_settings import Reveal, build_locks
from connector.providers.messagecloud.books import ACTIONS, Books
from connector.providers.messagecloud.gateway import DOORS, Reader
from connector.providers.messagecloud.oneclick import Account
from connector.providers.messagecloud.public import ReturnDoor, SubscribeDoor
from connector.providers.messagecloud.settings import URL, MessageCloudSettings
from connector.providers.messagecloud.subscription import SHAPE, Offer, StatusAsker
from connector.providers.messagecloud.turnstile import Turnstile
from connector.providers.provider import Provider

SHAPES = {"message": True, "delivery_report": False, SHAPE: False}  # whether an opt-out may come in it


def build(name: str, settings: MessageCloudSettings, reveal: Reveal) -> Provider:
    """The provider of that name; `reveal` reads a secret, and what it raises goes through."""
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
    keywords = (*settings.keywords, *(offer.keyword for offer in offers.values()))
    reader = Reader(
        provider=name,
        keywords={plain_words(one): one for one in keywords},
        stop_words=STOP_WORDS | {plain_words(word) for word in settings.stop_words},
        region=settings.region,
    )
    locks = build_locks(settings, reveal)
    doors: list[Door] = [FormDoor(name=door, reader=reader, locks=locks) for door in DOORS]
    api, asker = settings.api, None
    if api is not None:
        account = Account(campaign_name=api.campaign_name, api_key=reveal(api.key).get_secret_value())
        asker = StatusAsker(provider=name, account=account, deadline=settings.subscribe.deadline)
        turnstile = Turnstile(per_minute=settings.subscribe.per_minute, at_once=settings.subscribe.at_once)
        doors += [
            SubscribeDoor(provider=name, account=account, offers=offers, turnstile=turnstile),
            ReturnDoor(provider=name, offers=offers),
        ]
    return Provider(
        name=name,
        doors=tuple(doors),
        shapes=SHAPES,
        credentials=FixedCredentials(api.url if api else URL),
        sink=Books(name=name),
        asker=asker,
        commands=ACTIONS,
        subscriptions=tuple(
            Subscription(provider=name, short_number=one.short_number, keyword=one.keyword, service_id=one.service_id)
            for one in offers.values()
        ),
    )


def commands(_settings: MessageCloudSettings) -> frozenset[str]:
    """Those that end a subscription; they are settled without a call."""
    return ACTIONS
