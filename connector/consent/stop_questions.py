"""What a person is asked about texts that may be stops: equal texts are one question."""

from msgspec import Struct

from connector.consent.opt_out_words import STANDARD, normalized
from connector.model.event import Event


class StopQuestion(Struct, frozen=True, kw_only=True):
    """Whether a text is an opt-out. Equal are texts that read the same, sent to the same provider about the same keyword."""

    provider: str
    keyword: str  # as keywords are compared; empty where the event has none
    text: str  # its words as they are compared, without those that add nothing


def question_of(event: Event) -> StopQuestion:
    """The question that an event with the verdict `maybe_stop` puts."""
    return StopQuestion(
        provider=event.provider, keyword=normalized(event.keyword or ""), text=STANDARD.question(event.text or "")
    )
