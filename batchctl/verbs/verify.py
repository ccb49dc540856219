"""`verify [JOB]`: proves from the disk alone that a job is complete. No network, no steps, nothing is written.

1. of every round     the requests are the bytes that were cut; the origins of a retry fit into round 1
2. of every batch     the results are the bytes that came, one line for each request, as the index and the counts say
3. over all rounds    the newest word on each request; the sum; the file that a merge wrote
One batch is held in memory at a time. What is wrong in 1 or 2 counts as missing in 3.
"""

import contextlib
import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from batchctl.api.secrets import scrubbed
from batchctl.domain.errors import DiskProblem, InputProblem, UsageProblem
from batchctl.domain.events import Verifying
from batchctl.domain.job_report import rests_on
from batchctl.domain.model import Batch, Job, Merged, OutcomeCode, Round, State
from batchctl.domain.outcomes import counted
from batchctl.domain.wording import plural
from batchctl.engine.job_report import read_report
from batchctl.engine.latest_outcomes import LatestOutcomes, latest_outcomes, reading_order
from batchctl.engine.merge import write_answers
from batchctl.engine.session import ReadSession
from batchctl.requests.caching import CachingPlan, is_original, line_that_differs
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.downloaded import is_on_disk, lines_at, pieces_of
from batchctl.results.errors_file import left_out_lines
from batchctl.results.index import IndexBuilder, IndexRebuilder, OrderOfArrival
from batchctl.results.outputs import OutputComparison
from batchctl.results.proof import (
    Fix,
    Flaw,
    OutputProof,
    Part,
    Proof,
    RoundProof,
    next_command,
    places_of,
    reading_places,
    request_flaws,
    rising_flaw,
    sum_flaw,
    waiting,
)
from batchctl.results.result_lines import custom_id_of_result
from batchctl.store.line_maps import LineMap, read_line_map
from batchctl.store.local import disk
from batchctl.verbs.find_job import find_job
from batchctl.verbs.outputs import OutputOptions, output_of

SHOWN = 20


def verify(session: ReadSession, word: str | None, files: OutputOptions) -> Proof:
    """Return the proof of the job that a word means; `files` says where its merged results are. Raises UsageProblem."""
    if files.output == "-":
        raise UsageProblem("-o -: results on stdout cannot be read again", hint="pass the file that holds the results")
    job = find_job(session.ledger, word)
    return verify_job(session, job, Path(output_of(job, files).results), is_named=bool(files.output))


def verify_job(session: ReadSession, job: Job, output: Path, *, is_named: bool) -> Proof:
    """Return the proof, with all that speaks against it. `is_named` says whether a person named the merged results."""
    return _Verification(session, job, output, is_named=is_named).run()


def _fetch_command(job: Job, output: Path, *, is_other: bool) -> str:
    """Return the command that merges again. `is_other`: the file is not what a merge would write, and may be a person's."""
    is_usual = str(output) == f"{job.name}.results.jsonl"
    where = "" if is_usual else f" --output {shlex.quote(str(output))}"
    return f"batchctl fetch {job.name}{where}{' --force' if is_other else ''}"


class _Flaws:
    """The flaws of a job: all are counted, the first are kept."""

    def __init__(self) -> None:
        self.by_part: Counter[Part] = Counter()
        self.fixes: Counter[Fix] = Counter()
        self.first: list[Flaw] = []
        self.anew: dict[str, None] = {}

    def add(self, flaw: Flaw) -> None:
        self.by_part[flaw.part] += 1
        self.fixes[flaw.fix] += 1
        if flaw.index:
            self.anew[flaw.index] = None
        if len(self.first) < SHOWN:
            self.first.append(flaw)

    @property
    def count(self) -> int:
        return sum(self.by_part.values())


