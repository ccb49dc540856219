"""`run`: a job from wherever it stands to its end."""

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options
from batchctl.domain.limits import API_VERSION, CEILING_MAX_BYTES, DEFAULT_MAX_REQUESTS

if TYPE_CHECKING:
    from batchctl.domain.job_report import JobReport
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter


@with_global_options()
def run(
    options: GlobalOptions,
    context: typer.Context,
    input_: o.InputOrJob,
    name: o.Name = "",
    label: o.Labels = None,
    max_requests: o.MaxRequests = DEFAULT_MAX_REQUESTS,
    max_bytes: o.MaxBytes = CEILING_MAX_BYTES,
    equal_sizes: o.EqualSizes = False,
    check: o.Check = "auto",
    skip_bad: o.SkipBad = False,
    strict: o.Strict = False,
    beta: o.Betas = None,
    no_beta: o.NoBetas = None,
    api_version: o.ApiVersion = API_VERSION,
    cache_system: o.CacheSystem = "",
    canary: o.Canary = False,
    prime: o.Prime = False,
    prime_min_hit: o.PrimeMinHit = "",
    again: o.Again = False,
    max_rounds: o.MaxRounds = 3,
    output: o.Output = "",
    output_dir: o.OutputDir = None,
    force: o.Force = False,
    input_now: o.MovedInput = None,
    poll_seconds: o.Poll = None,
    parallel: o.Parallel = 4,
    engine: o.EngineWord = "",
    timeout: o.Timeout = None,
    on_done: o.OnDone = None,
    notify: o.Notify = None,
    max_cost: o.MaxCost = None,
    yes: o.Yes = False,
    prices_file: o.Prices = None,
) -> None:
    """Send the requests of an input, wait for the results, retry what can succeed, and write the results.

    The same command continues a job that was stopped. Ctrl-C cancels nothing.

    Examples:
        batchctl run requests.jsonl
        batchctl run requests.jsonl --max-cost 5 --timeout 2h
        batchctl run requests.jsonl -o - | jq .
        batchctl run @last
    """
    from batchctl.cli.fetch import show_fetched
    from batchctl.cli.run_verb import TerminalConfirm, stdin
    from batchctl.cli.run_verb import run as run_course
    from batchctl.domain.errors import Stopped
    from batchctl.engine.spending_limit import Budget
    from batchctl.verbs.notifying import notifying
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.outputs import OutputOptions
    from batchctl.verbs.run import run as verb

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
        moved_to=input_now,
        budget=Budget(max_cost, yes),
    )
    targets = o.targets_of(on_done, notify, insecure_http=options.insecure_http)
    files = OutputOptions(output=output, output_dir=output_dir, force=force)

    def course(session: "Session", writer: "ReportWriter") -> int:
        watched: list[str] = []

        def watch(report: "JobReport", results: str) -> None:
            writer.watch(report, results, was_polled=False)
            watched.append(report.job.name)

        confirm = TerminalConfirm(writer, yes)
        try:
            with notifying(session, targets, writer.options.in_full, waits_for_end=True) as notifier:
                fetched = verb(
                    session,
                    wanted,
                    files,
                    stdin(),
                    max_rounds=max_rounds,
                    confirm=confirm,
                    watch=watch,
                    begin=notifier.begin,
                )
                return show_fetched(fetched, writer)
        except Stopped as stopped:
            raise Stopped(f"batchctl run {watched[0]}" if watched and not again else stopped.command) from None

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
    run_course(options, course, open_session)
