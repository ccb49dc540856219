"""What any ledger must do: claims, fences, and records that are whole or not there, wherever the process ends.

The helpers beside it say which ledgers there are (`implementations`) and which methods (`methods`).
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from builders import API, HOUR, NOW, a_cut, a_job, a_message_batch
from cases import few
from ledger.implementations import IMPLEMENTATIONS, Crash, Implementation
from ledger.methods import (
    LATER,
    ME,
    OTHER,
    QUESTIONS,
    VERIFIED,
    WRITES,
    adopted,
    downloading,
    fetched,
    first,
    planned,
    presumed,
    running,
    sent,
)

from batchctl.domain.model import Batch, Job, State
from batchctl.ledger.liveness import LEASE
from batchctl.ledger.protocol import Ledger, ReadLedger


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def ledger(implementation: Implementation, folder: Path) -> Iterator[Ledger]:
    with contextlib.closing(implementation.open(folder)) as opened:
        yield opened


@pytest.fixture
def other(implementation: Implementation, ledger: Ledger, folder: Path) -> Iterator[Ledger]:
    """The same ledger, as another process has it open."""
    with contextlib.closing(implementation.open(folder)) as opened:
        yield opened


# ---------------------------------------------------------------- none is forgotten


def test_every_method_of_the_protocol_is_in_one_of_the_tables() -> None:
    public = {name for kind in (ReadLedger, Ledger) for name in vars(kind) if not name.startswith("_")}
    assert {*WRITES, *QUESTIONS} | {"close", "here"} == public
    assert not WRITES.keys() & QUESTIONS.keys()


def test_a_method_that_takes_an_owner_or_a_batch_names_its_fences() -> None:
    """Those without a fence say what is true of a job, or compare the batch as a whole, or are tested below."""
    open_to_all = {name for name, write in WRITES.items() if not write.fences}
    of_jobs = {name for name, write in WRITES.items() if write.situation is planned} - {"record_copied"}
    assert open_to_all - of_jobs == {
        "release_dead",
        "record_created",
        "record_detached",
        "record_files_missing",
        "record_usage",
        # Their fence is the number of the attempt: tests/ledger/test_notifications.py.
        "record_notify_targets",
        "record_notifications",
        "claim_notification",
        "record_attempt",
    }


# ---------------------------------------------------------------- a crash between any two statements


@pytest.mark.parametrize(
    "name", few(WRITES, *map(list(WRITES).index, ("claim_send", "record_created", "record_fetched")))
)
def test_a_write_that_is_cut_off_anywhere_has_happened_whole_or_not_at_all(
    implementation: Implementation, tmp_path: Path, name: str
) -> None:
    write = WRITES[name]
    before_folder = tmp_path / "before"
    with contextlib.closing(implementation.open(before_folder)) as ledger:
        batch = write.situation(ledger)
    before = implementation.dump(before_folder)

    def prepared(folder: Path) -> Ledger:
        implementation.copy(before_folder, folder)
        ledger = implementation.open(folder)
        # What a process has seen of leases is in its memory alone.
        assert ledger.release_dead(0) == 0
        return ledger

    after_folder = tmp_path / "after"
    with contextlib.closing(prepared(after_folder)) as ledger:
        write.call(ledger, batch, ME)
    after = implementation.dump(after_folder)
    assert after != before, "it did nothing"

    for at in range(1, 100):
        stopped, cut_off = tmp_path / f"stopped-{at}", tmp_path / f"power-{at}"
        with contextlib.closing(prepared(stopped)) as ledger:
            with contextlib.suppress(Crash), implementation.crashing(ledger, at, stopped, cut_off):
                write.call(ledger, batch, ME)
                break
            # The process goes on, as after Ctrl-C; and one that the power failed under is started again.
            assert ledger.jobs()
        for folder in (stopped, cut_off):
            with contextlib.closing(implementation.open(folder)) as again:
                again.jobs()
            assert implementation.dump(folder) in (before, after)
        assert implementation.dump(stopped) == implementation.dump(cut_off)
    else:
        pytest.fail("it has no end")
    assert at > 2, "a statement and a commit, at least"
    assert implementation.dump(stopped) == after


# ---------------------------------------------------------------- fences


def _given_to_other(ledger: Ledger, batch: Batch) -> None:
    for held in ledger.batches(ledger.job_of(batch)):
        if ledger.holder_of(held)[0] == ME:
            ledger.release(held, ME)
            (free,) = (b for b in ledger.batches(ledger.job_of(batch)) if b.id == held.id)
            assert ledger.claim(free, OTHER, LATER)


def _renamed(ledger: Ledger, batch: Batch) -> None:
    """Another found the results to be other requests', and matched the batch with another one of the list."""
    ledger.release(batch, ME)
    ledger.record_polled([(batch, a_message_batch(batch.message_batch_id or "", ended_at=NOW + HOUR))], NOW)
    ledger.record_files_missing(first(ledger), NOW)
    ledger.record_wrong_adoption(first(ledger), OTHER, LATER)
    assert ledger.record_adopted(
        first(ledger), a_message_batch("msgbatch_5", ended_at=LATER), OTHER, LATER, identified=True
    )


FENCES = [(name, fence) for name, write in WRITES.items() for fence in sorted(write.fences)]


