"""The input of an attached job: which of its lines went into which batch, as the ids in the results tell.

1. read        the input, for its ids
2. download    every batch, by order of arrival
3. pair        lines and results; both must fit
4. lay down    the request file and its line numbers, batch by batch, within a batch in the order of the input; after them
               the lines that are in no batch, for a later round; what cannot be sent is left out, with the reason
5. index       the results anew, by the positions of their requests
6. record      that the requests are known, and which of them are in no batch, all or nothing
A stop before 6 leaves a job without its input, whose results are whole in any order; the next try does 3 to 6 anew.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.attaching import some_of
from batchctl.domain.errors import InputProblem, Refused
from batchctl.domain.events import Paired
from batchctl.domain.faults import Fault
from batchctl.domain.model import Batch, Cut, Job
from batchctl.domain.scan import Problem
from batchctl.engine.loop import Loop, Verb
from batchctl.engine.next_steps import Arrow
from batchctl.engine.reading import plain_file, progress
from batchctl.engine.session import Equipment
from batchctl.requests.attached import Given, LaidDown, Odd, Pairing, lay_down, read
from batchctl.requests.inputs import STDIN, absolute, stat
from batchctl.requests.problems import ProblemFile
from batchctl.requests.request_file import ids_of_range
from batchctl.results.receive import Answers, reindex
from batchctl.store.local import place, remove_folder
from batchctl.verbs.fetch import forget_what_is_gone, look_once


@contextlib.contextmanager
def reading(tools: Equipment, path: str, stdin: BinaryIO | None) -> Iterator[tuple[Given, Pairing]]:
    """Step 1. The scratch files live as long as the block. Raises InputProblem."""
    copied = tools.workspace.temporary(f"{tools.owner}.input")
    try:
        plain = plain_file(tools, path, copied, stdin)
        with Pairing(tools.workspace.temporary(f"{tools.owner}.pairing")) as pairing:
            yield read(path, plain, pairing, progress(tools, "checking", stat(plain).st_size)), pairing
    finally:
        copied.unlink(missing_ok=True)


def give_input(tools: Equipment, job: Job, given: Given, pairing: Pairing) -> None:
    """Steps 2 to 6. Raises InputProblem and Refused where the input cannot be the one of these batches."""
    _download(tools, job)
    batches = tools.ledger.batches(job)
    if not tools.ledger.claim_all(batches, tools.owner, tools.now()):
        raise _busy(job)
    try:
        _pair(tools, job, batches, given, pairing)
        known, laid = _laid_down(tools, job, given, pairing, [b.cut for b in batches])
        _index(tools, job, batches, laid.batches)
        if not tools.ledger.record_requests(known, tools.owner, laid.batches, laid.rest):
            raise _busy(job)
    finally:
        for batch in batches:
            tools.ledger.release(batch, tools.owner)
    tools.tell(Paired(known, len(batches), sum(cut.count for cut in laid.rest)))


def detach(tools: Equipment, job: Job) -> None:
    """Takes back a job that was attached a moment ago, unless somebody works on it by now."""
    # Nobody is to make a job of the same name between the two.
    with tools.workspace.planning():
        if tools.ledger.record_detached(job):
            remove_folder(tools.workspace.job_folder(job.name))


def _busy(job: Job) -> Refused:
    return Refused(f"another process is working on {job.name}", hint="run the same command again when it is done")


# ---------------------------------------------------------------- 2. download


def _download(tools: Equipment, job: Job) -> None:
    """Every batch to the disk. Raises Refused where one has not ended, and ServiceProblem where one cannot be had."""
    forget_what_is_gone(tools, job)
    # Where that got no answer, what the ledger says counts.
    look_once(tools, job)
    if running := [b for b in tools.ledger.batches(job) if b.is_running]:
        names = some_of([b.message_batch_id or "" for b in running])
        raise Refused(
            f"{len(running)} batches of {job.name} have not ended: {names}; which line went into which is read from results",
            hint=f"batchctl status {job.name} --watch, then the same command again",
        )
    Loop(tools, job, Verb(arrows=frozenset({Arrow.DOWNLOAD}))).run()


# ---------------------------------------------------------------- 3. pair


def _pair(tools: Equipment, job: Job, batches: Sequence[Batch], given: Given, pairing: Pairing) -> None:
    for number, batch in enumerate(batches):
        with contextlib.closing(_answers(tools, job, batch)) as answers:
            pairing.add_batch(number, (answers.read(n)[0].decode(errors="replace") for n in range(batch.count)))
    pairing.finish()
    names = [b.message_batch_id or "" for b in batches]
    _refuse_held_twice(pairing.held_twice(), names)
    _refuse_without_line(pairing.without_line(), names, given)
    _refuse_on_two_lines(pairing.on_two_lines(), given)


def _answers(tools: Equipment, job: Job, batch: Batch) -> Answers:
    return Answers(tools.workspace.raw(job, batch), tools.workspace.index(job, batch), batch)


def _refuse_held_twice(odd: Odd, names: Sequence[str]) -> None:
    if odd.count:
        said = "; ".join(f"{custom_id} in {names[one]} and {names[other]}" for custom_id, one, other in odd.some)
        raise Refused(
            f"{odd.count:,} custom_ids are in more than one of these batches: {said}",
            hint="they were sent twice: attach those that count alone, or every batch as a job of its own",
        )


def _refuse_without_line(odd: Odd, names: Sequence[str], given: Given) -> None:
    if odd.count:
        said = ", ".join(f"{custom_id} of {names[batch]}" for custom_id, batch, _ in odd.some)
        raise InputProblem(
            f"{given.path}: {odd.count:,} results are of no line of it: {said}",
            hint="name the input that these batches were made of, and only batches that were made of it",
        )


def _refuse_on_two_lines(odd: Odd, given: Given) -> None:
    if odd.count:
        said = "; ".join(f"{custom_id} on {one:,} and {other:,}" for custom_id, one, other in odd.some)
        raise InputProblem(
            f"{given.path}: {odd.count:,} custom_ids of these batches stand on more than one line: {said}",
            hint="which of the lines was sent cannot be told: leave only that one",
        )


# ---------------------------------------------------------------- 4 and 5. lay down, index


def _laid_down(
    tools: Equipment, job: Job, given: Given, pairing: Pairing, places: Sequence[Cut]
) -> tuple[Job, LaidDown]:
    """The job as it will be, and where its lines lie."""
    workspace = tools.workspace
    target = workspace.requests(job.name, 1)
    tell = progress(tools, "copying", given.size)
    laid = lay_down(given, pairing, places, job.settings, target, workspace.lines(job.name), tell)
    left_out = _left_out(tools, job, pairing)
    found = target.stat()
    first = replace(
        job.rounds[0],
        request_file=workspace.store(target),
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


def _left_out(tools: Equipment, job: Job, pairing: Pairing) -> int:
    """Writes down the lines that are in none of the batches and cannot be sent: they stay accounted for. How many."""
    problems = ProblemFile(tools.workspace.temporary(f"{tools.owner}.left-out"))
    tools.workspace.left_out(job.name).unlink(missing_ok=True)
    try:
        for line, twin in pairing.left_with_twins():
            said = f"it is in none of the batches that were attached, and line {twin:,} has its custom_id, too"
            problems.add(Problem(line.number, line.custom_id, Fault("custom_id_repeated", said)))
        problems.close()
        if problems.errors:
            place(problems.path, tools.workspace.left_out(job.name))
    finally:
        problems.close()
        problems.path.unlink(missing_ok=True)
    return problems.errors


def _index(tools: Equipment, job: Job, batches: Sequence[Batch], cuts: Sequence[Cut]) -> None:
    path = tools.workspace.requests(job.name, 1)
    for batch, cut in zip(batches, cuts, strict=True):
        positions = ids_of_range(path, replace(batch, cut=cut))
        reindex(positions, batch, tools.workspace.raw(job, batch), tools.workspace.index(job, batch))
        tools.ledger.renew(tools.owner, tools.now())
