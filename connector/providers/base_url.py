"""The address of a provider's API, as an operator writes it: https, or a test server on this machine."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from connector.config.validation import wrong

CURE = "write it like https://api.example.org"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or parts.username:
        raise wrong("bad-url", "this is not an address", CURE)
    return _encrypted(text)


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise wrong("bad-url", "this is not a base address", CURE)
    return _encrypted(text).rstrip("/")


def _encrypted(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme == "http" and not _loopback(parts.hostname or ""):
        raise wrong("insecure-url", "what is sent there would travel unencrypted", "write https://")
    return text


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]  # a path is joined to it
