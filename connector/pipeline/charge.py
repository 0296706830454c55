"""Charges the donors of one provider, one at a time: one run a day, within the hours of the config.

A charge is stored as `sending` before the call. Its answer is stored before anything else is done. If the connection or
the process ends before that, the charge is in doubt and waits for a person.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

from msgspec.structs import replace

from connector.charging import checks
from connector.charging.calendar import RESTORED, due_periods
from connector.charging.results import conclude
from connector.delivery.channels import OpenAlarms
from connector.delivery.retry import Policy, backoff
from connector.model.charge import (
    Charge,
    ChargeAnswer,
    ChargeChange,
    ChargeFacts,
    ChargeRules,
    ChargeState,
    Control,
    NewCharge,
    Obstacle,
    Run,
    RunState,
    Verdict,
)
from connector.model.http import Http
from connector.pipeline.runtime import Runtime
from connector.ports import Charger
from connector.store.agreements import PAGE
from connector.store.store import Store
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Alarm, Charged, WorkerFailed

CLOCK_JUMP = timedelta(hours=1)  # a larger jump of the clock means that it is wrong now, or was before
ASK_GAPS = Policy(first=timedelta(seconds=5), cap=timedelta(hours=1), attempts=None)
PAUSES = Policy(first=timedelta(seconds=30), cap=timedelta(minutes=15), attempts=None)
FEEDS_PATIENCE = timedelta(minutes=5)  # charges wait this long for the feeds before a person is alerted
# The kinds of its alarms.
WAITING = "charge_run_waiting"
STOPPED = "charge_run_stopped"
IN_DOUBT = "charge_in_doubt"
NOT_SENT = "charges_not_sent"


def charge_worker(provider: str) -> str:
    """The name of the worker that charges a provider's donors."""
    return f"charge {provider}"


def judge(rules: ChargeRules, charge: Charge, facts: ChargeFacts) -> Obstacle | Decimal:
    """The amount that may be charged now, or why nothing may be."""
    blocked = checks.find_obstacle(charge.agreement, charge.period, facts, rules)
    amount = checks.amount_of(charge.agreement, rules)
    if blocked is not None or amount is None:
        return blocked or Obstacle(why="the amount is not known")
    return amount


def new_charges(
    store: Store, rules: ChargeRules, provider: str, control: Control, today: date, *, after: int = 0
) -> tuple[list[NewCharge], int | None]:
    """The charges of one page of agreements that are due for the first time, and where the next page begins.

    `after` is the id of the last agreement of the page before. The start of the next page is None at the end.
    """
    page = store.agreements.of(provider, after=after)
    restored = store.restored
    restored_on = restored.restored_at.astimezone(rules.zone).date() if restored else None
    since = control.since or today
    found = [
        new
        for agreement in page
        for new in due_periods(agreement, rules, since=since, today=today, restored=restored_on)
    ]
    return found, page[-1].id if len(page) == PAGE else None


