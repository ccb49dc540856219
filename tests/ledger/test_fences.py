"""Late records: whoever stood still, and comes back to a step that another has taken over meanwhile, changes nothing.

A process may be suspended for as long as a machine sleeps. What it has to say of its step then is no longer true.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import API, HOUR, MINUTE, NOW, a_cut, a_message_batch
from cases import few

from batchctl.domain.model import Batch, Headers, Job, MessageBatch, RequestCounts, State, Unconfirmed, Verified
from batchctl.domain.prices import Usage, UsageTotals
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.results import Results
from batchctl.ledger.sending import Sending

S = State
ME, OTHER = "1-aa", "2-bb"
LATER = NOW + MINUTE
HALVES = (a_cut(5), a_cut(5, 5))
SPENT = UsageTotals(model="claude-haiku-4-5", prompt_over=0, inference_geo="", requests=9, usage=Usage(input_tokens=8))
VERIFIED = Verified(
    bytes=9,
    sha256="a" * 64,
    counts=RequestCounts(succeeded=10),
    unknown=0,
    truncated=0,
    refusals=0,
    paused_turns=0,
    failures=(),
    usage_totals=(SPENT,),
    usage_unread=0,
)

Record = Callable[[SqlLedger, Batch], object]
Event = Callable[[SqlLedger, Batch], object]


def named(name: str, **more: Any) -> MessageBatch:
    return a_message_batch(name, **more)


def ended(name: str) -> MessageBatch:
    return named(name, ended_at=NOW + HOUR)


def row(ledger: SqlLedger, batch: Batch) -> Batch:
    """As it is by now."""
    (found,) = [b for b in ledger.batches(ledger.job_of(batch)) if b.id == batch.id]
    return found


def everything(path: Path) -> dict[str, list[Any]]:
    """All rows of all tables, as a reader of its own finds them."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    db.close()
    return found


# ---------------------------------------------------------------- a create


@pytest.fixture
def sent(ledger: SqlLedger, batches: tuple[Batch, ...]) -> Batch:
    """What this process holds in its hand: its first create of a batch."""
    given = ledger.claim_send(batches[0], ME, NOW, created_after=None, api=API)
    assert given is not None
    return given


def taken_over(ledger: SqlLedger, batch: Batch) -> Batch:
    """The lease ran out, and another reconciles it."""
    ledger.release(row(ledger, batch), ME)
    free = row(ledger, batch)
    assert ledger.claim(free, OTHER, LATER)
    return free


