"""Which keys are ids that the sender gave: in these every letter counts as it is written."""

from typing import Any

from connector.mapping.language.field_forms import Transform
from connector.mapping.language.paths import BadPath, parse_path
from connector.mapping.language.templates import parse_template

# What the sender gives as an id of one gift or joining: a text in which every letter counts as it is.
SENDER_IDS = frozenset({"transaction_id", "subscription_id"})
AS_WRITTEN = frozenset({"from", "prefix", "truncate", "required"})  # words of a form that keep an id's letters


def is_exact(value: Any) -> bool:
    """Whether a key is made of an id of the sender, and of nothing that may be written in capitals or not."""
    try:
        if isinstance(value, Transform):
            paths = [parse_path(path) for path in ([value.source] if isinstance(value.source, str) else value.source)]
            if not AS_WRITTEN.issuperset(value.order):
                return False
        else:
            paths = list(parse_template(value).paths) if isinstance(value, str) else []
    except BadPath:
        return False
    roots = {path.root for path in paths}
    return not roots.isdisjoint(SENDER_IDS) and roots <= SENDER_IDS | {"key", "msisdn", "keyword_id", "service_id"}