class ChargeRunner:
    """The step of one provider's charge worker."""

    def __init__(
        self,
        charger: Charger,
        http: Http,
        store: Store,
        runtime: Runtime,
        alarms: OpenAlarms,
        *,
        outdated_feeds: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`outdated_feeds` returns the feeds whose opt-outs have not been read lately: a donor may have opted out there."""
        self._charger = charger
        self._provider = charger.provider
        self._rules = charger.rules
        self._http = http
        self._store = store
        self._runtime = runtime
        self._alarms = alarms
        self._outdated_feeds = outdated_feeds
        self._waits_since: float | None = None  # since when charges wait for the feeds, monotonic seconds
        self._unstored: tuple[Charge, ChargeAnswer] | None = None  # its answer is not stored yet
        self._clocks: tuple[datetime, float] | None = None  # at the last step
        self._failures = 0  # calls in a row that could not be made
        self._paused_until = 0.0  # monotonic seconds
        self._adopted = False

    async def step(self) -> int:
        """Do one thing; returns 0 if nothing is to be done now."""
        await self._recover()
        now = self._runtime.now()
        if await self._ask(now):
            return 1
        if not self._rules.enabled:
            return 0
        local = now.astimezone(self._rules.zone)
        control = await self._control(local.date(), now)
        if control.paused_at is not None or not checks.is_open(local, self._rules):
            return 0
        run = await self._todays_run(local.date(), control, now)
        if run is None:
            return 0
        if run.state is RunState.APPROVED and checks.too_many_failures(run):
            why = f"{run.failures} of {run.results} charges failed"
            await self._store.charge_runs.stop(self._provider, run.day, why)
            return 1
        self._report_run(run)
        if run.state is not RunState.APPROVED or self._runtime.monotonic() < self._paused_until:
            return 0
        if self._must_wait_for_feeds():
            return 0
        return await self._send(local.date(), now)

    async def _recover(self) -> None:
        """Store an answer that could not be stored yet, and put in doubt what an earlier process or a restore left open."""
        if not self._adopted:
            await self._store.agreements.adopt(self._provider)
            self._adopted = True
        if self._unstored is not None:
            await self._finish()
        lost = await self._store.charges.doubt_sending(self._provider, now=self._runtime.now())
        for charge_id in lost:
            self._runtime.emit(Charged(provider=self._provider, charge=charge_id, state=ChargeState.IN_DOUBT))
        restored, control = self._store.restored, self._store.charge_runs.control(self._provider)
        if restored is not None and control.restored_at != restored.restored_at:
            day = restored.restored_at.astimezone(self._rules.zone).date()
            await self._store.charges.doubt_all_due(self._provider, day, RESTORED, now=self._runtime.now())
            why = "the database was restored from a backup: opt-outs may be missing"
            await self._store.charge_runs.after_restore(self._provider, restored.restored_at, why)
        self._report_doubt()

    async def _control(self, today: date, now: datetime) -> Control:
        """What stops or limits the provider's charges. The first time, charging is switched on from this day."""
        await self._hold_after_jump(now)
        runs = self._store.charge_runs
        control = runs.control(self._provider)
        if control.since is None:
            await runs.switch_on(self._provider, today)
            control = runs.control(self._provider)
        return control

    async def _hold_after_jump(self, now: datetime) -> None:
        """Hold the next run if the clock has jumped since the last step. The jump is found again until the hold is stored."""
        monotonic = self._runtime.monotonic()
        if self._clocks is not None:
            before, monotonic_before = self._clocks
            jump = (now - before) - timedelta(seconds=monotonic - monotonic_before)
            if abs(jump) > CLOCK_JUMP:
                why = f"the clock jumped from {before:%F %R} to {now:%F %R} UTC"
                await self._store.charge_runs.hold(self._provider, why)
        self._clocks = now, monotonic

    async def _todays_run(self, today: date, control: Control, now: datetime) -> Run | None:
        """Today's run; None while nobody has a subscription. When it is approved, its charges are stored."""
        runs = self._store.charge_runs
        run = runs.get(self._provider, today)
        if run is None:
            if not self._store.agreements.of(self._provider, limit=1):
                return None
            size = sum(not charge.skipped for charge in await self._due_charges(today, control))
            last, previous = runs.last_with_charges(self._provider), runs.newest_begun(self._provider)
            why = checks.why_run_waits(size, last, previous, today, self._rules, control)
            state = RunState.WAITING if why else RunState.APPROVED
            run = Run(provider=self._provider, day=today, size=size, state=state, why=why)
            await runs.make(run)
        if run.state is not RunState.APPROVED or runs.is_planned(self._provider, today):
            return run
        new = await self._due_charges(today, control)
        # A run that was approved before its day may have more charges now.
        size = sum(not charge.skipped for charge in new)
        if size > run.size or control.hold:
            why = control.hold or f"it was approved with {run.size} charges and has {size} now"
            await runs.wait(self._provider, today, why, size=size)
            return replace(run, state=RunState.WAITING, why=why)
        await self._store.charges.plan(self._provider, today, new, now=now)
        return run

    async def _due_charges(self, today: date, control: Control) -> list[NewCharge]:
        found: list[NewCharge] = []
        after: int | None = 0
        while after is not None:
            page, after = new_charges(self._store, self._rules, self._provider, control, today, after=after)
            found += page
            await asyncio.sleep(0)  # callbacks are answered in between
        return found

    def _must_wait_for_feeds(self) -> bool:
        """Whether opt-outs made in the CRM may be unknown here. The feeds are then polled at once, if they are not paused."""
        outdated, now, key = self._outdated_feeds(), self._runtime.monotonic(), f"{self._provider}: feeds"
        if not outdated:
            self._waits_since = None
            self._alarms.clear(key, self._runtime.emit)
            return False
        for name in outdated:
            self._runtime.wake(name)
        if self._waits_since is None:
            self._waits_since = now
        if now - self._waits_since > FEEDS_PATIENCE.total_seconds():
            feeds = ", ".join(outdated)
            message = (
                f"no charge is sent to {self._provider}: {feeds} was not polled lately, so that opt-outs may be missing"
            )
            cure = "see `connector status` for the cause; the charges continue automatically after the next poll"
            alarm = Alarm(kind=NOT_SENT, about=self._provider, message=message, cure=cure)
            self._alarms.start(alarm, key, self._runtime.emit)
        return True

    async def _send(self, today: date, now: datetime) -> int:
        """Send the next charge that is due; returns 0 if there is none."""
        charge = self._store.charges.next_due(self._provider, today, now)
        if charge is None:
            return 0
        begun = await self._store.charges.begin(charge, partial(judge, self._rules), today=today, now=now)
        if begun is None:
            return 1
        self._unstored = begun, await self._call(begun)
        await self._finish()
        return 1

    async def _call(self, charge: Charge) -> ChargeAnswer:
        """Charge the donor. After a bug it is in doubt whether money was taken."""
        try:
            answer = await self._charger.send(self._http, charge)
        except Exception as error:  # noqa: BLE001 - the state of the charge must be stored in any case.
            self._report_bug(error)
            return ChargeAnswer(verdict=Verdict.IN_DOUBT, detail="a bug while the call was made: please report it")
        if answer.transaction_id and (reason := self._why_not_new(charge, answer.transaction_id)):
            return ChargeAnswer(verdict=Verdict.IN_DOUBT, detail=reason)
        return answer

    def _why_not_new(self, charge: Charge, transaction_id: str) -> str | None:
        """Why a transaction says nothing about this charge; None if it is a new one."""
        if (other := self._store.charges.another_of(charge, transaction_id)) is not None:
            return f"the answer names the transaction of charge {other}"
        if transaction_id.casefold() == charge.agreement.subscription_id.casefold():
            return "the answer names the payment at the window"
        return None

    async def _status_of(self, charge: Charge) -> ChargeAnswer:
        """Ask for the status of a charge. After a bug it is not known, and is asked for again."""
        try:
            return await self._charger.ask(self._http, charge)
        except Exception as error:  # noqa: BLE001 - a bug about one charge must not stop all others.
            self._report_bug(error)
            detail = "a bug while the status was asked for: please report it"
            return ChargeAnswer(verdict=Verdict.PENDING, status=charge.status, detail=detail)

    def _report_bug(self, error: Exception) -> None:
        self._runtime.emit(WorkerFailed(worker=charge_worker(self._provider), error=place(error), seconds=0.0))

    async def _finish(self) -> None:
        """Store the answer. If that fails, the next step tries again before it sends anything else."""
        assert self._unstored is not None  # noqa: S101 - the callers have just seen it.
        charge, answer = self._unstored
        await self._store_change(charge, conclude(charge, answer, self._rules, self._runtime.now()))
        self._unstored = None
        self._pause_after(answer)

    async def _store_change(self, charge: Charge, change: ChargeChange, *, asked: int = 0) -> None:
        await self._store.charges.change(charge, change, now=self._runtime.now(), asked=asked)
        self._runtime.emit(
            Charged(
                provider=self._provider,
                charge=charge.id,
                state=change.state,
                status=change.status,
                detail=change.detail,
            )
        )
        if change.events:
            self._runtime.wake("plan")

    def _pause_after(self, answer: ChargeAnswer) -> None:
        """Pause if no charge can be sent now."""
        if not answer.concerns_all:
            self._failures = 0
            self._clear(NOT_SENT)
            return
        pause = max(backoff(PAUSES, self._failures), answer.wait or timedelta())
        self._failures += 1
        self._paused_until = self._runtime.monotonic() + pause.total_seconds()
        message = f"no charge can be sent to {self._provider}: {answer.detail}"
        cure = "the charges continue automatically when this is corrected; the failed calls took no money"
        self._raise(NOT_SENT, message, cure)

    async def _ask(self, now: datetime) -> bool:
        """Ask for the status of one charge that has no final status; False if none is due."""
        found = self._store.charges.to_ask(self._provider, now)
        if found is None:
            return False
        charge, asked = found
        answer = await self._status_of(charge)
        change = conclude(charge, answer, self._rules, self._runtime.now())
        if change.state is ChargeState.ASKING:
            if charge.sent_at is not None and now - charge.sent_at > self._rules.ask_until:
                detail = f"no final status after {self._rules.ask_until}; the last one was {charge.status}"
                change = ChargeChange(state=ChargeState.IN_DOUBT, detail=detail, failure=True)
            else:
                detail = answer.detail or change.detail
                wait = max(backoff(ASK_GAPS, asked), answer.wait or timedelta())
                change = ChargeChange(state=ChargeState.ASKING, detail=detail, status=answer.status, wait=wait)
        await self._store_change(charge, change, asked=asked + 1)
        return True

    def _report_run(self, run: Run) -> None:
        if run.state is not RunState.WAITING:
            self._clear(WAITING)
        if run.state is not RunState.STOPPED:
            self._clear(STOPPED)
        if run.state is RunState.WAITING:
            message = f"today's charges of {self._provider} wait for a person: {run.why}"
            self._raise(WAITING, message, "see `connector charges preview`, then run `connector charges approve`")
        elif run.state is RunState.STOPPED:
            message = f"today's charges of {self._provider} were stopped: {run.why}"
            cure = "see `connector charges list --state failed`; to continue, run `connector charges approve`"
            self._raise(STOPPED, message, cure)

    def _report_doubt(self) -> None:
        count = self._store.charges.in_doubt(self._provider)
        if not count:
            self._clear(IN_DOUBT)
            return
        message = f"it is not known whether charges of {self._provider} were taken: a person must decide"
        cure = "see `connector charges list --state in_doubt`; `connector charges show CHARGE` prints each decision"
        self._raise(IN_DOUBT, message, cure)

    def _raise(self, kind: str, message: str, cure: str) -> None:
        alarm = Alarm(kind=kind, about=self._provider, message=message, cure=cure)
        self._alarms.start(alarm, f"{self._provider}: {kind}", self._runtime.emit)

    def _clear(self, kind: str) -> None:
        self._alarms.clear(f"{self._provider}: {kind}", self._runtime.emit)
