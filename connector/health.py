"""Whether the daemon works: stuck workers, lost claims, and a database that cannot be used."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

from connector.delivery.channels import OpenAlarms
from connector.pipeline.deliver import DeliveryWorker
from connector.store.outage import Outage, nearly_full
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Emit
from connector.worker import Worker

BACKUP_TIME = timedelta(hours=6)  # a backup of a large database on a slow disk
# A worker is stuck if one step takes longer than this. A batch to a slow CRM may take minutes.
STUCK_AFTER = {
    "writer": timedelta(seconds=30),
    "plan": timedelta(minutes=2),
    "backup": BACKUP_TIME,
    "calendar": BACKUP_TIME,
}
STUCK_AFTER_DEFAULT = timedelta(minutes=15)
# An alarm is raised for a worker whose every step has failed with a bug for this long.
FAILING_AFTER = timedelta(minutes=5)
# A claim that no worker has held for this long is lost: a worker puts a claim back within a minute.
LOST_CLAIM_AFTER = timedelta(minutes=2)
STORE, CLAIMS = "the database", "claims"  # the subjects of alarms


class Health:
    """Answers the health checks, and raises the alarms about the process itself."""

    def __init__(
        self,
        store: Callable[[], Store],
        workers: Mapping[str, Worker],
        delivery_workers: Mapping[str, DeliveryWorker],
        alarms: OpenAlarms,
        emit: Emit,
        monotonic: Callable[[], float],
    ) -> None:
        """`store` returns the open store. `workers` and `delivery_workers` are those that run, by name."""
        self.broken = asyncio.Event()  # set when the database can no longer be trusted: the process must end
        self._store = store
        self._workers = workers
        self._delivery_workers = delivery_workers
        self._alarms = alarms
        self._emit = emit
        self._monotonic = monotonic
        # Names of claims that no worker holds, and when this was first seen, in monotonic seconds.
        self._unheld_claims: dict[str, float] = {}

    def not_ready(self) -> list[str]:
        """Why no callbacks can be accepted, in plain words."""
        outage = self._outage()
        return self.unhealthy() + ([outage.why] if outage else [])

    def _outage(self) -> Outage | None:
        writer = self._store().writer
        return writer.outage or (None if writer.has_room() else nearly_full(self._store().path))

    def faults(self) -> list[str]:
        """What is wrong with the process itself, in plain words."""
        failing = [
            f"worker {name} makes no progress: {worker.bug}"
            for name, worker in self._workers.items()
            if worker.fails(FAILING_AFTER)
        ]
        return list(dict.fromkeys([*self.not_ready(), *failing]))

    def unhealthy(self) -> list[str]:
        """Why the process does not work, in plain words; empty when it works."""
        return [
            *(
                f"worker {name} is stuck"
                for name, worker in self._workers.items()
                if not worker.alive(_stuck_after(name))
            ),
            *(
                f"worker {name} has failed with a bug at each step for {STUCK_AFTER_DEFAULT}: {self._workers[name].bug}"
                for name in ("plan", *self._delivery_workers)
                if name in self._workers and self._workers[name].fails(STUCK_AFTER_DEFAULT)
            ),
            *self._lost_claims(),
            *([f"the database cannot be used: {self._store().writer.broken}"] if self.broken.is_set() else []),
        ]

    def _lost_claims(self) -> list[str]:
        """A sentence for each claim that is lost. Empty during a store outage: no claim can be put back then."""
        if self._store().writer.outage is not None:
            return []
        now = self._monotonic()
        lost = [name for name, since in self._unheld_claims.items() if now - since >= LOST_CLAIM_AFTER.total_seconds()]
        return [
            f"units are claimed by {name.partition(' ')[2] or name}, but no worker is sending them" for name in lost
        ]

    async def probe(self) -> int:
        """Check that the writer answers and can write, and that workers hold all claims.

        If the writer does not answer, the worker that runs this step hangs, and the health check reports it.
        """
        await self._store().writer.alive()
        if (outage := self._outage()) is None:
            self._alarms.clear(STORE, self._emit)
        else:
            self.report_outage(outage)
        self._check_claims()
        for name, worker in self._workers.items():
            holder = f"{name} fails"
            if worker.fails(FAILING_AFTER):
                self._alarms.start(_worker_fails(name, worker), holder, self._emit)
            elif worker.bug is None:
                self._alarms.clear(holder, self._emit)
        return 0

    def report_outage(self, outage: Outage) -> None:
        """Raise one alarm because nothing can be stored. The end of the outage clears it."""
        if not self.broken.is_set():
            self._alarms.start(
                Alarm(kind=outage.kind, about=STORE, message=outage.message, cure=outage.cure), STORE, self._emit
            )

    def report_broken_store(self, why: str) -> None:
        """Raise an alarm because the database is unusable, and make the process end, so that it is started again."""
        cure = "the process ends with exit code 3, and systemd restarts it; see docs/operations.md"
        self._alarms.start(Alarm(kind="database_unusable", about=STORE, message=why, cure=cure), STORE, self._emit)
        self.broken.set()

    def _check_claims(self) -> None:
        """Record the claims that no worker holds. A worker in the middle of a step still holds its claim."""
        at_work = {
            delivery_worker.claim
            for name, delivery_worker in self._delivery_workers.items()
            if name in self._workers and not self._workers[name].resting
        }
        now = self._monotonic()
        self._unheld_claims = {
            name: self._unheld_claims.get(name, now) for name in self._store().outbox.claims().keys() - at_work
        }
        if lost := self._lost_claims():
            self._alarms.start(
                Alarm(
                    kind="claimed_by_nobody",
                    about=CLAIMS,
                    message="; ".join(lost),
                    cure="systemd's watchdog restarts the process, which frees them; without the watchdog, restart the connector",
                ),
                CLAIMS,
                self._emit,
            )
        else:
            self._alarms.clear(CLAIMS, self._emit)


def _stuck_after(worker: str) -> timedelta:
    return STUCK_AFTER.get(worker, STUCK_AFTER_DEFAULT)


def _worker_fails(name: str, worker: Worker) -> Alarm:
    return Alarm(
        kind="loop_failing",
        about=name,
        message=f"worker {name} makes no progress: each step fails with a bug ({worker.bug})",
        cure="please report this line; its work waits, and nothing is lost",
    )
