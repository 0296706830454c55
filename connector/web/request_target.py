"""What stands behind the method of an HTTP request: its address, as gateways and proxies write it. Pure."""

SCHEMES = ("http://", "https://")


def origin_form(target: str) -> str:
    """The path and query of a request target; the absolute form too is to be taken (RFC 9112, 3.2.2). Its host is not looked at."""
    if target.startswith("/"):
        return target
    for scheme in SCHEMES:
        if target[: len(scheme)].lower() == scheme:
            host, slash, path = target[len(scheme) :].partition("/")
            return slash + path if "?" not in host else target
    return target


def without_empty_segments(path: str) -> str:
    """The path without slashes at its end and without doubled ones, which senders get from joining a base and a path."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)
