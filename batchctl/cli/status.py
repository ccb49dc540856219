"""`status`: one job, or all of them."""

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import ReadSession, Session
    from batchctl.render.writer import ReportWriter


@with_global_options()
def status(
    options: GlobalOptions,
    job: o.JobWord = None,
    watch: o.Watch = False,
    poll_seconds: o.Poll = None,
    offline: o.Offline = False,
    batches: o.Batches = False,
    format_: o.Format = "",
    exit_status: o.ExitStatus = False,
    timeout: o.Timeout = None,
    on_done: o.OnDone = None,
    notify: o.Notify = None,
) -> None:
    """Show the state of one job, or of all jobs of the workspace.

    Examples:
        batchctl status
        batchctl status @last --watch
        batchctl status @last --batches --offline
        batchctl status @last --json
    """
    from batchctl.cli.exit_status import DONE, OF_STAGE
    from batchctl.cli.run_verb import run
    from batchctl.engine.job_report import read_all_reports, read_report
    from batchctl.verbs.find_job import find_job
    from batchctl.verbs.open_read_session import open_read_session

    if (on_done is not None or notify) and (offline or not watch):
        raise typer.BadParameter("--on-done and --notify go with --watch: nothing else here sees the end of a job")
    targets = o.targets_of(on_done, notify, insecure_http=options.insecure_http)
    wide = batches or o.is_wide(format_)
    options = replace(options, poll_seconds=poll_seconds, timeout=timeout, takes_steps=False)

    def table(session: "ReadSession", writer: "ReportWriter") -> int:
        writer.write_jobs(read_all_reports(session))
        return DONE

    def from_ledger(session: "ReadSession", writer: "ReportWriter") -> int:
        report = read_report(session, find_job(session.ledger, job))
        writer.write_status(report, wide=wide)
        return OF_STAGE[report.stage] if exit_status else DONE

    if job is None and not watch and not exit_status and not wide:
        run(options, table, open_read_session)
    if offline:
        run(options, from_ledger, open_read_session)

    from batchctl.verbs.notifying import notifying
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.status import status as verb
    from batchctl.verbs.status import watch as watch_job

    def from_api(session: "Session", writer: "ReportWriter") -> int:
        with notifying(session, targets, writer.options.in_full, waits_for_end=watch) as notifier:
            report, problem = verb(session, job, notifier.begin if watch else lambda _: None)
            if watch:
                writer.watch(report)
                report, problem = watch_job(session, report.job), None
            writer.write_status(report, wide=wide)
            if problem is not None:
                raise problem
        return OF_STAGE[report.stage] if exit_status else DONE

    run(options, from_api, open_session)
