from ipaddress import ip_network

import pytest

from connector.web.proxies import caller, public_base

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", ["1.1.1.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["1.1.1.1, 192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["1.1.1.1,192.0.2.7 , 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["1.1.1.1", "192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["1.1.1.1, unknown, 10.0.0.2"], "unknown"),
        ("10.0.0.1", ["1.1.1.1, , 10.0.0.2"], "1.1.1.1"),
        ("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("2001:db8::1", ["2001:4860::1"], "2001:4860::1"),
        ("", ["192.0.2.7"], ""),
    ],
)
def test_the_caller_is_the_rightmost_address_that_is_no_trusted_proxy(peer, forwarded, found):
    assert caller(peer, forwarded, TRUSTED) == found
    assert caller(peer, forwarded, []) == peer


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://Hooks.Example.org", "https://hooks.example.org"),
        ("https://hooks.example.org:443/", "https://hooks.example.org"),
        ("http://hooks.example.org:80", "http://hooks.example.org"),
        ("https://hooks.example.org:8443/a/b/", "https://hooks.example.org:8443/a/b"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_public_address_is_normalised_for_signatures(url, base):
    assert public_base(url) == base
