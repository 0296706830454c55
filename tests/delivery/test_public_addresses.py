"""Calls that may reach public addresses only: the address of the connection counts, whatever the name was."""

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from connector.delivery.http_client import FixedCredentials, Transport
from connector.delivery.public_addresses import is_public, public_socket
from connector.model.http import Failure, HttpCall, HttpError

PRIVATE = (
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::",
    "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:7f00:1::",
    "localhost",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_or_local_address_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_a_public_address_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
async def test_a_local_address_is_not_called_in_any_spelling(host, unused_port):
    async with Transport() as transport:
        client = transport.client(FixedCredentials(f"http://{host}:{unused_port}"), only_public=True)
        with pytest.raises(HttpError) as error:
            await client.call(HttpCall(method="POST", base=f"http://{host}:{unused_port}/", path=""))
        assert error.value.failure in {Failure.NOT_PUBLIC, Failure.REFUSED}
        if error.value.failure is Failure.REFUSED:
            assert error.value.detail.startswith(
                ("the address in the config is not a URL", "the host name cannot be resolved")
            )


class Changing(AbstractResolver):
    """A name that is public when it is checked, and local when it is used."""

    def __init__(self):
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked += 1
        place = "93.184.215.14" if self.asked == 1 else "127.0.0.1"
        return [{"hostname": host, "host": place, "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        """Nothing is open."""


async def test_a_name_that_changes_between_check_and_use_is_not_called(unused_port):
    resolver = Changing()
    await resolver.resolve("example.org")
    connector = aiohttp.TCPConnector(resolver=resolver, socket_factory=public_socket)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="not a public address"):
            await session.get(f"http://example.org:{unused_port}/")
    assert resolver.asked == 2


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
