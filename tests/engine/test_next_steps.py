"""What each verb does next, by the snapshot it sees."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_job
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.model import Batch, Claim, Job, State
from batchctl.engine.next_steps import (
    CLOCK_STEP_TOLERANCE,
    Arrow,
    Cancel,
    Download,
    Poll,
    Reconcile,
    Send,
    Snapshot,
    Step,
    WaitUntil,
    has_passed,
    is_all_else_done,
    is_on_hold,
    next_steps,
)
from batchctl.engine.pacing import TRY_MORE_AFTER, under_way

S = State
SUBMIT = frozenset({Arrow.SEND, Arrow.RECONCILE})
STATUS = frozenset({Arrow.POLL})
FETCH = frozenset({Arrow.POLL, Arrow.DOWNLOAD, Arrow.RECONCILE})
RUN = frozenset(Arrow) - {Arrow.CANCEL}
CANCEL = frozenset(Arrow) - {Arrow.SEND}
VERBS = {"submit": SUBMIT, "status": STATUS, "fetch": FETCH, "run": RUN}

MINE = Claim(owner="1-aa", until=NOW + MINUTE)
LATER = NOW + MINUTE
SECOND = timedelta(seconds=1)


def steps(*batches: Batch, verb: frozenset[Arrow] = RUN, job: dict[str, Any] | None = None, **more: Any) -> list[Step]:
    snapshot = Snapshot(job=a_job(**(job or {})), batches=batches, **more)
    return list(next_steps(snapshot, verb, NOW))


def in_words(found: list[Step]) -> list[str]:
    words = []
    for step in found:
        match step:
            case Send(batch) | Download(batch) | Cancel(batch):
                words.append(f"{type(step).__name__} {batch.id}")
            case Reconcile(batches) | Poll(batches):
                words.append(f"{type(step).__name__} {' '.join(str(b.id) for b in batches)}")
            case WaitUntil(at, _):
                words.append(f"wait {(at - NOW).total_seconds():g}")
    return words


PLANNED, UNCONFIRMED = a_batch(S.PLANNED, id=1), a_batch(S.SUBMITTING, id=2)
RUNNING, CANCELING = a_batch(S.IN_PROGRESS, id=3), a_batch(S.CANCELING, id=4)
ENDED, FETCHED, REFUSED = a_batch(S.ENDED, id=5), a_batch(S.FETCHED, id=6), a_batch(S.REFUSED, id=7)


@pytest.mark.parametrize(
    ("batch", "submit", "status", "fetch", "run"),
    [
        (PLANNED, ["Send 1"], [], [], ["Send 1"]),
        (UNCONFIRMED, ["Reconcile 2"], [], ["Reconcile 2"], ["Reconcile 2"]),
        (RUNNING, [], ["Poll 3"], ["Poll 3"], ["Poll 3"]),
        (CANCELING, [], ["Poll 4"], ["Poll 4"], ["Poll 4"]),
        (ENDED, [], [], ["Download 5"], ["Download 5"]),
        (FETCHED, [], [], [], []),
        (REFUSED, [], [], [], []),
    ],
)
def test_a_verb_takes_its_arrows_and_no_others(
    batch: Batch, submit: list[str], status: list[str], fetch: list[str], run: list[str]
) -> None:
    expected = {"submit": submit, "status": status, "fetch": fetch, "run": run}
    assert {name: in_words(steps(batch, verb=verb)) for name, verb in VERBS.items()} == expected


def test_all_that_can_be_done_is_done_at_once_with_one_look_for_all() -> None:
    found = steps(PLANNED, a_batch(S.PLANNED, id=9), RUNNING, CANCELING, ENDED, FETCHED, REFUSED)
    assert in_words(found) == ["Send 1", "Send 9", "Poll 3 4", "Download 5"]


def test_doubts_are_settled_together_and_alone() -> None:
    other = a_batch(S.SUBMITTING, id=9, count=7)
    assert in_words(steps(PLANNED, UNCONFIRMED, other, RUNNING, ENDED)) == ["Reconcile 2 9"]


def test_one_doubt_that_is_due_takes_the_others_along() -> None:
    """One left out would leave its batch at the API to be taken for a stranger's."""
    resting = a_batch(S.SUBMITTING, id=9, not_before=LATER)
    assert in_words(steps(UNCONFIRMED, resting)) == ["Reconcile 2 9"]


