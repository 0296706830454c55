"""Settings of MessageCloud → a provider of the house."""

from connector.consent.opt_out_words import STANDARD, OptOutWords, keywords_by_form
from connector.delivery.transport import FixedCredentials
from connector.model.consent import Subscription
from connector.model.roles import Door
from connector.providers.form_door import FormDoor
from connector.providers.lock_settings import Reveal, build_locks
from connector.providers.messagecloud.books import ACTIONS, Books
from connector.providers.messagecloud.gateway import DOORS, Reader
from connector.providers.messagecloud.oneclick import Account
from connector.providers.messagecloud.public import ReturnDoor, SubscribeDoor
from connector.providers.messagecloud.samples import opt_out_samples as samples_of
from connector.providers.messagecloud.settings import URL, MessageCloudSettings
from connector.providers.messagecloud.statuses import STATUSES
from connector.providers.messagecloud.subscription import ACTION, SHAPE, Offer, StatusAsker
from connector.providers.messagecloud.turnstile import Turnstile
from connector.providers.provider import Provider
from connector.providers.samples import OptOutSample, Words

SHAPES = {"message": True, "delivery_report": False, SHAPE: False}  # whether an opt-out may come in it
WORDS: Words = {"action": (*DOORS.values(), ACTION), "status": tuple(STATUSES)}
WAY_BACK = "salesforce-to-messagecloud.yaml"  # the shipped mapping that ends subscriptions for opt-outs of the CRM


def build(name: str, settings: MessageCloudSettings, reveal: Reveal, words: OptOutWords = STANDARD) -> Provider:
    """The provider of that name; `reveal` reads a secret, and what it raises goes through. `words` are those of all providers."""
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
        subscriptions=subscriptions(name, settings),
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
    """Those of the offers."""
    return tuple(
        Subscription(provider=name, short_number=one.short_number, keyword=one.keyword, service_id=one.service_id)
        for one in settings.offers.values()
    )


def opt_out_samples(name: str, settings: MessageCloudSettings) -> tuple[OptOutSample, ...]:
    """Every kind of opt-out that MessageCloud sends. Needs no secrets."""
    offers = [(one.short_number, one.keyword) for one in settings.offers.values()]
    return tuple(samples_of(_reader(name, settings), offers))


def commands(_settings: MessageCloudSettings) -> frozenset[str]:
    """Those that end a subscription; they are settled without a call."""
    return ACTIONS
