"""The next round of a job, planned in one place: for `retry`, which a person asks for, and for `run`, which does it by itself.

1. choose     the requests by failure class, over the newest outcome of each
2. rebuild    the request file and the origins, written as part files, then renamed
3. check      requests that were never sent, have changed params, or go under stricter headers
4. look       for lines that were never sent from here: in the other jobs, and in the API's list
5. price      what the round may cost, with what the job comes to so far, compared with the limit
6. confirm    a person's yes, where a person asked for the round, unless --yes or a limit was given
7. record     the headers and the limit that were named, then the round and its batches, all or nothing
8. send       as every round is sent
`rebuild` and `rebuild_edited` are steps 1 to 3, `plan_round` is 4 to 7. A stop before the end of 7 leaves files that the next
try removes; a stop after it is continued by `retry`, `submit` or `run`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchctl.api.secrets import scrubber
from batchctl.domain.check_report import Depth
from batchctl.domain.errors import AccountProblem, InputProblem, Refused, UsageProblem
from batchctl.domain.events import Planned
from batchctl.domain.faults import is_stricter
from batchctl.domain.groups import RequestGroup, shape_digest
from batchctl.domain.model import Cut, FailureClass, Job, Outcome, OutcomeCode, Purpose, Round, WithheldShape
from batchctl.domain.names import request_file_name
from batchctl.domain.outcomes import CLASS_OF_CODE, CountedTypes, without_plain_success
from batchctl.domain.prices import Forecast
from batchctl.domain.wording import plural
from batchctl.engine.estimate_requests import estimate
from batchctl.engine.latest_outcomes import LatestOutcomes, Source, latest_outcomes
from batchctl.engine.prime_rules import as_primed
from batchctl.engine.retry_choice import Choice, Chosen, is_chosen, why_left
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget, Estimator
from batchctl.ledger.liveness import FileLockLiveness
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.grouping import group_requests
from batchctl.requests.inputs import is_spooled
from batchctl.requests.param_changes import ParamChange, shown, with_changes
from batchctl.requests.request_file import custom_id_of, whole_lines
from batchctl.results.outputs import WrittenFiles, output_file
from batchctl.store.local import PRIVATE, replacing
from batchctl.verbs.check_again import check_anew
from batchctl.verbs.confirmation import Confirm, confirm_price
from batchctl.verbs.headers import record_headers
from batchctl.verbs.unsent_lines import UnsentLines, find_elsewhere

CUT_OR_PAUSED = frozenset({OutcomeCode.TRUNCATED, OutcomeCode.PAUSED})
ERRORED = frozenset({OutcomeCode.ERRORED_RETRY, OutcomeCode.ERRORED_FIX, OutcomeCode.ERRORED_ACCOUNT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A round that is not recorded yet.

    Attributes:
        number: Its number in the job.
        path: Its request file.
        cuts: Its batches, as ranges of that file.
        chosen: Which requests are sent again, and which are left.
        shape: What its requests have in common with those of other rounds; empty until the price was agreed to.
        forecast: What it may cost; None until the price was agreed to.
        changes: What `--set` changes in its params, as it may be shown.
        warnings: The number of warnings of requests that were checked anew.
        unsent: How many of its requests were in no batch before, and were never checked.
        purpose: What it is for.
        withheld: The shapes that are not sent, where it is the rest after a first batch; None for any other.
    """

    number: int
    path: Path
    cuts: tuple[Cut, ...]
    chosen: Chosen
    shape: str = ""
    forecast: Forecast | None = None
    changes: tuple[str, ...] = ()
    warnings: int = 0
    unsent: int = 0
    purpose: Purpose = Purpose.ORDINARY
    withheld: tuple[WithheldShape, ...] | None = None


# ---------------------------------------------------------------- 1 to 3. choose, rebuild, check


