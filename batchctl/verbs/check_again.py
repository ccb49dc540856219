"""The check of an input, made once more of requests that go with other params or other headers than before."""

from dataclasses import replace
from pathlib import Path

from batchctl.domain.check_report import Depth
from batchctl.domain.errors import InputProblem
from batchctl.domain.faults import is_stricter
from batchctl.domain.model import Headers, Job
from batchctl.domain.states import OPEN_STATES
from batchctl.engine.account_models import AccountModels
from batchctl.engine.planning import Planner
from batchctl.engine.session import Session
from batchctl.requests.inputs import input_name
from batchctl.requests.request_file import blocks_of_range, request_file
from batchctl.store.local import replacing


def check_anew(session: Session, job: Job, path: Path, called: str = "", depth: Depth = Depth.FULL) -> int:
    """Return the number of warnings of a request file. Raises InputProblem where one of its lines cannot be sent.

    `called` is the name that a person knows the file by, where that is not its path.
    """
    # The file is checked as it is: cache_control that was added to the input is in it, unless a person took it out.
    settings = replace(job.settings, cache_system="")
    models = AccountModels(session, settings, depth)
    planner = Planner(session, settings, skip_bad=None, depth=depth, models=models)
    checked = planner.read(str(path), stdin=None, called=called)
    planner.discard(checked)
    return checked.scan.warnings


def check_rest(session: Session, job: Job, headers: Headers, depth: Depth | None = None) -> None:
    """Check what a job may still send with the headers it is to have, where these take less than those it has.

    `depth` is None for that in which the job was planned. Raises InputProblem where a request cannot be sent so.
    """
    if not is_stricter(headers, than=job.settings.headers):
        return
    open_batches = [
        batch
        for batch in session.ledger.batches(job)
        if batch.cut.has_requests and (batch.state in OPEN_STATES or (batch.is_unattached and job.awaits_first_batch))
    ]
    if not open_batches:
        return
    changed = replace(job, settings=replace(job.settings, api_version=headers.api_version, betas=headers.betas))
    rest, called = session.workspace.temporary(f"{session.owner}.rest"), f"{job.name}-rest"
    try:
        with replacing(rest) as file:
            for batch in open_batches:
                for lines in blocks_of_range(request_file(session.workspace, job, batch.round), batch):
                    file.write(b"\n".join((*lines, b"")))
        try:
            check_anew(session, changed, rest, called, depth or Depth(job.settings.depth))
        except InputProblem as problem:
            raise InputProblem(
                f"with these headers: {problem.message}",
                hint=f"remove that change of the headers; the full list of problems: {session.workspace.problems(input_name(called))}",
            ) from problem
    finally:
        rest.unlink(missing_ok=True)
