"""`submit --dry-run`: what would be sent: of an input, from the input alone; of a job, what is left of it."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import GlobalOptions, run_light, stdin
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.engine.session import ReadSession
from batchctl.ledger.opening import for_reading
from batchctl.ledger.reading import SqlReadLedger
from batchctl.render.writer import ReportWriter
from batchctl.requests.request_file import single_request_body
from batchctl.verbs.headers import wanted_headers
from batchctl.verbs.rest import body_of_rest, estimated_rest, is_input, named_job, nothing_left, rest_of
from batchctl.verbs.submission import Submission, check, estimated, refuse_contradiction


def dry_run(global_options: GlobalOptions, wanted: Submission, *, show: int | None) -> NoReturn:
    def command(session: ReadSession, writer: ReportWriter) -> int:
        if (job := named_job(session, wanted.path)) is not None:
            return _dry_run_of_rest(session, writer, job, wanted, show)
        planner, given = check(session, wanted, stdin())
        if show is not None and show > given.scan.count:
            raise UsageProblem(f"--show {show:,}: the input has {given.scan.count:,} requests")
        try:
            with planner.rehearsed(given) as (plain, cuts):
                if show is None:
                    told = estimated(session, wanted, given)
                    writer.write_dry_run(given.scan, [(cut.count, cut.body_bytes) for cut in cuts], told, wanted.path)
                    wanted.budget.rehearse(session, told)
                else:
                    writer.write_payload(single_request_body(plain, cuts, show - 1))
        finally:
            planner.discard(given)
        return DONE

    # Of an input nothing is asked of the ledger, so that a new one need not be made; one of a newer program is refused all the
    # same.
    run_light(global_options, command, SqlReadLedger if is_input(wanted.path) else for_reading)


def _dry_run_of_rest(session: ReadSession, writer: ReportWriter, job: Job, wanted: Submission, show: int | None) -> int:
    """Raises what `submit` raises of the same words, as far as that can be known without asking the API."""
    refuse_contradiction(job, wanted)
    wanted_headers(session, job, wanted.change)
    rest = rest_of(session, job)
    if not rest.planned and not rest.unconfirmed:
        raise nothing_left(session, job)
    if show is not None:
        writer.write_payload(body_of_rest(session, rest, show, wanted.moved_to))
        return DONE
    told = estimated_rest(session, rest, wanted.moved_to) if rest.planned else None
    places = [session.ledger.place(batch) for batch in rest.planned]
    writer.write_rest(job, list(zip(places, rest.planned, strict=True)), rest.unconfirmed, told)
    wanted.budget.of(job).hold_rest(session, job)
    return DONE
