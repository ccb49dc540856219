"""Records of jobs: what a job consists of, and what is decided of it as a whole."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from batchctl.domain.attaching import may_be
from batchctl.domain.model import Cut, Headers, Job, Merged, MessageBatch, Round, State, WithheldShape
from batchctl.domain.states import STATE_OF_STATUS
from batchctl.ledger.reading import UNCONFIRMED
from batchctl.ledger.rows import batch_of, cut_values, forecast_values, headers_values, merged_values, seen_values
from batchctl.ledger.schema import (
    batch_table,
    duplicate_batch_table,
    failure_table,
    foreign_batch_table,
    job_table,
    move_table,
    notification_table,
    notify_target_table,
    presumed_table,
    round_table,
    usage_table,
)
from batchctl.ledger.writing import Writer, headers_from_here

# The columns of a job that are known once its input is.
_OF_INPUT = (
    "input_path", "input_sha256", "input_size", "input_mtime_ns", "line_count", "left_out", "api_version", "betas", "labels",
)  # fmt: skip


class Jobs(Writer):
    """The records of `Ledger` on jobs."""

    def record_job(self, new: Job, cuts: Sequence[Cut]) -> Job:
        """See `Ledger.record_job`."""
        with self._write() as db:
            # A ledger that may be a copy may have forgotten jobs.
            is_copy = db.scalar(sa.select(sa.exists().where(job_table.c.may_be_copied)))
            values = {**_job_values(new), "may_be_copied": is_copy or new.may_be_copied}
            key = db.execute(sa.insert(job_table).values(values)).inserted_primary_key
            assert key is not None
            _insert_round(db, key[0], new.rounds[0], cuts, is_plan=new.has_first_batch)
        return self.job(new.name)

    def record_attached(
        self, new: Job, found: Sequence[tuple[Cut, MessageBatch]], now: datetime, *, api: str = ""
    ) -> bool:
        """See `Ledger.record_attached`."""
        with self._write() as db:
            taken = set(db.scalars(sa.select(batch_table.c.message_batch_id)))
            unconfirmed = [batch_of(row) for row in db.execute(UNCONFIRMED)]
            if any(seen.id in taken or any(may_be(batch, seen) for batch in unconfirmed) for _, seen in found):
                return False
            key = db.execute(sa.insert(job_table).values(_job_values(new))).inserted_primary_key
            assert key is not None
            _insert_round(db, key[0], new.rounds[0], [cut for cut, _ in found])
            for cut, seen in found:
                mine = sa.and_(batch_table.c.job_id == key[0], batch_table.c.first == cut.first)
                state = STATE_OF_STATUS[seen.processing_status].value
                bound = {"message_batch_id": seen.id, "state": state, "api": api, "note": "made elsewhere"}
                db.execute(sa.update(batch_table).where(mine).values({**seen_values(seen, now), **bound}))
        return True

    def record_requests(self, known: Job, owner: str, cuts: Sequence[Cut], rest: Sequence[Cut] = ()) -> bool:
        """See `Ledger.record_requests`."""
        with self._write() as db:
            mine = sa.and_(
                batch_table.c.job_id == known.id,
                batch_table.c.owner == owner,
                batch_table.c.state == State.FETCHED.value,
            )
            if db.scalar(sa.select(sa.func.count()).where(mine)) != len(cuts):
                return False
            # It is merged anew: the answers are in the order of the input from here on.
            # What was recorded of the job meanwhile, its limit and its pauses, stays.
            of_input = {name: value for name, value in _job_values(known).items() if name in _OF_INPUT}
            db.execute(sa.update(job_table).where(job_table.c.id == known.id).values(**of_input, merged=sa.null()))
            first = known.rounds[0]
            values = {name: getattr(first, name) for name in ("request_file", "size", "mtime_ns", "count")}
            db.execute(sa.update(round_table).where(round_table.c.job_id == known.id).values(values))
            for cut in cuts:
                placed = sa.and_(mine, batch_table.c.first == cut.first)
                values = {"start": cut.start, "end": cut.end, "sha256": cut.sha256}
                db.execute(sa.update(batch_table).where(placed).values(**values, owner=None, lease_until=None))
            plain = {"job_id": known.id, "round": first.number, "state": State.IN_NO_BATCH.value}
            if rest:
                db.execute(sa.insert(batch_table), [{**cut_values(cut), **plain} for cut in rest])
        return True

    def record_detached(self, job: Job) -> bool:
        """See `Ledger.record_detached`."""
        mine = sa.select(batch_table.c.id).where(batch_table.c.job_id == job.id)
        known = sa.select(round_table.c.number).where(round_table.c.job_id == job.id, round_table.c.request_file != "")
        with self._write() as db:
            if db.scalar(sa.select(sa.or_(mine.where(batch_table.c.owner.is_not(None)).exists(), known.exists()))):
                return False
            for table in (failure_table, usage_table, move_table, presumed_table):
                db.execute(sa.delete(table).where(table.c.batch_id.in_(mine)))
            told = sa.select(notify_target_table.c.id).where(notify_target_table.c.job_id == job.id)
            db.execute(sa.delete(notification_table).where(notification_table.c.target_id.in_(told)))
            of_job = (foreign_batch_table, duplicate_batch_table, notify_target_table, batch_table, round_table)
            for table in of_job:
                db.execute(sa.delete(table).where(table.c.job_id == job.id))
            db.execute(sa.delete(job_table).where(job_table.c.id == job.id))
        return True

    def record_round(
        self, job: Job, new: Round, cuts: Sequence[Cut], withheld: Sequence[WithheldShape] | None = None
    ) -> bool:
        """See `Ledger.record_round`."""
        with self._write() as db:
            if not _is_next_round(db, job, new.number):
                return False
            _insert_round(db, job.id, new, cuts)
            if withheld is not None:
                _set_withheld(db, job, withheld)
        return True

    def record_judged(self, job: Job, withheld: Sequence[WithheldShape]) -> bool:
        """See `Ledger.record_judged`."""
        with self._write() as db:
            if not _is_next_round(db, job, len(job.rounds) + 1):
                return False
            _set_withheld(db, job, withheld)
        return True

    def record_pause(self, job: Job, reason: str) -> None:
        """See `Ledger.record_pause`."""
        self._update_job(job, paused=reason)

    def record_hold(self, job: Job, until: datetime | None, reason: str, now: datetime) -> None:
        """See `Ledger.record_hold`."""
        self._update_job(job, hold_until=until, hold_at=now, hold_reason=reason)

    def record_canceled(self, job: Job, at: datetime | None) -> None:
        """See `Ledger.record_canceled`."""
        self._update_job(job, canceled_at=at)

    def record_limit(self, job: Job, max_cost: Decimal) -> None:
        """See `Ledger.record_limit`."""
        self._update_job(job, max_cost=str(max_cost))

    def record_headers(self, job: Job, headers: Headers) -> bool:
        """See `Ledger.record_headers`."""
        with self._write() as db:
            stored, _ = headers_from_here(db, job.id)
            if stored != job.settings.headers:
                return False
            db.execute(sa.update(job_table).where(job_table.c.id == job.id).values(headers_values(headers)))
        return True

    def record_window(self, job: Job, requests: int, at: datetime) -> None:
        """See `Ledger.record_window`."""
        self._update_job(job, window=requests, window_at=at)

    def record_prime_min_hit(self, job: Job, percent: int) -> None:
        """See `Ledger.record_prime_min_hit`."""
        self._update_job(job, prime_min_hit=percent)

    def record_merged(self, job: Job, merged: Merged) -> None:
        """See `Ledger.record_merged`."""
        self._update_job(job, merged=merged_values(merged))

    def record_request_file(self, job: Job, number: int, path: str, mtime_ns: int) -> None:
        """See `Ledger.record_request_file`."""
        with self._write() as db:
            db.execute(
                sa.update(round_table)
                .where(round_table.c.job_id == job.id, round_table.c.number == number)
                .values(request_file=path, mtime_ns=mtime_ns)
            )

    def _update_job(self, job: Job, **values: Any) -> None:
        with self._write() as db:
            db.execute(sa.update(job_table).where(job_table.c.id == job.id).values(values))


def _job_values(new: Job) -> dict[str, Any]:
    settings = new.settings
    plain = "name input_path input_sha256 input_size input_mtime_ns line_count left_out created_at paused hold_reason"
    return {
        **{name: getattr(new, name) for name in plain.split()},
        "api_version": settings.api_version,
        "betas": list(settings.betas),
        "max_requests": settings.max_requests,
        "max_bytes": settings.max_bytes,
        "labels": settings.labels,
        "cache_system": settings.cache_system,
        "size_start": settings.size_start,
        "depth": settings.depth,
        "canary": settings.canary,
        "prime_min_hit": settings.prime_min_hit,
        "may_be_copied": new.may_be_copied,
        "max_cost": None if new.max_cost is None else str(new.max_cost),
    }


def _insert_round(db: sa.Connection, job_id: int, new: Round, cuts: Sequence[Cut], *, is_plan: bool = False) -> None:
    """Insert a round and its batches. `is_plan`: later rounds send its requests."""
    names = ("number", "request_file", "size", "mtime_ns", "count", "created_at", "shape", "purpose")
    plain = {name: getattr(new, name) for name in names}
    db.execute(
        sa.insert(round_table).values(
            job_id=job_id, **plain, forecast=forecast_values(new.forecast), changes=list(new.changes) or None
        )
    )
    state = State.IN_NO_BATCH if is_plan else State.PLANNED
    plain = {"job_id": job_id, "round": new.number, "state": state.value}
    db.execute(sa.insert(batch_table), [{**cut_values(cut), **plain} for cut in cuts])


def _is_next_round(db: sa.Connection, job: Job, number: int) -> bool:
    newest = db.scalar(sa.select(sa.func.max(round_table.c.number)).where(round_table.c.job_id == job.id))
    return newest is not None and newest + 1 == number


def _set_withheld(db: sa.Connection, job: Job, withheld: Sequence[WithheldShape]) -> None:
    shapes = [asdict(shape) for shape in withheld]
    db.execute(sa.update(job_table).where(job_table.c.id == job.id).values(withheld=shapes))
