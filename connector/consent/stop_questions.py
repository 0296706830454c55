"""Questions to a person about texts that may be stops: equal texts are one question."""

from msgspec import Struct

from connector.consent.opt_out_words import STANDARD, normalized
from connector.model.event import Event


class StopQuestion(Struct, frozen=True, kw_only=True):
    """Whether a text is an opt-out. Texts are equal if they read the same and went to one provider about one keyword."""

    provider: str
    keyword: str  # in the form for comparing keywords; empty if the event has none
    text: str  # its words in the form for comparing, without those that add nothing; of a report, its action


def text_to_judge(event: Event) -> str:
    """What a person reads to answer: the donor's text, or the provider's action if there is no text."""
    return event.text or event.action or ""


def question_about(event: Event) -> StopQuestion:
    """The question of an event with the verdict `maybe_stop`."""
    return StopQuestion(
        provider=event.provider, keyword=normalized(event.keyword or ""), text=STANDARD.question(text_to_judge(event))
    )