def rebuild(
    session: Session,
    job: Job,
    choice: Choice,
    changes: Sequence[ParamChange] = (),
    target: Path | None = None,
    *,
    is_for_editing: bool = False,
) -> Rebuilt:
    """Choose requests and write them to a request file, from their original bytes.

    Args:
        session: The session of the verb. The caller holds `workspace.planning()`.
        job: The job, with the headers that the round is to be sent with.
        choice: Which requests are sent again.
        changes: Changes of their params.
        target: Where a person wants the file; None for the folder of the job.
        is_for_editing: Whether a person will edit the file: then it is checked when it comes back.

    Raises:
        InputProblem: A request cannot be sent: one with changed params, one that was never sent, or one with headers that
            take less. No file is left then.
    """
    number = job.rounds[-1].number + 1
    remove_leftovers(session, job, number)
    path = target or session.workspace.requests(job.name, number, session.owner)
    origins = session.workspace.origins(session.workspace.requests(job.name, number, session.owner))
    chooser, cut_or_paused = _Chooser(choice), 0
    file = (
        output_file(path, WrittenFiles(session.workspace.outputs(job.name)), mode=PRIVATE)
        if target
        else replacing(path)
    )
    with UnsentLines(session) as unsent, file as requests, replacing(origins) as numbers:
        batches = session.ledger.batches(job)
        copied = CopiedCuts(job.settings, CleanCopy(requests=requests, numbers=numbers), len(batches))
        for newest in latest_outcomes(session, job, batches):
            for position in chooser.positions(newest):
                line = newest.request_line(position)
                changed = with_changes(line, changes)
                cut_or_paused += changed is line and newest.sent_last(position).code in CUT_OR_PAUSED
                copied.add(changed, 0, newest.origin + position)
                if newest.codes[position] == OutcomeCode.IN_NO_BATCH:
                    unsent.add(line, newest.lines[position])
        cuts = copied.close()
        rebuilt = Rebuilt(
            number=number,
            path=path,
            cuts=cuts,
            chosen=replace(chooser.chosen(cuts), cut_or_paused=cut_or_paused),
            changes=tuple(shown(changes)),
            unsent=unsent.count,
        )
        warnings = unsent.check(job) if unsent.count and not changes and not is_for_editing else 0
    # Unchanged requests passed the check before: they are checked again only for stricter headers. A file for a person is
    # checked when it comes back.
    has_less = target is None and any(
        b.headers is not None and is_stricter(job.settings.headers, than=b.headers) for b in batches
    )
    if rebuilt.chosen.requests and (changes or has_less):
        depth = Depth.FULL if changes else Depth(job.settings.depth)
        try:
            warnings_anew = check_anew(session, job, path, request_file_name(job.name, number), depth)
        except BaseException as stopped:
            discard(session, job, rebuilt)
            if isinstance(stopped, InputProblem) and not changes:
                hint = f"{stopped.hint}; to fix them in a file: batchctl retry {job.name} --edit"
                raise InputProblem(f"with the headers of the job: {stopped.message}", hint=hint) from stopped
            raise
        # A person has accepted the warnings of unchanged bytes before.
        warnings = warnings_anew if changes else warnings
    return replace(rebuilt, warnings=warnings)


def rebuild_edited(session: Session, job: Job, edited: Path) -> Rebuilt:
    """Make a round of a file that a person edited.

    Raises UsageProblem for a compressed file, and InputProblem where one of its lines cannot be sent, or has an id that is
    not among those of the failed requests.
    """
    if is_spooled(str(edited)):
        raise UsageProblem(f"--from {edited}: pass the uncompressed file that you edited")
    number = job.rounds[-1].number + 1
    warnings = check_anew(session, job, edited)
    origins, never_sent = _origins_without_success(session, job)
    lines: dict[int, bytes] = {}
    for line_number, line in whole_lines(edited):
        custom_id = custom_id_of(line)
        origin = origins.get(custom_id)
        if origin is None:
            raise InputProblem(
                f"{edited} line {line_number:,}: {custom_id.decode()!r} is not a failed request of {job.name}",
                hint="edit only params and keep every custom_id",
            )
        lines[origin] = line
    path = session.workspace.requests(job.name, number, session.owner)
    with replacing(path) as requests, replacing(session.workspace.origins(path)) as numbers:
        copied = CopiedCuts(
            job.settings, CleanCopy(requests=requests, numbers=numbers), len(session.ledger.batches(job))
        )
        for origin in (known for known in origins.values() if known in lines):
            copied.add(lines[origin], 0, origin)
        cuts = copied.close()
    count = sum(cut.count for cut in cuts)
    chosen = Chosen(sent={("edited", "fix"): count}, left={}, requests=count, bytes=sum(c.body_bytes for c in cuts))
    unsent = sum(origin in never_sent for origin in lines)
    return Rebuilt(number=number, path=path, cuts=cuts, chosen=chosen, warnings=warnings, unsent=unsent)


def _origins_without_success(session: Session, job: Job) -> tuple[dict[bytes, int], set[int]]:
    """Return {custom_id: position in round 1} of the requests that did not plainly succeed, and the positions never sent.

    The order is that of a round. Truncated and refused requests may be edited, too.
    """
    origins: dict[bytes, int] = {}
    never_sent: set[int] = set()
    for newest in latest_outcomes(session, job, session.ledger.batches(job)):
        for position in without_plain_success(newest.codes):
            origins[custom_id_of(newest.request_line(position))] = newest.origin + position
            if newest.codes[position] == OutcomeCode.IN_NO_BATCH:
                never_sent.add(newest.origin + position)
    return origins, never_sent


