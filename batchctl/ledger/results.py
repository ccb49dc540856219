"""Arrows c and d: what the API says of the batches under way, and what came home."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, Failures, MessageBatch, State, Verified
from batchctl.domain.states import OF_STATUS, may_follow
from batchctl.ledger.rows import COUNTERS, UNREAD, seen_values, usage_totals_values
from batchctl.ledger.schema import batch, failure, usage
from batchctl.ledger.store import Store, advance, state_of, state_of_bound


class Results(Store):
    def record_seen(self, pairs: Collection[tuple[Batch, MessageBatch]], now: datetime) -> list[tuple[Batch, State]]:
        """What the API says of batches under way, in one transaction; gives those whose state moved."""
        moved = []
        with self._write() as db:
            for looked, seen in pairs:
                state = OF_STATUS[seen.processing_status]
                before = state_of_bound(db, looked.id, seen.id)
                # A list may be older than what we know: late news moves nothing back, and takes no counts away.
                if before in {None, State.FETCHED} or not (before is state or may_follow(before, state)):
                    continue
                if before is not state:
                    advance(db, looked.id, state, now, "", tries=0, not_before=None)
                    moved.append((looked, state))
                db.execute(sa.update(batch).where(batch.c.id == looked.id).values(seen_values(seen, now)))
        return moved

    def record_missing(self, looked: Batch, now: datetime) -> None:
        with self._write() as db:
            since = sa.func.coalesce(
                batch.c.missing_since, sa.bindparam("since", now, type_=batch.c.missing_since.type)
            )
            values = {"missing_since": since, "looked_at": now}
            db.execute(sa.update(batch).where(_is_bound(looked)).values(values))

    def record_fetched(
        self, downloaded: Batch, owner: str, verified: Verified, now: datetime, *, evidence: str = ""
    ) -> bool:
        """The results are whole, checked and on the disk; False when the claim was lost meanwhile.

        `evidence`: what it rests on that they are ours, for a batch that was found in the API's list.
        """
        with self._write() as db:
            held = sa.select(batch.c.owner).where(_is_bound(downloaded))
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
            # It may have come home before, when its prices were known as they were then.
            known = sa.select(usage.c.model, usage.c.prices).where(usage.c.batch_id == downloaded.id)
            prices = {model: stored for model, stored in db.execute(known) if stored}
            for table in (failure, usage):
                db.execute(sa.delete(table).where(table.c.batch_id == downloaded.id))
            _insert_usage(db, downloaded, verified, prices)
            for kind in verified.failures:
                db.execute(sa.insert(failure).values(_failure_values(downloaded, kind)))
            return True

    def record_usage(self, downloaded: Batch, verified: Verified) -> None:
        """What the successes of a batch used that was downloaded by a program that did not sum it up."""
        with self._write() as db:
            same = sa.and_(batch.c.id == downloaded.id, batch.c.results_sha256 == verified.sha256)
            unread = sa.and_(same, batch.c.usage_unread.is_(None))
            if db.execute(sa.update(batch).where(unread).values(usage_unread=verified.usage_unread)).rowcount:
                _insert_usage(db, downloaded, verified)

    def record_gone(self, downloaded: Batch, now: datetime) -> None:
        """Its files are no longer on the disk as they were: to be downloaded again."""
        with self._write() as db:
            if state_of(db, downloaded.id) is State.FETCHED and not downloaded.deleted_at:
                advance(db, downloaded.id, State.ENDED, now, "its files are gone", tries=0, not_before=None)

    def record_rest(self, of: Batch, now: datetime, *, not_before: datetime, note: str) -> None:
        """A step that got no answer: none on it before a time; its state and its claim stay."""
        with self._write() as db:
            later = {"not_before": not_before, "put_off_at": now, "note": note, "tries": batch.c.tries + 1}
            db.execute(sa.update(batch).where(_is_bound(of)).values(later))

    def record_deleted(self, of: Batch, now: datetime) -> None:
        """The API no longer has it: what is on the disk is all there is."""
        with self._write() as db:
            db.execute(sa.update(batch).where(_is_bound(of)).values(deleted_at=now))

    def record_try(self, downloaded: Batch, owner: str, now: datetime, *, not_before: datetime, note: str) -> None:
        """A download that did not hold what it should: again, later."""
        later = {"not_before": not_before, "put_off_at": now, "note": note, "tries": batch.c.tries + 1}
        self._give_back(downloaded, owner, later)

    def record_removed(self, downloaded: Batch, owner: str, at: datetime, note: str) -> None:
        """The API removed its results at that time, and they are not on the disk."""
        gone = {"deleted_at": at, "missing_since": None, "not_before": None, "note": note}
        self._give_back(downloaded, owner, gone)

    def record_held(self, downloaded: Batch, owner: str, why: str) -> None:
        """Nobody but a person can say whether these results are ours: they are downloaded, and not used."""
        self._give_back(downloaded, owner, {"held": why, "note": why})

    def _give_back(self, downloaded: Batch, owner: str, values: dict[str, Any]) -> None:
        with self._write() as db:
            is_mine = sa.and_(_is_bound(downloaded), batch.c.owner == owner)
            db.execute(sa.update(batch).where(is_mine).values(owner=None, lease_until=None, **values))


def _is_bound(to: Batch) -> sa.ColumnElement[bool]:
    """The row, as long as it goes by the same id at the API."""
    return sa.and_(batch.c.id == to.id, batch.c.message_batch_id == to.message_batch_id)


def _insert_usage(
    db: sa.Connection, of: Batch, verified: Verified, prices: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """`prices`: those of its models that are recorded already, as they are stored."""
    for usage_totals in verified.usage_totals:
        values = usage_totals_values(usage_totals)
        values["prices"] = prices.get(usage_totals.model, values["prices"])
        db.execute(sa.insert(usage).values(batch_id=of.id, **values))


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
