"""The report on a job: where it stands, what failed, what to look out for, and which command comes next.

Pure functions from the ledger's rows to a `JobReport`; `render` draws it. Progress is counted in ended batches, because the
API's counters stay 0 until a batch has ended.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from batchctl.domain.headers import command_for_rest, headers_of, no_beta_options
from batchctl.domain.model import (
    RETENTION,
    Batch,
    FailureClass,
    Failures,
    Headers,
    Job,
    Merged,
    Outcome,
    Purpose,
    RequestCounts,
    State,
)
from batchctl.domain.outcomes import FIX_TYPES, CountedTypes
from batchctl.domain.wording import of_total, plural

# How long before batches expire, and before the API removes results, a report warns of it.
EXPIRY_WARNING = timedelta(hours=4)
RETENTION_WARNING = timedelta(days=7)
# How many requests are named as examples of a failure.
SAMPLES = 3


class Stage(StrEnum):
    """Where a job as a whole stands. The values are the words of `--json`, which never change."""

    SENDING = "sending"  # batches are still to be sent
    UNCONFIRMED = "in doubt"  # of a batch nobody knows whether the API has it, or whether it is ours
    LOST = "not known to the API"  # the API answers 404 for a batch, and has done so for some time
    PAUSED = "paused"  # nothing is sent until a person continues
    RUNNING = "in progress"
    TO_FETCH = "ended, to fetch"
    DONE = "done"
    INCOMPLETE = "done, some without success"
    CANCELED = "canceled"

    @property
    def shown(self) -> str:
        """The stage as a person reads it: one word."""
        return _SHOWN.get(self, self.value)


_SHOWN = {
    Stage.UNCONFIRMED: "unconfirmed",
    Stage.LOST: "unconfirmed",
    Stage.RUNNING: "running",
    Stage.TO_FETCH: "fetching",
    Stage.INCOMPLETE: "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One round of a job.

    Attributes:
        by_state: How many of its batches are in which state.
        counts: The API's counters of all its batches together.
        headers: The headers that its batches were or will be sent with, None where that is not known, and how many batches
            each.
        changes: As in `Round`.
        purpose: As in `Round`.
    """

    number: int
    requests: int
    batches: int
    by_state: dict[State, int]
    counts: RequestCounts
    created_at: datetime
    headers: tuple[tuple[Headers | None, int], ...] = ()
    changes: tuple[str, ...] = ()
    purpose: Purpose = Purpose.ORDINARY


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """A job as it stands at `now`.

    Attributes:
        failures: What failed: of all rounds once everything fetched is merged, before that of the newest round.
        ended: Batches that have ended; `fetched` of them are on disk.
        eta: When the last batch may end, None where that cannot be estimated.
        expires_at: When the first running batch expires.
        retained_until: When the API removes the first results that are not on disk.
        next_command: The command that does the most of what is left, empty where nothing is.
        merged: The last merge, None where more was fetched since.
        rests_on: What it rests on that batches found in the API's list are the job's, empty where none were.
        in_no_batch: Requests that no batch ever held.
    """

    job: Job
    now: datetime
    stage: Stage
    batches: tuple[Batch, ...]
    rounds: tuple[RoundReport, ...]
    failures: tuple[Failures, ...]
    ended: int
    fetched: int
    eta: datetime | None
    expires_at: datetime | None
    retained_until: datetime | None
    warnings: tuple[str, ...] = ()
    next_command: str = ""
    merged: Merged | None = None
    rests_on: str = ""
    in_no_batch: int = 0

    @property
    def shown_stage(self) -> str:
        """The stage as a person reads it: one word. What was left out of the input before it was sent did not fail."""
        is_all_answered = self.merged is not None and self.merged.is_complete
        return Stage.DONE.shown if self.stage is Stage.INCOMPLETE and is_all_answered else self.stage.shown

    @property
    def matched(self) -> int:
        """Number of provisional matches: batches that are the job's as far as their size tells."""
        return sum(b.is_provisional_match for b in self.batches)

    @property
    def elapsed(self) -> timedelta:
        """Time from the submission to the end of the last batch, or to now while one has not ended."""
        times = [b.ended_at for b in self.batches if b.ended_at]
        is_over = self.ended == len(self.batches)
        return (max(times) if is_over and times else self.now) - self.job.created_at


