"""The host that a request names. A web page whose own name resolves to this machine sends that name (DNS rebinding)."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def host_of(request: web.BaseRequest) -> str | None:
    """The name in the Host header, in small letters and without the port; None if it cannot be read."""
    try:
        return urlsplit(f"//{request.headers.get(hdrs.HOST, '')}").hostname
    except ValueError:
        return None