def remove_leftovers(session: Session, job: Job, number: int) -> None:
    """Remove the files of a process that was stopped before it recorded the round: nothing names them."""
    for path, owner in session.workspace.rebuilt(job.name, number):
        if FileLockLiveness(session.workspace.owners).is_alive(owner) is False:
            path.unlink(missing_ok=True)


def discard(session: Session, job: Job, rebuilt: Rebuilt, *, keeps_file: bool = False) -> None:
    """Remove the files of a round that is not sent; `keeps_file` leaves the request file to the person who wants it."""
    own = session.workspace.requests(job.name, rebuilt.number, session.owner)
    for path in (session.workspace.origins(own), own, *([] if keeps_file else [rebuilt.path])):
        path.unlink(missing_ok=True)


def pause_for_account(
    session: Session, job: Job, rebuilt: Rebuilt, choice: Choice, *, keeps_file: bool = False
) -> None:
    """Raise AccountProblem where the account failed requests and nobody said that it is fixed: they would fail again.

    The job is paused then, and the round is discarded.
    """
    left = {kind: count for kind, count in rebuilt.chosen.left.items() if kind[1] == FailureClass.ACCOUNT}
    if choice.only or not left:
        return
    discard(session, job, rebuilt, keeps_file=keeps_file)
    failures = session.ledger.failures(job)
    message = next((f.sample_message for f in failures if f.failure_class is FailureClass.ACCOUNT), "")
    session.ledger.record_pause(job, message)
    raise AccountProblem(
        f"{plural(sum(left.values()), 'request')} of {job.name} failed because of the account: {message}",
        hint=f"fix the account, then: batchctl retry {job.name} --only account --only retry",
    )


# ---------------------------------------------------------------- 4 to 7. look, price, confirm, record


def plan_round(
    session: Session,
    job: Job,
    rebuilt: Rebuilt,
    budget: Budget,
    *,
    seen: Job | None = None,
    confirm: Confirm | None = None,
) -> Job:
    """Record a rebuilt round once its price is agreed to, and return the job with it.

    A round that a person asks for needs `confirm` and `seen`. It takes `workspace.planning()` only to record, not while the
    person decides; if another process changed the job meanwhile, the round is refused. A round that `run` plans by itself is
    checked against the limit alone, and its caller holds the lock all the time.

    Args:
        session: The session of the verb.
        job: The job, with the headers that the round is to be sent with.
        rebuilt: The round.
        budget: The yes that was given beforehand, and the limit that was named, or else that of the job.
        seen: The job as the ledger had it when the round was rebuilt.
        confirm: Asks a person; None for a round that is planned by itself.

    Raises:
        Refused: A request is in another job or batch, nobody agrees to the price, it may exceed the limit, or another
            process changed the job meanwhile. The files of the round are removed then.
        AccountProblem: The API refuses to list its batches.
        ServiceProblem: The API cannot be asked.
    """
    assert (seen is None) == (confirm is None), "a round that a person asks for is recorded as they saw the job"
    try:
        danger = ""
        if rebuilt.unsent:
            origins = session.workspace.origins(session.workspace.requests(job.name, rebuilt.number, session.owner))
            danger = find_elsewhere(session, job, rebuilt.path, origins, rebuilt.chosen.requests).danger
        action = _action(rebuilt, danger)
        if confirm is not None and danger and budget.yes:
            confirm.note(f"! {action}")
        request_groups = group_requests(rebuilt.path)
        if job.settings.prime_min_hit is not None and rebuilt.purpose in {Purpose.MEASURE, Purpose.REST}:
            request_groups = tuple(map(as_primed, request_groups))
        estimating = estimating_of(session, job, rebuilt, request_groups)
        needs_yes = bool(rebuilt.chosen.cut_or_paused or rebuilt.warnings or danger)
        agreed = confirm_price(session, budget, estimating, action, confirm, job, needs_yes=needs_yes)
    except BaseException:
        discard(session, job, rebuilt)
        raise
    rebuilt = replace(rebuilt, shape=shape_digest(request_groups), forecast=agreed.forecast)
    if seen is None:
        return record(session, job, rebuilt)
    with session.workspace.planning():
        try:
            _refuse_other_than_agreed(session, seen)
            record_headers(session, seen, job.settings.headers)
        except Refused:
            discard(session, job, rebuilt)
            raise
        # The limit first: a round that is recorded is sent by whoever continues the job.
        budget.record(session, job)
        # Planning a round lifts an earlier cancel: nothing that was planned before it is left.
        session.ledger.record_canceled(job, None)
        return record(session, job, rebuilt)


