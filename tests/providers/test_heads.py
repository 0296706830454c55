"""What each door knows of a caller before the body has come."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from connector.crm.salesforce.outbound import OutboundDoor
from connector.model.errors import Refused
from connector.model.exchange import HttpReply, HttpRequest
from connector.providers.form_door import FormDoor
from connector.providers.locks import AddressList, BasicAuth, PathSecret
from connector.providers.messagecloud.public import ReturnDoor, SubscribeDoor
from connector.providers.messagecloud.turnstile import Turnstile
from connector.providers.onlinefundraising.addresses import PublishedAddresses
from connector.providers.onlinefundraising.webhook import SmsDoor
from connector.providers.strex.doors import MessageDoor, ReportDoor
from connector.providers.strex.keys import PublicKeys
from connector.providers.strex.signature import Signature

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RIGHT = {"secret": "s", "peer": "192.0.2.7", "headers": {"authorization": "Basic YTpi"}}
LOCKS = [AddressList([ip_network("192.0.2.0/24")]), PathSecret([b"s"]), BasicAuth(b"a", b"b")]
DOORS = {
    "strex mo": lambda locks: MessageDoor(reader=None, locks=locks),
    "strex dlr, signed": lambda locks: ReportDoor(
        reader=None, locks=locks, signature=Signature(keys=PublicKeys(), required=True)
    ),
    "sumotext, messagecloud": lambda locks: FormDoor(name="mo", reader=None, locks=locks),
    "onlinefundraising": lambda locks: SmsDoor(reader=None, locks=locks),
}


def head(*, secret=None, peer="198.51.100.1", headers=None, now=NOW):
    return HttpRequest(
        method="POST", instance="one", door="mo", secret=secret, url="https://sms.example.org/hooks/one/mo", query="",
        headers=headers or {}, body=b"", peer=peer, received_at=now,
    )  # fmt: skip


def refused(door, request):
    with pytest.raises(Refused) as caught:
        door.check_head(request)
    return caught.value.status


@pytest.mark.parametrize("name", DOORS)
def test_locks_that_need_no_body_are_tried_before_it_comes(name):
    door = DOORS[name](LOCKS)
    assert door.check_head(head(**RIGHT)) is True
    assert refused(door, head(**RIGHT | {"secret": "wrong"})) == 401
    assert refused(door, head(**RIGHT | {"headers": {}})) == 401
    assert refused(door, head(**RIGHT | {"peer": "198.51.100.1"})) == 403


@pytest.mark.parametrize("name", DOORS)
def test_a_caller_at_a_door_without_such_locks_is_a_stranger(name):
    assert DOORS[name]([]).check_head(head(**RIGHT)) is False


def test_salesforce_shows_its_secret_before_the_body():
    door = OutboundDoor(provider="salesforce", secrets=[b"s", b"t"], organization_id="00D000000000001")
    assert door.check_head(head(secret="t")) is True
    assert refused(door, head(secret="wrong")) == 401
    assert refused(door, head()) == 401


def test_published_addresses_are_known_as_far_as_they_were_read_and_nobody_is_asked():
    published = PublishedAddresses(
        url="https://example.org/l", refresh=timedelta(hours=1), besides=[ip_network("203.0.113.1")]
    )
    door = SmsDoor(reader=None, published=published)
    assert door.check_head(head(peer="203.0.113.1")) is True
    assert door.check_head(head()) is False
    reading = published.admit(head())
    next(reading)
    with pytest.raises(StopIteration):
        reading.send([HttpReply(status=200, headers={}, body=b'["198.51.100.1"]')])
    assert door.check_head(head()) is True
    assert refused(door, head(peer="198.51.100.2")) == 403
    # A list that is not quite new may have changed: the whole request may have it read again.
    assert door.check_head(head(peer="198.51.100.2", now=NOW + timedelta(minutes=10))) is False


def test_donors_are_strangers():
    offers = {"s": object()}
    subscribe = SubscribeDoor(provider="mc", account=None, offers=offers, turnstile=Turnstile(per_minute=1, at_once=1))
    assert subscribe.check_head(head(secret="s")) is False
    assert refused(subscribe, head(secret="wrong")) == 404
    assert ReturnDoor(provider="mc", offers=offers).check_head(head(secret="s")) is False
