"""`retry [JOB]`: what failed and can succeed, sent again as the next round, from the original bytes.

1. choose    by failure class, over the newest word on every request
2. rebuild   the request file and the origins, beside their place, renamed; what was never sent is checked as an input is
3. record    the round and its batches, all or nothing
4. send      as every round is sent
A stop before 3 leaves files that the next try removes; a stop after it is continued by `retry` or `submit`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchctl.api.secrets import scrubber
from batchctl.domain.errors import AccountProblem, InputProblem, Refused
from batchctl.domain.events import Planned
from batchctl.domain.faults import is_stricter
from batchctl.domain.groups import RequestGroup, shape_digest
from batchctl.domain.model import Cut, FailureClass, Job, Outcome, OutcomeCode, Round
from batchctl.domain.names import request_file_name
from batchctl.domain.outcomes import CLASS_OF_CODE, CountedTypes
from batchctl.domain.prices import Forecast
from batchctl.domain.scan import Depth
from batchctl.domain.states import OPEN_STATES
from batchctl.engine.choosing import Choice, Chosen, is_chosen, why_left
from batchctl.engine.estimating import estimate
from batchctl.engine.latest import Latest, Source, latest
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget, Estimating
from batchctl.ledger.liveness import FileLockLiveness
from batchctl.money.estimate import Estimate
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.grouping import group_requests
from batchctl.requests.param_changes import ParamChange, shown, with_changes
from batchctl.results.merging import without_plain_success
from batchctl.results.outputs import WrittenFiles, output_file
from batchctl.store.local import PRIVATE, replacing
from batchctl.verbs.edited import check_anew, take_edited
from batchctl.verbs.in_no_batch import Elsewhere, Unsent, find_elsewhere

CUT = frozenset({OutcomeCode.TRUNCATED, OutcomeCode.PAUSED})
ERRORED = frozenset({OutcomeCode.ERRORED_RETRY, OutcomeCode.ERRORED_FIX, OutcomeCode.ERRORED_ACCOUNT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A round that is not recorded yet; `shape` and `forecast` once it was agreed to.

    `changes`: what --set made of its params, as it may be shown. `warnings`: of params that were checked anew. `unsent`: how
    many of its requests were in no batch before.
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


def open_round(session: Session, job: Job) -> bool:
    """Whether the newest round still has batches to send. Raises Refused while results or requests are outstanding."""
    if not job.has_requests:
        raise Refused(
            f"{job.name} was attached without its input: what its requests were is not known",
            hint=f"batchctl attach {job.name} --input FILE",
        )
    batches = [b for b in session.ledger.batches(job) if not b.is_unattached]
    if any(b.state in OPEN_STATES for b in batches):
        return True
    waiting = [b for b in batches if not b.is_settled]
    if waiting:
        raise Refused(
            f"{len(waiting)} of {len(batches)} batches of {job.name} are not on the disk yet: what failed is not all known",
            hint=f"batchctl status {job.name} --watch, then batchctl fetch {job.name}",
        )
    return False


def rebuild(
    session: Session,
    job: Job,
    choice: Choice,
    changes: Sequence[ParamChange] = (),
    target: Path | None = None,
    *,
    is_for_editing: bool = False,
) -> Rebuilt:
    """Steps 1 and 2. `target`: where a person wants the file; None for the job's folder.

    Raises InputProblem where the params that `changes` make cannot be sent, a line that was never sent, or the same with
    other headers; then no file is left. What is to be edited is checked once it was.
    """
    number = job.rounds[-1].number + 1
    _clear_up_after_the_dead(session, job, number)
    path = target or session.workspace.requests(job.name, number, session.owner)
    origins = session.workspace.origins(session.workspace.requests(job.name, number, session.owner))
    chooser, cut = _Chooser(choice), 0
    kept = (
        output_file(path, WrittenFiles(session.workspace.outputs(job.name)), mode=PRIVATE)
        if target
        else replacing(path)
    )
    with (
        Unsent(session) as unsent,
        kept as requests,
        replacing(origins) as numbers,
    ):
        batches = session.ledger.batches(job)
        cuts = CopiedCuts(job.settings, CleanCopy(requests=requests, numbers=numbers), len(batches))
        for found in latest(session, job, batches):
            for position in chooser.positions(found):
                line = found.request_line(position)
                other = with_changes(line, changes)
                cut += other is line and found.sent_last(position).code in CUT
                cuts.add(other, 0, found.origin + position)
                if found.codes[position] == OutcomeCode.IN_NO_BATCH:
                    unsent.add(line, found.lines[position])
        done = cuts.close()
        chosen = replace(chooser.chosen(done), cut=cut)
        rebuilt = Rebuilt(
            number=number, path=path, cuts=done, chosen=chosen, changes=tuple(shown(changes)), unsent=unsent.count
        )
        warnings = 0
        if unsent.count and not changes and not is_for_editing:
            warnings = unsent.check(job)
    # What is sent again as it was passes the check as it did, but for headers that take less than those it was sent with. What a
    # person wants in a file is checked when it comes back.
    is_other = target is None and any(
        b.headers is not None and is_stricter(job.settings.headers, than=b.headers) for b in batches
    )
    if chosen.requests and (changes or is_other):
        depth = Depth.FULL if changes else Depth(job.settings.depth)
        try:
            anew = check_anew(session, job, path, request_file_name(job.name, number), depth)
        except BaseException as stopped:
            discard(session, job, rebuilt, keeps_file=False)
            if isinstance(stopped, InputProblem) and not changes:
                way = f"{stopped.hint}; to mend them in a file: batchctl retry {job.name} --edit"
                raise InputProblem(f"with the headers of the job, {stopped.message}", hint=way) from stopped
            raise
        # To those of the same bytes a person has said yes before.
        warnings = anew if changes else warnings
    return replace(rebuilt, warnings=warnings)


def _clear_up_after_the_dead(session: Session, job: Job, number: int) -> None:
    """Whoever was stopped before the round was recorded has left files that nobody will ever name."""
    for left, owner in session.workspace.rebuilt(job.name, number):
        if FileLockLiveness(session.workspace.owners).is_alive(owner) is False:
            left.unlink(missing_ok=True)


def discard(session: Session, job: Job, rebuilt: Rebuilt, *, keeps_file: bool) -> None:
    """It is not sent from here: its files go, but for the one that a person wants to keep."""
    own = session.workspace.requests(job.name, rebuilt.number, session.owner)
    for left in (session.workspace.origins(own), own, *([] if keeps_file else [rebuilt.path])):
        left.unlink(missing_ok=True)


def agreed(session: Session, job: Job, rebuilt: Rebuilt, agree: Callable[[Estimating], Estimate]) -> Rebuilt:
    """With what it may cost, which `agree` holds against a limit or asks for. Raises Refused, and then the files are gone."""
    try:
        request_groups = group_requests(rebuilt.path)
        forecast = agree(_estimating(session, job, rebuilt, request_groups)).forecast
    except BaseException:
        discard(session, job, rebuilt, keeps_file=False)
        raise
    return replace(rebuilt, shape=shape_digest(request_groups), forecast=forecast)


def look_elsewhere(session: Session, job: Job, rebuilt: Rebuilt) -> Elsewhere:
    """Whether a batch that nobody named may hold lines which were never sent from here. Raises Refused where one does."""
    if not rebuilt.unsent:
        return Elsewhere()
    try:
        own = session.workspace.requests(job.name, rebuilt.number, session.owner)
        return find_elsewhere(session, job, rebuilt.path, session.workspace.origins(own), rebuilt.chosen.requests)
    except BaseException:
        discard(session, job, rebuilt, keeps_file=False)
        raise


def rehearsed(session: Session, job: Job, rebuilt: Rebuilt, budget: Budget) -> tuple[Estimate, Refused | None]:
    """What it may cost, by its bytes alone; and what a limit would say to sending it."""
    found = _estimating(session, job, rebuilt, group_requests(rebuilt.path))(None)
    try:
        budget.rehearse(session, found, job)
    except Refused as refused:
        return found, refused
    return found, None


def _estimating(session: Session, job: Job, rebuilt: Rebuilt, request_groups: Sequence[RequestGroup]) -> Estimating:
    return partial(estimate, session, request_groups, rebuilt.path, job.settings, job=job)


def record(session: Session, job: Job, rebuilt: Rebuilt) -> Job:
    """Step 3. Raises Refused when another process was first: what it planned is not touched, and what was rebuilt here goes."""
    found = rebuilt.path.stat()
    new = Round(
        number=rebuilt.number,
        request_file=session.workspace.stored_path(rebuilt.path),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        count=rebuilt.chosen.requests,
        created_at=session.now(),
        shape=rebuilt.shape,
        forecast=rebuilt.forecast,
        changes=rebuilt.changes,
    )
    if not session.ledger.record_round(job, new, rebuilt.cuts):
        discard(session, job, rebuilt, keeps_file=False)
        raise Refused(f"round {new.number} of {job.name} was planned by another process", hint="batchctl status")
    recorded = session.ledger.job(job.name)
    session.emit(Planned(recorded, len(rebuilt.cuts), new.count, rebuilt.chosen.bytes, new.number))
    return recorded


def use_edited(session: Session, job: Job, edited: Path) -> Rebuilt:
    """Steps 1 and 2 for a file that a person edited: its ids must be those of requests without success."""
    number = job.rounds[-1].number + 1
    path, cuts, warnings, unsent = take_edited(session, job, edited, number)
    count = sum(cut.count for cut in cuts)
    chosen = Chosen(sent={("edited", "fix"): count}, left={}, requests=count, bytes=sum(c.body_bytes for c in cuts))
    return Rebuilt(number=number, path=path, cuts=cuts, chosen=chosen, warnings=warnings, unsent=unsent)


def account_is_cause(chosen: Chosen, choice: Choice) -> bool:
    """Whether requests failed because of the account, and nobody said that this is mended."""
    return not choice.only and any(failure_class == FailureClass.ACCOUNT for _, failure_class, _ in chosen.left)


def pause_for_account(session: Session, job: Job, chosen: Chosen, choice: Choice) -> None:
    """Where the account failed requests, nothing goes again by itself: it would fail again. Raises AccountProblem."""
    if not account_is_cause(chosen, choice):
        return
    count = sum(n for (_, failure_class, _), n in chosen.left.items() if failure_class == FailureClass.ACCOUNT)
    said = next((f.sample_message for f in session.ledger.failures(job) if f.failure_class is FailureClass.ACCOUNT), "")
    session.ledger.record_pause(job, said)
    raise AccountProblem(
        f"{count:,} requests of {job.name} failed because of the account: {said}",
        hint=f"mend it, then: batchctl retry {job.name} --only account --only retry",
    )


class _Chooser:
    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._scrubbed = scrubber()
        self._told_apart = CountedTypes()
        self._sent: Counter[tuple[str, str]] = Counter()
        self._left: Counter[tuple[str, str, str]] = Counter()

    def positions(self, found: Latest) -> Iterator[int]:
        for position in without_plain_success(found.codes):
            code = OutcomeCode(found.codes[position])
            source = found.answer(position)
            last = found.sent_last(position)
            # An answer that was cut, refused or paused stays the result where a person had it sent again and that failed. What
            # the person wanted is a better one: the failure is what a retry is for.
            is_failed_attempt = code.is_success and not last.code.is_success
            if is_failed_attempt and not is_chosen(code, code.name.lower(), self._choice):
                code, source = last.code, last
            # As the ledger has it.
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
    """The nested type of an errored line, else a word for what became of it."""
    if code in ERRORED:
        assert source.batch.answers is not None
        return source.batch.answers.read(source.position)[1].error_type
    return Outcome.UNANSWERED.value if code is OutcomeCode.UNANSWERED else code.name.lower()
