"""The files a person wants, written from what is on the disk: no network, any number of times."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchctl.api.secrets import scrubber
from batchctl.domain.errors import InputProblem
from batchctl.domain.events import Merging
from batchctl.domain.job_report import SAMPLES, joined
from batchctl.domain.model import Batch, FailureClass, Failures, Job, Merged, Outcome, OutcomeCode, State
from batchctl.domain.outcomes import CLASS_OF_CODE, CountedTypes
from batchctl.engine.job_cost import total
from batchctl.engine.latest_outcomes import LatestOutcomes, latest_outcomes
from batchctl.engine.session import Session
from batchctl.requests.request_file import custom_id_of
from batchctl.results.errors_file import ErrorLine, encode_error_line, in_line_order, left_out_lines
from batchctl.results.merging import counted, without_plain_success
from batchctl.results.outputs import STDOUT, WrittenFiles, output_file, refuse_to_replace, results_file

NO_RESULT = "no result yet"
REMOVED = "its result was removed by the API before it was downloaded"
NOT_KNOWN = "no result yet, and which request it is will be known only then: the job was attached without its input"
IN_NO_BATCH = "it is in none of the batches that were attached, and was not sent so far"
CHANGED = "no result yet, and which request it is cannot be told: the input is no longer as it was planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the two files go; `results` may be `-`. `force`: files that the job did not write may be replaced."""

    results: str
    errors: Path
    force: bool = False


def check_outputs(session: Session, job: Job, output: Output) -> None:
    """Raises Refused where one of the files may not be written: before anything is sent or downloaded for it."""
    precious = []
    if job.has_requests:
        precious = [*(session.workspace.resolve(r.request_file) for r in job.rounds), Path(job.input_path)]
    written = WrittenFiles(session.workspace.outputs(job.name))
    for path in (output.errors, *([] if output.results == STDOUT else [Path(output.results)])):
        refuse_to_replace(path, written, precious, force=output.force)


def merge(session: Session, job: Job, output: Output) -> Merged:
    """Writes both files beside their place, then puts them in it. Raises Refused, DiskProblem, InputProblem."""
    batches = session.ledger.batches(job)
    check_outputs(session, job, output)
    remembered = WrittenFiles(session.workspace.outputs(job.name))
    written = _Merge(session, job, batches)
    with output_file(output.errors, remembered) as errors, results_file(output.results, remembered) as results:
        left_out = left_out_lines(session.workspace.left_out(job.name)) if job.left_out else ()
        for failed in in_line_order(written.run(results.write), left_out):
            errors.write(encode_error_line(failed))
    merged = written.counts(session)
    session.ledger.record_merged(job, merged)
    return merged


class _Merge:
    def __init__(self, session: Session, job: Job, batches: Sequence[Batch]) -> None:
        self._session = session
        self._job = job
        self._batches = batches
        self._codes: Counter[OutcomeCode] = Counter()
        self._told_apart = CountedTypes()
        self._failures: dict[tuple[str, str], list[ErrorLine]] = {}
        self._failed: Counter[tuple[str, str]] = Counter()

    def run(self, write: Callable[[bytes], object]) -> Iterator[ErrorLine]:
        done, scrubbed = 0, scrubber()
        removed = {b.cut.first for b in self._batches if b.round == 1 and b.is_removed}
        for found in latest_outcomes(self._session, self._job, self._batches):
            self._codes.update({OutcomeCode(code): n for code, n in Counter(found.codes).items()})
            write_answers(found, write)
            why = REMOVED if found.origin in removed else NO_RESULT if found.has_requests else NOT_KNOWN
            for failed in _unsuccessful(found, why, scrubbed):
                self._note(failed)
                yield failed
            done += found.count
            self._session.emit(Merging(done, self._job.count))

    def _note(self, failed: ErrorLine) -> None:
        kind = (self._told_apart(failed.error_type), failed.failure_class)
        self._failed[kind] += 1
        samples = self._failures.setdefault(kind, [])
        if not samples or (failed.custom_id and len(samples) < SAMPLES):
            samples.append(failed)

    def counts(self, session: Session) -> Merged:
        fetched = sum(b.state is State.FETCHED for b in self._batches)
        failures = joined([_failures(kind[0], samples, self._failed[kind]) for kind, samples in self._failures.items()])
        cost = total(session, self._job, self._batches)
        return Merged(at=session.now(), batches=fetched, failures=failures, cost=cost, **counted(self._codes))


def _failures(error_type: str, samples: Sequence[ErrorLine], count: int) -> Failures:
    first = samples[0]
    return Failures(
        round=first.round,
        outcome=Outcome(first.outcome),
        error_type=error_type,
        failure_class=FailureClass(first.failure_class),
        count=count,
        sample_ids=tuple(one.custom_id for one in samples if one.custom_id),
        sample_message=first.message,
    )


def write_answers(found: LatestOutcomes, write: Callable[[bytes], object]) -> None:
    """The API's own lines, in input order; a request without an answer has no line."""
    for lines in found.answer_lines():
        # One write: a newline by itself would leave every one after it across the pages of the file.
        write(b"\n".join((*lines, b"")))


def _unsuccessful(found: LatestOutcomes, why: str, scrubbed: Callable[[str], str]) -> Iterator[ErrorLine]:
    for position in without_plain_success(found.codes):
        code = OutcomeCode(found.codes[position])
        if code.is_success:
            continue
        if code is OutcomeCode.IN_NO_BATCH:
            yield _unanswered(found, position, IN_NO_BATCH, error_type="in_no_batch")
        else:
            yield (
                _unanswered(found, position, why)
                if code is OutcomeCode.UNANSWERED
                else _failed(found, position, scrubbed)
            )


def _unanswered(found: LatestOutcomes, position: int, why: str, *, error_type: str = "unanswered") -> ErrorLine:
    """Where the requests are not known, nor is the id: it comes with the result."""
    custom_id = _custom_id(found, position)
    return ErrorLine(
        line=found.lines[position],
        custom_id=custom_id,
        round=0,
        outcome="unanswered",
        failure_class=FailureClass.RETRY.value,
        error_type=error_type,
        message=CHANGED if why == NO_RESULT and not custom_id else why,
    )


def _custom_id(found: LatestOutcomes, position: int) -> str:
    """As the request has it; empty where the requests are not known, or are no longer as they were planned."""
    try:
        return custom_id_of(found.request_line(position)).decode() if found.has_requests else ""
    except InputProblem:
        # What others were answered is written all the same.
        return ""


def _failed(found: LatestOutcomes, position: int, scrubbed: Callable[[str], str]) -> ErrorLine:
    source = found.answer(position)
    assert source.batch.answers is not None
    custom_id, reading = source.batch.answers.read(source.position)
    return ErrorLine(
        line=found.lines[position],
        custom_id=custom_id.decode() or _custom_id(found, position),
        round=source.batch.batch.round,
        outcome=reading.outcome.value,
        failure_class=CLASS_OF_CODE[reading.code].value,
        error_type=scrubbed(reading.error_type),
        message=scrubbed(reading.message),
    )