def test_doubts_that_are_not_due_hold_nothing_up() -> None:
    resting = a_batch(S.SUBMITTING, id=9, not_before=LATER)
    assert in_words(steps(resting, PLANNED)) == ["Send 1"]
    assert in_words(steps(resting)) == ["wait 60"]


@pytest.mark.parametrize("is_here", [True, False])
def test_no_doubt_is_settled_while_a_batch_of_its_size_is_being_sent(*, is_here: bool) -> None:
    sending = a_batch(S.SUBMITTING, id=9, claim=MINE)
    found = steps(UNCONFIRMED, sending) if is_here else steps(UNCONFIRMED, busy_counts=frozenset({UNCONFIRMED.count}))
    assert in_words(found) == ["wait 1"]


@pytest.mark.parametrize("is_here", [True, False])
def test_a_create_of_another_size_does_not_stand_in_the_way(*, is_here: bool) -> None:
    sending = a_batch(S.SUBMITTING, id=9, count=11, claim=MINE)
    found = steps(UNCONFIRMED, sending) if is_here else steps(UNCONFIRMED, busy_counts=frozenset({11}))
    assert in_words(found) == ["Reconcile 2"]


def test_other_steps_go_on_while_a_doubt_waits_for_a_create() -> None:
    assert in_words(steps(UNCONFIRMED, ENDED, busy_counts=frozenset({10}))) == ["Download 5"]


CLAIMED = {
    "planned": a_batch(S.PLANNED, id=1, claim=MINE),
    "submitting": a_batch(S.SUBMITTING, id=2, claim=MINE),
    "ended": a_batch(S.ENDED, id=5, claim=MINE),
}


@pytest.mark.parametrize(
    ("state", "verb", "expected"),
    [
        ("planned", "submit", ["wait 1"]),
        ("submitting", "submit", ["wait 1"]),
        ("ended", "submit", []),
        ("ended", "fetch", ["wait 1"]),
        ("planned", "fetch", []),
        ("planned", "status", []),
        ("submitting", "run", ["wait 1"]),
    ],
)
def test_what_another_process_has_taken_is_waited_for(state: str, verb: str, expected: list[str]) -> None:
    assert in_words(steps(CLAIMED[state], verb=VERBS[verb])) == expected


@pytest.mark.parametrize(
    ("batch", "verb", "expected"),
    [
        (a_batch(S.PLANNED, not_before=LATER, note="HTTP 429"), "submit", ["wait 60"]),
        (a_batch(S.ENDED, not_before=LATER), "fetch", ["wait 60"]),
        (a_batch(S.PLANNED, not_before=NOW, id=1), "submit", ["Send 1"]),
        (a_batch(S.ENDED, not_before=NOW, id=5), "fetch", ["Download 5"]),
    ],
)
def test_a_batch_rests_until_its_time(batch: Batch, verb: str, expected: list[str]) -> None:
    assert in_words(steps(batch, verb=VERBS[verb])) == expected


def test_a_hold_keeps_every_batch_back_and_gives_its_own_reason() -> None:
    (wait,) = steps(PLANNED, job={"hold_until": LATER, "hold_reason": "the queue is full"})
    assert wait == WaitUntil(LATER, "the queue is full")


def test_a_hold_that_is_over_holds_nothing() -> None:
    assert in_words(steps(PLANNED, job={"hold_until": NOW, "hold_reason": "the queue was full"})) == ["Send 1"]


def test_a_hold_or_a_pause_stops_sending_and_nothing_else() -> None:
    for job in ({"hold_until": LATER}, {"paused": "no credit"}):
        assert in_words(steps(PLANNED, RUNNING, ENDED, job=job)) == ["Poll 3", "Download 5"]
        assert in_words(steps(UNCONFIRMED, PLANNED, job=job)) == ["Reconcile 2"]


def test_a_paused_job_is_nothing_to_wait_for() -> None:
    assert steps(PLANNED, job={"paused": "no credit"}) == []


