"""Counts the API calls to one CRM, and alerts a person when the budget runs low."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from connector.delivery.api_quota import DAY_HOURS, BudgetState, Quota, Usage, UsageLimits
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Reason
from connector.telemetry.log_events import Alarm, Cleared, Emit

SECONDS = 3600  # in an hour
UNSENT = frozenset({Failure.REFUSED, Failure.CREDENTIALS, Failure.MOVED})  # such a call has not reached the CRM
CURE = (
    "opt-outs go on from the reserve and all else waits, nothing is lost; see `connector status`, which integration uses the org's "
    "calls, and `quota:` in the config"
)


class ApiBudget:
    """Counts every answer of one CRM. `read` finds the org's own count in the headers of an answer."""

    def __init__(
        self, crm: str, quota: Quota, read: Callable[[Mapping[str, str]], Usage | None], now: Callable[[], datetime]
    ) -> None:
        self.crm = crm
        self.spent = False  # a person has been alerted
        self._quota = quota
        self._read = read
        self._now = now
        self._usage: Usage | None = None
        self._calls: Counter[int] = Counter()  # by hour since 1970
        self._unsaved: Counter[int] = Counter()

    def record_call(self, result: HttpReply | HttpError) -> None:
        """A call has ended."""
        if isinstance(result, HttpError) and result.failure in UNSENT:
            return
        hour = self._hour()
        self._calls[hour] += 1
        self._unsaved[hour] += 1
        if isinstance(result, HttpReply):
            self._usage = self._read(result.headers) or self._usage

    def remember(self, calls: Mapping[int, int]) -> None:
        """Add the calls of an earlier start, by hour since 1970."""
        self._calls.update(calls)

    def unsaved(self) -> Mapping[int, int]:
        """Calls since the last call of this method, by hour since 1970."""
        unsaved, self._unsaved = self._unsaved, Counter()
        return unsaved

    def not_saved(self, calls: Mapping[int, int]) -> None:
        """These counts could not be stored: they are returned again next time."""
        self._unsaved.update(calls)

    def standing(self) -> BudgetState:
        """The current state of the budget."""
        now = self._hour()
        for hour in [one for one in self._calls if one <= now - DAY_HOURS]:
            del self._calls[hour]
        # An hour in the future was counted before the clock was set back.
        hours: Counter[int] = Counter()
        for hour, n in self._calls.items():
            hours[max(0, now - hour)] += n
        return BudgetState(quota=self._quota, usage=self._usage, hours=hours)

    def terms(self, emit: Emit) -> UsageLimits:
        """The limits for calls to the CRM now. Alerts a person once when only the reserve is left, and reports when that ends."""
        terms = self.standing().terms
        if terms.only_opt_outs and not self.spent:
            message = f"{self.crm}: the API calls of the last 24 hours are used up, except for the reserve"
            emit(Alarm(kind=Reason.QUOTA_EXHAUSTED, about=self.crm, message=message, cure=CURE))
        elif self.spent and not terms.only_opt_outs:
            emit(Cleared(kind=Reason.QUOTA_EXHAUSTED, about=self.crm))
        self.spent = terms.only_opt_outs
        return terms

    def _hour(self) -> int:
        return int(self._now().timestamp()) // SECONDS