ENDED = frozenset({State.ENDED, State.FETCHED})
RUNNING = frozenset({State.IN_PROGRESS, State.CANCELING})


def report(
    job: Job, batches: Sequence[Batch], failures: Sequence[Failures], now: datetime, in_no_batch: int = 0
) -> JobReport:
    """Return the report on a job at `now`.

    `in_no_batch`: requests of round 1 that no batch holds.
    """
    batches = [b for b in batches if not b.is_unattached]
    stage = stage_of(job, batches, now)
    newest = job.rounds[-1].number
    merged = current_merge(job, batches)
    open_failures = merged.failures if merged else joined([f for f in failures if f.round == newest])
    return JobReport(
        job=job,
        now=now,
        stage=stage,
        batches=tuple(batches),
        rounds=tuple(_round_report(job, r.number, batches) for r in job.rounds),
        failures=open_failures,
        ended=sum(b.state in ENDED for b in batches),
        fetched=sum(b.state is State.FETCHED for b in batches),
        eta=eta(batches, now),
        expires_at=min((b.expires_at for b in batches if b.is_running and b.expires_at), default=None),
        retained_until=retained_until(batches),
        warnings=(*_warnings(job, batches, now), *_warnings_of_rest(job, in_no_batch)),
        next_command=next_command(
            job,
            stage,
            open_failures or _of_removed(batches, merged),
            needs_word=any(b.held for b in batches),
            paused_turns=merged.paused_turns if merged else 0,
            # What is left of the job is sent before its answers are merged for the last time.
            has_rest=bool(in_no_batch) and not job.has_first_batch and all(b.is_settled for b in batches),
        ),
        merged=merged,
        rests_on=rests_on(batches),
        in_no_batch=in_no_batch,
    )


def rests_on(batches: Sequence[Batch]) -> str:
    """Return what it rests on that batches found in the API's list are the job's; empty where none were found there.

    The API cannot say so: it keeps no name of ours with a batch.
    """
    adopted = [b for b in batches if b.evidence and not b.provisional]
    if not adopted:
        return ""
    kinds = list(dict.fromkeys(b.evidence for b in adopted))
    more = f" (and {len(kinds) - 1} more)" if len(kinds) > 1 else ""
    found = of_total(len(adopted), len(batches), "batch")
    return f"{found} found in the API's list and identified by {kinds[0]}{more}; the API itself did not confirm it"


def current_merge(job: Job, batches: Sequence[Batch]) -> Merged | None:
    """Return the last merge if it read every batch that is on disk now, else None."""
    fetched = sum(b.state is State.FETCHED for b in batches)
    return job.merged if job.merged and job.merged.batches == fetched and fetched else None


def stage_of(job: Job, batches: Sequence[Batch], now: datetime) -> Stage:
    """Return where a job as a whole stands: the first of its batches' states that still needs something."""
    states = {b.state for b in batches if not b.is_lost(now) and not b.is_removed}
    if job.awaits_first_batch:
        # The rest of the input is planned, and sent, once that batch is judged.
        states.add(State.PLANNED)
    if job.canceled_at is not None:
        # What a cancel kept from being sent stays unanswered; nobody waits for it.
        states.discard(State.PLANNED)
    if job.paused and State.PLANNED in states:
        return Stage.PAUSED
    has_ended = not states & {State.PLANNED, State.SUBMITTING, *RUNNING}
    if any((b.state is State.SUBMITTING and b.claim is None) or (b.held and has_ended) for b in batches):
        return Stage.UNCONFIRMED
    if states & {State.PLANNED, State.SUBMITTING}:
        return Stage.SENDING
    if states & RUNNING:
        return Stage.RUNNING
    if State.ENDED in states:
        return Stage.TO_FETCH
    if any(b.is_lost(now) for b in batches):
        return Stage.LOST
    if State.FETCHED in states and current_merge(job, batches) is None:
        return Stage.TO_FETCH
    return _end_of(job, current_merge(job, batches))


def _end_of(job: Job, merge: Merged | None) -> Stage:
    """The stage of a job of which nothing is left to be done without a person."""
    if merge is not None and merge.is_complete and not job.left_out:
        return Stage.DONE
    return Stage.INCOMPLETE if job.canceled_at is None else Stage.CANCELED


