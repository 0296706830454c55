"""The request target of an HTTP request, as gateways and proxies write it. Pure."""

SCHEMES = ("http://", "https://")


def origin_form(target: str) -> str:
    """The path and query of a request target. The absolute form is accepted too (RFC 9112, 3.2.2); its host is ignored."""
    if target.startswith("/"):
        return target
    for scheme in SCHEMES:
        if target[: len(scheme)].lower() == scheme:
            host, slash, path = target[len(scheme) :].partition("/")
            return slash + path if "?" not in host else target
    return target


def without_empty_segments(path: str) -> str:
    """The path without trailing and doubled slashes, which come from joining a base and a path."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)
