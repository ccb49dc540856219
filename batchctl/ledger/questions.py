"""What can be asked of the ledger: plain SQL, over `sqlite3` alone. SQLAlchemy takes longer to import than an answer takes."""

import contextlib
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.model import Batch, Failures, Job, Presumed, Round, State
from batchctl.domain.places import Place
from batchctl.domain.prices import UsageTotals
from batchctl.ledger.opening import HEAD, TO_READ, connected, refuse_newer, set_up, stored_revision, translated
from batchctl.ledger.rows import (
    BATCH,
    FAILURE,
    FORGOTTEN,
    JOB,
    PRESUMED,
    ROUND,
    USAGE,
    batch_of,
    columns,
    failures_of,
    job_of,
    presumed_of,
    round_of,
    usage_totals_of,
)
from batchctl.ledger.structure import refuse_strange

_BATCHES = " ".join(("SELECT", columns("batch", BATCH), "FROM batch"))
_JOBS = " ".join(("SELECT", columns("job", JOB), "FROM job"))
_ROUNDS = " ".join(("SELECT", columns("round", ROUND), "FROM round JOIN job ON job.id = round.job_id"))
_SURPLUS = "SELECT job_id, message_batch_id, settled FROM surplus JOIN job ON job.id = surplus.job_id"
_USAGE = " ".join(("SELECT", columns("usage", USAGE), "FROM usage"))
_FAILURES = " ".join(("SELECT", columns("failure", FAILURE), ", batch.round FROM failure"))

IN_DOUBT = f"{_BATCHES} WHERE state = '{State.SUBMITTING}' AND message_batch_id IS NULL"


def for_reading(path: Path) -> "Questions":
    """The ledger to be asked and nothing else; one that is new or old is brought up to date first. Raises LedgerProblem."""
    light = Questions(path)
    if light.revision == HEAD:
        return light
    light.close()
    from batchctl.ledger.ledger import Ledger  # noqa: PLC0415 - half a second of import, for what is rarely due

    return Ledger(path)