class _Verification:
    def __init__(self, session: ReadSession, job: Job, output: Path, *, is_named: bool) -> None:
        self._session = session
        self._job = job
        self._output = output
        self._is_named = is_named
        self._batches = session.ledger.batches(job)
        self._flaws = _Flaws()
        self._done = 0
        # As they are summed: a round whose origins are wrong is left out, a batch that is wrong counts as not fetched.
        self._good_rounds: list[Round] = []
        self._good_batches: list[Batch] = []

    def run(self) -> Proof:
        rounds = tuple(self._round(each) for each in self._job.rounds)
        self._left_out()
        answers, output = self._sum()
        fetch = _fetch_command(
            self._job, self._output, is_other=bool(self._flaws.by_part[Part.OUTPUT] and output.is_there)
        )
        otherwise = read_report(self._session, self._job).next_command
        flaws = self._flaws
        return Proof(
            job=self._job,
            rounds=rounds,
            waiting=waiting(self._batches),
            rests_on=rests_on(self._batches),
            answers=answers,
            output=output,
            flaws=flaws.count,
            by_part=dict(flaws.by_part),
            first_flaws=tuple(flaws.first),
            fetch_command=fetch,
            next_command=next_command(flaws.fixes, list(flaws.anew), fetch, otherwise),
        )

    def _emit(self, requests: int) -> None:
        self._done += requests
        self._session.emit(Verifying(self._done, sum(r.count for r in self._job.rounds) + self._job.count))

    # ------------------------------------------------------------------ 1. requests

    def _round(self, round_: Round) -> RoundProof:
        mine = [b for b in self._batches if b.round == round_.number]
        for message in request_flaws(self._job, round_.number, [b.cut for b in mine]):
            self._flaws.add(Flaw(part=Part.REQUESTS, round=round_.number, message=message, fix=Fix.PUT_BACK))
        if self._are_origins_good(round_):
            self._good_rounds.append(round_)
        path = self._request_path(round_)
        is_as_input = self._compare_with_input(round_, path)
        results = 0
        for place, batch in enumerate(mine, 1):
            positions = self._positions(round_, path, batch, place)
            if batch.state is State.FETCHED:
                results += self._results(batch, place, positions)
            else:
                self._good_batches.append(batch)
            self._emit(batch.count)
        return RoundProof(
            number=round_.number,
            requests=round_.count,
            batches=sum(not b.is_unattached for b in mine),
            requests_known=bool(round_.request_file),
            fetched=sum(b.state is State.FETCHED for b in mine),
            results=results,
            is_held_against_input=is_as_input,
        )

    def _compare_with_input(self, round_: Round, path: Path | None) -> bool | None:
        """Return whether the change that a person asked for gives the same lines again; None where that cannot be checked."""
        settings, original = self._job.settings, Path(self._job.input_path)
        if not settings.cache_system or round_.number > 1 or path is None:
            return None
        if not is_original(original, self._job.input_sha256):
            return None
        planned = CachingPlan(ttl=settings.cache_system, count=round_.count, longest=settings.max_bytes)
        try:
            line = line_that_differs(original, path, self._session.workspace.lines(self._job.name), planned)
            message = f"not line {line:,} of the input with cache_control added" if line else ""
        except (InputProblem, DiskProblem) as problem:
            line, message = 0, problem.message
        if message:
            flaw = Flaw(part=Part.REQUESTS, round=1, path=_shown(path), line=line, message=message, fix=Fix.PUT_BACK)
            self._flaws.add(flaw)
        return not message

    def _request_path(self, round_: Round) -> Path | None:
        """Return the request file of a round; None where its requests are not known, or are gone."""
        if not round_.request_file:
            return None
        try:
            return request_file(self._session.workspace, self._job, round_.number)
        except InputProblem as gone:
            self._flaws.add(Flaw(part=Part.REQUESTS, round=round_.number, message=gone.message, fix=Fix.PUT_BACK))
            return None

    def _positions(self, round_: Round, path: Path | None, batch: Batch, place: int) -> dict[bytes, int] | None:
        """Return the custom_ids of a batch as they were sent, with their positions; None where they cannot be known."""
        if path is None:
            return None
        try:
            positions = ids_of_range(path, batch)
            message = (
                "" if len(positions) == batch.count else f"{plural(len(positions), 'custom_id')}, not {batch.count:,}"
            )
        except (InputProblem, DiskProblem) as problem:
            positions, message = {}, problem.message
        if not message:
            return positions
        self._flaws.add(
            Flaw(
                part=Part.REQUESTS,
                round=round_.number,
                batch=place,
                path=_shown(path),
                message=message,
                fix=Fix.PUT_BACK,
            )
        )
        return None

    def _are_origins_good(self, round_: Round) -> bool:
        """Return whether the origins of a round are valid. Round 1 has none, but perhaps a file of line numbers."""
        workspace = self._session.workspace
        if round_.number > 1:
            path = workspace.origins(workspace.resolve(round_.request_file))
            message = self._message_of(lambda: self._origins_flaw(path, round_.count))
        else:
            path = workspace.lines(self._job.name)
            message = self._message_of(lambda: self._lines_flaw(path, round_)) if path.exists() else ""
        if message:
            flaw = Flaw(part=Part.ORIGINS, round=round_.number, message=message, path=_shown(path), fix=Fix.PUT_BACK)
            self._flaws.add(flaw)
        return not message

    def _message_of(self, look: Callable[[], str]) -> str:
        try:
            return look()
        except DiskProblem as problem:
            return problem.message

    def _origins_flaw(self, path: Path, count: int) -> str:
        with contextlib.closing(LineMap(self._session.workspace.lines(self._job.name), base=1)) as lines:
            places = reading_places([(b.cut.first, b.count) for b in reading_order(self._batches, lines)])
        after, message = -1, ""
        for origins in read_line_map(path, count):
            found = places_of(origins, places)
            message = message or rising_flaw(found, after, self._job.count - 1)
            after = found[-1]
        return message

    def _lines_flaw(self, path: Path, round_: Round) -> str:
        """Return what is wrong with the line numbers. Of batches that were made elsewhere, only the lines of each rise."""
        for _ in read_line_map(path, round_.count):
            pass
        # Nobody knows how many blank lines stood between them.
        most = (1 << 64) - 1
        with contextlib.closing(LineMap(path)) as lines:
            of_batches = (lines.numbers(b.cut.first, b.count) for b in self._batches if b.round == 1)
            return next((message for numbers in of_batches if (message := rising_flaw(numbers, 0, most))), "")

    def _left_out(self) -> None:
        path = self._session.workspace.left_out(self._job.name)
        try:
            told = sum(1 for _ in left_out_lines(path))
            message = (
                ""
                if told == self._job.left_out
                else f"lists {plural(told, 'line')}, but {self._job.left_out:,} were left out"
            )
        except DiskProblem as problem:
            message = problem.message
        if message:
            self._flaws.add(Flaw(part=Part.LEFT_OUT, message=message, path=_shown(path), fix=Fix.PUT_BACK))

    # ------------------------------------------------------------------ 2. results

    def _results(self, batch: Batch, place: int, positions: dict[bytes, int] | None) -> int:
        """Return how many result lines were read; the batch is good when they have no flaw."""
        before = self._flaws.by_part[Part.RESULTS]
        workspace = self._session.workspace
        raw, index = workspace.raw(self._job, batch), workspace.index(self._job, batch)
        batch_flaws = _BatchFlaws(self._flaws, batch, place, _shown(raw))
        lines = 0
        if not is_on_disk(raw, index, batch):
            batch_flaws.note("its results or their index are missing or have another size", fix=Fix.FETCH)
        else:
            batch_flaws.index = _shown(index)
            try:
                lines = _reread(raw, index, batch, positions, batch_flaws)
            except DiskProblem as problem:
                batch_flaws.note(problem.message)
        is_good = self._flaws.by_part[Part.RESULTS] == before
        self._good_batches.append(batch if is_good else replace(batch, state=State.ENDED))
        return lines

    # ------------------------------------------------------------------ 3. the sum

    def _sum(self) -> tuple[Merged | None, OutputProof]:
        """Return the newest outcome of each request, counted, and how the merged file compares with it."""
        nothing = OutputProof(path=str(self._output), is_there=None)
        if self._job.rounds[0] not in self._good_rounds:
            return None, nothing
        try:
            with _opened(self._output) as comparison:
                answers = self._walk(comparison)
        except (DiskProblem, InputProblem) as problem:
            self._flaws.add(Flaw(part=Part.SUM, message=problem.message, fix=Fix.PUT_BACK))
            return None, nothing
        if message := sum_flaw(self._job, answers):
            self._flaws.add(Flaw(part=Part.SUM, message=message, fix=Fix.PUT_BACK))
        return answers, self._output_proof(comparison)

    def _walk(self, comparison: OutputComparison | None) -> Merged:
        codes: Counter[OutcomeCode] = Counter()
        job = replace(self._job, rounds=tuple(self._good_rounds))
        for newest in latest_outcomes(self._session, job, self._good_batches):
            codes.update({OutcomeCode(code): n for code, n in Counter(newest.codes).items()})
            self._places(newest)
            if comparison is not None:
                write_answers(newest, comparison.take)
            self._emit(newest.count)
        if comparison is not None:
            comparison.end()
        fetched = sum(b.state is State.FETCHED for b in self._good_batches)
        return Merged(at=self._session.now(), batches=fetched, failures=(), cost=None, **counted(codes))

    def _places(self, newest: LatestOutcomes) -> None:
        """Check that each answer of a later round has the custom_id of the request at its origin in round 1."""
        answered = {position: custom_id_of_result(line) for position, line in newest.answers_of_later_rounds()}
        if not answered:
            return
        for custom_id, position in self._ids(newest).items():
            other = answered.get(position)
            if other not in {None, custom_id.decode()}:
                message = f"the answer to {other!r} is in the place of this request"
                line = newest.lines[position]
                self._flaws.add(
                    Flaw(
                        part=Part.ORIGINS,
                        message=message,
                        line=line,
                        custom_id=custom_id.decode(),
                        fix=Fix.PUT_BACK,
                    )
                )

    def _ids(self, newest: LatestOutcomes) -> dict[bytes, int]:
        """Return the positions of a batch of round 1 by custom_id; none where they are not known, or are a flaw already."""
        stored = self._job.rounds[0].request_file
        if not stored:
            return {}
        batch = next(b for b in self._batches if b.round == 1 and b.cut.first == newest.origin)
        try:
            return ids_of_range(self._session.workspace.resolve(stored), batch)
        except (InputProblem, DiskProblem):
            return {}

    def _output_proof(self, comparison: OutputComparison | None) -> OutputProof:
        path = str(self._output)
        if comparison is None:
            if self._is_named:
                self._flaws.add(Flaw(part=Part.OUTPUT, message="no such file", path=path, fix=Fix.FETCH))
            return OutputProof(path=path, is_there=False)
        if any(self._flaws.by_part[part] for part in (Part.RESULTS, Part.ORIGINS)):
            return OutputProof(path=path, is_there=None)
        if comparison.expected is not None:
            message = "differs from the downloaded results: it was changed, or written before the last of them"
            custom_id = custom_id_of_result(comparison.expected) if comparison.expected else ""
            line = comparison.lines + 1
            self._flaws.add(
                Flaw(part=Part.OUTPUT, message=message, path=path, line=line, custom_id=custom_id, fix=Fix.FETCH)
            )
            return OutputProof(path=path, is_there=True, lines=comparison.lines)
        return OutputProof(path=path, is_there=True, lines=comparison.lines, sha256=comparison.sha256)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[OutputComparison | None]:
    """Open the merged results for a comparison; None where the file does not exist."""
    if not path.is_file():
        yield None
        return
    with disk(path):
        file = path.open("rb")
    with file:
        yield OutputComparison(file)


