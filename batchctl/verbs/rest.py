"""What of a job is still to be sent, rehearsed: nothing is asked of the API, recorded or sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchctl.domain.errors import Refused, UsageProblem
from batchctl.domain.model import Batch, Job, State
from batchctl.domain.states import OPEN_STATES
from batchctl.engine.estimating import estimate
from batchctl.engine.reports import in_no_batch
from batchctl.engine.session import ReadSession
from batchctl.money.estimate import Estimate
from batchctl.requests.grouping import group_ranges
from batchctl.requests.inputs import STDIN
from batchctl.requests.request_file import check_range, request_file, single_request_body
from batchctl.verbs.continuing import already_sent
from batchctl.verbs.finding import find_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """`planned`: the batches that were never sent, or are to be sent again. `unconfirmed`: such as may be there already."""

    job: Job
    planned: tuple[Batch, ...]
    unconfirmed: int

    @property
    def requests(self) -> int:
        return sum(batch.count for batch in self.planned)


def is_input(word: str) -> bool:
    """Whether it is a file, or stdin: anything else can only be a job."""
    path = Path(word)
    return word == STDIN or (path.exists() and not path.is_dir())


def named_job(session: ReadSession, word: str) -> Job | None:
    """The job of that whole name, or the last one, where no input is called so. None where there is none."""
    return None if is_input(word) else find_whole(session.ledger, word)


def nothing_left(session: ReadSession, job: Job) -> Refused:
    """Return what is said of a job of which `submit` has nothing to send."""
    return already_sent(job, in_no_batch(session, job, session.ledger.batches(job)))


def rest_of(session: ReadSession, job: Job) -> Rest:
    batches = [batch for batch in session.ledger.batches(job) if batch.state in OPEN_STATES]
    planned = tuple(batch for batch in batches if batch.state is State.PLANNED)
    return Rest(job=job, planned=planned, unconfirmed=len(batches) - len(planned))


def estimated_rest(session: ReadSession, rest: Rest, moved_to: str) -> Estimate:
    """What sending it may cost, by its bytes alone. Raises InputProblem where the requests are no longer there."""
    path, planned = _of_one_round(session, rest, moved_to)
    return estimate(session, group_ranges(path, planned), path, rest.job.settings, job=rest.job)


def body_of_rest(session: ReadSession, rest: Rest, number: int, moved_to: str) -> bytes:
    """The body with only the request of this number in it, from 1, of those that are left. Raises UsageProblem."""
    if number > rest.requests:
        raise UsageProblem(f"--show {number:,}: {rest.requests:,} requests of {rest.job.name} are left to send")
    path, planned = _of_one_round(session, rest, moved_to)
    before = 0
    for batch in planned:
        if number <= before + batch.count:
            check_range(path, batch)
            return single_request_body(path, [batch.cut], batch.cut.first + number - before - 1)
        before += batch.count
    raise AssertionError(number)


def _of_one_round(session: ReadSession, rest: Rest, moved_to: str) -> tuple[Path, Sequence[Batch]]:
    """A round is planned once all that was planned before it is sent: what is left is of one."""
    number = rest.planned[0].round
    if moved_to and number == 1:
        return Path(moved_to), rest.planned
    return request_file(session.workspace, rest.job, number), rest.planned
