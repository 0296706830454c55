"""A keyword of an account at a provider: the first word of a message to a short number, or its second one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """A keyword, or a sub keyword if `sub_word` is set. None means that the provider does not say."""

    id: str
    word: str
    short_number: str
    sub_word: str | None = None
    active: bool | None = None
    campaign_id: str | None = None
    starts: datetime | None = None  # aware, UTC; so are the others
    ends: datetime | None = None
    idle_text: str | None = None  # the reply while no campaign runs
    created: datetime | None = None
    deleted: datetime | None = None  # when it is deleted for good
    webhook: str | None = None  # where its messages are sent; may contain a secret
    mode: str | None = None  # how a text is compared with the word, in the provider's term
    aliases: tuple[str, ...] = ()  # other words for it
    properties: Mapping[str, Any] = field(default_factory=dict)  # custom ones, which its messages contain

    @property
    def words(self) -> str:
        """The words as a donor writes them."""
        return f"{self.word} {self.sub_word}" if self.sub_word else self.word
