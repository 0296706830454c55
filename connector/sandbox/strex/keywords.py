"""The keywords on the short number, and the service of each. Plain values, no state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ACCOUNT_ID = 4828  # The account in the document's sample of Properties.
SHORT_NUMBER = "2002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """A keyword and its service, with the names of "Properties sample" in the Strex CRM document.

    Attributes:
        name: the keyword as registered; letter case is ignored.
        id: `keywordId` of the envelope, always that of the real keyword.
        aliases: other words for the same service.
        price: monthly price in NOK, unless the subscriber chose another.
        properties: the custom properties of every forward of this keyword.
        mode: how a text is compared with the name (KeywordModes); stored and shown, but the sandbox uses the first word.
        forward_url: where the keyword's own messages also go; stored and shown, but the sandbox sends nothing there.
        enabled: whether texts reach it.
        pre_auth: `preAuthSettings`, stored and shown.
    """

    name: str
    id: str
    service_id: str
    short_number: str = SHORT_NUMBER
    aliases: tuple[str, ...] = ()
    service_type: str = "Subscription"
    service_sub_type: str = "Donation"
    account_id: int = ACCOUNT_ID
    price: float = 100
    properties: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "Startswith"
    forward_url: str = "https://sms.example.org/none"
    enabled: bool = True
    tags: tuple[str, ...] = ()
    pre_auth: Mapping[str, Any] | None = None

    def is_called(self, word: str) -> bool:
        """Whether a word is this keyword or one of its aliases."""
        return word.casefold() in {self.name.casefold(), *(alias.casefold() for alias in self.aliases)}


DEFAULTS = (
    Keyword(name="KATT", id="12345678", service_id="6f0c6a52-5d0a-4a53-9d0e-0f4c2f2b8a11", aliases=("CAT",)),
    Keyword(name="HUND", id="12345679", service_id="0b8b6c1e-7f39-4a0c-8c54-93b1d7f0e722"),
    # The document's sample; its service id is not valid hexadecimal, which is why ids are opaque.
    Keyword(
        name="MYKEYWORD",
        id="12345680",
        service_id="d2455b83-f471-4f8e-9332-2387b23adbhd",
        properties={"myproperty": "custom value"},
    ),
)


def find(keywords: Iterable[Keyword], short_number: str, word: str) -> Keyword | None:
    """The keyword for a word on a short number, or None."""
    return next((each for each in keywords if each.short_number == short_number and each.is_called(word)), None)