# ---------------------------------------------------------------- pauses, and a clock that is put back


@pytest.mark.parametrize(
    ("until", "since", "expected"),
    [
        (None, None, True),
        (None, NOW + HOUR, True),
        (NOW, NOW - HOUR, True),
        (NOW - SECOND, NOW - HOUR, True),
        (LATER, NOW - HOUR, False),
        (LATER, NOW, False),
        (LATER, NOW + CLOCK_STEP_TOLERANCE, False),
        (LATER, NOW + CLOCK_STEP_TOLERANCE + SECOND, True),
        (NOW + 1000 * HOUR, NOW + 999 * HOUR, True),
        (NOW + 1000 * HOUR, NOW, False),
        # Set by an older version, which did not note when.
        (LATER, None, False),
        (NOW, None, True),
    ],
)
def test_a_pause_that_was_set_in_the_future_of_a_clock_that_was_put_back_is_over(
    until: datetime | None, since: datetime | None, *, expected: bool
) -> None:
    assert has_passed(until, since, NOW) is expected
    assert is_on_hold(a_job(hold_until=until, hold_at=since), NOW) is not expected


@pytest.mark.parametrize(
    ("batch", "verb", "job", "expected"),
    [
        (a_batch(S.PLANNED, id=1), SUBMIT, {}, "Send 1"),
        (a_batch(S.SUBMITTING, id=2), SUBMIT, {}, "Reconcile 2"),
        (a_batch(S.ENDED, id=5), FETCH, {}, "Download 5"),
        (a_batch(S.IN_PROGRESS, id=3), CANCEL, {"canceled_at": NOW}, "Cancel 3"),
    ],
)
def test_a_clock_that_was_put_back_keeps_no_batch_from_its_step(
    batch: Batch, verb: frozenset[Arrow], job: dict[str, Any], expected: str
) -> None:
    far = NOW + 1000 * HOUR
    for put_off_at, is_due in ((far - MINUTE, True), (NOW - MINUTE, False), (None, False)):
        resting = replace(batch, not_before=far, put_off_at=put_off_at)
        assert (expected in in_words(steps(resting, verb=verb, job=job, poll_due=far))) is is_due


def test_a_hold_from_before_the_clock_was_put_back_holds_nothing() -> None:
    far = NOW + 1000 * HOUR
    assert in_words(steps(PLANNED, job={"hold_until": far, "hold_at": far - MINUTE})) == ["Send 1"]
    (wait,) = steps(PLANNED, job={"hold_until": far, "hold_at": NOW - MINUTE, "hold_reason": "the queue is full"})
    assert wait == WaitUntil(far, "the queue is full")


# ---------------------------------------------------------------- held for a person


def test_results_that_a_person_must_vouch_for_are_neither_downloaded_nor_waited_for() -> None:
    held = a_batch(S.ENDED, id=8, held="msgbatch_1: its model differs")
    assert in_words(steps(held)) == []
    assert in_words(steps(held, ENDED)) == ["Download 5"]
    assert in_words(steps(held, RUNNING, poll_due=LATER)) == ["wait 60"]
    assert in_words(steps(replace(held, held=""))) == ["Download 8"]


def test_looks_keep_their_distance() -> None:
    assert in_words(steps(RUNNING, poll_due=LATER)) == ["wait 60"]
    assert in_words(steps(RUNNING, poll_due=NOW)) == ["Poll 3"]


def test_the_earliest_of_all_waits_is_the_one() -> None:
    resting = [
        a_batch(S.PLANNED, id=1, not_before=NOW + 3 * MINUTE),
        a_batch(S.ENDED, id=2, not_before=NOW + 2 * MINUTE),
        RUNNING,
    ]
    assert in_words(steps(*resting, poll_due=NOW + HOUR)) == ["wait 120"]


@pytest.mark.parametrize(
    "batch",
    [
        *CLAIMED.values(),
        a_batch(S.PLANNED, not_before=LATER),
        a_batch(S.SUBMITTING, not_before=LATER),
        a_batch(S.SUBMITTING, not_before=NOW - HOUR),
        a_batch(S.SUBMITTING),
    ],
)
def test_a_wait_is_never_for_no_time_at_all(batch: Batch) -> None:
    """A loop that waits until now spins, and tells of it each time."""
    (wait,) = steps(batch, busy_counts=frozenset({batch.count}))
    match wait:
        case WaitUntil(at, why):
            assert at > NOW
            assert why or batch.state is S.PLANNED
        case Send():
            assert batch.state is S.PLANNED
        case _:
            pytest.fail(f"{wait}")


