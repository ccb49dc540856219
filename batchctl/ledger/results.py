"""Records of polls and downloads: what the API says of batches, and which results were fetched."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, Failures, MessageBatch, State, Verified
from batchctl.domain.states import STATE_OF_STATUS, may_follow
from batchctl.ledger.rows import COUNTERS, UNREAD, seen_values, usage_totals_values
from batchctl.ledger.schema import batch_table, failure_table, usage_table
from batchctl.ledger.writing import Writer, advance, state_of, state_of_bound


class Results(Writer):
    """The records of `Ledger` on polls and downloads."""

    def record_polled(self, pairs: Collection[tuple[Batch, MessageBatch]], now: datetime) -> list[tuple[Batch, State]]:
        """See `Ledger.record_polled`."""
        moved = []
        with self._write() as db:
            for batch, seen in pairs:
                state = STATE_OF_STATUS[seen.processing_status]
                before = state_of_bound(db, batch.id, seen.id)
                # A list may be older than what we know: late news moves nothing back, and takes no counts away.
                if before in {None, State.FETCHED} or not (before is state or may_follow(before, state)):
                    continue
                if before is not state:
                    advance(db, batch.id, state, now, "", tries=0, not_before=None)
                    moved.append((batch, state))
                db.execute(sa.update(batch_table).where(batch_table.c.id == batch.id).values(seen_values(seen, now)))
        return moved

    def record_missing(self, batch: Batch, now: datetime) -> None:
        """See `Ledger.record_missing`."""
        with self._write() as db:
            since = sa.func.coalesce(
                batch_table.c.missing_since, sa.bindparam("since", now, type_=batch_table.c.missing_since.type)
            )
            values = {"missing_since": since, "polled_at": now}
            db.execute(sa.update(batch_table).where(_is_bound(batch)).values(values))

    def record_fetched(
        self, downloaded: Batch, owner: str, verified: Verified, now: datetime, *, evidence: str = ""
    ) -> bool:
        """See `Ledger.record_fetched`."""
        with self._write() as db:
            held = sa.select(batch_table.c.owner).where(_is_bound(downloaded))
            if db.scalar(held) != owner:
                return False
            values = {name: getattr(verified, name) for name in UNREAD}
            advance(
                db,
                downloaded.id,
                State.FETCHED,
                now,
                "",
                provisional=False,
                unconfirmed="",
                evidence=evidence,
                held="",
                missing_since=None,
                results_bytes=verified.bytes,
                results_sha256=verified.sha256,
                usage_unread=verified.usage_unread,
                **values,
                **{name: getattr(verified.counts, name) for name in COUNTERS},
            )
            # It may have been fetched before: the prices of that time stay.
            known = sa.select(usage_table.c.model, usage_table.c.prices).where(usage_table.c.batch_id == downloaded.id)
            prices = {model: stored for model, stored in db.execute(known) if stored}
            for table in (failure_table, usage_table):
                db.execute(sa.delete(table).where(table.c.batch_id == downloaded.id))
            _insert_usage(db, downloaded, verified, prices)
            for kind in verified.failures:
                db.execute(sa.insert(failure_table).values(_failure_values(downloaded, kind)))
            return True

    def record_usage(self, downloaded: Batch, verified: Verified) -> None:
        """See `Ledger.record_usage`."""
        with self._write() as db:
            same = sa.and_(batch_table.c.id == downloaded.id, batch_table.c.results_sha256 == verified.sha256)
            unread = sa.and_(same, batch_table.c.usage_unread.is_(None))
            if db.execute(sa.update(batch_table).where(unread).values(usage_unread=verified.usage_unread)).rowcount:
                _insert_usage(db, downloaded, verified)

    def record_files_missing(self, downloaded: Batch, now: datetime) -> None:
        """See `Ledger.record_files_missing`."""
        with self._write() as db:
            if state_of(db, downloaded.id) is State.FETCHED and not downloaded.deleted_at:
                advance(db, downloaded.id, State.ENDED, now, "its files are gone", tries=0, not_before=None)

    def record_postponed(self, batch: Batch, now: datetime, *, not_before: datetime, note: str) -> None:
        """See `Ledger.record_postponed`."""
        with self._write() as db:
            later = {"not_before": not_before, "put_off_at": now, "note": note, "tries": batch_table.c.tries + 1}
            db.execute(sa.update(batch_table).where(_is_bound(batch)).values(later))

    def record_deleted(self, batch: Batch, now: datetime) -> None:
        """See `Ledger.record_deleted`."""
        with self._write() as db:
            db.execute(sa.update(batch_table).where(_is_bound(batch)).values(deleted_at=now))

    def record_download_failed(
        self, downloaded: Batch, owner: str, now: datetime, *, not_before: datetime, note: str
    ) -> None:
        """See `Ledger.record_download_failed`."""
        later = {"not_before": not_before, "put_off_at": now, "note": note, "tries": batch_table.c.tries + 1}
        self._give_back(downloaded, owner, later)

    def record_results_removed(self, downloaded: Batch, owner: str, at: datetime, note: str) -> None:
        """See `Ledger.record_results_removed`."""
        gone = {"deleted_at": at, "missing_since": None, "not_before": None, "note": note}
        self._give_back(downloaded, owner, gone)

    def record_held(self, downloaded: Batch, owner: str, why: str) -> None:
        """See `Ledger.record_held`."""
        self._give_back(downloaded, owner, {"held": why, "note": why})

    def _give_back(self, downloaded: Batch, owner: str, values: dict[str, Any]) -> None:
        with self._write() as db:
            is_mine = sa.and_(_is_bound(downloaded), batch_table.c.owner == owner)
            db.execute(sa.update(batch_table).where(is_mine).values(owner=None, lease_until=None, **values))


def _is_bound(to: Batch) -> sa.ColumnElement[bool]:
    """Match the row as long as it has the same id at the API."""
    return sa.and_(batch_table.c.id == to.id, batch_table.c.message_batch_id == to.message_batch_id)


def _insert_usage(
    db: sa.Connection, batch: Batch, verified: Verified, prices: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Insert the usage of a download. `prices`: by model, those that are recorded already, as they are stored."""
    for usage_totals in verified.usage_totals:
        values = usage_totals_values(usage_totals)
        values["prices"] = prices.get(usage_totals.model, values["prices"])
        db.execute(sa.insert(usage_table).values(batch_id=batch.id, **values))


def _failure_values(batch: Batch, kind: Failures) -> dict[str, Any]:
    return {
        "batch_id": batch.id,
        "outcome": kind.outcome.value,
        "error_type": kind.error_type[:80],
        "failure_class": kind.failure_class.value,
        "count": kind.count,
        "sample_ids": list(kind.sample_ids),
        "sample_message": kind.sample_message,
    }