def eta(batches: Sequence[Batch], now: datetime) -> datetime | None:
    """Return when the last batch may end, by the median time that ended batches took.

    None while no batch has ended, while some are still to be sent, and once the estimate has passed.
    """
    took = [(b.ended_at - b.created_at).total_seconds() for b in batches if b.ended_at and b.created_at]
    running = [b.created_at for b in batches if b.is_running and b.created_at]
    if not took or not running or any(b.state is State.PLANNED for b in batches):
        return None
    estimate = max(running) + timedelta(seconds=median(took))
    return estimate if estimate > now else None


def retained_until(batches: Sequence[Batch]) -> datetime | None:
    """Return when the API removes the first results that are not on disk, None where there are none."""
    still = [b for b in batches if b.state in {State.IN_PROGRESS, State.CANCELING, State.ENDED} and not b.is_removed]
    waiting = [b.created_at for b in still if b.created_at]
    return min(waiting) + RETENTION if waiting else None


def _of_removed(batches: Sequence[Batch], merged: Merged | None) -> list[Failures]:
    """The requests whose results the API removed, as a merge would report them; empty where there was a merge."""
    removed = [b for b in batches if b.is_removed] if merged is None else []
    return [
        Failures(
            round=b.round,
            outcome=Outcome.UNANSWERED,
            error_type=Outcome.UNANSWERED.value,
            failure_class=FailureClass.RETRY,
            count=b.count,
            sample_ids=(),
            sample_message=b.note,
        )
        for b in removed
    ]


def next_command(
    job: Job,
    stage: Stage,
    failures: Sequence[Failures],
    *,
    needs_word: bool = False,
    paused_turns: int = 0,
    has_rest: bool = False,
) -> str:
    """Return the command that does the most of what is left, empty where nothing is.

    Args:
        job: The job that the command names.
        stage: Where it stands.
        failures: What failed and may be sent again.
        needs_word: A person must say whether some results are the job's.
        paused_turns: Answers that stopped with `pause_turn`.
        has_rest: Requests were never sent, and nothing has to be done before they are.
    """
    match stage:
        case Stage.UNCONFIRMED if needs_word:
            return f"batchctl resolve {job.name}"
        case Stage.SENDING | Stage.UNCONFIRMED | Stage.RUNNING if job.canceled_at is not None:
            # Nothing more is sent; the same command goes on polling, and fetches what was answered.
            return f"batchctl cancel {job.name}"
        case Stage.SENDING | Stage.UNCONFIRMED:
            return f"batchctl submit {job.name}"
        case Stage.PAUSED:
            return command_for_rest(job, job.paused, job.settings.betas)
        case Stage.LOST:
            return f"batchctl resolve {job.name}"
        case Stage.RUNNING:
            return f"batchctl status {job.name} --watch"
        case Stage.TO_FETCH:
            return f"batchctl {'retry' if has_rest else 'fetch'} {job.name}"
        case Stage.DONE | Stage.CANCELED:
            # What a person canceled is sent again only when they ask for it: the warnings say how.
            return ""
        case Stage.INCOMPLETE:
            return _retry_command(job, failures) or _command_for_paused(job, paused_turns)


def _command_for_paused(job: Job, turns: int) -> str:
    return f"batchctl retry {job.name} --only pause_turn --edit" if turns and job.has_requests else ""


