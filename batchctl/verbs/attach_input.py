"""The input of an attached job: which of its lines went into which batch, as the ids in the results tell.

1. read        the input, for its ids
2. download    every batch, by order of arrival
3. match       lines and results; both must fit
4. write       the request file and its line numbers, batch by batch, within a batch in the order of the input; after them
               the lines that are in no batch, for a later round; what cannot be sent is left out, with the reason
5. index       the results again, by the positions of their requests
6. record      that the requests are known, and which of them are in no batch, all or nothing
A stop before 6 leaves a job without its input, whose results are whole in any order; the next try repeats 3 to 6.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.attaching import list_some
from batchctl.domain.check_report import Problem
from batchctl.domain.errors import InputProblem, Refused
from batchctl.domain.events import InputMatched
from batchctl.domain.faults import Fault
from batchctl.domain.model import Batch, Cut, Job
from batchctl.domain.wording import plural
from batchctl.engine.input_file import plain_file, progress
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow
from batchctl.engine.session import Session
from batchctl.requests.attached_input import (
    AttachedCuts,
    AttachedInput,
    LineMatching,
    UnmatchedIds,
    read_attached,
    write_attached_requests,
)
from batchctl.requests.inputs import STDIN, absolute, stat
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.request_file import ids_of_range
from batchctl.results.downloaded import Answers
from batchctl.results.receive import reindex
from batchctl.store.local import place, remove_folder
from batchctl.verbs.fetch import forget_what_is_gone, poll_once


@contextlib.contextmanager
def reading(session: Session, path: str, stdin: BinaryIO | None) -> Iterator[tuple[AttachedInput, LineMatching]]:
    """Read the input; the temporary files live as long as the block. Raises InputProblem."""
    copied = session.workspace.temporary(f"{session.owner}.input")
    try:
        plain = plain_file(session, path, copied, stdin)
        with LineMatching(session.workspace.temporary(f"{session.owner}.pairing")) as matching:
            yield read_attached(path, plain, matching, progress(session, "checking", stat(plain).st_size)), matching
    finally:
        copied.unlink(missing_ok=True)


def give_input(session: Session, job: Job, given: AttachedInput, matching: LineMatching) -> None:
    """Take steps 2 to 6. Raises InputProblem and Refused where the input cannot be the one of these batches."""
    _download(session, job)
    batches = session.ledger.batches(job)
    if not session.ledger.claim_all(batches, session.owner, session.now()):
        raise _busy(job)
    try:
        _match(session, job, batches, given, matching)
        known, laid = _laid_down(session, job, given, matching, [b.cut for b in batches])
        _index(session, job, batches, laid.batches)
        if not session.ledger.record_requests(known, session.owner, laid.batches, laid.rest):
            raise _busy(job)
    finally:
        for batch in batches:
            session.ledger.release(batch, session.owner)
    session.emit(InputMatched(known, len(batches), sum(cut.count for cut in laid.rest)))


def detach(session: Session, job: Job) -> None:
    """Take back a job that was attached a moment ago, unless another process works on it by now."""
    # No other process is to make a job of the same name between the two.
    with session.workspace.planning():
        if session.ledger.record_detached(job):
            remove_folder(session.workspace.job_folder(job.name))


def _busy(job: Job) -> Refused:
    return Refused(
        f"another process is working on {job.name}", hint="run the same command again when the other process is done"
    )


# ---------------------------------------------------------------- 2. download


def _download(session: Session, job: Job) -> None:
    """Download every batch. Raises Refused where one has not ended, and ServiceProblem where one cannot be had."""
    forget_what_is_gone(session, job)
    # Where that got no answer, what the ledger says counts.
    poll_once(session, job)
    if running := [b for b in session.ledger.batches(job) if b.is_running]:
        names = list_some([b.message_batch_id or "" for b in running])
        raise Refused(
            f"{plural(len(running), 'batch')} of {job.name} not ended: {names}. Their results are needed to assign the lines",
            hint=f"batchctl status {job.name} --watch, then run the same command again",
        )
    Loop(session, job, LoopOptions(arrows=frozenset({Arrow.DOWNLOAD}))).run()


# ---------------------------------------------------------------- 3. match


def _match(session: Session, job: Job, batches: Sequence[Batch], given: AttachedInput, matching: LineMatching) -> None:
    for number, batch in enumerate(batches):
        answers = Answers(session.workspace.raw(job, batch), session.workspace.index(job, batch), batch)
        with contextlib.closing(answers):
            matching.add_batch(number, (answers.read(n)[0].decode(errors="replace") for n in range(batch.count)))
    matching.finish()
    names = [b.message_batch_id or "" for b in batches]
    _refuse_in_two_batches(matching.in_two_batches(), names)
    _refuse_without_line(matching.without_line(), names, given)
    _refuse_on_two_lines(matching.on_two_lines(), given)


def _refuse_in_two_batches(odd: UnmatchedIds, names: Sequence[str]) -> None:
    if odd.count:
        said = "; ".join(f"{custom_id} in {names[one]} and {names[other]}" for custom_id, one, other in odd.some)
        raise Refused(
            f"{plural(odd.count, 'custom_id is', 'custom_ids are')} in more than one of these batches: {said}",
            hint="the requests were sent twice: attach only the batches that count, or each batch as its own job",
        )


def _refuse_without_line(odd: UnmatchedIds, names: Sequence[str], given: AttachedInput) -> None:
    if odd.count:
        said = ", ".join(f"{custom_id} of {names[batch]}" for custom_id, batch, _ in odd.some)
        raise InputProblem(
            f"{given.path}: {plural(odd.count, 'result matches', 'results match')} no line of it: {said}",
            hint="pass the input that these batches were made of, and only such batches",
        )


def _refuse_on_two_lines(odd: UnmatchedIds, given: AttachedInput) -> None:
    if odd.count:
        said = "; ".join(f"{custom_id} on {one:,} and {other:,}" for custom_id, one, other in odd.some)
        raise InputProblem(
            f"{given.path}: {plural(odd.count, 'custom_id')} of these batches on more than one line: {said}",
            hint="keep only the line that was sent",
        )


# ---------------------------------------------------------------- 4 and 5. write, index


def _laid_down(
    session: Session, job: Job, given: AttachedInput, matching: LineMatching, places: Sequence[Cut]
) -> tuple[Job, AttachedCuts]:
    """Write the request file, and return the job as it will be, and where its lines are."""
    workspace = session.workspace
    target = workspace.requests(job.name, 1)
    emit = progress(session, "copying", given.size)
    laid = write_attached_requests(given, matching, places, job.settings, target, workspace.lines(job.name), emit)
    left_out = _left_out(session, job, matching)
    found = target.stat()
    first = replace(
        job.rounds[0],
        request_file=workspace.stored_path(target),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        count=sum(cut.count for cut in (*laid.batches, *laid.rest)),
    )
    is_stdin = given.path == STDIN
    known = replace(
        job,
        input_path=STDIN if is_stdin else absolute(given.path),
        input_sha256=given.sha256,
        input_size=0 if is_stdin else stat(Path(given.path)).st_size,
        input_mtime_ns=0 if is_stdin else stat(Path(given.path)).st_mtime_ns,
        line_count=given.lines,
        left_out=left_out,
        rounds=(first,),
    )
    return known, laid


def _left_out(session: Session, job: Job, matching: LineMatching) -> int:
    """Write the lines that are in none of the batches and cannot be sent to a file, and return how many there are."""
    problems = ProblemFile(session.workspace.temporary(f"{session.owner}.left-out"))
    session.workspace.left_out(job.name).unlink(missing_ok=True)
    try:
        for line, twin in matching.left_with_twins():
            said = f"it is in none of the attached batches, and line {twin:,} has the same custom_id"
            problems.add(Problem(line.number, line.custom_id, Fault("custom_id_repeated", said)))
        problems.close()
        if problems.errors:
            place(problems.path, session.workspace.left_out(job.name))
    finally:
        problems.close()
        problems.path.unlink(missing_ok=True)
    return problems.errors


def _index(session: Session, job: Job, batches: Sequence[Batch], cuts: Sequence[Cut]) -> None:
    path = session.workspace.requests(job.name, 1)
    for batch, cut in zip(batches, cuts, strict=True):
        positions = ids_of_range(path, replace(batch, cut=cut))
        reindex(positions, batch, session.workspace.raw(job, batch), session.workspace.index(job, batch))
        session.ledger.renew(session.owner, session.now())
