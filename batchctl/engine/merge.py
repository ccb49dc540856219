"""Write the results file and the errors file of a job in input order, from what is on the disk, any number of times."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchctl.api.secrets import scrubber
from batchctl.domain.errors import InputProblem
from batchctl.domain.events import Merging
from batchctl.domain.job_report import SAMPLES, joined
from batchctl.domain.model import Batch, FailureClass, Failures, Job, Merged, Outcome, OutcomeCode, State
from batchctl.domain.outcomes import CLASS_OF_CODE, CountedTypes, counted, without_plain_success
from batchctl.engine.job_cost import total
from batchctl.engine.latest_outcomes import LatestOutcomes, latest_outcomes
from batchctl.engine.session import Session
from batchctl.requests.request_file import custom_id_of
from batchctl.requests.shapes import ShapeReader
from batchctl.results.errors_file import ErrorLine, encode_error_line, in_line_order, left_out_lines
from batchctl.results.outputs import STDOUT, WrittenFiles, output_file, refuse_to_replace, results_file

NO_RESULT = "no result yet"
REMOVED = "the API removed its result before it was downloaded"
NOT_KNOWN = "no result yet; the job was attached without its input, so that the request is not known"
IN_NO_BATCH = "it is in none of the attached batches and was not sent"
WAITS = "not sent yet; it waits for the first batch of the job"
WITHHELD = "not sent, because the API refused a request of its shape"
CHANGED = "no result yet; the input changed since it was planned, so that the request is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the two files go.

    Attributes:
        results: A path, or `-` for stdout.
        force: Whether files that the job did not write may be replaced.
    """

    results: str
    errors: Path
    force: bool = False


def check_outputs(session: Session, job: Job, output: Output) -> None:
    """Raise Refused where one of the files may not be written. To be called before anything is sent or downloaded."""
    kept = []
    if job.has_requests:
        kept = [*(session.workspace.resolve(r.request_file) for r in job.rounds), Path(job.input_path)]
    written = WrittenFiles(session.workspace.outputs(job.name))
    for path in (output.errors, *([] if output.results == STDOUT else [Path(output.results)])):
        refuse_to_replace(path, written, kept, force=output.force)


def merge(session: Session, job: Job, output: Output) -> Merged:
    """Write both files under other names, then rename them, and record it. Raises Refused, DiskProblem, InputProblem."""
    batches = session.ledger.batches(job)
    check_outputs(session, job, output)
    written = WrittenFiles(session.workspace.outputs(job.name))
    run = _Merge(session, job, batches)
    with output_file(output.errors, written) as errors, results_file(output.results, written) as results:
        left_out = left_out_lines(session.workspace.left_out(job.name)) if job.left_out else ()
        for failed in in_line_order(run.write(results.write), left_out):
            errors.write(encode_error_line(failed))
    merged = run.merged()
    session.ledger.record_merged(job, merged)
    return merged


class _Merge:
    def __init__(self, session: Session, job: Job, batches: Sequence[Batch]) -> None:
        self._session = session
        self._job = job
        self._batches = batches
        self._codes: Counter[OutcomeCode] = Counter()
        self._types = CountedTypes()
        self._failures: dict[tuple[str, str], list[ErrorLine]] = {}
        self._failed: Counter[tuple[str, str]] = Counter()

    def write(self, write: Callable[[bytes], object]) -> Iterator[ErrorLine]:
        """Write the answers with `write`, and yield a line for each request that did not succeed."""
        done, scrubbed, whys_withheld = 0, scrubber(), _WhysWithheld(self._job)
        # Answers of later rounds take the place of others: about as many bytes.
        total_bytes = sum(batch.results_bytes or 0 for batch in self._batches if batch.round == 1)
        removed = {b.cut.first for b in self._batches if b.round == 1 and b.is_removed}
        for outcomes in latest_outcomes(self._session, self._job, self._batches):
            self._codes.update({OutcomeCode(code): n for code, n in Counter(outcomes.codes).items()})
            done += write_answers(outcomes, write)
            why = REMOVED if outcomes.origin in removed else NO_RESULT if outcomes.has_requests else NOT_KNOWN
            for failed in _unsuccessful(outcomes, why, scrubbed, whys_withheld):
                self._note(failed)
                yield failed
            self._session.emit(Merging(min(done, total_bytes), total_bytes))

    def _note(self, failed: ErrorLine) -> None:
        kind = (self._types(failed.error_type), failed.failure_class)
        self._failed[kind] += 1
        samples = self._failures.setdefault(kind, [])
        if not samples or (failed.custom_id and len(samples) < SAMPLES):
            samples.append(failed)

    def merged(self) -> Merged:
        fetched = sum(b.state is State.FETCHED for b in self._batches)
        failures = joined([_failures(kind[0], samples, self._failed[kind]) for kind, samples in self._failures.items()])
        cost = total(self._session, self._job, self._batches)
        return Merged(at=self._session.now(), batches=fetched, failures=failures, cost=cost, **counted(self._codes))


