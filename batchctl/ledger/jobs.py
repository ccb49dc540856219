"""What a job is made of, and what becomes of it as a whole."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from batchctl.domain.attaching import may_be
from batchctl.domain.model import Cut, Headers, Job, Merged, MessageBatch, Round, State
from batchctl.domain.states import OF_STATUS
from batchctl.ledger.questions import IN_DOUBT
from batchctl.ledger.rows import batch_of, cut_values, forecast_values, headers_values, merged_values, seen_values
from batchctl.ledger.schema import batch, failure, job, move, presumed, round_, stranger, surplus, usage
from batchctl.ledger.store import Store, headers_from_here

# Of a job's columns, what is known once its input is.
OF_INPUT = frozenset(
    [
        "input_path",
        "input_sha256",
        "input_size",
        "input_mtime_ns",
        "line_count",
        "left_out",
        "api_version",
        "betas",
        "labels",
    ]
)


class Jobs(Store):
    def record_job(self, new: Job, cuts: Sequence[Cut]) -> Job:
        """A job, its first round and its batches, all or nothing. The given ids are not used."""
        with self._write() as db:
            # A ledger that may be a copy may have forgotten jobs.
            is_copy = db.scalar(sa.select(sa.func.max(job.c.may_be_copied)))
            values = {**_job_values(new), "may_be_copied": bool(is_copy) or new.may_be_copied}
            key = db.execute(sa.insert(job).values(values)).inserted_primary_key
            assert key is not None
            _insert_round(db, key[0], new.rounds[0], cuts)
        return self.job(new.name)

    def record_attached(
        self, new: Job, found: Sequence[tuple[Cut, MessageBatch]], now: datetime, *, api: str = ""
    ) -> bool:
        """A job of batches that were made elsewhere, all or nothing. `api`: where they were found.

        False where one of them is in a job already, or may be one that a job of this workspace is in doubt about.
        """
        with self._write() as db:
            taken = set(db.scalars(sa.select(batch.c.message_batch_id)))
            unconfirmed_batches = [batch_of(row) for row in db.exec_driver_sql(IN_DOUBT)]
            if any(
                seen.id in taken or any(may_be(unconfirmed_batch, seen) for unconfirmed_batch in unconfirmed_batches)
                for _, seen in found
            ):
                return False
            key = db.execute(sa.insert(job).values(_job_values(new))).inserted_primary_key
            assert key is not None
            _insert_round(db, key[0], new.rounds[0], [cut for cut, _ in found])
            for cut, seen in found:
                mine = sa.and_(batch.c.job_id == key[0], batch.c.first == cut.first)
                state = OF_STATUS[seen.processing_status].value
                bound = {"message_batch_id": seen.id, "state": state, "api": api, "note": "made elsewhere"}
                db.execute(sa.update(batch).where(mine).values({**seen_values(seen, now), **bound}))
        return True

    def record_requests(self, known: Job, owner: str, cuts: Sequence[Cut], rest: Sequence[Cut] = ()) -> bool:
        """What the requests of an attached job were. Its results, and who holds which position among them, must fit by now.

        `rest`: requests that are in none of its batches. They have their place in round 1 and are no batch.

        False where `owner` does not hold all of its batches, downloaded as they are. The holds end with it.
        """
        with self._write() as db:
            mine = sa.and_(batch.c.job_id == known.id, batch.c.owner == owner, batch.c.state == State.FETCHED.value)
            if db.scalar(sa.select(sa.func.count()).where(mine)) != len(cuts):
                return False
            # Merged anew: the answers are in the order of the input from here on.
            # What was said of the job meanwhile, its limit and its pauses, stays.
            said = {name: value for name, value in _job_values(known).items() if name in OF_INPUT}
            db.execute(sa.update(job).where(job.c.id == known.id).values({**said, "merged": sa.null()}))
            first = known.rounds[0]
            values = {name: getattr(first, name) for name in ("request_file", "size", "mtime_ns", "count")}
            db.execute(sa.update(round_).where(round_.c.job_id == known.id).values(values))
            for cut in cuts:
                placed = sa.and_(mine, batch.c.first == cut.first)
                values = {"start": cut.start, "end": cut.end, "sha256": cut.sha256}
                db.execute(sa.update(batch).where(placed).values(**values, owner=None, lease_until=None))
            plain = {"job_id": known.id, "round": first.number, "state": State.IN_NO_BATCH.value}
            if rest:
                db.execute(sa.insert(batch), [{**cut_values(cut), **plain} for cut in rest])
        return True

    def record_detached(self, of: Job) -> bool:
        """The job was attached for nothing: it is forgotten.

        False where its requests are known by now, or somebody is taking a step on it.
        """
        mine = sa.select(batch.c.id).where(batch.c.job_id == of.id)
        known = sa.select(round_.c.number).where(round_.c.job_id == of.id, round_.c.request_file != "")
        with self._write() as db:
            if db.scalar(sa.select(sa.or_(mine.where(batch.c.owner.is_not(None)).exists(), known.exists()))):
                return False
            for table in (failure, usage, move, presumed):
                db.execute(sa.delete(table).where(table.c.batch_id.in_(mine)))
            for table in (stranger, surplus, batch, round_):
                db.execute(sa.delete(table).where(table.c.job_id == of.id))
            db.execute(sa.delete(job).where(job.c.id == of.id))
        return True

    def record_round(self, of: Job, new: Round, cuts: Sequence[Cut]) -> bool:
        """A retry's round and its batches; False when another process was first with this number."""
        with self._write() as db:
            newest = db.scalar(sa.select(sa.func.max(round_.c.number)).where(round_.c.job_id == of.id))
            if newest is None or newest + 1 != new.number:
                return False
            _insert_round(db, of.id, new, cuts)
        return True

    def record_pause(self, of: Job, reason: str) -> None:
        """No batch is sent until a person comes back; an empty reason ends the pause."""
        self._update_job(of, paused=reason)

    def record_hold(self, of: Job, until: datetime | None, reason: str, now: datetime) -> None:
        self._update_job(of, hold_until=until, hold_at=now, hold_reason=reason)

    def record_canceled(self, of: Job, at: datetime | None) -> None:
        """Nothing more of it is sent from `at` on; None: a person wants it sent after all."""
        self._update_job(of, canceled_at=at)

    def record_limit(self, of: Job, max_cost: Decimal) -> None:
        """What all rounds together may cost from now on, in US dollars."""
        self._update_job(of, max_cost=str(max_cost))

    def record_headers(self, of: Job, headers: Headers) -> bool:
        """With what the job sends from here on: what is planned, and later rounds. What was sent keeps the headers of its create.

        False where they are no longer those that `of` has: another process changed them, and who asked has not seen that.
        """
        with self._write() as db:
            if headers_from_here(db, of.id) != of.settings.headers:
                return False
            db.execute(sa.update(job).where(job.c.id == of.id).values(headers_values(headers)))
        return True

    def record_window(self, of: Job, requests: int, at: datetime) -> None:
        """How many requests of the job the API's queue took at once when it last refused, or took, more."""
        self._update_job(of, window=requests, window_at=at)

    def record_merged(self, of: Job, merged: Merged) -> None:
        self._update_job(of, merged=merged_values(merged))

    def record_request_file(self, of: Job, number: int, path: str, mtime_ns: int) -> None:
        """Where the bytes of a round are found from now on."""
        with self._write() as db:
            db.execute(
                sa.update(round_)
                .where(round_.c.job_id == of.id, round_.c.number == number)
                .values(request_file=path, mtime_ns=mtime_ns)
            )

    def _update_job(self, of: Job, **values: Any) -> None:
        with self._write() as db:
            db.execute(sa.update(job).where(job.c.id == of.id).values(values))


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
        "may_be_copied": new.may_be_copied,
        "max_cost": None if new.max_cost is None else str(new.max_cost),
    }


def _insert_round(db: sa.Connection, job_id: int, new: Round, cuts: Sequence[Cut]) -> None:
    names = ("number", "request_file", "size", "mtime_ns", "count", "created_at", "shape")
    plain = {name: getattr(new, name) for name in names}
    db.execute(
        sa.insert(round_).values(
            job_id=job_id, **plain, forecast=forecast_values(new.forecast), changes=list(new.changes) or None
        )
    )
    db.execute(sa.insert(batch), [{"job_id": job_id, "round": new.number, **cut_values(cut)} for cut in cuts])
