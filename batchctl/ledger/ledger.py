"""The ledger: what is true of every job. One method, one transaction; a write that returned is on the disk.

`record_…` says what has happened; the other methods answer questions. Methods that take a step return whether the
step was there to be taken: two processes may ask for it at the same instant, one of them gets it.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, Cut, Failures, Job, Merged, MessageBatch, Round, State, Verified
from batchctl.domain.states import OF_STATUS, may_follow
from batchctl.ledger import owners
from batchctl.ledger.engine import open_engine, translated
from batchctl.ledger.rows import (
    COUNTERS,
    batch_of,
    cut_values,
    failures_of,
    job_of,
    merged_values,
    seen_values,
)
from batchctl.ledger.schema import batch, failure, job, move, round_, stranger

LEASE = timedelta(minutes=2)
RUNNING = (State.IN_PROGRESS.value, State.CANCELING.value)


class Ledger:
    """Opens the ledger at `path`, making it if it is not there. Raises LedgerProblem."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_engine(path)
        self._owners = path.parent / "owners"

    def close(self) -> None:
        self._engine.dispose()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with translated(self._path), self._engine.connect().execution_options(write=True) as db, db.begin():
            yield db

    @contextlib.contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with translated(self._path), self._engine.connect() as db:
            yield db

    # ------------------------------------------------------------------ jobs and rounds

    def record_job(self, new: Job, cuts: Sequence[Cut]) -> Job:
        """A job, its first round and its batches, all or nothing. The given ids are not used."""
        with self._write() as db:
            key = db.execute(sa.insert(job).values(_job_values(new))).inserted_primary_key
            assert key is not None
            _insert_round(db, key[0], new.rounds[0], cuts)
        return self.job(new.name)

    def record_round(self, of: Job, new: Round, cuts: Sequence[Cut]) -> bool:
        """A retry's round and its batches; False when another process was first with this number."""
        with self._write() as db:
            newest = db.scalar(sa.select(sa.func.max(round_.c.number)).where(round_.c.job_id == of.id))
            if newest is None or newest + 1 != new.number:
                return False
            _insert_round(db, of.id, new, cuts)
        return True

    def job(self, name: str) -> Job:
        return next(found for found in self.jobs() if found.name == name)

    def jobs(self) -> list[Job]:
        """Oldest first."""
        with self._read() as db:
            rounds: dict[int, list[Any]] = {}
            for row in db.execute(sa.select(round_).order_by(round_.c.number)):
                rounds.setdefault(row.job_id, []).append(row)
            return [job_of(row, rounds.get(row.id, [])) for row in db.execute(sa.select(job).order_by(job.c.id))]

    def batches(self, of: Job) -> tuple[Batch, ...]:
        """In the order of rounds, and of the input within a round."""
        question = sa.select(batch).where(batch.c.job_id == of.id).order_by(batch.c.round, batch.c.first)
        with self._read() as db:
            return tuple(batch_of(row) for row in db.execute(question))

    def place(self, of: Batch) -> tuple[int, int]:
        """A batch's number in its round, from 1, and how many the round has."""
        mine = sa.and_(batch.c.job_id == of.job_id, batch.c.round == of.round)
        before = sa.func.count().filter(batch.c.first <= of.cut.first)
        with self._read() as db:
            number, total = db.execute(sa.select(before, sa.func.count()).where(mine)).one()
            return int(number), int(total)

    def job_id_of_message_batch(self, message_batch_id: str) -> int | None:
        with self._read() as db:
            return db.scalar(sa.select(batch.c.job_id).where(batch.c.message_batch_id == message_batch_id))

    def record_pause(self, of: Job, reason: str) -> None:
        """No batch is sent until a person comes back; an empty reason ends the pause."""
        self._update_job(of, paused=reason)

    def record_hold(self, of: Job, until: datetime | None, reason: str) -> None:
        self._update_job(of, hold_until=until, hold_reason=reason)

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

    # ------------------------------------------------------------------ claims

    def claim(self, wanted: Batch, owner: str, now: datetime) -> bool:
        """Takes the next step on a batch for `owner`, if it is still in this state and nobody has it."""
        with self._write() as db:
            return _claim(db, wanted, owner, now)

    def claim_send(self, wanted: Batch, owner: str, now: datetime) -> bool:
        """The claim that is also the intent: from here until an answer is recorded, the batch may exist."""
        with self._write() as db:
            if wanted.state is not State.PLANNED or not _claim(db, wanted, owner, now):
                return False
            _move(db, wanted.id, State.SUBMITTING, now, "", intent_at=now, looks=0, not_before=None)
            return True

    def release(self, owned: Batch, owner: str, *, not_before: datetime | None = None, note: str = "") -> None:
        """Gives the step back; the state stays."""
        with self._write() as db:
            db.execute(
                sa.update(batch)
                .where(batch.c.id == owned.id, batch.c.owner == owner)
                .values(owner=None, lease_until=None, not_before=not_before, note=note)
            )

    def renew(self, owner: str, now: datetime) -> None:
        """A sign of life for all claims of `owner`."""
        with self._write() as db:
            db.execute(sa.update(batch).where(batch.c.owner == owner).values(lease_until=now + LEASE))

    def release_dead(self, now: datetime) -> int:
        """Takes the claims of owners that no longer run; their half-sent batches become doubts. How many."""
        held = sa.select(batch.c.owner, sa.func.max(batch.c.lease_until)).where(batch.c.owner.is_not(None))
        with self._read() as db:
            rows = db.execute(held.group_by(batch.c.owner)).all()
        dead = [owner for owner, until in rows if not _lives(owners.is_alive(self._owners, owner), until, now)]
        if not dead:
            return 0
        with self._write() as db:
            freed = sa.update(batch).where(batch.c.owner.in_(dead)).values(owner=None, lease_until=None)
            return int(db.execute(freed).rowcount)

    # ------------------------------------------------------------------ arrows a, b, e: sending

    def record_created(self, sent: Batch, seen: MessageBatch, now: datetime) -> None:
        """The API's own answer to our create: beyond doubt, whoever adopted the same id meanwhile was wrong."""
        with self._write() as db:
            wrong = sa.select(batch.c.id).where(batch.c.message_batch_id == seen.id, batch.c.id != sent.id)
            for other in db.scalars(wrong).all():
                _move(db, other, State.SUBMITTING, now, f"{seen.id} is another batch's", **_NOTHING_SEEN)
            _bind(db, sent.id, seen, now, provisional=False)

    def record_adopted(self, doubt: Batch, seen: MessageBatch, now: datetime, *, provisional: bool) -> bool:
        """The API has it, as far as its size and time tell; False when the id is taken or the doubt is gone."""
        with self._write() as db:
            is_taken = db.scalar(sa.select(batch.c.id).where(batch.c.message_batch_id == seen.id))
            if is_taken or _state(db, doubt.id) is not State.SUBMITTING:
                return False
            _bind(db, doubt.id, seen, now, provisional=provisional)
            return True

    def record_not_created(self, sent: Batch, now: datetime, *, not_before: datetime | None, note: str) -> None:
        """A definite no, or the end of a doubt: it may be sent again."""
        with self._write() as db:
            _move(db, sent.id, State.PLANNED, now, note, not_before=not_before, tries=sent.tries + 1, intent_at=None)

    def record_doubt(self, sent: Batch, *, not_before: datetime, note: str, looks: int = 0) -> None:
        """Nobody is sending it and nobody knows: it stays `submitting`, without a claim, looked for `looks` times."""
        with self._write() as db:
            db.execute(
                sa.update(batch)
                .where(batch.c.id == sent.id, batch.c.state == State.SUBMITTING.value)
                .values(owner=None, lease_until=None, not_before=not_before, note=note, looks=looks)
            )

    def record_refused(self, sent: Batch, now: datetime, note: str) -> None:
        with self._write() as db:
            _move(db, sent.id, State.REFUSED, now, note)

    def record_split(self, sent: Batch, halves: Sequence[Cut], now: datetime, note: str) -> None:
        """Too large for the API: its place is taken by two smaller ones."""
        with self._write() as db:
            _move(db, sent.id, State.PLANNED, now, note, tries=0, intent_at=None)
            first, second = halves
            db.execute(sa.update(batch).where(batch.c.id == sent.id).values({**cut_values(first), "note": note}))
            db.execute(
                sa.insert(batch).values(job_id=sent.job_id, round=sent.round, **{**cut_values(second), "note": note})
            )

    def record_stranger(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """A batch of the API whose ids are none of this job's doubts': never their candidate again."""
        values = {"job_id": job_id, "message_batch_id": message_batch_id, "at": now}
        with self._write() as db:
            db.execute(sa.insert(stranger).prefix_with("OR IGNORE").values(values))

    def record_wrong_adoption(self, adopted: Batch, now: datetime) -> None:
        """The ids in the results are other requests': the batch is in doubt again, and its candidate may be another's.

        Nothing, where another process was first to find that out.
        """
        assert adopted.message_batch_id is not None, "what was adopted has a name"
        note = f"{adopted.message_batch_id} holds other requests"
        with self._write() as db:
            if _state_of_bound(db, adopted.id, adopted.message_batch_id) is None:
                return
            _move(db, adopted.id, State.SUBMITTING, now, note, **_NOTHING_SEEN)

    def record_confirmed(self, adopted: Batch) -> None:
        """The ids say that the guess was right."""
        with self._write() as db:
            is_still = sa.and_(batch.c.id == adopted.id, batch.c.message_batch_id == adopted.message_batch_id)
            db.execute(sa.update(batch).where(is_still).values(provisional=False))

    def known_message_batches(self, of: Job) -> set[str]:
        """Every id that is no candidate for the job's doubts: surely another batch's, or a stranger's."""
        bound = sa.select(batch.c.message_batch_id).where(
            batch.c.message_batch_id.is_not(None), batch.c.provisional.is_(False)
        )
        strangers = sa.select(stranger.c.message_batch_id).where(stranger.c.job_id == of.id)
        with self._read() as db:
            return {*db.scalars(bound).all(), *db.scalars(strangers).all()}

    def guesses(self) -> list[Batch]:
        """Batches of all jobs that were adopted by size and time and not confirmed by their ids so far."""
        with self._read() as db:
            return [batch_of(row) for row in db.execute(sa.select(batch).where(batch.c.provisional.is_(True)))]

    def counts_being_sent(self, but: Job) -> frozenset[int]:
        """Sizes of the batches that other jobs of this workspace are sending or doubt right now."""
        question = sa.select(batch.c["count"]).where(batch.c.job_id != but.id, batch.c.state == State.SUBMITTING.value)
        with self._read() as db:
            return frozenset(db.scalars(question.where(batch.c.owner.is_not(None))).all())

    # ------------------------------------------------------------------ arrow c: looking

    def record_seen(self, pairs: Collection[tuple[Batch, MessageBatch]], now: datetime) -> list[tuple[Batch, State]]:
        """What the API says of batches under way, in one transaction; gives those whose state moved."""
        moved = []
        with self._write() as db:
            for looked, seen in pairs:
                state = OF_STATUS[seen.processing_status]
                before = _state_of_bound(db, looked.id, seen.id)
                # A list may be older than what we know: late news moves nothing back, and takes no counts away.
                if before is None or not (before is state or may_follow(before, state)):
                    continue
                if before is not state:
                    _move(db, looked.id, state, now, "", tries=0, not_before=None)
                    moved.append((looked, state))
                db.execute(sa.update(batch).where(batch.c.id == looked.id).values(seen_values(seen, now)))
        return moved

    def record_missing(self, looked: Batch, now: datetime) -> None:
        with self._write() as db:
            since = sa.func.coalesce(
                batch.c.missing_since, sa.bindparam("since", now, type_=batch.c.missing_since.type)
            )
            values = {"missing_since": since, "looked_at": now}
            db.execute(sa.update(batch).where(batch.c.id == looked.id).values(values))

    # ------------------------------------------------------------------ arrow d: downloading

    def record_fetched(self, downloaded: Batch, owner: str, verified: Verified, now: datetime) -> bool:
        """The results are whole, checked and on the disk; False when the claim was lost meanwhile."""
        with self._write() as db:
            held = sa.select(batch.c.owner).where(batch.c.id == downloaded.id)
            if db.scalar(held) != owner:
                return False
            values = {name: getattr(verified, name) for name in ("unknown", "truncated", "refusals", "paused_turns")}
            _move(
                db,
                downloaded.id,
                State.FETCHED,
                now,
                "",
                provisional=False,
                results_bytes=verified.bytes,
                results_sha256=verified.sha256,
                **values,
                **{name: getattr(verified.counts, name) for name in COUNTERS},
            )
            for kind in verified.failures:
                db.execute(sa.insert(failure).values(_failure_values(downloaded, kind)))
            return True

    def record_try(self, downloaded: Batch, owner: str, *, not_before: datetime, note: str) -> None:
        """A download that did not hold what it should: again, later."""
        with self._write() as db:
            db.execute(
                sa.update(batch)
                .where(batch.c.id == downloaded.id, batch.c.owner == owner)
                .values(owner=None, lease_until=None, not_before=not_before, note=note, tries=batch.c.tries + 1)
            )

    def failures(self, of: Job) -> list[Failures]:
        """What came back without success, by batch and kind."""
        question = (
            sa.select(failure, batch.c.round)
            .join(batch, batch.c.id == failure.c.batch_id)
            .where(batch.c.job_id == of.id)
            .order_by(batch.c.round, batch.c.first)
        )
        with self._read() as db:
            return [failures_of(row) for row in db.execute(question)]

    def moves(self, of: Job) -> list[tuple[int, datetime, str, str, str]]:
        """Every change of state with its time: (batch, at, before, after, note), oldest first."""
        question = sa.select(move).join(batch, batch.c.id == move.c.batch_id).where(batch.c.job_id == of.id)
        with self._read() as db:
            rows = db.execute(question.order_by(move.c.id))
            return [(row.batch_id, row.at, row.before, row.after, row.note) for row in rows]


_NOTHING_SEEN: dict[str, Any] = {
    "message_batch_id": None,
    "provisional": False,
    "created_at": None,
    "expires_at": None,
    "ended_at": None,
    "missing_since": None,
    "not_before": None,
    **dict.fromkeys(COUNTERS, 0),
}


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
    }


