"""The files a person wants, written from what is on the disk: no network, any number of times."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchctl.commands.equipment import Equipment
from batchctl.commands.latest import Latest, latest
from batchctl.domain.classifying import CLASS_OF_MARK
from batchctl.domain.events import Merging
from batchctl.domain.merging import counted
from batchctl.domain.model import Batch, FailureClass, Failures, Job, Mark, Merged, Outcome, State
from batchctl.domain.progress import SAMPLES, joined
from batchctl.files.durable import replacing
from batchctl.files.merged import (
    STDOUT,
    Unsuccessful,
    error_line,
    in_line_order,
    left_out_lines,
    refuse_to_overwrite,
    results_file,
)
from batchctl.files.ranges import custom_id_of
from batchctl.files.requests import request_file

WRITE_BYTES = 1 << 18
NOT_KNOWN = "no result yet, and which request it is will be known only then: the job was attached without its input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the two files go; `results` may be `-`."""

    results: str
    errors: Path


def merge(tools: Equipment, job: Job, output: Output) -> Merged:
    """Writes both files beside their place, then puts them in it. Raises Refused, DiskProblem, InputProblem."""
    batches = tools.ledger.batches(job)
    precious = []
    if job.has_requests:
        precious = [*(request_file(tools.workspace, job, r.number) for r in job.rounds), Path(job.input_path)]
    for path in (output.errors, *([] if output.results == STDOUT else [Path(output.results)])):
        refuse_to_overwrite(path, precious)
    written = _Merge(tools, job, batches)
    with replacing(output.errors.resolve(), mode=0o644) as errors, results_file(output.results) as results:
        left_out = left_out_lines(tools.workspace.left_out(job.name)) if job.left_out else ()
        for failed in in_line_order(written.run(results.write), left_out):
            errors.write(error_line(failed))
    merged = written.counts(tools)
    tools.ledger.record_merged(job, merged)
    return merged


class _Merge:
    def __init__(self, tools: Equipment, job: Job, batches: Sequence[Batch]) -> None:
        self._tools = tools
        self._job = job
        self._batches = batches
        self._marks: Counter[Mark] = Counter()
        self._failures: dict[tuple[str, str], Failures] = {}

    def run(self, write: Callable[[bytes], object]) -> Iterator[Unsuccessful]:
        done = 0
        for found in latest(self._tools, self._job, self._batches):
            self._marks.update({Mark(code): n for code, n in Counter(found.marks).items()})
            write_answers(found, write)
            for failed in _unsuccessful(found):
                self._note(failed)
                yield failed
            done += found.count
            self._tools.tell(Merging(done, self._job.count))

    def _note(self, failed: Unsuccessful) -> None:
        key = (failed.error_type, failed.failure_class)
        known = self._failures.get(key)
        if known is None:
            self._failures[key] = Failures(
                round=failed.round,
                outcome=Outcome(failed.outcome),
                error_type=failed.error_type,
                failure_class=FailureClass(failed.failure_class),
                count=1,
                sample_ids=(failed.custom_id,) if failed.custom_id else (),
                sample_message=failed.message,
            )
            return
        is_enough = len(known.sample_ids) >= SAMPLES or not failed.custom_id
        samples = known.sample_ids if is_enough else (*known.sample_ids, failed.custom_id)
        self._failures[key] = replace(known, count=known.count + 1, sample_ids=samples)

    def counts(self, tools: Equipment) -> Merged:
        fetched = sum(b.state is State.FETCHED for b in self._batches)
        failures = joined(list(self._failures.values()))
        return Merged(at=tools.now(), batches=fetched, failures=failures, **counted(self._marks))


def write_answers(found: Latest, write: Callable[[bytes], object]) -> None:
    """The API's own lines, in input order; a request without an answer has no line."""
    held: list[bytes] = []
    size = 0
    for position in range(found.count):
        if not found.marks[position]:
            continue
        line = found.answer_line(position)
        held.append(line)
        size += len(line)
        if size > WRITE_BYTES:
            write(b"\n".join(held) + b"\n")
            held, size = [], 0
    if held:
        write(b"\n".join(held) + b"\n")


def _unsuccessful(found: Latest) -> Iterator[Unsuccessful]:
    for position, code in enumerate(found.marks):
        mark = Mark(code)
        if mark.is_success:
            continue
        yield _unanswered(found, position) if mark is Mark.UNANSWERED else _failed(found, position)


def _unanswered(found: Latest, position: int) -> Unsuccessful:
    """Where the requests are not known, nor is the id: it comes with the result."""
    custom_id = custom_id_of(found.request_line(position)).decode() if found.has_requests else ""
    return Unsuccessful(
        line=found.lines[position],
        custom_id=custom_id,
        round=0,
        outcome="unanswered",
        failure_class=FailureClass.RETRY.value,
        error_type="unanswered",
        message="no result yet" if found.has_requests else NOT_KNOWN,
    )


def _failed(found: Latest, position: int) -> Unsuccessful:
    source = found.answer(position)
    assert source.batch.answers is not None
    custom_id, reading = source.batch.answers.read(source.position)
    return Unsuccessful(
        line=found.lines[position],
        custom_id=custom_id.decode(),
        round=source.batch.batch.round,
        outcome=reading.outcome.value,
        failure_class=CLASS_OF_MARK[reading.mark].value,
        error_type=reading.error_type,
        message=reading.message,
    )