class Questions:
    """The ledger at `path`, to be asked. Raises LedgerProblem where it was written by a newer program.

    `revision` is how far it was brought; None where nothing was made yet, and then there is nothing to ask.
    """

    def __init__(self, path: Path, pragmas: Iterable[str] = ()) -> None:
        """`pragmas`: set once the schema was found to be ours: of a ledger that is not, nothing is changed."""
        self._path = path
        # One connection for all threads, in turn: an answer takes less than another connection would.
        self._turn = threading.Lock()
        with translated(path):
            self._connection = connected(path, TO_READ)
            try:
                # From one instant: another process may bring it up to date meanwhile.
                self._connection.execute("BEGIN")
                self.revision = stored_revision(self._connection)
                refuse_newer(path, self.revision)
                refuse_strange(path, self._connection, is_newest=self.revision == HEAD)
                self._connection.rollback()
                set_up(self._connection, pragmas)
            except (sqlite3.DatabaseError, LedgerProblem):
                self._connection.close()
                raise

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """All that is asked within is answered from one instant."""
        with translated(self._path), self._turn:
            try:
                self._connection.execute("BEGIN")
                yield self._connection
            finally:
                self._connection.rollback()

    # ---------------------------------------------------------------- jobs

    def jobs(self) -> list[Job]:
        """Oldest first."""
        return self._jobs("")

    def job(self, name: str) -> Job:
        (found,) = self._jobs("WHERE job.name = ?", name)
        return found

    def job_of(self, of: Batch | Presumed) -> Job:
        (found,) = self._jobs("WHERE job.id = ?", of.job_id)
        return found

    def _jobs(self, which: str, *given: str | int) -> list[Job]:
        rounds: dict[int, list[Round]] = {}
        surplus: dict[int, list[tuple[str, bool]]] = {}
        with self._read() as db:
            for row in db.execute(f"{_ROUNDS} {which} ORDER BY number", given):
                rounds.setdefault(row[0], []).append(round_of(row))
            for job_id, name, settled in db.execute(f"{_SURPLUS} {which} ORDER BY at", given):
                surplus.setdefault(job_id, []).append((name, bool(settled)))
            found = db.execute(f"{_JOBS} {which} ORDER BY id", given)
            return [job_of(row, rounds.get(row[0], ()), surplus.get(row[0], ())) for row in found]

    # ---------------------------------------------------------------- the workspace

    def stored_place(self) -> tuple[str, str, Place, int]:
        """The id and the salt that all copies of the workspace share, where it was written last, and its generation."""
        question = "SELECT workspace_id, salt, machine, path, device, inode, generation FROM place"
        with self._read() as db:
            workspace_id, salt, machine, path, device, inode, generation = db.execute(question).fetchone()
        return workspace_id, salt, Place(machine=machine, path=path, device=device, inode=inode), generation

    # ---------------------------------------------------------------- batches of a job

    def batches(self, of: Job) -> tuple[Batch, ...]:
        """In the order of rounds, and of the input within a round."""
        with self._read() as db:
            found = db.execute(f"{_BATCHES} WHERE job_id = ? ORDER BY round, first", (of.id,))
            return tuple(map(batch_of, found))

    def place(self, of: Batch) -> tuple[int, int]:
        """A batch's number in its round, from 1, and how many the round has."""
        question = (
            "SELECT count(*) FILTER (WHERE first <= ?), count(*) FROM batch"
            " WHERE job_id = ? AND round = ? AND state != ?"
        )
        with self._read() as db:
            found = db.execute(question, (of.cut.first, of.job_id, of.round, State.IN_NO_BATCH.value))
            number, total = found.fetchone()
            return number, total

    def failures(self, of: Job) -> list[Failures]:
        """What came back without success, by batch and kind."""
        question = f"{_FAILURES} JOIN batch ON batch.id = failure.batch_id WHERE batch.job_id = ?"
        with self._read() as db:
            return [failures_of(row) for row in db.execute(f"{question} ORDER BY batch.round, batch.first", (of.id,))]

    def usage_totals(self, of: Job) -> dict[int, list[UsageTotals]]:
        """What the successes of each batch used, by its id; a batch that was not downloaded has none."""
        question = (
            f"{_USAGE} JOIN batch ON batch.id = usage.batch_id WHERE batch.job_id = ? ORDER BY model, prompt_over"
        )
        found: dict[int, list[UsageTotals]] = {}
        with self._read() as db:
            for row in db.execute(question, (of.id,)):
                found.setdefault(row[0], []).append(usage_totals_of(row))
        return found

    def moves(self, of: Job) -> list[tuple[int, datetime, str, str, str]]:
        """Every change of state with its time: (batch, at, before, after, note), oldest first."""
        question = (
            "SELECT batch_id, at, before, after, move.note FROM move JOIN batch ON batch.id = move.batch_id"
            " WHERE batch.job_id = ? ORDER BY move.id"
        )
        with self._read() as db:
            return [(row[0], datetime.fromisoformat(row[1]), *row[2:]) for row in db.execute(question, (of.id,))]

    # ---------------------------------------------------------------- batches of all jobs

    def unconfirmed_batches(self) -> list[Batch]:
        """Batches of all jobs that were or are being sent, and have no name yet."""
        return self._batches(IN_DOUBT)

    def provisional_matches(self) -> list[Batch]:
        """Batches of all jobs that were adopted by size and time alone."""
        return self._batches(f"{_BATCHES} WHERE provisional AND NOT identified")

    def contenders(self, count: int) -> list[Batch]:
        """Batches of all jobs, `count` requests each, that a found batch may belong to: doubts, and all that were adopted."""
        is_open = f"(state = '{State.SUBMITTING}' OR provisional)"
        return self._batches(f"{_BATCHES} WHERE {is_open} AND count = ? ORDER BY intent_at", count)

    def _batches(self, question: str, *given: int) -> list[Batch]:
        with self._read() as db:
            return [batch_of(row) for row in db.execute(question, given)]

    def counts_being_sent(self, but: Job) -> frozenset[int]:
        """Sizes of the batches that other jobs of this workspace are sending or doubt right now."""
        question = "SELECT DISTINCT count FROM batch WHERE job_id != ? AND state = ? AND owner IS NOT NULL"
        with self._read() as db:
            return frozenset(row[0] for row in db.execute(question, (but.id, State.SUBMITTING.value)))

    def holder_of(self, of: Batch) -> tuple[str | None, int]:
        """Who is taking a step on a batch, and in which attempt."""
        with self._read() as db:
            owner, attempt = db.execute("SELECT owner, attempt FROM batch WHERE id = ?", (of.id,)).fetchone()
            return owner, int(attempt)

    def presumed(self, of: Job) -> list[Presumed]:
        """Creates of a job that were presumed to have made nothing, and were followed by others of the same requests.

        Without those of `given_up` whose batch had a name: that is known, so that there is nothing to look for.
        """
        had_a_name = "SELECT 1 FROM move WHERE move.batch_id = batch.id AND move.at = presumed.at AND move.note = ?"
        return self._presumed(of, f"AND NOT EXISTS ({had_a_name})", FORGOTTEN)

    def given_up(self, of: Job) -> list[Presumed]:
        """The same, and the batches that the API did not know any more: whatever may be paid for besides what is there."""
        return self._presumed(of)

    def _presumed(self, of: Job, condition: str = "", *given: str) -> list[Presumed]:
        question = " ".join(
            ("SELECT", columns("presumed", PRESUMED), ", batch.job_id, batch.round FROM presumed",
             "JOIN batch ON batch.id = presumed.batch_id WHERE batch.job_id = ?", condition, "ORDER BY presumed.id")
        )  # fmt: skip
        with self._read() as db:
            return [presumed_of(row) for row in db.execute(question, (of.id, *given))]

    def holders(self) -> dict[str, datetime]:
        """Owners that hold a claim, and until when the last of their claims is believed."""
        question = "SELECT owner, max(lease_until) FROM batch WHERE owner IS NOT NULL GROUP BY owner"
        with self._read() as db:
            return {owner: datetime.fromisoformat(until) for owner, until in db.execute(question)}

    # ---------------------------------------------------------------- ids of the API

    def job_id_of_message_batch(self, message_batch_id: str) -> int | None:
        with self._read() as db:
            found = db.execute("SELECT job_id FROM batch WHERE message_batch_id = ?", (message_batch_id,)).fetchone()
            return None if found is None else int(found[0])

    def message_batch_ids(self) -> set[str]:
        """Every id of the API that a batch of this workspace goes by."""
        with self._read() as db:
            found = db.execute("SELECT message_batch_id FROM batch WHERE message_batch_id IS NOT NULL")
            return {row[0] for row in found}

    def jobs_of_message_batches(self, message_batch_ids: Collection[str]) -> dict[str, str]:
        """Those of the ids that are in a job of this workspace, with the name of that job."""
        question = (
            "SELECT message_batch_id, job.name FROM batch JOIN job ON job.id = batch.job_id"
            " WHERE message_batch_id IS NOT NULL"
        )
        with self._read() as db:
            return {row[0]: row[1] for row in db.execute(question) if row[0] in message_batch_ids}

    def known_message_batches(self, of: Job) -> set[str]:
        """Every id that is no candidate for the job's doubts: surely another batch's, or a stranger's."""
        bound = (
            "SELECT message_batch_id FROM batch WHERE message_batch_id IS NOT NULL AND (NOT provisional OR identified)"
        )
        strangers = "SELECT message_batch_id FROM stranger WHERE job_id = ?"
        with self._read() as db:
            return {row[0] for row in db.execute(f"{bound} UNION ALL {strangers}", (of.id,))}