def test_a_job_that_is_done_has_no_step() -> None:
    assert steps(FETCHED, REFUSED) == []


# ---------------------------------------------------------------- canceled


def test_of_a_canceled_job_nothing_is_sent_and_what_runs_is_canceled() -> None:
    canceled = {"canceled_at": NOW}
    assert in_words(steps(PLANNED, RUNNING, CANCELING, ENDED, verb=CANCEL, job=canceled)) == [
        "Cancel 3",
        "Poll 3 4",
        "Download 5",
    ]
    assert in_words(steps(PLANNED, verb=SUBMIT, job=canceled)) == []
    assert in_words(steps(RUNNING, verb=RUN, job=canceled)) == ["Poll 3"]


def test_a_cancel_waits_for_what_may_still_become_a_batch() -> None:
    canceled = {"canceled_at": NOW}
    assert in_words(steps(CLAIMED["submitting"], verb=CANCEL, job=canceled)) == ["wait 1"]
    assert in_words(steps(UNCONFIRMED, verb=CANCEL, job=canceled)) == ["Reconcile 2"]
    assert in_words(steps(a_batch(S.SUBMITTING, not_before=LATER), verb=CANCEL, job=canceled)) == ["wait 60"]


def test_a_cancel_that_failed_is_asked_again_after_its_time() -> None:
    resting = a_batch(S.IN_PROGRESS, id=3, not_before=LATER)
    found = steps(resting, verb=CANCEL, job={"canceled_at": NOW}, poll_due=NOW + HOUR)
    assert in_words(found) == ["wait 60"]


# ---------------------------------------------------------------- a full queue


def queued(*batches: Batch, window: int, since: timedelta = timedelta(), **more: Any) -> list[str]:
    return in_words(steps(*batches, verb=SUBMIT, job={"window": window, "window_at": NOW - since}, **more))


NEXT = a_batch(S.PLANNED, id=9)


@pytest.mark.parametrize(
    ("batches", "window", "expected"),
    [
        ([PLANNED, NEXT], 10, ["Send 1"]),
        ([PLANNED, NEXT], 20, ["Send 1", "Send 9"]),
        ([PLANNED, NEXT, RUNNING], 20, ["Send 1", "Poll 3"]),
        ([PLANNED, NEXT, RUNNING], 10, ["Poll 3"]),
        ([PLANNED, NEXT, RUNNING, ENDED, FETCHED], 10, ["Poll 3"]),
        ([PLANNED, NEXT, ENDED, FETCHED], 10, ["Send 1"]),
        ([PLANNED, NEXT], 0, ["Send 1"]),
    ],
)
def test_a_full_queue_is_sent_into_as_batches_end(batches: list[Batch], window: int, expected: list[str]) -> None:
    assert queued(*batches, window=window) == expected


def test_what_the_queue_did_not_take_is_tried_now_and_then() -> None:
    assert queued(PLANNED, NEXT, RUNNING, window=10, since=10 * MINUTE) == ["Send 1", "Poll 3"]
    assert queued(PLANNED, RUNNING, window=10, since=9 * MINUTE, poll_due=NOW + HOUR) == ["wait 60"]
    assert queued(PLANNED, RUNNING, window=10, poll_due=LATER) == ["wait 60"]


def test_who_has_nothing_to_send_does_not_look_for_room() -> None:
    assert queued(RUNNING, window=10) == []


# ---------------------------------------------------------------- not known to the API


def test_what_the_api_no_longer_knows_is_looked_at_and_never_waited_for() -> None:
    lost = a_batch(S.IN_PROGRESS, id=3, missing_since=NOW - HOUR)
    assert in_words(steps(lost)) == ["Poll 3"]
    assert in_words(steps(lost, poll_due=LATER)) == []
    results = a_batch(S.ENDED, id=5, missing_since=NOW - HOUR, not_before=LATER)
    assert in_words(steps(results)) == []
    fresh = a_batch(S.IN_PROGRESS, id=3, missing_since=NOW - MINUTE)
    assert in_words(steps(fresh, poll_due=LATER)) == ["wait 60"]


