"""A keyword: the first word of a message to a short number, or its second one, as the provider keeps it for an account."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """A keyword, or a sub keyword where `sub_word` is there. What the provider does not say is None."""

    id: str
    word: str
    short_number: str
    sub_word: str | None = None
    active: bool | None = None
    campaign_id: str | None = None
    starts: datetime | None = None  # aware, UTC; like the others
    ends: datetime | None = None
    idle_text: str | None = None  # what is answered while no campaign runs
    created: datetime | None = None
    deleted: datetime | None = None  # from when it is gone for good
    webhook: str | None = None  # where its messages are sent; may bear a secret
    mode: str | None = None  # how a text is held against the word, as the provider calls it
    aliases: tuple[str, ...] = ()  # other words for it
    properties: Mapping[str, Any] = field(default_factory=dict)  # custom ones, which its messages bear

    @property
    def words(self) -> str:
        """As a donor writes it."""
        return f"{self.word} {self.sub_word}" if self.sub_word else self.word