def _retry_command(job: Job, failures: Sequence[Failures]) -> str:
    """The command that sends failed requests again, or writes them to be edited; empty where none should be sent again."""
    classes = {f.failure_class for f in failures}
    if not job.has_requests:
        # Failed requests can be sent again only once they are known.
        return f"batchctl attach {job.name} --input FILE" if classes - {FailureClass.POLICY} else ""
    passing = [f for f in failures if f.failure_class is FailureClass.RETRY]
    # An error about the request that may pass (`outcomes.MAY_PASS_TEXTS`) and came again after a retry does not pass.
    is_lasting = len(job.rounds) > 1 and all(f.error_type in FIX_TYPES for f in passing)
    if FailureClass.ACCOUNT in classes:
        return f"batchctl retry {job.name} --only account{' --only retry' if passing else ''}"
    if passing and not is_lasting:
        return f"batchctl retry {job.name}"
    to_fix = [f for f in failures if f.failure_class is FailureClass.FIX and f.outcome is Outcome.ERRORED]
    refused = [no_beta_options(f.sample_message, job.settings.betas) for f in to_fix]
    if not passing and to_fix and all(refused):
        # No line is at fault: there is nothing to edit.
        return f"batchctl retry {job.name} --include-invalid {refused[0]}"
    if passing or to_fix:
        return f"batchctl retry {job.name} --include-invalid --edit"
    if any(f.outcome is Outcome.CANCELED for f in failures):
        return f"batchctl retry {job.name} --include-canceled"
    if any(f.outcome is Outcome.UNKNOWN for f in failures):
        # It may be a success, and paid for: a person looks first, and sends it with a second command.
        return f"batchctl retry {job.name} --only unknown --dry-run"
    return ""


def _round_report(job: Job, number: int, batches: Sequence[Batch]) -> RoundReport:
    mine = [b for b in batches if b.round == number]
    by_state: dict[State, int] = {}
    for batch in mine:
        by_state[batch.state] = by_state.get(batch.state, 0) + 1
    planned = next(r for r in job.rounds if r.number == number)
    return RoundReport(
        number=number,
        requests=planned.count,
        batches=len(mine),
        by_state=by_state,
        counts=sum((b.counts for b in mine), RequestCounts()),
        created_at=planned.created_at,
        changes=planned.changes,
        purpose=planned.purpose,
        headers=tuple(Counter(headers_of(job, b) for b in mine).items()),
    )


def joined(failures: Sequence[Failures]) -> tuple[Failures, ...]:
    """Return one entry for each error type and failure class, the most frequent first."""
    kinds: dict[tuple[str, str], Failures] = {}
    counted_type = CountedTypes()
    for failure in failures:
        key = (counted_type(failure.error_type), failure.failure_class)
        known = kinds.get(key)
        if known is not None:
            samples = (*known.sample_ids, *failure.sample_ids)[:SAMPLES]
            kinds[key] = replace(known, count=known.count + failure.count, sample_ids=samples)
        else:
            kinds[key] = replace(failure, error_type=key[0])
    return tuple(sorted(kinds.values(), key=lambda kind: -kind.count))


def _warnings(job: Job, batches: Sequence[Batch], now: datetime) -> list[str]:
    warnings = []
    if job.paused:
        warnings.append(f"paused: {job.paused}")
    if job.hold_until and job.hold_until > now and any(b.state is State.PLANNED for b in batches):
        warnings.append(f"sending waits until {job.hold_until:%H:%M:%S} UTC: {job.hold_reason}")
    expiring = [b for b in batches if b.is_running and b.expires_at and b.expires_at - now < EXPIRY_WARNING]
    if expiring:
        warnings.append(
            f"{plural(len(expiring), 'batch expires', 'batches expire')} within {EXPIRY_WARNING.seconds // 3600} h:"
            " requests that have not run by then come back as expired"
        )
    until = retained_until(batches)
    if until and until - now < RETENTION_WARNING:
        warnings.append(
            f"the API deletes results from {until:%Y-%m-%d %H:%M} UTC on; fetch them first: batchctl fetch {job.name}"
        )
    removed = [b for b in batches if b.is_removed]
    if removed:
        warnings.append(_told_of_removed(removed, len(batches)))
    missing = [b for b in batches if b.missing_since and b.state not in {State.FETCHED, State.REFUSED}]
    if missing:
        warnings.append(
            f"{plural(len(missing), 'batch is', 'batches are')} not known to the API: deleted there, or this key belongs to another"
            " API workspace"
        )
    if job.duplicate_batches:
        warnings.append(
            f"{', '.join(job.duplicate_batches)} holds requests that another batch also holds; cancel it, or pay for it:"
            f" batchctl resolve {job.name} --cancel {job.duplicate_batches[0]}"
        )
    warnings += _warnings_of_matches(job, batches)
    warnings += _warnings_of_cancel(job, batches)
    warnings += _warnings_of_paused_turns(job, batches)
    refused = [b for b in batches if b.state is State.REFUSED]
    if refused:
        warnings.append(f"{plural(len(refused), 'batch was', 'batches were')} rejected by the API: {refused[0].note}")
    return warnings