@pytest.mark.parametrize(
    ("batches", "job", "verb", "is_done"),
    [
        ([UNCONFIRMED], {}, "submit", True),
        ([UNCONFIRMED], {}, "run", True),
        ([UNCONFIRMED], {}, "fetch", False),
        ([UNCONFIRMED, PLANNED], {}, "submit", False),
        ([UNCONFIRMED, PLANNED], {"paused": "no credit"}, "submit", True),
        ([UNCONFIRMED, PLANNED], {"canceled_at": NOW}, "run", True),
        ([UNCONFIRMED, RUNNING], {}, "submit", True),
        ([UNCONFIRMED, RUNNING], {}, "run", False),
        ([UNCONFIRMED, ENDED], {}, "run", False),
        ([UNCONFIRMED, a_batch(S.IN_PROGRESS, missing_since=NOW - HOUR)], {}, "run", True),
        ([UNCONFIRMED, FETCHED, REFUSED], {}, "run", True),
        ([UNCONFIRMED, a_batch(S.ENDED, held="msgbatch_1: its model differs")], {}, "run", True),
        ([UNCONFIRMED, a_batch(S.ENDED, held="msgbatch_1: its model differs"), ENDED], {}, "run", False),
    ],
)
def test_a_doubt_is_a_persons_once_all_else_is_done(
    batches: list[Batch], job: dict[str, Any], verb: str, *, is_done: bool
) -> None:
    assert is_all_else_done(a_job(**job), batches, VERBS[verb], NOW) is is_done


# ---------------------------------------------------------------- whatever the snapshot

WHENS = st.none() | st.sampled_from([NOW - HOUR, NOW - SECOND, NOW, LATER, NOW + HOUR])
SEVERAL = st.frozensets(st.sampled_from(Arrow), min_size=1)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    batches = tuple(
        a_batch(
            draw(st.sampled_from(S)),
            draw(st.integers(1, 3)),
            id=number,
            claim=draw(st.sampled_from([None, None, MINE])),
            not_before=draw(WHENS),
            put_off_at=draw(WHENS),
            held=draw(st.sampled_from(["", "", "msgbatch_1: its model differs"])),
            provisional=draw(st.booleans()),
            missing_since=draw(st.sampled_from([None, None, NOW - HOUR, NOW])),
        )
        for number in range(draw(st.integers(0, 7)))
    )
    job = a_job(
        paused=draw(st.sampled_from(["", "", "no credit"])),
        hold_until=draw(WHENS),
        hold_at=draw(WHENS),
        canceled_at=draw(st.sampled_from([None, None, NOW - HOUR])),
        window=draw(st.none() | st.integers(0, 9)),
        window_at=draw(st.sampled_from([NOW, NOW - TRY_MORE_AFTER])),
    )
    busy = draw(st.frozensets(st.integers(1, 3), max_size=2))
    return Snapshot(job=job, batches=batches, busy_counts=busy, poll_due=draw(WHENS))


def of_kind(found: tuple[Step, ...], kind: type[Send | Download | Cancel]) -> list[Batch]:
    return [step.batch for step in found if isinstance(step, kind)]


@pytest.mark.generated
@given(snapshots(), SEVERAL)
def test_whatever_the_snapshot_no_batch_is_in_two_hands(snapshot: Snapshot, verb: frozenset[Arrow]) -> None:
    """A look at a batch is no hand on it."""
    found = next_steps(snapshot, verb, NOW)
    settled = [b for step in found if isinstance(step, Reconcile) for b in step.batches]
    taken = [*of_kind(found, Send), *of_kind(found, Download), *of_kind(found, Cancel), *settled]
    assert len({b.id for b in taken}) == len(taken)
    assert not any(b.claim for b in (*of_kind(found, Send), *of_kind(found, Download), *settled))
    assert sum(isinstance(step, Poll) for step in found) <= 1
    assert all(b.is_running for step in found if isinstance(step, Poll) for b in step.batches)
    assert all(b.state is S.ENDED and not b.held for b in of_kind(found, Download))
    assert all(b.state is S.IN_PROGRESS and not b.provisional for b in of_kind(found, Cancel))