def _shown(path: Path) -> str:
    """Return a path as a person would type it in the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


class _BatchFlaws:
    """Notes the flaws in the results of one batch. `index` is empty as long as a fetch notices by itself that they are wrong."""

    def __init__(self, flaws: _Flaws, batch: Batch, place: int, raw: str) -> None:
        self._flaws = flaws
        self._batch = batch
        self._place = place
        self._raw = raw
        self.index = ""

    def note(self, message: str, line: int = 0, custom_id: str = "", *, fix: Fix = Fix.FETCH_ANEW) -> None:
        self._flaws.add(
            Flaw(
                part=Part.RESULTS,
                message=scrubbed(message),
                fix=fix,
                path=self._raw,
                round=self._batch.round,
                batch=self._place,
                line=line,
                custom_id=scrubbed(custom_id),
                index=self.index,
            )
        )


def _reread(raw: Path, index: Path, batch: Batch, positions: dict[bytes, int] | None, batch_flaws: _BatchFlaws) -> int:
    """Compare every line of a raw file with the requests, the index and the ledger, and return how many there are."""
    digest = hashlib.sha256()
    # Made elsewhere, or sent from bytes that are gone: a batch of so many requests whose ids nobody can tell.
    places = OrderOfArrival(batch.count) if positions is None else positions
    # Only where some were taken for such when they came, a line that cannot be read is no flaw.
    has_unreadable = OutcomeCode.UNREADABLE in index.read_bytes()[12 * batch.count :]
    reread = IndexRebuilder(places, batch.count, batch_flaws.note, is_patient=not has_unreadable)
    for piece in pieces_of(raw):
        digest.update(piece)
        reread.take(piece)
    reread.end()
    with lines_at(raw) as line_at:
        reread.drop_twins(line_at)
    if digest.hexdigest() != batch.results_sha256:
        batch_flaws.note("differs from the bytes that were verified after the download")
    for custom_id, position in (positions or {}).items():
        if not reread.codes[position]:
            batch_flaws.note("this request has no result", custom_id=custom_id.decode("utf-8", "replace"))
    if positions is None and (missing := reread.codes.count(0)):
        batch_flaws.note(f"{missing:,} of {plural(batch.count, 'request has', 'requests have')} no result")
    for message in reread.disagreements(batch.counts):
        batch_flaws.note(message)
    _hold_index(index, reread, positions, batch_flaws)
    return reread.lines


def _hold_index(
    index: Path, reread: IndexBuilder, positions: dict[bytes, int] | None, batch_flaws: _BatchFlaws
) -> None:
    with disk(index):
        stored = index.read_bytes()
    if positions is None:
        # Which request is which cannot be told: the same lines with the same marks, in any order.
        if not reread.has_same_lines(stored):
            batch_flaws.note("the index does not match the lines of the file")
        return
    wrong = reread.differences(stored)
    if wrong:
        ids = list(positions)
        for position in wrong:
            batch_flaws.note(
                "the index has another position, size or state for this result", custom_id=ids[position].decode()
            )