def _insert_round(db: sa.Connection, job_id: int, new: Round, cuts: Sequence[Cut]) -> None:
    names = ("number", "request_file", "size", "mtime_ns", "count", "created_at")
    db.execute(sa.insert(round_).values(job_id=job_id, **{name: getattr(new, name) for name in names}))
    db.execute(sa.insert(batch), [{"job_id": job_id, "round": new.number, **cut_values(cut)} for cut in cuts])


def _failure_values(of: Batch, kind: Failures) -> dict[str, Any]:
    return {
        "batch_id": of.id,
        "outcome": kind.outcome.value,
        "error_type": kind.error_type[:80],
        "failure_class": kind.failure_class.value,
        "count": kind.count,
        "sample_ids": list(kind.sample_ids),
        "sample_message": kind.sample_message,
    }


def _lives(alive: bool | None, until: datetime, now: datetime) -> bool:  # noqa: FBT001 - an answer, not a switch
    return until > now if alive is None else alive


def _claim(db: sa.Connection, wanted: Batch, owner: str, now: datetime) -> bool:
    free = sa.update(batch).where(
        batch.c.id == wanted.id,
        batch.c.state == wanted.state.value,
        batch.c.owner.is_(None),
    )
    return db.execute(free.values(owner=owner, lease_until=now + LEASE)).rowcount == 1


