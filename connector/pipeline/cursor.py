"""The position of a feed in its CRM's changes, and which fields are compared."""

from dataclasses import dataclass, replace
from typing import Self

import orjson

from connector.model.consent_fields import ConsentFields
from connector.ports import Feed, Page, Shadow

PAGES = "-pages"  # end of the id of a poll that reads all changes; the id of its round is before it


def round_of(poll: str) -> str:
    """The id of a poll's round: the notices, opted-out records and pages that are read until the next poll ends."""
    return poll.partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The position of a feed, and whether it still reads all records.

    It reads all records at first, and again when fields are added. Added fields are only stored; the others are compared
    as usual.
    """

    fields: tuple[str, ...]
    consent: tuple[str, ...] = ()  # the consent fields and values of the config
    position: str | None = None
    baseline: bool = True  # all records are read
    # During a baseline: the fields that were read before it. None: the fields of each shadow.
    known: tuple[str, ...] | None = ()
    # The poll within which the position is: it continues under its id after a failed call or a restart, so that its
    # people are counted together. None: the position is between two polls.
    poll: str | None = None

    @classmethod
    def read(cls, text: str | None, feed: Feed, consent: ConsentFields | None = None) -> Self:
        """The stored cursor. All records are read again if there is none, or if fields were added."""
        fields = tuple(sorted({*feed.fields, *feed.key_fields}))
        declared = _declared(consent)
        new = cls(fields=fields, consent=declared)
        if text is None:
            return new
        try:
            stored = orjson.loads(text)
            before = tuple(stored["fields"])
            position, baseline = stored["position"], bool(stored["baseline"])
            known = stored.get("known", ()) if baseline else before
            known = None if known is None else tuple(known)
            same = tuple(stored.get("consent", declared)) == declared
            poll = stored.get("poll")
        except (ValueError, KeyError, TypeError):
            return replace(new, known=None)
        if before == fields and same:
            return replace(new, position=position, baseline=baseline, known=known if baseline else (), poll=poll)
        if not baseline and same and set(fields) <= set(before):
            return replace(new, position=position, baseline=False, poll=poll)
        return replace(new, known=known)

    @property
    def first(self) -> bool:
        """Whether nothing was known before: the first poll sends nothing."""
        return self.baseline and self.known == ()

    def compared(self, feed: Feed, shadow: Shadow) -> tuple[str, ...]:
        """The fields of a row that are compared with its shadow; the others are only stored."""
        if not self.baseline:
            return feed.fields
        known = (shadow or {}).keys() if self.known is None else self.known
        return tuple(name for name in feed.fields if name in known)

    def after(self, page: Page, poll: str | None) -> str:
        """The cursor to be stored after a page of this poll."""
        reads_on = self.baseline and not page.last
        stored = {"fields": self.fields, "consent": self.consent, "position": page.position, "baseline": reads_on}
        if not page.last:
            stored["poll"] = poll
        return orjson.dumps(stored | {"known": self.known} if reads_on else stored).decode()


def _declared(consent: ConsentFields | None) -> tuple[str, ...]:
    """The consent fields of the config. When they change, all records are read again."""
    if consent is None:
        return ()
    return tuple(str(setting) for setting in (consent.flag, consent.opted_out, consent.phone, consent.country))
