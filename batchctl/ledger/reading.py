"""Questions to the ledger, each one answered from one instant."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from batchctl.domain.model import Batch, Failures, Job, PresumedNotCreated, Round, State
from batchctl.domain.notifications import Delivery, Notification, NotifyTarget
from batchctl.domain.places import Place
from batchctl.domain.prices import UsageTotals
from batchctl.ledger.rows import (
    BATCH,
    FAILURE,
    FORGOTTEN,
    JOB,
    NOTIFICATION,
    NOTIFY_TARGET,
    PRESUMED,
    ROUND,
    USAGE,
    batch_of,
    failures_of,
    job_of,
    notification_of,
    notify_target_of,
    presumed_of,
    round_of,
    usage_totals_of,
)
from batchctl.ledger.schema import (
    batch_table,
    duplicate_batch_table,
    failure_table,
    foreign_batch_table,
    job_table,
    move_table,
    notification_table,
    notify_target_table,
    place_table,
    presumed_table,
    round_table,
    usage_table,
)
from batchctl.ledger.sqlite import database_at


def _columns(table: sa.Table, names: Collection[str]) -> list[sa.Column[Any]]:
    return [table.c[name] for name in names]


# Statements are made once: to make one takes longer than to run it.
_JOBS = select(*_columns(job_table, JOB)).order_by(job_table.c.id)
_ROUNDS = select(*_columns(round_table, ROUND)).order_by(round_table.c.number)
_DUPLICATES = select(*_columns(duplicate_batch_table, ("job_id", "message_batch_id", "is_over"))).order_by(
    duplicate_batch_table.c.at
)
_ALL_JOBS = (_JOBS, _ROUNDS, _DUPLICATES)
_JOBS_BY_NAME = (
    _JOBS.where(job_table.c.name == bindparam("key")),
    *(
        by_job.join(job_table, job_table.c.id == by_job.selected_columns.job_id).where(
            job_table.c.name == bindparam("key")
        )
        for by_job in (_ROUNDS, _DUPLICATES)
    ),
)
_JOBS_BY_ID = (
    _JOBS.where(job_table.c.id == bindparam("key")),
    *(by_job.where(by_job.selected_columns.job_id == bindparam("key")) for by_job in (_ROUNDS, _DUPLICATES)),
)
_PLACE = select(*_columns(place_table, ("workspace_id", "salt", "machine", "path", "device", "inode", "generation")))

_BATCHES = select(*_columns(batch_table, BATCH))
_BATCHES_OF_JOB = _BATCHES.where(batch_table.c.job_id == bindparam("job_id")).order_by(
    batch_table.c.round, batch_table.c.first
)
_POSITION = select(func.count().filter(batch_table.c.first <= bindparam("first")), func.count()).where(
    batch_table.c.job_id == bindparam("job_id"),
    batch_table.c.round == bindparam("round"),
    batch_table.c.state != State.IN_NO_BATCH.value,
)
_FAILURES = (
    select(*_columns(failure_table, FAILURE), batch_table.c.round)
    .join(batch_table)
    .where(batch_table.c.job_id == bindparam("job_id"))
    .order_by(batch_table.c.round, batch_table.c.first)
)
_USAGE_TOTALS = (
    select(*_columns(usage_table, USAGE))
    .join(batch_table)
    .where(batch_table.c.job_id == bindparam("job_id"))
    .order_by(usage_table.c.model, usage_table.c.prompt_over)
)
_MOVES = (
    select(*_columns(move_table, ("batch_id", "at", "before", "after", "note")))
    .join(batch_table)
    .where(batch_table.c.job_id == bindparam("job_id"))
    .order_by(move_table.c.id)
)
UNCONFIRMED = _BATCHES.where(batch_table.c.state == State.SUBMITTING.value, batch_table.c.message_batch_id.is_(None))
_PROVISIONAL = _BATCHES.where(batch_table.c.provisional, sa.not_(batch_table.c.identified))
_CONTENDERS = _BATCHES.where(
    sa.or_(batch_table.c.state == State.SUBMITTING.value, batch_table.c.provisional),
    batch_table.c["count"] == bindparam("count"),
).order_by(batch_table.c.intent_at)
_COUNTS_BEING_SENT = (
    select(batch_table.c["count"])
    .distinct()
    .where(
        batch_table.c.job_id != bindparam("job_id"),
        batch_table.c.state == State.SUBMITTING.value,
        batch_table.c.owner.is_not(None),
    )
)
_HOLDER = select(batch_table.c.owner, batch_table.c.attempt).where(batch_table.c.id == bindparam("batch_id"))
_HOLDERS = (
    select(batch_table.c.owner, func.max(batch_table.c.lease_until))
    .where(batch_table.c.owner.is_not(None))
    .group_by(batch_table.c.owner)
)
_POSSIBLY_PAID = (
    select(*_columns(presumed_table, PRESUMED), batch_table.c.job_id, batch_table.c.round)
    .join(batch_table)
    .where(batch_table.c.job_id == bindparam("job_id"))
    .order_by(presumed_table.c.id)
)
_PRESUMED = _POSSIBLY_PAID.where(
    ~sa.exists().where(
        move_table.c.batch_id == batch_table.c.id,
        move_table.c.at == presumed_table.c.at,
        move_table.c.note == FORGOTTEN,
    )
)
_NOTIFY_TARGETS = (
    select(*_columns(notify_target_table, NOTIFY_TARGET))
    .where(notify_target_table.c.job_id == bindparam("job_id"))
    .order_by(notify_target_table.c.kind, notify_target_table.c.id)
)
_PENDING_NOTIFICATIONS = (
    select(*_columns(notification_table, NOTIFICATION), job_table.c.name, *_columns(notify_target_table, NOTIFY_TARGET))
    .join(notify_target_table, notify_target_table.c.id == notification_table.c.target_id)
    .join(job_table, job_table.c.id == notify_target_table.c.job_id)
    .where(notification_table.c.delivery == Delivery.PENDING.value)
    .order_by(notification_table.c.id)
)
_JOB_OF_ID = select(batch_table.c.job_id).where(batch_table.c.message_batch_id == bindparam("message_batch_id"))
_IDS = select(batch_table.c.message_batch_id).where(batch_table.c.message_batch_id.is_not(None))
_JOB_NAMES = (
    select(batch_table.c.message_batch_id, job_table.c.name)
    .join(job_table)
    .where(batch_table.c.message_batch_id.is_not(None))
)
_NO_CANDIDATES = sa.union_all(
    _IDS.where(sa.or_(sa.not_(batch_table.c.provisional), batch_table.c.identified)),
    select(foreign_batch_table.c.message_batch_id).where(foreign_batch_table.c.job_id == bindparam("job_id")),
)


class SqlReadLedger:
    """A ledger in an SQL database that is only read: the `ReadLedger` of `ledger.protocol`, which documents the methods."""

    _writes = False

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path` and change nothing of it.

        Raises:
            LedgerProblem: It cannot be used, a newer program wrote it, or its schema is none of ours.
        """
        self._database = database_at(path)
        self._database.open(writes=self._writes)

    @property
    def revision(self) -> str | None:
        """See `ReadLedger.revision`."""
        return self._database.revision

    def close(self) -> None:
        """See `ReadLedger.close`."""
        self._database.close()

    # ---------------------------------------------------------------- jobs

    def jobs(self) -> list[Job]:
        """See `ReadLedger.jobs`."""
        return self._jobs(_ALL_JOBS, {})

    def job(self, name: str) -> Job:
        """See `ReadLedger.job`."""
        (job,) = self._jobs(_JOBS_BY_NAME, {"key": name})
        return job

    def job_of(self, batch: Batch | PresumedNotCreated) -> Job:
        """See `ReadLedger.job_of`."""
        (job,) = self._jobs(_JOBS_BY_ID, {"key": batch.job_id})
        return job

    def _jobs(self, statements: tuple[sa.Select[Any], ...], key: dict[str, Any]) -> list[Job]:
        of_jobs, of_rounds, of_duplicates = statements
        rounds: dict[int, list[Round]] = {}
        duplicates: dict[int, list[tuple[str, bool]]] = {}
        with self._database.read() as db:
            for row in db.execute(of_rounds, key):
                rounds.setdefault(row[0], []).append(round_of(row))
            for job_id, message_batch_id, is_over in db.execute(of_duplicates, key):
                duplicates.setdefault(job_id, []).append((message_batch_id, is_over))
            return [job_of(row, rounds.get(row[0], ()), duplicates.get(row[0], ())) for row in db.execute(of_jobs, key)]

    # ---------------------------------------------------------------- the workspace

    def stored_place(self) -> tuple[str, str, Place, int]:
        """See `ReadLedger.stored_place`."""
        with self._database.read() as db:
            workspace_id, salt, machine, path, device, inode, generation = db.execute(_PLACE).one()
        return workspace_id, salt, Place(machine=machine, path=path, device=device, inode=inode), generation

    # ---------------------------------------------------------------- batches of a job

    def batches(self, job: Job) -> tuple[Batch, ...]:
        """See `ReadLedger.batches`."""
        return tuple(self._batches(_BATCHES_OF_JOB, job_id=job.id))

    def place(self, batch: Batch) -> tuple[int, int]:
        """See `ReadLedger.place`."""
        key = {"first": batch.cut.first, "job_id": batch.job_id, "round": batch.round}
        with self._database.read() as db:
            number, total = db.execute(_POSITION, key).one()
        return number, total

    def failures(self, job: Job) -> list[Failures]:
        """See `ReadLedger.failures`."""
        with self._database.read() as db:
            return [failures_of(row) for row in db.execute(_FAILURES, {"job_id": job.id})]

    def usage_totals(self, job: Job) -> dict[int, list[UsageTotals]]:
        """See `ReadLedger.usage_totals`."""
        by_batch: dict[int, list[UsageTotals]] = {}
        with self._database.read() as db:
            for row in db.execute(_USAGE_TOTALS, {"job_id": job.id}):
                by_batch.setdefault(row[0], []).append(usage_totals_of(row))
        return by_batch

    def moves(self, job: Job) -> list[tuple[int, datetime, str, str, str]]:
        """See `ReadLedger.moves`."""
        with self._database.read() as db:
            return [(row[0], row[1], row[2], row[3], row[4]) for row in db.execute(_MOVES, {"job_id": job.id})]

    def presumed_not_created(self, job: Job) -> list[PresumedNotCreated]:
        """See `ReadLedger.presumed_not_created`."""
        with self._database.read() as db:
            return [presumed_of(row) for row in db.execute(_PRESUMED, {"job_id": job.id})]

    def possibly_paid_creates(self, job: Job) -> list[PresumedNotCreated]:
        """See `ReadLedger.possibly_paid_creates`."""
        with self._database.read() as db:
            return [presumed_of(row) for row in db.execute(_POSSIBLY_PAID, {"job_id": job.id})]

    # ---------------------------------------------------------------- notifications

    def notify_targets(self, job: Job) -> list[NotifyTarget]:
        """See `ReadLedger.notify_targets`."""
        with self._database.read() as db:
            return [notify_target_of(row) for row in db.execute(_NOTIFY_TARGETS, {"job_id": job.id})]

    def pending_notifications(self) -> list[Notification]:
        """See `ReadLedger.pending_notifications`."""
        with self._database.read() as db:
            return [notification_of(row) for row in db.execute(_PENDING_NOTIFICATIONS)]

    # ---------------------------------------------------------------- batches of all jobs

    def unconfirmed_batches(self) -> list[Batch]:
        """See `ReadLedger.unconfirmed_batches`."""
        return self._batches(UNCONFIRMED)

    def provisional_matches(self) -> list[Batch]:
        """See `ReadLedger.provisional_matches`."""
        return self._batches(_PROVISIONAL)

    def contenders(self, count: int) -> list[Batch]:
        """See `ReadLedger.contenders`."""
        return self._batches(_CONTENDERS, count=count)

    def _batches(self, statement: sa.Select[Any], **key: int) -> list[Batch]:
        with self._database.read() as db:
            return [batch_of(row) for row in db.execute(statement, key)]

    def counts_being_sent(self, but: Job) -> frozenset[int]:
        """See `ReadLedger.counts_being_sent`."""
        with self._database.read() as db:
            return frozenset(db.scalars(_COUNTS_BEING_SENT, {"job_id": but.id}))

    def holder_of(self, batch: Batch) -> tuple[str | None, int]:
        """See `ReadLedger.holder_of`."""
        with self._database.read() as db:
            owner, attempt = db.execute(_HOLDER, {"batch_id": batch.id}).one()
        return owner, attempt

    def is_claimed_by(self, sent: Batch, owner: str) -> bool:
        """See `ReadLedger.is_claimed_by`."""
        return self.holder_of(sent) == (owner, sent.attempt)

    def holders(self) -> dict[str, datetime]:
        """See `ReadLedger.holders`."""
        with self._database.read() as db:
            return {row[0]: row[1] for row in db.execute(_HOLDERS)}

    # ---------------------------------------------------------------- ids of the API

    def job_id_of_message_batch(self, message_batch_id: str) -> int | None:
        """See `ReadLedger.job_id_of_message_batch`."""
        with self._database.read() as db:
            return db.scalar(_JOB_OF_ID, {"message_batch_id": message_batch_id})

    def message_batch_ids(self) -> set[str]:
        """See `ReadLedger.message_batch_ids`."""
        with self._database.read() as db:
            return set(db.scalars(_IDS))

    def jobs_of_message_batches(self, message_batch_ids: Collection[str]) -> dict[str, str]:
        """See `ReadLedger.jobs_of_message_batches`."""
        with self._database.read() as db:
            return {row[0]: row[1] for row in db.execute(_JOB_NAMES) if row[0] in message_batch_ids}

    def known_message_batches(self, job: Job) -> set[str]:
        """See `ReadLedger.known_message_batches`."""
        with self._database.read() as db:
            return set(db.scalars(_NO_CANDIDATES, {"job_id": job.id}))