def _state(db: sa.Connection, batch_id: int) -> State:
    return State(db.scalars(sa.select(batch.c.state).where(batch.c.id == batch_id)).one())


def _state_of_bound(db: sa.Connection, batch_id: int, message_batch_id: str) -> State | None:
    """None where the batch goes by another name by now, or by none."""
    found = sa.select(batch.c.state).where(batch.c.id == batch_id, batch.c.message_batch_id == message_batch_id)
    state = db.scalar(found)
    return None if state is None else State(state)


def _bind(db: sa.Connection, batch_id: int, seen: MessageBatch, now: datetime, *, provisional: bool) -> None:
    values = {**seen_values(seen, now), "message_batch_id": seen.id, "provisional": provisional, "not_before": None}
    _move(db, batch_id, OF_STATUS[seen.processing_status], now, seen.id, tries=0, **values)


def _move(db: sa.Connection, batch_id: int, after: State, now: datetime, note: str, **values: Any) -> None:
    """One arrow of the state diagram: any other raises. Only an intent keeps the claim, for the create that follows."""
    before = _state(db, batch_id)
    if not may_follow(before, after):
        message = f"batch {batch_id} cannot go from {before} to {after}"
        raise AssertionError(message)
    if not (before is State.PLANNED and after is State.SUBMITTING):
        values |= {"owner": None, "lease_until": None}
    db.execute(sa.update(batch).where(batch.c.id == batch_id).values(state=after.value, note=note, **values))
    db.execute(sa.insert(move).values(batch_id=batch_id, at=now, before=before.value, after=after.value, note=note))
