"""An id for a callback that came without one. Nothing here is specific to one provider."""

import hashlib


def made_up_id(*content: str | None) -> str:
    """An id made from what tells one callback from another, such as number, text and time: a repeat gets the same one.

    If the provider sends no time, pass the time of arrival: then the callback is never taken for a repeat.
    """
    written = "\x00".join(one or "" for one in content)
    return "no-id-" + hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()[:32]
