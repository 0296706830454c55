"""An event: something reported by a provider or the CRM, in one form for all of them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from connector.model.phone import Phone

KEY_LENGTH = 80  # characters: fits an external ID field of any CRM that we write to
KEY_FORM = re.compile(r"[A-Za-z0-9_-]{1,80}")
DIGEST_LENGTH = 32  # hex digits of SHA-256: 128 bits, no collision by chance


class Verdict(StrEnum):
    """What the sender says that the event means for consent."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    NONE = "none"
    MAYBE_STOP = "maybe_stop"  # the text or action may be an opt-out: a person decides


class Scope(StrEnum):
    """How far a decision about consent reaches."""

    SUBSCRIPTION = "subscription"
    SHORT_NUMBER = "short_number"
    PROVIDER = "provider"
    EVERYTHING = "everything"  # a person's flag in the CRM


class Result(StrEnum):
    """How the thing that is reported went."""

    PENDING = "pending"
    OK = "ok"
    FAILED = "failed"
    REVERSED = "reversed"


class Event(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One event. Mappings use the same field names."""

    key: str  # unique for all time; letters, digits, `_`, `-`, at most 80: see event_key()
    provider: str  # the name of the configured provider or CRM
    shape: str  # what arrived: message, delivery_report, change, …
    received_at: datetime  # aware, UTC
    verdict: Verdict = Verdict.NONE
    action: str | None = None  # the sender's own word: a SystemAction, `change`, …
    msisdn: Phone | None = None
    keyword: str | None = None
    keyword_id: str | None = None
    service_id: str | None = None
    short_number: str | None = None
    text: str | None = None
    price: Decimal | None = None
    unread_price: str | None = None  # the price as received, if it is not one amount that can be paid
    currency: str | None = None
    status: str | None = None
    status_detail: str | None = None
    result: Result = Result.OK
    final: bool = True  # false if the status can still change
    transaction_id: str | None = None  # of a reversal: the transaction that is reversed
    subscription_id: str | None = None
    occurred_at: datetime | None = None  # aware, UTC; by the sender's clock, and never after `received_at`
    time_from_arrival: bool = False  # the sender gives no time: `occurred_at` is the time of arrival
    service_command: bool = False  # caused by a command of ours
    properties: Mapping[str, Any] = field(default_factory=dict)  # keys as received
    lookup: Mapping[str, Any] = field(default_factory=dict)  # the subscriber's registered name and address
    object: str | None = None  # of a change in the CRM: the type of record
    # Of a change in the CRM: the Id and the feed's fields as they are now.
    record: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()  # of a change in the CRM: which of these fields changed
    # Of a change in the CRM: its phone field may mean several people, so that msisdn is None.
    number_is_unclear: bool = False
    batch: str | None = None  # of a change in the CRM: the poll that showed it
    # Of an opt-out or a possible one: the scope that the sender names; None: the scope of the subscription that is
    # named.
    opt_out_scope: Scope | None = None
    # Of an opt-out or a possible one: whether the provider treated it as an opt-out itself; None: it does not say.
    known_to_provider: bool | None = None

    def __post_init__(self) -> None:
        # A sender's clock may run ahead, or it may call local time UTC: nothing can occur after it arrived. The limit
        # is set here so that it covers every provider and CRM, the decisions about consent and the values written to
        # the CRM.
        if self.occurred_at is not None and self.occurred_at > self.received_at:
            force_setattr(self, "occurred_at", self.received_at)

    @property
    def source(self) -> str:
        """What a mapping's `on:` names: `strex.delivery_report`."""
        return f"{self.provider}.{self.shape}"


class Part(Struct, frozen=True, kw_only=True):
    """One of several things in one request: its own bytes, and its event, or why it cannot be read."""

    raw: bytes
    event: Event | None = None
    why: str = ""  # never holds data of the part


def event_key(*parts: str) -> str:
    """A key from what identifies the event at its sender: the provider's name, what arrived, the sender's id, and more.

    If an id has capital letters, the whole key becomes a digest: two ids that differ only by letter case are two
    events, and a CRM may ignore case when it compares keys.
    """
    sender_id = parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - its place, as said above.
    return joined_key(*parts) if sender_id == sender_id.lower() else _hashed(parts)


def joined_key(*parts: str) -> str:
    """A key from parts that differ by more than letter case; hashed as a whole if it does not fit the allowed form.

    The parts are joined by `-`. If a part has other characters, the key is the first part and a digest of all. So
    two different events never get the same key because characters were replaced.
    """
    plain = "-".join(parts)
    return plain if KEY_FORM.fullmatch(plain) else _hashed(parts)


def _hashed(parts: Sequence[str]) -> str:
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    head = re.sub(r"[^A-Za-z0-9_]", "_", parts[0])[: KEY_LENGTH - DIGEST_LENGTH - 1]
    return f"{head}-{digest}"