def is_over(until: datetime | None, since: datetime | None) -> bool:
    """By a clock that may have been put back since the pause was set."""
    return until is None or until <= NOW or (since is not None and since > NOW + CLOCK_STEP_TOLERANCE)


def may_be_sent(job: Job) -> bool:
    return not (job.paused or job.canceled_at) and is_over(job.hold_until, job.hold_at)


@pytest.mark.generated
@given(snapshots(), SEVERAL)
def test_whatever_the_snapshot_only_what_may_be_sent_is(snapshot: Snapshot, verb: frozenset[Arrow]) -> None:
    found = next_steps(snapshot, verb, NOW)
    sent, job = of_kind(found, Send), snapshot.job
    assert not sent or (Arrow.SEND in verb and may_be_sent(job))
    assert all(b.state is S.PLANNED and is_over(b.not_before, b.put_off_at) for b in sent)
    assert not of_kind(found, Cancel) or (Arrow.CANCEL in verb and job.canceled_at)
    taken = under_way(snapshot.batches)
    if job.window is not None and taken + sum(b.count for b in sent) > job.window:
        assert len(sent) <= 1
        assert not sent or not taken or job.window_at == NOW - TRY_MORE_AFTER


@pytest.mark.generated
@given(snapshots(), SEVERAL)
def test_whatever_the_snapshot_doubts_are_settled_alone_and_all_but_those_of_a_size_in_flight(
    snapshot: Snapshot, verb: frozenset[Arrow]
) -> None:
    found = next_steps(snapshot, verb, NOW)
    unconfirmed_batches = {b for b in snapshot.batches if b.state is S.SUBMITTING and not b.claim}
    in_flight = {b.count for b in snapshot.batches if b.state is S.SUBMITTING and b.claim} | snapshot.busy_counts
    can_be_told = {b for b in unconfirmed_batches if b.count not in in_flight}
    match found:
        case (Reconcile(batches),):
            assert Arrow.RECONCILE in verb
            assert set(batches) == can_be_told
        case _:
            assert not any(isinstance(step, Reconcile) for step in found)
            is_due = any(is_over(b.not_before, b.put_off_at) for b in can_be_told)
            assert not (is_due and Arrow.RECONCILE in verb)


@pytest.mark.generated
@given(snapshots(), SEVERAL)
def test_whatever_the_snapshot_a_wait_stands_alone_and_is_for_a_time_to_come(
    snapshot: Snapshot, verb: frozenset[Arrow]
) -> None:
    found = next_steps(snapshot, verb, NOW)
    waits = [step for step in found if isinstance(step, WaitUntil)]
    assert not waits or len(found) == 1
    assert all(wait.at > NOW for wait in waits)


@pytest.mark.generated
@given(snapshots(), SEVERAL)
def test_whatever_the_snapshot_a_verb_ends_only_where_it_has_nothing_left(
    snapshot: Snapshot, verb: frozenset[Arrow]
) -> None:
    left = [b for b in snapshot.batches if is_left(b, snapshot.job, verb)]
    assert next_steps(snapshot, verb, NOW) or not left


def is_left(batch: Batch, job: Job, verb: frozenset[Arrow]) -> bool:
    """Whether a verb has something to do for a batch, or to wait for."""
    match batch.state:
        case S.PLANNED:
            return Arrow.SEND in verb and not job.paused and not job.canceled_at
        case S.SUBMITTING if batch.claim:
            return bool({Arrow.SEND, Arrow.CANCEL} & verb) and not job.paused
        case S.SUBMITTING:
            return Arrow.RECONCILE in verb and bool({Arrow.SEND, Arrow.CANCEL} & verb)
        case S.IN_PROGRESS | S.CANCELING:
            return Arrow.POLL in verb and not batch.is_lost(NOW)
        case S.ENDED:
            return Arrow.DOWNLOAD in verb and not batch.is_lost(NOW) and not batch.held
        case _:
            return False