def _failures(error_type: str, samples: Sequence[ErrorLine], count: int) -> Failures:
    first = samples[0]
    return Failures(
        round=first.round,
        outcome=Outcome(first.outcome),
        error_type=error_type,
        failure_class=FailureClass(first.failure_class),
        count=count,
        sample_ids=tuple(line.custom_id for line in samples if line.custom_id),
        sample_message=first.message,
    )


def write_answers(outcomes: LatestOutcomes, write: Callable[[bytes], object]) -> int:
    """Write the API's own result lines, in input order, and return their bytes; a request without an answer has no line."""
    written = 0
    for lines in outcomes.answer_lines():
        # One write for lines and newlines: a newline written by itself would put all writes after it across page borders.
        block = b"\n".join((*lines, b""))
        write(block)
        written += len(block)
    return written


def _unsuccessful(
    outcomes: LatestOutcomes, why: str, scrubbed: Callable[[str], str], whys_withheld: "_WhysWithheld"
) -> Iterator[ErrorLine]:
    for position in without_plain_success(outcomes.codes):
        code = OutcomeCode(outcomes.codes[position])
        if code.is_success:
            continue
        match code:
            case OutcomeCode.IN_NO_BATCH:
                yield _unanswered(outcomes, position, IN_NO_BATCH, error_type="in_no_batch")
            case OutcomeCode.WITHHELD:
                message, failure_class = whys_withheld.of(outcomes, position)
                yield _unanswered(outcomes, position, message, error_type="withheld", failure_class=failure_class)
            case OutcomeCode.UNANSWERED:
                yield _unanswered(outcomes, position, why)
            case _:
                yield _failed(outcomes, position, scrubbed)


class _WhysWithheld:
    """Says of a request why it is withheld."""

    def __init__(self, job: Job) -> None:
        self._awaits = job.awaits_first_batch
        self._shapes = {(shape.digest, shape.model): shape for shape in job.withheld or ()}
        self._reader = ShapeReader()

    def of(self, outcomes: LatestOutcomes, position: int) -> tuple[str, FailureClass]:
        """Return the reason for a request, and what can be done about it."""
        if self._awaits:
            return WAITS, FailureClass.RETRY
        try:
            digest, model = self._reader.shape(outcomes.request_line(position))
        except InputProblem:
            # The answers to other requests are written all the same.
            return WITHHELD, FailureClass.FIX
        shape = self._shapes.get((digest, model)) or self._shapes.get(("", model))
        if shape is None:
            return WITHHELD, FailureClass.FIX
        why = f"not sent, as line {shape.line:,} has the same shape and was refused: {shape.message}"
        return why, FailureClass.FIX


def _unanswered(
    outcomes: LatestOutcomes,
    position: int,
    why: str,
    *,
    error_type: str = "unanswered",
    failure_class: FailureClass = FailureClass.RETRY,
) -> ErrorLine:
    """Return the line of a request without an answer. Its id is empty where the job does not have its requests."""
    custom_id = _custom_id(outcomes, position)
    return ErrorLine(
        line=outcomes.lines[position],
        custom_id=custom_id,
        round=0,
        outcome="unanswered",
        failure_class=failure_class.value,
        error_type=error_type,
        message=CHANGED if why == NO_RESULT and not custom_id else why,
    )


def _custom_id(outcomes: LatestOutcomes, position: int) -> str:
    """Return the id in the request; empty where the job has no requests, or they are no longer as they were planned."""
    try:
        return custom_id_of(outcomes.request_line(position)).decode() if outcomes.has_requests else ""
    except InputProblem:
        # The answers to other requests are written all the same.
        return ""


def _failed(outcomes: LatestOutcomes, position: int, scrubbed: Callable[[str], str]) -> ErrorLine:
    source = outcomes.answer(position)
    assert source.batch.answers is not None
    custom_id, reading = source.batch.answers.read(source.position)
    return ErrorLine(
        line=outcomes.lines[position],
        custom_id=custom_id.decode() or _custom_id(outcomes, position),
        round=source.batch.batch.round,
        outcome=reading.outcome.value,
        failure_class=CLASS_OF_CODE[reading.code].value,
        error_type=scrubbed(reading.error_type),
        message=scrubbed(reading.message),
    )
