"""Every option once, and what its text means. The same option means the same in every verb."""

import secrets
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchctl.domain.limits import API_VERSION, API_VERSIONS, CACHE_TTLS

if TYPE_CHECKING:
    from batchctl.domain.check_report import Depth
    from batchctl.domain.engines import Engine
    from batchctl.domain.headers import HeaderChange
    from batchctl.domain.model import Settings
    from batchctl.engine.spending_limit import Budget
    from batchctl.requests.param_changes import ParamChange
    from batchctl.verbs.check_input import Submission
    from batchctl.verbs.notifying import WantedTargets

TODAY = "today"
COMMON = "Everywhere"
LONGEST_SECONDS = 30 * 86_400
# Who may have given a parameter its value, but for a default.
NAMED_BY = {"COMMANDLINE", "ENVIRONMENT"}


def _size(given: str | int) -> int:
    """Return bytes, of a text like `32MB`, `500KB` or `1000000`, in decimal units, as the API counts; a default as it is."""
    text = str(given)
    units = {"KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "B": 1}
    upper = text.strip().upper()
    unit = next((u for u in units if upper.endswith(u)), "")
    try:
        return int(float(upper.removesuffix(unit)) * units.get(unit, 1))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is not a size: like 32MB or 250000000") from None


def _seconds(text: str) -> float:
    """Return the seconds of a text like `90s`, `2m`, `1h`, `2d` or `0.5`."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    unit = next((u for u in units if text.endswith(u)), "")
    try:
        seconds = float(text.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a duration: like 500ms, 10s or 2m") from None
    if not 0 < seconds <= LONGEST_SECONDS:
        raise typer.BadParameter("a duration must be more than 0 and at most 30d")
    return seconds


def _dollars(text: str) -> Decimal:
    """Return the amount of a text like `5`, `0.50` or `$5`."""
    try:
        dollars = Decimal(text.strip().removeprefix("$"))
    except ArithmeticError:
        raise typer.BadParameter(f"{text!r} is no amount of US dollars: like 5 or 0.50") from None
    if not dollars.is_finite() or dollars < 0:
        raise typer.BadParameter(f"{text!r}: an amount of US dollars is a number from 0 up")
    return dollars


def _day(text: str) -> str:
    if text != TODAY:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no day: today, or like 2026-11-30") from None
    return text


def _version(text: str) -> str:
    if text not in API_VERSIONS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(API_VERSIONS)}")
    return text


def labels_of(pairs: list[str]) -> dict[str, str]:
    """Return the labels of texts like `team=evals`."""
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"--label {pair!r}: like team=evals")
        labels[key] = value
    return labels


def param_changes_of(texts: list[str]) -> "tuple[ParamChange, ...]":
    """Return the changes of texts like `max_tokens=4096`."""
    from batchctl.domain.errors import UsageProblem
    from batchctl.requests.param_changes import param_change_of

    try:
        return tuple(map(param_change_of, texts))
    except UsageProblem as wrong:
        raise typer.BadParameter(f"{wrong.message}; {wrong.hint}") from None


def is_wide(word: str) -> bool:
    """Return whether `-o` asks for the wide format."""
    if word not in {"", "wide"}:
        raise typer.BadParameter(f"-o {word!r}: the only other format is wide (and --json)")
    return word == "wide"


def depth_of(word: str) -> "Depth":
    """Return the depth that `--check` names."""
    from batchctl.domain.check_report import Depth

    if word not in list(Depth):
        raise typer.BadParameter(f"--check {word!r}: {', '.join(Depth)}")
    return Depth(word)


def engine_of(word: str) -> "Engine | None":
    """Return the engine that `--engine` names; None where it was left out."""
    from batchctl.domain.engines import Engine

    if word not in {"", *Engine}:
        raise typer.BadParameter(f"--engine {word!r}: {' or '.join(Engine)}")
    return Engine(word) if word else None


def ttl_of(word: str) -> str:
    """Return the time to live that `--cache-system` names; empty where it was left out."""
    if word not in {"", *CACHE_TTLS}:
        raise typer.BadParameter(f"--cache-system {word!r}: {' or '.join(CACHE_TTLS)}")
    return word


def settings_of(
    api_version: str,
    betas: list[str] | None,
    max_requests: int,
    max_bytes: int,
    labels: list[str] | None,
    cache_system: str,
    *,
    equal_sizes: bool,
    check: str,
) -> "Settings":
    """Return the settings that the options of `submit` and `run` give a new job."""
    from batchctl.domain.model import Settings
    from batchctl.requests.cutting import MAX_SIZES

    return Settings(
        api_version=api_version,
        betas=tuple(dict.fromkeys(betas or ())),
        max_requests=max_requests,
        max_bytes=max_bytes,
        labels=labels_of(labels or []),
        cache_system=ttl_of(cache_system),
        size_start=None if equal_sizes else secrets.randbelow(MAX_SIZES),
        depth=depth_of(check),
    )


def change_of(betas: list[str] | None, no_betas: list[str] | None, api_version: str | None) -> "HeaderChange":
    """Return the change of a job's headers; None and empty lists leave them as they are."""
    from batchctl.domain.headers import HeaderChange

    return HeaderChange(add=tuple(betas or ()), drop=tuple(no_betas or ()), api_version=api_version)


def submission_of(
    context: typer.Context,
    path: str,
    settings: "Settings",
    *,
    betas: list[str] | None,
    no_betas: list[str] | None,
    name: str,
    skip_bad: bool,
    again: bool,
    moved_to: Path | None,
    budget: "Budget",
    waits: bool = True,
) -> "Submission":
    """Return what `submit` and `run` are asked for."""
    from batchctl.verbs.check_input import Submission

    given = named(context)
    return Submission(
        path=path,
        settings=settings,
        name=name,
        skip_bad=skip_bad,
        again=again,
        waits=waits,
        moved_to=str(moved_to or ""),
        budget=budget,
        change=change_of(betas, no_betas, settings.api_version if "api_version" in given else None),
        named=given,
    )


def targets_of(on_done: str | None, notify: list[str] | None, *, insecure_http: bool) -> "WantedTargets":
    """Return the targets that `--on-done` and `--notify` name."""
    if on_done is None and not notify:
        return {}
    from batchctl.domain.errors import UsageProblem
    from batchctl.verbs.notifying import wanted_targets

    try:
        return wanted_targets(on_done, notify, insecure_http=insecure_http)
    except UsageProblem as wrong:
        raise typer.BadParameter(f"{wrong.message}; {wrong.hint}" if wrong.hint else wrong.message) from None


def named(context: typer.Context) -> frozenset[str]:
    """Return the parameters that the command line or an environment variable names, by their names in Python."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name in NAMED_BY)


Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        envvar="BATCHCTL_WORKSPACE",
        metavar="DIR",
        help="The folder that holds ledger and jobs; else the nearest .batchctl.",
        show_default=False,
        rich_help_panel=COMMON,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Where the API is; else ANTHROPIC_BASE_URL, else the API itself.",
        show_default=False,
        rich_help_panel=COMMON,
    ),
]
InsecureHttp = Annotated[
    bool,
    typer.Option(
        "--insecure-http",
        envvar="BATCHCTL_INSECURE_HTTP",
        help="Take a plain http URL of another host; the key travels readable. Never to anthropic.com.",
        rich_help_panel=COMMON,
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        help="Private prices (TOML) to rely on; else BATCHCTL_PRICES, the workspace's, your own.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="JSON objects alone: on stdout what was asked for and, while it is watched, each poll; on stderr an error.",
        rich_help_panel=COMMON,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only errors and what was asked for.", rich_help_panel=COMMON)
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every event.", rich_help_panel=COMMON)]
Parallel = Annotated[int, typer.Option("--parallel", min=1, max=32, metavar="N", help="Uploads or downloads at once.")]
EngineWord = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="threads|processes",
        help="Check and verify in this process alone or in several; default: several for large jobs.",
        show_default=False,
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Say yes to what would be asked: the price, warnings, what no limit can hold."),
]
MaxCost = Annotated[
    Decimal | None,
    typer.Option(
        "--max-cost",
        parser=_dollars,
        metavar="USD",
        help="Send nothing where all rounds of the job together may cost more; up to it, nobody is asked. Remembered with the job.",
        show_default=False,
    ),
]
YesToPrice = Annotated[
    bool, typer.Option("--yes", "-y", help="Say yes to what would be asked: the price, what no limit can hold.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be sent, and send nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Stop when the API's queue is full instead of waiting.")]
NoWaitForEnd = Annotated[bool, typer.Option("--no-wait", help="Ask for the cancel and leave before it is done.")]
YesToDelete = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]
YesToCancel = Annotated[bool, typer.Option("--yes", "-y", help="Cancel without asking.")]
Adopt = Annotated[
    str,
    typer.Option("--adopt", metavar="ID", help="The unconfirmed batch is this one of the API.", show_default=False),
]
Resend = Annotated[bool, typer.Option("--resend", help="The API does not have it: plan it again, to be sent.")]
CancelDuplicate = Annotated[
    str,
    typer.Option("--cancel", metavar="ID", help="End a batch that holds requests twice.", show_default=False),
]
BatchNumber = Annotated[
    int | None,
    typer.Option("--batch", min=1, metavar="N", help="Decide about this batch alone.", show_default=False),
]
YesToResend = Annotated[bool, typer.Option("--yes", "-y", help="Send again without asking, and perhaps pay twice.")]
MaxRounds = Annotated[
    int,
    typer.Option("--max-rounds", min=1, metavar="N", help="Sendings in all: the input, and what failed again."),
]
MovedInput = Annotated[
    Path | None,
    typer.Option(
        "--input", metavar="PATH", help="Where the job's input is now; checked by its hash.", show_default=False
    ),
]
InputOrJob = Annotated[
    str, typer.Argument(metavar="INPUT|JOB", help="A JSONL of requests, as for submit; or a job, as for fetch.")
]
JobWord = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB",
        help="A job's name or the beginning of it, @last, or a msgbatch_... id; the latest job if left out.",
        show_default=False,
    ),
]

InputFile = Annotated[
    str,
    typer.Argument(
        metavar="INPUT", help="A JSONL of requests; .gz and .zst are unpacked; - is stdin; or an unfinished job."
    ),
]
InputToEstimate = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="A JSONL of requests; .gz and .zst are unpacked; - is stdin."),
]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the job.", show_default=False)]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", metavar="KEY=VALUE", help="A label to show with the job; may be repeated.", show_default=False
    ),
]
MaxRequests = Annotated[int, typer.Option("--max-requests", metavar="N", help="Requests per batch, 1 to 100,000.")]
MaxBytes = Annotated[
    int,
    typer.Option(
        "--max-bytes",
        parser=_size,
        metavar="SIZE",
        help="Body bytes per batch; at most, and by default, 250MB: a little under the API's 256 MB.",
        show_default=False,
    ),
]
EqualSizes = Annotated[
    bool,
    typer.Option(
        "--equal-sizes",
        help="Give every batch --max-requests requests. By default sizes differ, so that a lost batch is found by its size.",
        show_default=False,
    ),
]
Show = Annotated[
    int | None,
    typer.Option(
        "--show",
        min=1,
        metavar="N",
        help="With --dry-run: print request N exactly as it would be sent.",
        show_default=False,
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave lines with errors out; they stay unanswered.")]
Check = Annotated[
    str,
    typer.Option(
        "--check",
        metavar="auto|full|envelope",
        help="How many requests have their params checked in depth: auto a sample above 100,000, full all, envelope none.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Send (and pay for) an input that was sent before.")]
Betas = Annotated[
    list[str] | None,
    typer.Option(
        "--beta", metavar="NAME", help="A value of the anthropic-beta header; may be repeated.", show_default=False
    ),
]
NoBetas = Annotated[
    list[str] | None,
    typer.Option(
        "--no-beta",
        metavar="NAME",
        help="Of a job that is there: take this one off what is still to be sent; may be repeated.",
        show_default=False,
    ),
]
BetasFromHere = Annotated[
    list[str] | None,
    typer.Option(
        "--beta",
        metavar="NAME",
        help="Add a value to the anthropic-beta header of what is still to be sent; may be repeated.",
        show_default=False,
    ),
]
ApiVersion = Annotated[
    str,
    typer.Option(
        "--api-version",
        parser=_version,
        metavar="DATE",
        help=f"The anthropic-version header: {' or '.join(API_VERSIONS)}.",
    ),
]
VersionFromHere = Annotated[
    str | None,
    typer.Option(
        "--api-version",
        parser=_version,
        metavar="DATE",
        help=f"The anthropic-version header from here on: {' or '.join(API_VERSIONS)}; else the job's.",
        show_default=False,
    ),
]
CacheSystem = Annotated[
    str,
    typer.Option(
        "--cache-system",
        metavar="|".join(CACHE_TTLS),
        help="Add cache_control for this time to the system prompts: the one change made to what is sent.",
        show_default=False,
    ),
]

MessageBatches = Annotated[
    list[str],
    typer.Argument(
        metavar="ID",
        help="Ids like msgbatch_...; - reads them from stdin, one a line; with --input also a job that was attached without.",
    ),
]
InputOfBatches = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="FILE",
        help="The JSONL that the batches were made of; .gz and .zst are unpacked; - is stdin.",
        show_default=False,
    ),
]
VersionOfBatches = Annotated[
    str | None,
    typer.Option(
        "--api-version",
        parser=_version,
        metavar="DATE",
        help=f"The anthropic-version header, also of what is sent again: {' or '.join(API_VERSIONS)}.",
        show_default=API_VERSION,
    ),
]

PricedModel = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="A model's id; all that are served if left out.", show_default=False),
]
EveryModel = Annotated[bool, typer.Option("--all", help="Also models that are retired.")]
RefreshPrices = Annotated[
    bool, typer.Option("--refresh", help="Fetch the newest price list first, and use it from now on.")
]

Sample = Annotated[
    int,
    typer.Option(
        "--sample", min=1, max=1000, metavar="N", help="Requests counted by the API, at most; counting is free."
    ),
]
CountNothing = Annotated[bool, typer.Option("--offline", help="From bytes alone; ask nobody.")]

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again until all has ended.")]
Poll = Annotated[
    float | None,
    typer.Option(
        "--poll",
        parser=_seconds,
        metavar="TIME",
        help="Time between polls; else as the API asks, or 10 s growing to 60 s.",
        show_default=False,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=_seconds,
        metavar="TIME",
        help="Leave with 8 after this time: 90s, 2h, 3d; the job goes on. Else trouble is waited out.",
        show_default=False,
    ),
]
OnDone = Annotated[
    str | None,
    typer.Option(
        "--on-done",
        metavar="CMD",
        help="Run CMD with sh when the job has ended or needs a person. Remembered with the job; '' removes it.",
        show_default=False,
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="URL",
        help="Post to URL when the job has ended or needs a person; may be repeated. Remembered; '' removes all.",
        show_default=False,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="From the ledger alone; ask nobody.")]
ExitStatus = Annotated[bool, typer.Option("--exit-status", help="Exit with the state of the job: 0, 3, 4, 7 or 8.")]
Batches = Annotated[bool, typer.Option("--batches", help="Every batch in a row of its own; the same as -o wide.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        parser=_day,
        metavar="DAY",
        help="By the prices of another day: today, or like 2026-11-30; else by those of its time, as they were recorded.",
        show_default=False,
    ),
]
Format = Annotated[str, typer.Option("-o", metavar="wide", help="wide: with every batch.", show_default=False)]

Output = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Where the results go; - is stdout.", show_default="JOB.results.jsonl"
    ),
]
ResultsFile = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The merged results, where they are.", show_default="JOB.results.jsonl"
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir", metavar="DIR", help="The folder for results and errors; else this one.", show_default=False
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that the job did not write.")]

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="TYPE|CLASS",
        help="An error type (overloaded_error), a class (retry, fix, account, policy), or expired, canceled, truncated,"
        " refusal, pause_turn, unknown, in_no_batch; may be repeated.",
        show_default=False,
    ),
]
IncludeInvalid = Annotated[bool, typer.Option("--include-invalid", help="Also those that were wrong, as they are.")]
IncludeCanceled = Annotated[bool, typer.Option("--include-canceled", help="Also those that were canceled.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change the params of every request that is sent again, as max_tokens=4096 or thinking.budget_tokens=2000;"
        " without VALUE it is removed; may be repeated.",
        show_default=False,
    ),
]
Edit = Annotated[bool, typer.Option("--edit", help="Write the requests to a file for you to edit; send nothing.")]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="FILE", help="Send this edited file; its ids must be among the failed.", show_default=False
    ),
]