def _warnings_of_cancel(job: Job, batches: Sequence[Batch]) -> list[str]:
    """What a cancel kept from being sent, and how to send it after all."""
    if job.canceled_at is None:
        return []
    planned = sum(b.state is State.PLANNED for b in batches)
    if planned:
        since = f"canceled at {job.canceled_at:%Y-%m-%d %H:%M} UTC"
        unsent = plural(planned, "batch was", "batches were")
        return [f"{since}: {unsent} not sent; to send the rest: batchctl submit {job.name} --yes"]
    merge = current_merge(job, batches)
    if merge is None or not merge.canceled or not job.has_requests:
        return []
    return [
        f"{plural(merge.canceled, 'request was', 'requests were')} canceled; to send them again: batchctl retry {job.name} --include-canceled"
    ]


def _warnings_of_rest(job: Job, requests: int) -> list[str]:
    """Requests that no batch holds, and why."""
    if not requests:
        return []
    if job.awaits_first_batch:
        waiting = plural(requests, "request waits", "requests wait")
        return [f"{waiting} for the first batch, and are then sent by: batchctl submit {job.name}"]
    if job.withheld:
        withheld = plural(requests, "request is", "requests are")
        refused = "; ".join(f"line {s.line:,} ({s.custom_id}): {s.message}" for s in job.withheld[:SAMPLES])
        return [
            f"{withheld} withheld, because the API refused a request of the same shape: {refused}",
            f"to fix what is withheld: batchctl retry {job.name} --include-invalid --edit, or retry with --set NAME=VALUE",
        ]
    unattached = plural(requests, "request is", "requests are")
    return [f"{unattached} in none of the attached batches; to send the rest: batchctl retry {job.name}"]


def _warnings_of_paused_turns(job: Job, batches: Sequence[Batch]) -> list[str]:
    """Answers that the API counts as succeeded and stopped halfway: only a person can continue them."""
    merge = current_merge(job, batches)
    if merge is None or not merge.paused_turns:
        return []
    text = f"{plural(merge.paused_turns, 'answer', 'answers')} stopped with pause_turn before the end"
    how = "add the content of the answer to messages, as an assistant message, and send the request again"
    return [f"{text}; to continue one, {how}"]


def _told_of_removed(removed: Sequence[Batch], total: int) -> str:
    days = sorted({f"{b.deleted_at:%Y-%m-%d}" for b in removed})
    requests = sum(b.count for b in removed)
    return (
        f"the API removed the results of {of_total(len(removed), total, 'batch')} ({plural(requests, 'request')}) on"
        f" {' and '.join((days[0], days[-1]) if len(days) > 1 else days)}, {RETENTION.days} days after their creation and before"
        " they were downloaded; these results are lost, and a retry pays for them again"
    )


def _warnings_of_matches(job: Job, batches: Sequence[Batch]) -> list[str]:
    """Warnings about batches that were found in the API's list, and about counters that could not be read."""
    warnings = []
    matched = [b for b in batches if b.is_provisional_match]
    if matched:
        warnings.append(
            f"{len(matched)} of {plural(len(batches), 'batch is a provisional match', 'batches are provisional matches')} by size:"
            " the results will confirm the match"
        )
    provisional_matches = [b.message_batch_id for b in matched if job.canceled_at and b.state is State.IN_PROGRESS]
    if provisional_matches:
        warnings.append(
            f"{provisional_matches[0]} is a provisional match by its size and is not canceled; to cancel it, if it is yours:"
            f" batchctl resolve {job.name} --cancel {provisional_matches[0]}"
        )
    held = [b for b in batches if b.held]
    if held:
        warnings.append(
            f"{of_total(len(held), len(batches), 'batch', 'batches')} may belong to another job: {held[0].held}"
        )
    unread = sum(b.counts_unread for b in batches if b.state is State.FETCHED)
    if unread:
        warnings.append(
            f"the API's counts of {plural(unread, 'fetched batch', 'fetched batches')} could not be read: results are checked"
            " against the requests only"
        )
    return warnings