@pytest.mark.parametrize(("name", "fence"), FENCES)
def test_a_write_that_is_not_due_is_refused_and_changes_nothing(
    implementation: Implementation, ledger: Ledger, folder: Path, name: str, fence: str
) -> None:
    write, owner = WRITES[name], ME
    batch = write.situation(ledger)
    if fence == "owner":
        owner = OTHER
    elif fence == "attempt":
        batch = replace(batch, attempt=batch.attempt - 1)
    elif fence == "takeover":
        _given_to_other(ledger, batch)
    else:
        _renamed(ledger, batch)
    before = implementation.dump(folder)
    assert not write.call(ledger, batch, owner)
    assert implementation.dump(folder) == before


# ---------------------------------------------------------------- claims


@pytest.mark.parametrize("name", ["claim", "claim_send", "claim_all"])
def test_of_two_owners_one_gets_the_step(ledger: Ledger, other: Ledger, name: str) -> None:
    wanted = planned(ledger)
    call = WRITES[name].call
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(call, (ledger, other), (wanted, wanted), (ME, OTHER)))
    assert sum(map(bool, got)) == 1
    assert ledger.holder_of(wanted)[0] == (ME if got[0] else OTHER)
    assert not call(other, wanted, OTHER), "it is held"
    assert not call(other, wanted, ME)


def test_a_claim_is_on_a_batch_as_it_was_seen(ledger: Ledger) -> None:
    batch = planned(ledger)
    assert ledger.claim_send(batch, ME, NOW, created_after=None, api=API)
    ledger.record_unconfirmed(first(ledger), ME, NOW, not_before=NOW, note="", list_reads=2)
    known = first(ledger)
    for stale in (
        batch,
        replace(known, state=State.PLANNED),
        replace(known, list_reads=1),
        replace(known, attempt=0),
        replace(known, intent_at=LATER),
        replace(known, cut=replace(known.cut, count=9)),
        replace(known, cut=replace(known.cut, sha256="1" * 64)),
    ):
        assert not ledger.claim(stale, ME, NOW)
    assert first(ledger) == known
    assert ledger.claim(known, ME, NOW)


def test_all_are_claimed_or_none(ledger: Ledger, other: Ledger) -> None:
    batches = ledger.batches(ledger.job_of(planned(ledger)))
    assert other.claim(batches[2], OTHER, NOW)
    assert not ledger.claim_all(batches, ME, NOW)
    assert ledger.holders().keys() == {OTHER}


def test_a_claim_ends_when_its_lease_was_not_renewed_for_as_long_by_the_clock_of_who_asks(
    ledger: Ledger, other: Ledger
) -> None:
    batch = sent(ledger)
    lease = LEASE.total_seconds()
    assert other.release_dead(1000) == 0
    ledger.renew(ME, LATER)
    assert other.release_dead(1000 + lease) == 0, "it was renewed"
    assert other.release_dead(1000 + lease + lease - 1) == 0
    assert other.release_dead(1000 + lease + lease) == 1
    assert other.holder_of(batch) == (None, 1)
    assert other.claim(first(other), OTHER, LATER), "what a dead owner sent may be reconciled by another"
    assert not ledger.record_not_created(batch, ME, LATER, not_before=None, note="late")


def test_a_dead_owner_takes_no_other_along(ledger: Ledger) -> None:
    batch = sent(ledger)
    assert ledger.release_dead(0) == 0
    assert ledger.claim(ledger.batches(ledger.job_of(batch))[1], OTHER, NOW)
    assert ledger.release_dead(LEASE.total_seconds()) == 1
    assert ledger.holders().keys() == {OTHER}


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize("situation", [sent, presumed, adopted, running, downloading, fetched])
def test_a_question_changes_nothing_and_has_one_answer_for_readers_and_writers(
    implementation: Implementation, ledger: Ledger, folder: Path, situation: Callable[[Ledger], Batch]
) -> None:
    batch = situation(ledger)
    before = implementation.dump(folder)
    with contextlib.closing(implementation.open_for_reading(folder)) as reading:
        for name, ask in QUESTIONS.items():
            assert ask(reading, batch) == ask(ledger, batch), name
    assert implementation.dump(folder) == before


def test_what_is_asked_in_one_method_is_answered_from_one_instant(ledger: Ledger, other: Ledger) -> None:
    """A job and its rounds are rows of two tables: no job is seen without its round while another process records jobs."""

    def record(number: int) -> Job:
        return ledger.record_job(a_job(f"job-{number}"), [a_cut()])

    with ThreadPoolExecutor(1) as pool:
        recorded = pool.map(record, range(40))
        while len(jobs := other.jobs()) < 40:
            assert all(job.rounds for job in jobs)
        assert list(recorded) == jobs


def test_what_was_fetched_is_read_back(ledger: Ledger) -> None:
    batch = fetched(ledger)
    job = ledger.job_of(batch)
    assert (batch.state, batch.results_sha256, batch.provisional) == (State.FETCHED, VERIFIED.sha256, False)
    assert ledger.failures(job) == list(VERIFIED.failures)
    assert ledger.usage_totals(job) == {batch.id: list(VERIFIED.usage_totals)}
