"""`retry`: sends again what failed, or writes it to a file."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter
    from batchctl.verbs.retry import Retried, RoundChoice


@with_global_options()
def retry(
    options: GlobalOptions,
    job: o.JobWord = None,
    only: o.Only = None,
    include_invalid: o.IncludeInvalid = False,
    include_canceled: o.IncludeCanceled = False,
    set_: o.Set = None,
    edit: o.Edit = False,
    from_: o.From = None,
    dry_run: o.DryRun = False,
    beta: o.BetasFromHere = None,
    no_beta: o.NoBetas = None,
    api_version: o.VersionFromHere = None,
    input_now: o.MovedInput = None,
    output_dir: o.OutputDir = None,
    parallel: o.Parallel = 4,
    no_wait: o.NoWait = False,
    timeout: o.Timeout = None,
    max_cost: o.MaxCost = None,
    yes: o.YesToPrice = False,
    prices_file: o.Prices = None,
) -> None:
    """Send failed requests again, as the next round of the job.

    By default these are the requests that can succeed unchanged: overloaded, expired, or ended by another transient error.

    Examples:
        batchctl retry
        batchctl retry @last --dry-run
        batchctl retry @last --only expired --max-cost 5
        batchctl retry @last --only truncated --set max_tokens=4096
    """
    from batchctl.cli.run_verb import TerminalConfirm, repeated_options, run
    from batchctl.engine.retry_choice import Choice
    from batchctl.engine.spending_limit import Budget
    from batchctl.verbs.notifying import notifying
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.retry import Retry
    from batchctl.verbs.retry import retry as verb

    wanted = Retry(
        choice=Choice(only=frozenset(only or ()), include_invalid=include_invalid, include_canceled=include_canceled),
        keeps_file=edit or dry_run,
        is_for_editing=edit,
        edited=from_,
        output_dir=output_dir,
        moved_to=str(input_now or ""),
        waits=not no_wait,
        budget=Budget(max_cost, yes),
        change=o.change_of(beta, no_beta, api_version),
        param_changes=o.param_changes_of(set_ or []),
        in_command=repeated_options(options.workspace, options.base_url, insecure_http=options.insecure_http).path,
    )

    def course(session: "Session", writer: "ReportWriter") -> int:
        def show(choice: "RoundChoice") -> None:
            rebuilt = choice.rebuilt
            writer.write_retry(
                choice.job.name,
                rebuilt.number,
                rebuilt.chosen,
                choice.path,
                is_last=choice.is_last,
                price=choice.estimate,
            )

        confirm = TerminalConfirm(writer, yes)
        with notifying(session, {}, writer.options.in_full, waits_for_end=False) as notifier:
            retried = verb(session, job, wanted, confirm=confirm, show=show, begin=notifier.begin)
            return _show_end(retried, writer)

    run(replace(options, parallel=parallel, timeout=timeout, prices=prices_file), course, open_session)


def _show_end(retried: "Retried", writer: "ReportWriter") -> int:
    """Show how a retry ended, and return the exit status. Raises what a limit says to sending the file that was kept."""
    from batchctl.cli.exit_status import DONE, SOME_FAILED, status_of_sending

    if retried.report is not None:
        writer.write_submitted(retried.report)
        return status_of_sending(retried.report)
    choice = retried.choice
    assert choice is not None, "a round that was there already is sent"
    chosen, job = choice.rebuilt.chosen, choice.job
    if not chosen.requests:
        writer.note(f"{job.name}: nothing to send again")
        return SOME_FAILED if chosen.left or job.left_out else DONE
    writer.note("nothing was sent")
    writer.write_next_command(f"batchctl retry {job.name} --from {writer.options.path(choice.path)}")
    if retried.refusal is not None:
        raise retried.refusal
    return DONE
