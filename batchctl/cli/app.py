"""The commands: options in, one call, one exit status. What a verb does stands in `commands`."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchctl import __version__
from batchctl.cli import options as o
from batchctl.cli.plain import Command, Group
from batchctl.domain.limits import API_VERSION, CEILING_MAX_BYTES, DEFAULT_MAX_REQUESTS, DEFAULT_SAMPLE

if TYPE_CHECKING:
    from batchctl.cli.wiring import GlobalOptions
    from batchctl.domain.headers import HeaderChange
    from batchctl.domain.model import Settings

# Who may have given a parameter its value, but for a default.
SAID_BY = {"COMMANDLINE", "ENVIRONMENT"}

app = typer.Typer(
    cls=Group,
    help="Run a JSONL of Messages requests through Anthropic's Message Batches API as one job.",
    epilog="Try it without a key: batchctl emulator. Everything else: the README.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchctl {__version__}")
        raise typer.Exit


@app.callback()
def _batchctl(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(cls=Command)
def submit(
    context: typer.Context,
    input_: o.InputFile,
    name: o.Name = "",
    label: o.Labels = None,
    max_requests: o.MaxRequests = DEFAULT_MAX_REQUESTS,
    max_bytes: o.MaxBytes = CEILING_MAX_BYTES,
    equal_sizes: o.EqualSizes = False,
    check: o.Check = "auto",
    skip_bad: o.SkipBad = False,
    dry_run: o.DryRun = False,
    show: o.Show = None,
    beta: o.Betas = None,
    no_beta: o.NoBetas = None,
    api_version: o.ApiVersion = API_VERSION,
    cache_system: o.CacheSystem = "",
    again: o.Again = False,
    input_now: o.MovedInput = None,
    parallel: o.Parallel = 4,
    no_wait: o.NoWait = False,
    timeout: o.Timeout = None,
    max_cost: o.MaxCost = None,
    yes: o.Yes = False,
    prices_file: o.Prices = None,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Check INPUT, cut it into batches and send them; the same input again continues."""
    from batchctl.engine.spending_limit import Budget  # noqa: PLC0415 - keeps --help quick
    from batchctl.verbs.submission import Submission  # noqa: PLC0415

    named = _named(context)
    wanted = Submission(
        path=input_,
        settings=_settings(api_version, beta, max_requests, max_bytes, label, cache_system, equal_sizes, check),
        name=name,
        skip_bad=skip_bad,
        depth=o.depth_of(check),
        again=again,
        waits=not no_wait,
        moved_to=str(input_now or ""),
        budget=Budget(max_cost, yes),
        change=_change(beta, no_beta, api_version if "api_version" in named else None),
        named=named,
    )
    global_options = _global_options(
        workspace,
        base_url,
        insecure_http,
        as_json,
        quiet,
        verbose,
        parallel=parallel,
        timeout=timeout,
        makes_workspace=True,
        api_version=api_version,
        prices=prices_file,
    )
    if dry_run or show is not None:
        from batchctl.cli.dry_run import dry_run as rehearse  # noqa: PLC0415

        rehearse(global_options, wanted, show=show)
    from batchctl.cli.submit import submit as run  # noqa: PLC0415

    run(global_options, wanted)


