"""`notify:` in the config: who is told of alarms, when, and who gets the weekly digest."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from connector.config.secrets import SecretRef
from connector.config.time_of_day import TimeOfDay
from connector.config.validation import Strict, wrong

Severity = Literal["warning", "critical"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Recipient(Strict):
    """One address to which alarms are sent."""

    example: ClassVar[str] = "{address: {credential: notify-mail}}"
    other_words: ClassVar[Mapping[str, str]] = {"url": "address", "level": "severity"}

    address: SecretRef
    """Where the address is: it holds a password or a token. It has the form of the library apprise, such as mailto://…,
    slack://…, msteams://… or json://…."""
    severity: Severity = "warning"
    """The least that is sent: `warning` is every alarm, `critical` only what concerns opt-outs, the database or all callbacks."""
    digest: bool = True
    """Whether the weekly digest is sent to it."""


class QuietHours(Strict):
    """When alarms wait, except those about opt-outs."""

    begin: TimeOfDay
    """The time of day in `timezone` from which they wait, such as 22:00."""
    end: TimeOfDay
    """The time of day until which they wait, such as 07:00."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begin == self.end:
            cure = "write two different times, or leave `quiet:` out"
            raise wrong("no-quiet-hours", "quiet hours that end when they begin are none", cure)
        return self


class Digest(Strict):
    """The weekly message: who joined and left, gifts, and what needs a person."""

    day: Weekday = "monday"
    """The day on which it is sent."""
    at: TimeOfDay = "08:00"
    """The time of day in `timezone`."""


class NotifySettings(Strict):
    """Who is told of alarms."""

    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("recipients", "send_to", "targets", "addresses"), "to"),
        **dict.fromkeys(("quiet_hours", "silent", "night"), "quiet"),
    }

    to: Annotated[tuple[Recipient, ...], Field(max_length=20)] = ()
    """The recipients. Without any, alarms are in the log, in `connector status` and in the metrics alone."""
    quiet: QuietHours | None = None
    """When alarms wait, except those about opt-outs."""
    digest: Digest | None = Digest()
    """When the weekly digest is sent; null: never."""