def presumed(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_presumed_not_created(taken_over(ledger, batch), OTHER, LATER, note="the API does not have it")


def sent_again(ledger: SqlLedger, batch: Batch) -> None:
    presumed(ledger, batch)
    assert ledger.claim_send(row(ledger, batch), OTHER, LATER, created_after=None, api=API)


def lost_again(ledger: SqlLedger, batch: Batch) -> None:
    """The same state, no claim, as many looks: nothing but the attempt tells it from the first time."""
    sent_again(ledger, batch)
    ledger.record_unconfirmed(row(ledger, batch), OTHER, LATER, not_before=LATER, note="timeout")


def sent_again_by_the_same(ledger: SqlLedger, batch: Batch) -> None:
    """Even where it is this very process, in another of its threads, that sends it again."""
    presumed(ledger, batch)
    assert ledger.claim_send(row(ledger, batch), ME, LATER, created_after=None, api=API)


def adopted(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_adopted(taken_over(ledger, batch), named("msgbatch_5"), OTHER, LATER, identified=True)


def claimed(ledger: SqlLedger, batch: Batch) -> None:
    taken_over(ledger, batch)


def split(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_split(taken_over(ledger, batch), OTHER, HALVES, LATER, "too large")


def half_sent(ledger: SqlLedger, batch: Batch) -> None:
    split(ledger, batch)
    assert ledger.claim_send(row(ledger, batch), OTHER, LATER, created_after=None, api=API)


def refused(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_refused(taken_over(ledger, batch), OTHER, LATER, "no")


MEANWHILE: dict[str, Event] = {
    "sent again by another": sent_again,
    "sent again and lost again": lost_again,
    "sent again by another thread": sent_again_by_the_same,
    "adopted": adopted,
    "claimed by another": claimed,
    "split": split,
    "split, and a half is sent": half_sent,
    "planned again": presumed,
    "refused": refused,
}

OF_A_CREATE: dict[str, Record] = {
    "record_adopted": lambda ledger, b: ledger.record_adopted(b, named("msgbatch_9"), ME, LATER, identified=True),
    "record_not_created": lambda ledger, b: ledger.record_not_created(b, ME, LATER, not_before=LATER, note="late"),
    "record_presumed_not_created": lambda ledger, b: ledger.record_presumed_not_created(b, ME, LATER, note="late"),
    "record_unconfirmed": lambda ledger, b: ledger.record_unconfirmed(
        b, ME, LATER, not_before=LATER, note="late", list_reads=9, unconfirmed=Unconfirmed.ACCEPTED
    ),
    "record_refused": lambda ledger, b: ledger.record_refused(b, ME, LATER, "late"),
    "record_split": lambda ledger, b: ledger.record_split(b, ME, HALVES, LATER, "late"),
    "record_copied": lambda ledger, b: ledger.record_copied(
        [replace(b, attempt=b.attempt - 1)], LATER, "late", api=API
    ),
}


@pytest.mark.parametrize("event", few(MEANWHILE, 0, 3, 6))
@pytest.mark.parametrize("record", OF_A_CREATE)
def test_a_late_record_of_a_create_changes_nothing_and_raises_nothing(
    ledger: SqlLedger, path: Path, sent: Batch, record: str, event: str
) -> None:
    MEANWHILE[event](ledger, sent)
    before = everything(path)
    assert not OF_A_CREATE[record](ledger, sent)
    assert everything(path) == before


@pytest.mark.parametrize("record", [name for name in OF_A_CREATE if name != "record_copied"])
def test_a_record_in_time_changes_something(ledger: SqlLedger, path: Path, sent: Batch, record: str) -> None:
    """Else the test above would hold for a record that never does anything."""
    before = everything(path)
    OF_A_CREATE[record](ledger, row(ledger, sent))
    assert everything(path) != before


def test_a_record_that_a_copy_may_have_sent_it_is_made_of_planned_batches_as_they_were_seen(
    ledger: SqlLedger, path: Path, batches: tuple[Batch, ...]
) -> None:
    planned, taken, again = batches
    assert ledger.claim(taken, OTHER, NOW)
    first = ledger.claim_send(again, OTHER, NOW, created_after=None, api=API)
    assert first is not None
    assert ledger.record_not_created(first, OTHER, NOW, not_before=None, note="")
    before = everything(path)
    ledger.record_copied([taken, again], LATER, "a copy", api=API)
    assert everything(path) == before
    ledger.record_copied([planned], LATER, "a copy", api=API)
    assert row(ledger, planned).state is S.SUBMITTING


# ---------------------------------------------------------------- the answer to a create


@pytest.mark.parametrize(
    "event", ["sent again by another", "sent again and lost again", "sent again by another thread", "adopted", "split",
              "split, and a half is sent", "refused"]
)  # fmt: skip
def test_an_id_that_comes_too_late_is_a_duplicate_that_is_remembered_and_never_adopted(
    ledger: SqlLedger, job: Job, sent: Batch, event: str
) -> None:
    MEANWHILE[event](ledger, sent)
    before, moves = ledger.batches(job), ledger.moves(job)
    for _ in range(2):
        assert ledger.record_created(sent, named("msgbatch_9"), LATER) is False
        assert (ledger.batches(job), ledger.moves(job)) == (before, moves)
        assert ledger.job(job.name).duplicate_batches == ("msgbatch_9",)
        assert "msgbatch_9" in ledger.known_message_batches(job)
        assert ledger.job_id_of_message_batch("msgbatch_9") is None


@pytest.mark.parametrize("event", ["claimed by another", "planned again"])
def test_an_id_that_comes_before_anything_else_was_sent_is_bound_whoever_has_the_step(
    ledger: SqlLedger, job: Job, sent: Batch, event: str
) -> None:
    MEANWHILE[event](ledger, sent)
    assert ledger.record_created(sent, named("msgbatch_9"), LATER) is True
    known = row(ledger, sent)
    assert (known.state, known.message_batch_id, known.claim) == (S.IN_PROGRESS, "msgbatch_9", None)
    assert (known.provisional, known.unconfirmed, known.attempt) == (False, Unconfirmed.NOTHING, 1)
    assert (ledger.job(job.name).duplicate_batches, ledger.presumed_not_created(job)) == ((), [])


@pytest.mark.parametrize("identified", [True, False])
def test_an_id_under_which_it_was_adopted_meanwhile_is_certain_from_then_on(
    ledger: SqlLedger, job: Job, sent: Batch, *, identified: bool
) -> None:
    free = taken_over(ledger, sent)
    assert ledger.record_adopted(free, named("msgbatch_9"), OTHER, LATER, identified=identified)
    moves = ledger.moves(job)
    assert ledger.record_created(sent, named("msgbatch_9"), LATER) is True
    known = row(ledger, sent)
    assert (known.message_batch_id, known.provisional, known.unconfirmed) == ("msgbatch_9", False, Unconfirmed.NOTHING)
    assert (ledger.moves(job), ledger.job(job.name).duplicate_batches) == (moves, ())


def named_already(ledger: SqlLedger, batch: Batch, *, is_fetched: bool) -> None:
    """The API's own answer to the create of another batch has named it so."""
    other = ledger.claim_send(batch, OTHER, NOW, created_after=None, api=API)
    assert other is not None
    assert ledger.record_created(other, ended("msgbatch_9"), NOW)
    if is_fetched:
        assert ledger.claim(row(ledger, other), OTHER, NOW)
        assert ledger.record_fetched(row(ledger, other), OTHER, VERIFIED, NOW)


@pytest.mark.parametrize("is_fetched", [True, False])
def test_an_answer_that_names_a_batch_of_another_create_says_that_one_was_made_and_not_which(
    ledger: SqlLedger, job: Job, sent: Batch, batches: tuple[Batch, ...], *, is_fetched: bool
) -> None:
    """Something between may say the same answer twice. The first one is not taken from the batch that it was for."""
    named_already(ledger, batches[1], is_fetched=is_fetched)
    others = ledger.batches(job)[1:]
    assert ledger.record_created(sent, named("msgbatch_9"), LATER) is False
    known = row(ledger, sent)
    assert (known.state, known.message_batch_id, known.claim) == (S.SUBMITTING, None, None)
    assert (known.unconfirmed, known.attempt) == (Unconfirmed.ACCEPTED, 1)
    assert ledger.batches(job)[1:] == others
    assert ledger.job(job.name).duplicate_batches == (), "it holds what it should, and is not to be canceled"


@pytest.mark.parametrize("event", [name for name in MEANWHILE if name != "claimed by another"])
def test_such_an_answer_changes_nothing_where_it_comes_too_late(
    ledger: SqlLedger, path: Path, sent: Batch, batches: tuple[Batch, ...], event: str
) -> None:
    named_already(ledger, batches[1], is_fetched=False)
    MEANWHILE[event](ledger, sent)
    before = everything(path)
    assert ledger.record_created(sent, named("msgbatch_9"), LATER) is False
    assert everything(path) == before


# ---------------------------------------------------------------- a download, and what is said of a batch of the API


@pytest.fixture
def downloading(ledger: SqlLedger, sent: Batch) -> Batch:
    """What this process holds in its hand: a batch that was found in the list, has ended and is being downloaded."""
    assert ledger.record_adopted(sent, ended("msgbatch_1"), ME, NOW, identified=False)
    assert ledger.claim(row(ledger, sent), ME, NOW)
    return row(ledger, sent)


def disowned(ledger: SqlLedger, batch: Batch) -> Batch:
    """Another has found out that it is another job's: ours is unconfirmed again, as it was in the same attempt."""
    ledger.release(batch, ME)
    ledger.record_wrong_adoption(row(ledger, batch), OTHER, LATER)
    return row(ledger, batch)


def disowned_and_sent_again(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_presumed_not_created(disowned(ledger, batch), OTHER, LATER, note="")
    assert ledger.claim_send(row(ledger, batch), OTHER, LATER, created_after=None, api=API)


def disowned_and_created_again(ledger: SqlLedger, batch: Batch) -> None:
    disowned_and_sent_again(ledger, batch)
    assert ledger.record_created(row(ledger, batch), named("msgbatch_5"), LATER)


def disowned_and_adopted(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_adopted(disowned(ledger, batch), ended("msgbatch_5"), OTHER, LATER, identified=True)


def disowned_and_downloaded(ledger: SqlLedger, batch: Batch) -> None:
    disowned_and_adopted(ledger, batch)
    assert ledger.claim(row(ledger, batch), OTHER, LATER)


def disowned_and_split(ledger: SqlLedger, batch: Batch) -> None:
    assert ledger.record_split(disowned(ledger, batch), OTHER, HALVES, LATER, "too large")


DISOWNED: dict[str, Event] = {
    "disowned": disowned,
    "sent again by another": disowned_and_sent_again,
    "created again by another": disowned_and_created_again,
    "adopted": disowned_and_adopted,
    "adopted and claimed by another": disowned_and_downloaded,
    "split": disowned_and_split,
}

# What only the holder of the step may say.
OF_A_DOWNLOAD: dict[str, Record] = {
    "record_fetched": lambda ledger, b: ledger.record_fetched(b, ME, VERIFIED, LATER, evidence="late"),
    "record_download_failed": lambda ledger, b: ledger.record_download_failed(
        b, ME, LATER, not_before=LATER, note="late"
    ),
    "record_results_removed": lambda ledger, b: ledger.record_results_removed(b, ME, LATER, "late"),
    "record_held": lambda ledger, b: ledger.record_held(b, ME, "late"),
}
# What is true of a batch of the API whoever says it, as long as ours goes by its name.
OF_A_NAME: dict[str, Record] = {
    "record_polled": lambda ledger, b: ledger.record_polled(
        [(b, replace(ended("msgbatch_1"), archived_at=LATER))], LATER
    ),
    "record_missing": lambda ledger, b: ledger.record_missing(b, LATER),
    "record_postponed": lambda ledger, b: ledger.record_postponed(b, LATER, not_before=LATER, note="late"),
    "record_deleted": lambda ledger, b: ledger.record_deleted(b, LATER),
    "record_identified": lambda ledger, b: ledger.record_identified(b),
    "record_vouched": lambda ledger, b: ledger.record_vouched(b, "late"),
    "record_wrong_adoption": lambda ledger, b: ledger.record_wrong_adoption(b, ME, LATER),
}
# What is true of files on the disk.
OF_FILES: dict[str, Record] = {
    "record_files_missing": lambda ledger, b: ledger.record_files_missing(b, LATER),
    "record_usage": lambda ledger, b: ledger.record_usage(replace(b, usage_unread=None), VERIFIED),
}
# What is said of a job, and not of a step on one of its batches.
OF_A_JOB = {"record_foreign_batch", "record_duplicate_batch", "record_duplicate_ended"}


@pytest.mark.parametrize("event", few(DISOWNED, 1, 4))
@pytest.mark.parametrize("record", [*OF_A_DOWNLOAD, *OF_A_NAME, *OF_FILES])
def test_nothing_is_said_of_a_batch_by_whoever_knows_it_by_a_name_that_it_has_lost(
    ledger: SqlLedger, path: Path, downloading: Batch, record: str, event: str
) -> None:
    DISOWNED[event](ledger, downloading)
    before = everything(path)
    assert not {**OF_A_DOWNLOAD, **OF_A_NAME, **OF_FILES}[record](ledger, downloading)
    assert everything(path) == before


def held_by_another(ledger: SqlLedger, batch: Batch) -> None:
    ledger.release(batch, ME)
    assert ledger.claim(row(ledger, batch), OTHER, LATER)


def held_by_nobody(ledger: SqlLedger, batch: Batch) -> None:
    ledger.release(batch, ME)


def fetched_by_another(ledger: SqlLedger, batch: Batch) -> None:
    held_by_another(ledger, batch)
    assert ledger.record_fetched(row(ledger, batch), OTHER, replace(VERIFIED, sha256="b" * 64), LATER)


CLAIM_LOST: dict[str, Event] = {
    "claimed by another": held_by_another,
    "claimed by nobody": held_by_nobody,
    "fetched by another": fetched_by_another,
}


@pytest.mark.parametrize("event", CLAIM_LOST)
@pytest.mark.parametrize("record", OF_A_DOWNLOAD)
def test_a_late_record_of_a_download_changes_nothing_and_raises_nothing(
    ledger: SqlLedger, path: Path, downloading: Batch, record: str, event: str
) -> None:
    CLAIM_LOST[event](ledger, downloading)
    before = everything(path)
    assert not OF_A_DOWNLOAD[record](ledger, downloading)
    assert everything(path) == before


@pytest.mark.parametrize("record", [*OF_A_DOWNLOAD, *OF_A_NAME])
def test_a_record_of_a_download_in_time_changes_something(
    ledger: SqlLedger, path: Path, downloading: Batch, record: str
) -> None:
    before = everything(path)
    {**OF_A_DOWNLOAD, **OF_A_NAME}[record](ledger, downloading)
    assert everything(path) != before


def test_what_other_bytes_used_is_not_the_usage_of_these(ledger: SqlLedger, path: Path, downloading: Batch) -> None:
    fetched_by_another(ledger, downloading)
    before = everything(path)
    ledger.record_usage(downloading, VERIFIED)
    assert everything(path) == before


# ---------------------------------------------------------------- none is forgotten


def records() -> Iterator[str]:
    for kind in (Sending, Results):
        yield from (name for name in vars(kind) if name.startswith("record_"))


def test_every_record_of_a_step_is_in_one_of_the_tables() -> None:
    tables = {*OF_A_CREATE, *OF_A_DOWNLOAD, *OF_A_NAME, *OF_FILES, *OF_A_JOB, "record_created"}
    assert tables == set(records())


def test_a_batch_that_another_downloads_or_has_fetched_is_not_taken_from_it(
    ledger: SqlLedger, path: Path, downloading: Batch
) -> None:
    ledger.release(downloading, ME)
    theirs = row(ledger, downloading)
    assert ledger.claim(theirs, OTHER, LATER)
    before = everything(path)
    ledger.record_wrong_adoption(downloading, ME, LATER)
    assert everything(path) == before
    assert ledger.record_fetched(theirs, OTHER, VERIFIED, LATER, evidence="theirs")
    before = everything(path)
    ledger.record_wrong_adoption(downloading, ME, LATER)
    assert ledger.record_polled([(downloading, ended("msgbatch_1"))], LATER) == []
    assert everything(path) == before


# ---------------------------------------------------------------- headers


def test_headers_are_changed_by_whoever_saw_what_they_are(ledger: SqlLedger, job: Job) -> None:
    changed = Headers(api_version="2023-06-01", betas=("b-1",))
    assert ledger.record_headers(job, changed)
    assert ledger.job(job.name).settings.headers == changed
    assert not ledger.record_headers(job, Headers(betas=("c-1",))), "it was seen as it is no longer"
    assert ledger.job(job.name).settings.headers == changed


def test_a_create_under_way_keeps_the_headers_of_its_intent(ledger: SqlLedger, job: Job, sent: Batch) -> None:
    before = job.settings.headers
    assert ledger.record_headers(job, Headers(betas=("b-1",)))
    assert sent.headers == row(ledger, sent).headers == before
    assert ledger.record_presumed_not_created(sent, ME, LATER, note="not there")
    planned = row(ledger, sent)
    assert (planned.state, planned.headers) == (S.PLANNED, before), "an answer that comes late is one to these"
    again = ledger.claim_send(planned, ME, LATER, created_after=None, api=API)
    assert again is not None
    assert again.headers == row(ledger, again).headers == Headers(betas=("b-1",))


def test_headers_of_what_a_copy_may_have_sent_are_not_known(ledger: SqlLedger, sent: Batch) -> None:
    assert ledger.record_not_created(sent, ME, NOW, not_before=None, note="refused")
    planned = row(ledger, sent)
    assert planned.headers is not None
    ledger.record_copied([planned], LATER, "copied", api="")
    assert row(ledger, sent).headers is None
