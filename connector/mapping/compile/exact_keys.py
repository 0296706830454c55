"""Finds keys that are ids from the sender, in which letter case matters."""

from typing import Any

from connector.mapping.language.field_forms import Transform
from connector.mapping.language.paths import BadPath, parse_path
from connector.mapping.language.templates import parse_template

# The sender's ids of one gift or subscription: texts in which letter case matters.
SENDER_IDS = frozenset({"transaction_id", "subscription_id"})
# words of a form that leave an id's letters unchanged
AS_WRITTEN = frozenset({"from", "prefix", "truncate", "required"})


def is_exact(value: Any) -> bool:
    """Whether a key consists only of a sender's id, with no part in which letter case may vary."""
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
