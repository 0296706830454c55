"""What Strex's SystemActions and status codes mean, as tables. callback.py parses the callbacks."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from connector.model.event import Result, Verdict


@dataclass(frozen=True, slots=True)
class Action:
    """A SystemAction: its verdict, whether the verdict needs a success, and whether the action reports a failure."""

    verdict: Verdict = Verdict.NONE
    only_when_ok: bool = False
    failed: bool = False


# "Use services in StrexConnect and get your CRM automatically updated", the eleven SystemActions of the service Subscription, and
# SfMcSMS of its section on Salesforce. Names are compared without regard to case; those of other services are not public.
ACTIONS: dict[str, Action] = {
    "subscribe": Action(Verdict.OPT_IN, only_when_ok=True),
    "signup": Action(Verdict.OPT_IN, only_when_ok=True),
    "unsubscribe": Action(Verdict.OPT_OUT),  # whatever the status of the SMS that confirms it
    "recurring": Action(),
    "alterprice": Action(),
    "alterpriceinvalid": Action(failed=True),
    "subscribepreauthfailed": Action(failed=True),
    "recurringpreauthfailed": Action(failed=True),
    "validationfailed": Action(failed=True),
    "alreadyregistered": Action(),
    "lookupfailed": Action(failed=True),
    "sfmcsms": Action(),
}
NO_ACTION = Action()
MAYBE_OPT_OUT = Action(Verdict.MAYBE_STOP)
# Spelled as in the document.
NAMES = (
    "Subscribe",
    "Signup",
    "Unsubscribe",
    "Recurring",
    "AlterPrice",
    "AlterPriceInvalid",
    "SubscribePreAuthFailed",
    "RecurringPreAuthFailed",
    "ValidationFailed",
    "AlreadyRegistered",
    "LookupFailed",
    "SfMcSMS",
)

# Parts of names that an undocumented SystemAction about an opt-out may have, in English and Norwegian. Other services of
# Strex have SystemActions that are not public. A needless question is asked once for each name.
OPT_OUT_PARTS = (
    "unsubscri",
    "optout",
    "optedout",
    "optingout",
    "stop",
    "cancel",
    "revoke",
    "withdraw",
    "terminat",
    "deactivat",
    "subscriptionend",
    "avmeld",
    "avslutt",
    "oppsagt",
    "oppsigelse",
    "delet",
    "remov",
    "quit",
    "leav",
    "exit",
    "signoff",
    "signout",
    "signedout",
    "block",
    "blacklist",
    "suspend",
    "pause",
    "slett",
    "fjern",
    "utmeld",
)

# Target365 USERGUIDE, statusCode, and Docs/Statuscodes.md for Rebilled (failed first, billed later). Sent can still
# become any of the final ones. An unknown code is kept as it is, pending and not final.
RESULTS: dict[str, tuple[Result, bool]] = {
    "queued": (Result.PENDING, False),
    "sent": (Result.PENDING, False),
    "ok": (Result.OK, True),
    "rebilled": (Result.OK, True),
    "failed": (Result.FAILED, True),
    "reversed": (Result.REVERSED, True),
}
STATUS_CODES = ("Queued", "Sent", "Ok", "Rebilled", "Failed", "Reversed")  # spelled as in the USERGUIDE
UNKNOWN_STATUS = (Result.PENDING, False)
REVERSAL = "-"  # first character of the id of a reversal (USERGUIDE, reversing)
_ACTION_NAMES = {name.lower(): name for name in NAMES}
_STATUS_NAMES = {name.lower(): name for name in STATUS_CODES}


def action_name(written: str | None) -> str | None:
    """A SystemAction by which rules find it: without the blanks, hyphens and invisible characters of a documented name."""
    return _documented(written, _ACTION_NAMES)


def status_name(written: str | None) -> str | None:
    """The same for a status code."""
    return _documented(written, _STATUS_NAMES)


def _documented(written: str | None, names: Mapping[str, str]) -> str | None:
    """The documented name with the letters of this one. A name that differs only in case is kept, as any other name is."""
    if written is None or written.lower() in names:
        return written
    return names.get(_letters(written), written)


def _letters(written: str) -> str:
    return "".join(filter(str.isalpha, unicodedata.normalize("NFKC", written).casefold()))


def action_of(name: str | None) -> Action:
    """The action of a name that action_name() gives. Any other that contains a word for opting out may be an opt-out."""
    if not name:
        return NO_ACTION
    known = ACTIONS.get(name.lower())
    if known is not None:
        return known
    letters = _letters(name)
    return MAYBE_OPT_OUT if any(part in letters for part in OPT_OUT_PARTS) else NO_ACTION


def meaning(action: str | None, status: str | None, *, transaction_id: str) -> tuple[Verdict, Result, bool]:
    """Verdict, result and whether the status is final, of a delivery report. The names are those of action_name() and status_name().

    An action that reports a failure has failed, even if the SMS about it was delivered. A reversal
    that succeeded is `reversed`. An opt-in counts only after its SMS or charge has succeeded.
    """
    known = action_of(action)
    result, final = RESULTS.get(status.lower(), UNKNOWN_STATUS) if status else UNKNOWN_STATUS
    if result is Result.OK and transaction_id.startswith(REVERSAL):
        result = Result.REVERSED
    if known.failed:
        result, final = Result.FAILED, True
    if known.only_when_ok and result is not Result.OK:
        return Verdict.NONE, result, final
    return known.verdict, result, final