def estimating_of(session: Session, job: Job, rebuilt: Rebuilt, request_groups: Sequence[RequestGroup]) -> Estimator:
    """Return the function that estimates a rebuilt round."""
    return partial(estimate, session, request_groups, rebuilt.path, job.settings, job=job)


def _action(rebuilt: Rebuilt, danger: str) -> str:
    """Return what is done with a round, as a question names it. `danger`: of requests that were never sent from here."""
    before, first_time = rebuilt.chosen.requests - rebuilt.unsent, ""
    if rebuilt.unsent:
        first_time = f"{plural(rebuilt.unsent, 'request')} for the first time{f' ({danger})' if danger else ''}"
    action = f"send {plural(before, 'request')} again" if before else "send"
    if first_time:
        action += f" and {first_time}" if before else f" {first_time}"
    if rebuilt.changes:
        action += f" with {', '.join(rebuilt.changes)}"
    if rebuilt.warnings:
        action += f" despite {plural(rebuilt.warnings, 'warning')}"
    if not rebuilt.chosen.cut_or_paused:
        return action
    return (
        f"{action}, {rebuilt.chosen.cut_or_paused:,} of them unchanged after a truncated or paused answer, which may happen again"
        " (--set max_tokens=N allows longer answers)"
    )


def _refuse_other_than_agreed(session: Session, seen: Job) -> None:
    """Raise Refused if round, headers or limit have changed since the person said yes."""
    now = session.ledger.job(seen.name)
    before, after = ((job.rounds[-1].number, job.settings.headers, job.max_cost) for job in (seen, now))
    if before != after:
        raise Refused(
            f"{seen.name} was changed by another process during the confirmation; nothing was sent",
            hint="run the same command again",
        )


def record(session: Session, job: Job, rebuilt: Rebuilt) -> Job:
    """Record the round and its batches, and return the job with them.

    Raises Refused where another process recorded the round first: its files stay, and those that were rebuilt here go.
    """
    stat = rebuilt.path.stat()
    new = Round(
        number=rebuilt.number,
        request_file=session.workspace.stored_path(rebuilt.path),
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        count=rebuilt.chosen.requests,
        created_at=session.now(),
        shape=rebuilt.shape,
        forecast=rebuilt.forecast,
        changes=rebuilt.changes,
        purpose=rebuilt.purpose,
    )
    if not session.ledger.record_round(job, new, rebuilt.cuts, rebuilt.withheld):
        discard(session, job, rebuilt)
        raise Refused(f"round {new.number} of {job.name} was planned by another process", hint="batchctl status")
    recorded = session.ledger.job(job.name)
    session.emit(Planned(recorded, len(rebuilt.cuts), new.count, rebuilt.chosen.bytes, new.number))
    return recorded


# ---------------------------------------------------------------- the choice


class _Chooser:
    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._scrubbed = scrubber()
        self._told_apart = CountedTypes()
        self._sent: Counter[tuple[str, str]] = Counter()
        self._left: Counter[tuple[str, str, str]] = Counter()

    def positions(self, newest: LatestOutcomes) -> Iterator[int]:
        for position in without_plain_success(newest.codes):
            code = OutcomeCode(newest.codes[position])
            source = newest.answer(position)
            last = newest.sent_last(position)
            # A cut, refused or paused answer was sent again, and that failed: the old answer stays the result, but a retry
            # looks at the new failure.
            is_failed_attempt = code.is_success and not last.code.is_success
            if is_failed_attempt and not is_chosen(code, code.name.lower(), self._choice):
                code, source = last.code, last
            # Scrubbed, as the ledger stores it, so that --only matches.
            error_type = self._scrubbed(_error_type(source, code))
            failure_class = CLASS_OF_CODE.get(code)
            kind = (self._told_apart(error_type), failure_class.value if failure_class else "succeeded")
            if is_chosen(code, error_type, self._choice):
                self._sent[kind] += 1
                yield position
            elif not code.is_success:
                self._left[(*kind, why_left(code))] += 1

    def chosen(self, cuts: tuple[Cut, ...]) -> Chosen:
        return Chosen(
            sent=dict(self._sent),
            left=dict(self._left),
            requests=sum(cut.count for cut in cuts),
            bytes=sum(cut.body_bytes for cut in cuts),
        )


def _error_type(source: Source, code: OutcomeCode) -> str:
    """Return the nested type of an errored line, else a word for its outcome."""
    if code in ERRORED:
        assert source.batch.answers is not None
        return source.batch.answers.read(source.position)[1].error_type
    return Outcome.UNANSWERED.value if code is OutcomeCode.UNANSWERED else code.name.lower()
