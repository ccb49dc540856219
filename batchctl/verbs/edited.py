"""A retry that a person edited: checked like an input, its ids held against the requests without success."""

from dataclasses import replace
from pathlib import Path

from batchctl.domain.errors import InputProblem, UsageProblem
from batchctl.domain.faults import is_stricter
from batchctl.domain.model import Cut, Headers, Job, OutcomeCode
from batchctl.domain.scan import Depth
from batchctl.domain.states import OPEN_STATES
from batchctl.engine.latest import latest
from batchctl.engine.models import Models
from batchctl.engine.planning import Planner
from batchctl.engine.session import Session
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.inputs import input_name, is_spooled
from batchctl.requests.request_file import blocks_of_range, custom_id_of, request_file, whole_lines
from batchctl.results.merging import without_plain_success
from batchctl.store.local import replacing


def take_edited(session: Session, job: Job, edited: Path, number: int) -> tuple[Path, tuple[Cut, ...], int, int]:
    """The round's request file with the edited lines in input order, its cuts, and how many warnings they have.

    At last, how many of them were never sent before.

    Raises InputProblem.
    """
    if is_spooled(str(edited)):
        raise UsageProblem(f"--from {edited}: name the plain file that was edited")
    warnings = check_anew(session, job, edited)
    origins, unsent = _origins_without_success(session, job)
    lines: dict[int, bytes] = {}
    for line_number, line in whole_lines(edited):
        custom_id = custom_id_of(line)
        origin = origins.get(custom_id)
        if origin is None:
            raise InputProblem(
                f"{edited} line {line_number:,}: {custom_id.decode()!r} is no request of {job.name} without success",
                hint="edit params only: ids are how the answers find their requests",
            )
        lines[origin] = line
    path = session.workspace.requests(job.name, number, session.owner)
    with replacing(path) as requests, replacing(session.workspace.origins(path)) as numbers:
        cuts = CopiedCuts(job.settings, CleanCopy(requests=requests, numbers=numbers), len(session.ledger.batches(job)))
        for origin in (known for known in origins.values() if known in lines):
            cuts.add(lines[origin], 0, origin)
        done = cuts.close()
    return path, done, warnings, sum(origin in unsent for origin in lines)


def check_anew(session: Session, job: Job, path: Path, called: str = "", depth: Depth = Depth.FULL) -> int:
    """How many warnings there are of other params, or headers, than those that were checked; `called` as in `Planner.read`.

    Raises InputProblem where they cannot be sent.
    """
    # Edited is edited: what was added to the input stands in the file, unless the person took it away.
    settings = replace(job.settings, cache_system="")
    models = Models(session, settings, depth)
    planner = Planner(session, settings, skip_bad=None, depth=depth, models=models)
    found = planner.read(str(path), stdin=None, called=called)
    planner.discard(found)
    return found.scan.warnings


def check_rest(session: Session, job: Job, headers: Headers, depth: Depth | None = None) -> None:
    """Before a job's headers become others: what it may still send is checked with them, where they may make a difference.

    `depth`: None for that in which it was planned. Raises InputProblem where it cannot be sent so.
    """
    if not is_stricter(headers, than=job.settings.headers):
        return
    open_batches = [
        batch for batch in session.ledger.batches(job) if batch.state in OPEN_STATES and batch.cut.has_requests
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
                f"with these headers, {problem.message}",
                hint=f"leave that change of the headers out; all that is wrong: {session.workspace.problems(input_name(called))}",
            ) from problem
    finally:
        rest.unlink(missing_ok=True)


def _origins_without_success(session: Session, job: Job) -> tuple[dict[bytes, int], set[int]]:
    """As many entries as there are requests without plain success, in the order in which a round has them.

    Truncated and refused ones may be edited, too. And which of these were never sent.
    """
    origins: dict[bytes, int] = {}
    unsent: set[int] = set()
    for found in latest(session, job, session.ledger.batches(job)):
        for position in without_plain_success(found.codes):
            origins[custom_id_of(found.request_line(position))] = found.origin + position
            if found.codes[position] == OutcomeCode.IN_NO_BATCH:
                unsent.add(found.origin + position)
    return origins, unsent