@app.command(cls=Command)
def estimate(
    input_: o.InputToEstimate,
    sample: o.Sample = DEFAULT_SAMPLE,
    offline: o.CountNothing = False,
    check: o.Check = "auto",
    skip_bad: o.SkipBad = False,
    beta: o.Betas = None,
    api_version: o.ApiVersion = API_VERSION,
    timeout: o.Timeout = None,
    prices_file: o.Prices = None,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Check INPUT and say what it will cost, in a batch and in real time, with a cache and without; sends nothing."""
    from batchctl.cli.estimate import estimate as run  # noqa: PLC0415 - keeps --help quick
    from batchctl.verbs.submission import Submission  # noqa: PLC0415

    wanted = Submission(
        path=input_,
        settings=_settings(
            api_version, beta, DEFAULT_MAX_REQUESTS, CEILING_MAX_BYTES, None, "", equal_sizes=True, check=check
        ),
        skip_bad=skip_bad,
        depth=o.depth_of(check),
    )
    global_options = _global_options(
        workspace,
        base_url,
        insecure_http,
        as_json,
        quiet,
        verbose,
        timeout=timeout,
        makes_workspace=True,
        prices=prices_file,
        api_version=api_version,
    )
    run(global_options, wanted, sample=sample, offline=offline)


@app.command(cls=Command)
def status(
    job: o.JobWord = None,
    watch: o.Watch = False,
    poll_seconds: o.Poll = None,
    offline: o.Offline = False,
    batches: o.Batches = False,
    format_: o.Format = "",
    exit_status: o.ExitStatus = False,
    timeout: o.Timeout = None,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Show one job, or all jobs of the workspace; --watch follows the latest until it has ended."""
    from batchctl.cli.status import status as run  # noqa: PLC0415 - keeps --help quick

    wide = batches or o.is_wide(format_)
    global_options = _global_options(
        workspace,
        base_url,
        insecure_http,
        as_json,
        quiet,
        verbose,
        poll_seconds=poll_seconds,
        timeout=timeout,
        takes_steps=False,
    )
    run(global_options, job, watch=watch, offline=offline, wide=wide, exit_status=exit_status)


@app.command(cls=Command)
def fetch(
    job: o.JobWord = None,
    output: o.Output = "",
    output_dir: o.OutputDir = None,
    force: o.Force = False,
    input_now: o.MovedInput = None,
    parallel: o.Parallel = 4,
    timeout: o.Timeout = None,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Download what has ended, verify it, and write the answers in input order."""
    from batchctl.cli.fetch import fetch as run  # noqa: PLC0415 - keeps --help quick
    from batchctl.cli.outputs import Named  # noqa: PLC0415

    global_options = _global_options(
        workspace, base_url, insecure_http, as_json, quiet, verbose, parallel=parallel, timeout=timeout
    )
    files = Named(output=output, output_dir=output_dir, force=force)
    run(global_options, job, files=files, moved_to=str(input_now or ""))


@app.command(cls=Command)
def retry(
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
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Send again what failed and can succeed, as the job's next round."""
    from batchctl.cli.retry import Retry  # noqa: PLC0415 - keeps --help quick
    from batchctl.cli.retry import retry as run  # noqa: PLC0415
    from batchctl.engine.choosing import Choice  # noqa: PLC0415
    from batchctl.engine.spending_limit import Budget  # noqa: PLC0415

    choice = Choice(
        only=frozenset(only or ()),
        include_invalid=include_invalid,
        include_canceled=include_canceled,
    )
    global_options = _global_options(
        workspace,
        base_url,
        insecure_http,
        as_json,
        quiet,
        verbose,
        parallel=parallel,
        timeout=timeout,
        prices=prices_file,
    )
    wanted = Retry(
        choice=choice,
        keeps_file=edit or dry_run,
        is_for_editing=edit,
        edited=from_,
        output_dir=output_dir,
        moved_to=str(input_now or ""),
        waits=not no_wait,
        budget=Budget(max_cost, yes),
        change=_change(beta, no_beta, api_version),
        param_changes=o.param_changes_of(set_ or []),
    )
    run(global_options, job, wanted)


@app.command(cls=Command)
def run(
    context: typer.Context,
    input_: o.InputOrJob,
    name: o.Name = "",
    label: o.Labels = None,
    max_requests: o.MaxRequests = DEFAULT_MAX_REQUESTS,
    max_bytes: o.MaxBytes = CEILING_MAX_BYTES,
    equal_sizes: o.EqualSizes = False,
    check: o.Check = "auto",
    skip_bad: o.SkipBad = False,
    beta: o.Betas = None,
    no_beta: o.NoBetas = None,
    api_version: o.ApiVersion = API_VERSION,
    cache_system: o.CacheSystem = "",
    again: o.Again = False,
    max_rounds: o.MaxRounds = 3,
    output: o.Output = "",
    output_dir: o.OutputDir = None,
    force: o.Force = False,
    input_now: o.MovedInput = None,
    poll_seconds: o.Poll = None,
    parallel: o.Parallel = 4,
    timeout: o.Timeout = None,
    max_cost: o.MaxCost = None,
    yes: o.Yes = False,
    prices_file: o.Prices = None,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """All of it: submit, watch, fetch and retry, until nothing is left that can succeed."""
    from batchctl.cli.outputs import Named  # noqa: PLC0415 - keeps --help quick
    from batchctl.cli.run import run as run_all  # noqa: PLC0415
    from batchctl.engine.spending_limit import Budget  # noqa: PLC0415
    from batchctl.verbs.submission import Submission  # noqa: PLC0415

    named = _named(context)
    wanted = Submission(
        path=input_,
        settings=_settings(api_version, beta, max_requests, max_bytes, label, cache_system, equal_sizes, check),
        name=name,
        skip_bad=skip_bad,
        depth=o.depth_of(check),
        again=again,
        moved_to=str(input_now or ""),
        budget=Budget(max_cost, yes),
        change=_change(beta, no_beta, api_version if "api_version" in named else None),
        named=named,
    )
    global_options = _global_options(
        workspace,
        base_url,
        insecure_http,
        as_json,
        quiet,
        verbose,
        parallel=parallel,
        poll_seconds=poll_seconds,
        timeout=timeout,
        makes_workspace=True,
        api_version=api_version,
        prices=prices_file,
    )
    files = Named(output=output, output_dir=output_dir, force=force)
    run_all(global_options, wanted, files=files, max_rounds=max_rounds)


@app.command(cls=Command)
def verify(
    job: o.JobWord = None,
    output: o.ResultsFile = "",
    output_dir: o.OutputDir = None,
    workspace: o.Workspace = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Prove from the disk alone that every line of the input has its one answer; asks nobody, writes nothing."""
    from batchctl.cli.verify import verify as run  # noqa: PLC0415 - keeps --help quick

    global_options = _global_options(workspace, None, False, as_json, quiet, verbose, takes_steps=False)
    run(global_options, job, output=output, output_dir=output_dir)


@app.command(cls=Command)
def cost(
    job: o.JobWord = None,
    batches: o.Batches = False,
    format_: o.Format = "",
    at: o.At = None,
    prices_file: o.Prices = None,
    workspace: o.Workspace = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Show what a job's answers cost, from the ledger: by model, round and batch, and beside real time; asks nobody."""
    from batchctl.cli.cost import cost as run  # noqa: PLC0415 - keeps --help quick

    global_options = _global_options(
        workspace, None, False, as_json, quiet, verbose, takes_steps=False, prices=prices_file
    )
    run(global_options, job, at=at, wide=batches or o.is_wide(format_))


@app.command(cls=Command)
def cancel(
    job: o.JobWord = None,
    output: o.Output = "",
    output_dir: o.OutputDir = None,
    force: o.Force = False,
    poll_seconds: o.Poll = None,
    no_wait: o.NoWaitForEnd = False,
    timeout: o.Timeout = None,
    yes: o.YesToCancel = False,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """End a job early: nothing more is sent, and what was answered until then is fetched."""
    from batchctl.cli.cancel import cancel as run  # noqa: PLC0415 - keeps --help quick
    from batchctl.cli.outputs import Named  # noqa: PLC0415

    global_options = _global_options(
        workspace, base_url, insecure_http, as_json, quiet, verbose, poll_seconds=poll_seconds, timeout=timeout
    )
    files = Named(output=output, output_dir=output_dir, force=force)
    run(global_options, job, files=files, waits=not no_wait, yes=yes)


@app.command(cls=Command)
def delete(
    job: o.JobWord = None,
    timeout: o.Timeout = None,
    yes: o.YesToDelete = False,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Remove a job's batches at the API, once all of their results are proved to be on the disk."""
    from batchctl.cli.delete import delete as run  # noqa: PLC0415 - keeps --help quick

    global_options = _global_options(workspace, base_url, insecure_http, as_json, quiet, verbose, timeout=timeout)
    run(global_options, job, yes=yes)


@app.command(cls=Command)
def resolve(
    job: o.JobWord = None,
    adopt: o.Adopt = "",
    resend: o.Resend = False,
    cancel_: o.CancelDuplicate = "",
    batch: o.BatchNumber = None,
    yes: o.YesToResend = False,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Show what is in doubt and what speaks for each side; decide it."""
    from batchctl.cli.resolve import Decision  # noqa: PLC0415 - keeps --help quick
    from batchctl.cli.resolve import resolve as run  # noqa: PLC0415

    global_options = _global_options(workspace, base_url, insecure_http, as_json, quiet, verbose)
    run(global_options, job, Decision(adopt=adopt, resend=resend, cancel=cancel_, number=batch, yes=yes))


@app.command(cls=Command)
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the API.")] = False,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Look at everything a job rests on: versions, key, API, workspace, ledger; safe to paste, no secret is shown."""
    from batchctl.cli.doctor import doctor as run  # noqa: PLC0415 - keeps --help quick

    run(workspace, base_url, insecure_http=insecure_http, offline=offline, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
def prices(
    model: o.PricedModel = None,
    every: o.EveryModel = False,
    refresh: o.RefreshPrices = False,
    prices_file: o.Prices = None,
    workspace: o.Workspace = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Show what models cost: in real time, in a batch, and with caching; needs no key and no workspace."""
    from batchctl.cli.prices import prices as run  # noqa: PLC0415 - keeps --help quick

    global_options = _global_options(workspace, None, False, as_json, quiet, verbose=False, prices=prices_file)
    run(global_options, model, is_every=every, refreshes=refresh)


@app.command(cls=Command)
def attach(
    batches: o.MessageBatches,
    input_: o.InputOfBatches = "",
    name: o.Name = "",
    label: o.Labels = None,
    beta: o.Betas = None,
    api_version: o.VersionOfBatches = None,
    parallel: o.Parallel = 4,
    timeout: o.Timeout = None,
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make a job of batches that were made elsewhere; with their input, retry works on it, too."""
    from batchctl.cli.attach import attach as run  # noqa: PLC0415 - keeps --help quick
    from batchctl.verbs.attach import Attachment  # noqa: PLC0415

    wanted = Attachment(
        words=tuple(batches),
        path=input_,
        name=name,
        api_version=api_version,
        betas=tuple(beta or ()),
        labels=o.labels_of(label or []),
    )
    global_options = _global_options(
        workspace,
        base_url,
        insecure_http,
        as_json,
        quiet,
        verbose,
        parallel=parallel,
        timeout=timeout,
        makes_workspace=True,
        api_version=api_version or API_VERSION,
    )
    run(global_options, wanted)


@app.command(cls=Command)
def emulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is a free one.")] = 0,
    speed: Annotated[float, typer.Option(help="Seconds of its clock per second.")] = 1.0,
    scenario: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML: outcomes, limits, faults.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, other outcomes.")] = None,
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where it keeps what it receives.")] = None,
) -> None:
    """Serve a stand-in for the API on this machine; prints its address."""
    from batchctl.cli.emulator import serve  # noqa: PLC0415 - only this command needs a server

    raise typer.Exit(serve(port, speed, scenario, seed, data_dir))


def _settings(
    api_version: str,
    betas: list[str] | None,
    max_requests: int,
    max_bytes: int,
    labels: list[str] | None,
    cache_system: str,
    equal_sizes: bool,
    check: str,
) -> "Settings":
    from batchctl.domain.model import Settings  # noqa: PLC0415
    from batchctl.requests.cutting import MOST_SIZES  # noqa: PLC0415 - keeps --help quick

    return Settings(
        api_version=api_version,
        betas=tuple(dict.fromkeys(betas or ())),
        max_requests=max_requests,
        max_bytes=max_bytes,
        labels=o.labels_of(labels or []),
        cache_system=o.ttl_of(cache_system),
        size_start=None if equal_sizes else secrets.randbelow(MOST_SIZES),
        depth=o.depth_of(check),
    )


def _named(context: typer.Context) -> frozenset[str]:
    """The parameters that somebody has named, on the command line or by a variable."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name in SAID_BY)


def _change(betas: list[str] | None, no_betas: list[str] | None, api_version: str | None) -> "HeaderChange":
    from batchctl.domain.headers import HeaderChange  # noqa: PLC0415 - keeps --help quick

    return HeaderChange(add=tuple(betas or ()), drop=tuple(no_betas or ()), api_version=api_version)


def _global_options(
    workspace: Path | None,
    base_url: str | None,
    insecure_http: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **more: object,
) -> "GlobalOptions":
    from batchctl.cli.wiring import GlobalOptions  # noqa: PLC0415 - keeps --help quick

    return GlobalOptions(
        workspace=workspace,
        base_url=base_url,
        insecure_http=insecure_http,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        **more,  # type: ignore[arg-type]
    )
