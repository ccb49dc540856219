"""`submit`: sends an input, or what is left of a job; with `--dry-run` it shows what would be sent."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options
from batchctl.domain.limits import API_VERSION, CEILING_MAX_BYTES, DEFAULT_MAX_REQUESTS

if TYPE_CHECKING:
    from typing import NoReturn

    from batchctl.engine.session import ReadSession, Session
    from batchctl.render.writer import ReportWriter
    from batchctl.verbs.check_input import Submission
    from batchctl.verbs.dry_run import InputRehearsal, JobRehearsal


@with_global_options()
def submit(
    options: GlobalOptions,
    context: typer.Context,
    input_: o.InputFile,
    name: o.Name = "",
    label: o.Labels = None,
    max_requests: o.MaxRequests = DEFAULT_MAX_REQUESTS,
    max_bytes: o.MaxBytes = CEILING_MAX_BYTES,
    equal_sizes: o.EqualSizes = False,
    check: o.Check = "auto",
    skip_bad: o.SkipBad = False,
    strict: o.Strict = False,
    dry_run: o.DryRun = False,
    show: o.Show = None,
    beta: o.Betas = None,
    no_beta: o.NoBetas = None,
    api_version: o.ApiVersion = API_VERSION,
    cache_system: o.CacheSystem = "",
    canary: o.Canary = False,
    prime: o.Prime = False,
    prime_min_hit: o.PrimeMinHit = "",
    again: o.Again = False,
    input_now: o.MovedInput = None,
    poll_seconds: o.Poll = None,
    parallel: o.Parallel = 4,
    engine: o.EngineWord = "",
    no_wait: o.NoWait = False,
    timeout: o.Timeout = None,
    on_done: o.OnDone = None,
    notify: o.Notify = None,
    max_cost: o.MaxCost = None,
    yes: o.Yes = False,
    prices_file: o.Prices = None,
) -> None:
    """Check an input, cut it into batches and send them. The same command continues a job that was stopped.

    Nothing is sent if a line is invalid.

    Examples:
        batchctl submit requests.jsonl --max-cost 5
        batchctl submit requests.jsonl --dry-run
        batchctl submit requests.jsonl --show 1
        zcat requests.jsonl.gz | batchctl submit - --name reviews
    """
    from batchctl.cli.exit_status import status_of_sending
    from batchctl.cli.run_verb import TerminalConfirm, run, stdin
    from batchctl.engine.spending_limit import Budget

    settings = o.settings_of(
        api_version,
        beta,
        max_requests,
        max_bytes,
        label,
        cache_system,
        equal_sizes=equal_sizes,
        check=check,
        canary=canary,
        prime=prime,
        prime_min_hit=prime_min_hit,
    )
    wanted = o.submission_of(
        context,
        input_,
        settings,
        betas=beta,
        no_betas=no_beta,
        name=name,
        skip_bad=skip_bad,
        strict=strict,
        again=again,
        waits=not no_wait,
        moved_to=input_now,
        budget=Budget(max_cost, yes),
    )
    targets = o.targets_of(on_done, notify, insecure_http=options.insecure_http)
    options = replace(
        options,
        parallel=parallel,
        engine=o.engine_of(engine),
        poll_seconds=poll_seconds,
        timeout=timeout,
        makes_workspace=True,
        api_version=api_version,
        prices=prices_file,
    )
    if dry_run or show is not None:
        _dry_run(options, wanted, show)
    from batchctl.verbs.notifying import notifying
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.submit import submit as verb

    def course(session: "Session", writer: "ReportWriter") -> int:
        with notifying(session, targets, writer.options.in_full, waits_for_end=False) as notifier:
            report = verb(session, wanted, stdin(), TerminalConfirm(writer, yes), notifier.begin)
            writer.write_submitted(report)
        return status_of_sending(report)

    run(options, course, open_session)


def _dry_run(options: GlobalOptions, wanted: "Submission", number: int | None) -> "NoReturn":
    from batchctl.cli.exit_status import DONE
    from batchctl.cli.run_verb import run, stdin
    from batchctl.verbs.check_input import is_input
    from batchctl.verbs.dry_run import InputRehearsal
    from batchctl.verbs.dry_run import dry_run as verb
    from batchctl.verbs.open_read_session import open_read_session

    def course(session: "ReadSession", writer: "ReportWriter") -> int:
        def show(rehearsal: "InputRehearsal | JobRehearsal | bytes") -> None:
            if isinstance(rehearsal, bytes):
                writer.write_payload(rehearsal)
            elif isinstance(rehearsal, InputRehearsal):
                writer.write_dry_run(rehearsal.scan, rehearsal.batches, rehearsal.estimate, wanted.path)
            else:
                writer.write_rest(rehearsal.job, rehearsal.planned, rehearsal.unconfirmed, rehearsal.estimate)

        verb(session, wanted, stdin(), number, show)
        return DONE

    # An input asks the ledger nothing, so that the ledger of a new folder need not be made.
    run(options, course, partial(open_read_session, needs_ledger=not is_input(wanted.path)))
