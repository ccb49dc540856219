"""`submit --dry-run`: what would be sent: of an input, from the input alone; of a job, what is left of it."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, run_light, stdin
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.engine.session import LightEquipment
from batchctl.ledger.questions import Questions, for_reading
from batchctl.render.screen import Screen
from batchctl.requests.request_file import single_request_body
from batchctl.verbs.headers import wanted_headers
from batchctl.verbs.rest import body_of_rest, estimated_rest, is_input, named_job, nothing_left, rest_of
from batchctl.verbs.submission import Submission, check, estimated, refuse_contradiction


def dry_run(common: Common, wanted: Submission, *, show: int | None) -> NoReturn:
    def command(tools: LightEquipment, screen: Screen) -> int:
        if (job := named_job(tools, wanted.path)) is not None:
            return _dry_run_of_rest(tools, screen, job, wanted, show)
        planner, given = check(tools, wanted, stdin())
        if show is not None and show > given.scan.count:
            raise UsageProblem(f"--show {show:,}: the input has {given.scan.count:,} requests")
        try:
            with planner.rehearsed(given) as (plain, cuts):
                if show is None:
                    told = estimated(tools, wanted, given)
                    screen.dry_run(given.scan, [(cut.count, cut.body_bytes) for cut in cuts], told, wanted.path)
                    wanted.budget.rehearse(tools, told)
                else:
                    screen.payload(single_request_body(plain, cuts, show - 1))
        finally:
            planner.discard(given)
        return DONE

    # Of an input nothing is asked of the ledger, so that a new one need not be made; one of a newer program is refused all the
    # same.
    run_light(common, command, Questions if is_input(wanted.path) else for_reading)


def _dry_run_of_rest(tools: LightEquipment, screen: Screen, job: Job, wanted: Submission, show: int | None) -> int:
    """Raises what `submit` raises of the same words, as far as that can be known without asking the API."""
    refuse_contradiction(job, wanted)
    wanted_headers(tools, job, wanted.change)
    rest = rest_of(tools, job)
    if not rest.planned and not rest.unconfirmed:
        raise nothing_left(tools, job)
    if show is not None:
        screen.payload(body_of_rest(tools, rest, show, wanted.moved_to))
        return DONE
    told = estimated_rest(tools, rest, wanted.moved_to) if rest.planned else None
    places = [tools.ledger.place(batch) for batch in rest.planned]
    screen.dry_run_of_rest(job, list(zip(places, rest.planned, strict=True)), rest.unconfirmed, told)
    wanted.budget.of(job).hold_rest(tools, job)
    return DONE
