"""Every option once, and what its text means. The same option means the same in every verb."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchctl.cli.completion import (
    check_choice,
    choices,
    complete_input,
    complete_input_or_job,
    complete_job,
    complete_model,
)
from batchctl.cli.help_pages import OPTION_GROUPS
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
WHICH, INPUT, BATCHES, API, MONEY, WAITING, OUTPUT, GLOBAL = OPTION_GROUPS
# The values of domain.check_report.Depth and of domain.engines.Engine: a test compares them, so that help need not import these.
DEPTHS = ("auto", "full", "envelope")
ENGINES = ("threads", "processes")
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
        raise typer.BadParameter(f"{text!r} is not a size; use a number like 32MB or 250000000") from None


def _seconds(text: str) -> float:
    """Return the seconds of a text like `90s`, `2m`, `1h`, `2d` or `0.5`."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    unit = next((u for u in units if text.endswith(u)), "")
    try:
        seconds = float(text.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a duration; use a number like 500ms, 10s or 2m") from None
    if not 0 < seconds <= LONGEST_SECONDS:
        raise typer.BadParameter("a duration must be more than 0 and at most 30d")
    return seconds


def _dollars(text: str) -> Decimal:
    """Return the amount of a text like `5`, `0.50` or `$5`."""
    try:
        dollars = Decimal(text.strip().removeprefix("$"))
    except ArithmeticError:
        raise typer.BadParameter(f"{text!r} is not an amount of US dollars; use a number like 5 or 0.50") from None
    if not dollars.is_finite() or dollars < 0:
        raise typer.BadParameter(f"{text!r}: an amount of US dollars must be 0 or more")
    return dollars


def _day(text: str) -> str:
    if text != TODAY:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a day; use today or a date like 2026-11-30") from None
    return text


def _version(text: str) -> str:
    return check_choice("version", text, API_VERSIONS)


def labels_of(pairs: list[str]) -> dict[str, str]:
    """Return the labels of texts like `team=evals`."""
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"--label {pair!r}: use KEY=VALUE, like team=evals")
        labels[key] = value
    return labels


def models_of(words: list[str]) -> tuple[str, dict[str, str]]:
    """Return the model for all requests, empty for none, and the models by the name they replace, of texts like `gpt-4o=MODEL`."""
    pairs = [word.rpartition("=") for word in words]
    for_all = [model for _, equals, model in pairs if not equals]
    if not all(model and (name or not equals) for name, equals, model in pairs) or len(for_all) > 1:
        raise typer.BadParameter(
            "--model: use MODEL once for all requests, or NAME=MODEL for each that another model names"
        )
    return next(iter(for_all), ""), {name: model for name, equals, model in pairs if equals}


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
        raise typer.BadParameter(f"-o {word!r}: use -o wide or --json")
    return word == "wide"


def depth_of(word: str) -> "Depth":
    """Return the depth that `--check` names."""
    from batchctl.domain.check_report import Depth

    return Depth(check_choice("--check", word, DEPTHS))


def engine_of(word: str) -> "Engine | None":
    """Return the engine that `--engine` names; None where it was left out."""
    from batchctl.domain.engines import Engine

    return Engine(check_choice("--engine", word, ENGINES)) if word else None


def ttl_of(word: str) -> str:
    """Return the time to live that `--cache-system` names; empty where it was left out."""
    return check_choice("--cache-system", word, CACHE_TTLS) if word else ""


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
    canary: bool = False,
    prime: bool = False,
    prime_min_hit: str = "",
) -> "Settings":
    """Return the settings that the options of `submit` and `run` give a new job."""
    import secrets

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
        canary=canary,
        prime_min_hit=percent_of(prime_min_hit or DEFAULT_MIN_HIT) if prime or prime_min_hit else None,
    )


def percent_of(word: str) -> int:
    """Return the value of `--prime-min-hit`."""
    number = word.removesuffix("%").strip()
    if not number.isascii() or not number.isdigit() or int(number) > 100:
        raise typer.BadParameter(f"--prime-min-hit {word}: use a whole number from 0% to 100%")
    return int(number)


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
    strict: bool,
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
        strict=strict,
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


# ---------------------------------------------------------------- every verb

Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        envvar="BATCHCTL_WORKSPACE",
        metavar="DIR",
        help="Workspace folder; default: the nearest .batchctl",
        rich_help_panel=GLOBAL,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="URL of the API [env: ANTHROPIC_BASE_URL]", rich_help_panel=GLOBAL),
]
InsecureHttp = Annotated[
    bool,
    typer.Option(
        "--insecure-http",
        envvar="BATCHCTL_INSECURE_HTTP",
        help="Allow plain http to another host: others can read the key",
        rich_help_panel=GLOBAL,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Write JSON to stdout, errors as JSON to stderr", rich_help_panel=GLOBAL)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show only errors and the results asked for", rich_help_panel=GLOBAL)
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every event", rich_help_panel=GLOBAL)]

# ---------------------------------------------------------------- arguments

InputOrJob = Annotated[
    str,
    typer.Argument(
        metavar="INPUT|JOB",
        help="JSONL file of requests (.gz, .zst, - for stdin), or a job",
        autocompletion=complete_input_or_job,
    ),
]
InputFile = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="JSONL file of requests (.gz, .zst, - for stdin), or an unfinished job",
        autocompletion=complete_input_or_job,
    ),
]
FileToConvert = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Batch file of another vendor (.gz, .zst, - for stdin)",
        autocompletion=complete_input,
    ),
]
InputToEstimate = Annotated[
    str, typer.Argument(metavar="INPUT", help="JSONL file of requests (.gz, .zst, - for stdin)")
]
JobWord = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB",
        help="Job name or its beginning, @last, or a batch id; default: the latest job",
        autocompletion=complete_job,
    ),
]
MessageBatches = Annotated[
    list[str],
    typer.Argument(
        metavar="ID",
        help="Batch ids (msgbatch_...), or - to read them from stdin; with --input also a job that was attached without",
        autocompletion=complete_job,
    ),
]
PricedModel = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL", help="Model id; default: all models that are served", autocompletion=complete_model
    ),
]

# ---------------------------------------------------------------- the input

Name = Annotated[
    str,
    typer.Option("--name", metavar="NAME", help="Job name; default: from INPUT and its hash", rich_help_panel=INPUT),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Label shown with the job; repeatable", rich_help_panel=INPUT),
]
Check = Annotated[
    str,
    typer.Option(
        "--check",
        metavar="LEVEL",
        help="Check params: auto, full or envelope",
        autocompletion=choices(*DEPTHS),
        rich_help_panel=INPUT,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Treat warnings as errors", rich_help_panel=INPUT)]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Skip invalid lines; they stay unanswered", rich_help_panel=INPUT)
]
ModelOfRequests = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="[NAME=]MODEL",
        help="Model for all requests, or for those that name NAME; repeatable",
        autocompletion=complete_model,
        rich_help_panel=INPUT,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", min=1, metavar="N", help="max_tokens of requests that have none", rich_help_panel=INPUT
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop", metavar="KEY", help="Leave out a key that has no counterpart; repeatable", rich_help_panel=INPUT
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Send (and pay for) the same input again", rich_help_panel=INPUT)]
MovedInput = Annotated[
    Path | None,
    typer.Option(
        "--input", metavar="PATH", help="New path of the job's input; checked by its hash", rich_help_panel=INPUT
    ),
]
InputOfBatches = Annotated[
    str,
    typer.Option("--input", metavar="FILE", help="JSONL file that the batches were made of", rich_help_panel=INPUT),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would be sent; send nothing", rich_help_panel=INPUT)
]
Show = Annotated[
    int | None,
    typer.Option(
        "--show",
        min=1,
        metavar="N",
        help="Print request N as it would be sent; send nothing",
        rich_help_panel=INPUT,
    ),
]
Sample = Annotated[
    int,
    typer.Option(
        "--sample",
        min=1,
        max=1000,
        metavar="N",
        help="Most requests to count by the API (free)",
        rich_help_panel=INPUT,
    ),
]
CountNothing = Annotated[
    bool, typer.Option("--offline", help="Estimate from bytes only; no network", rich_help_panel=INPUT)
]

# ---------------------------------------------------------------- which requests are sent again

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KIND",
        help="Error type (overloaded_error), class (retry, fix, account, policy), or expired, canceled, truncated,"
        " refusal, pause_turn, unknown, in_no_batch, withheld; repeatable",
        autocompletion=choices(
            "retry", "fix", "account", "policy", "expired", "canceled", "truncated", "refusal", "pause_turn", "unknown",
            "in_no_batch", "withheld",
        ),
        rich_help_panel=WHICH,
    ),
]  # fmt: skip
IncludeInvalid = Annotated[
    bool,
    typer.Option("--include-invalid", help="Include invalid requests, unchanged", rich_help_panel=WHICH),
]
IncludeCanceled = Annotated[
    bool, typer.Option("--include-canceled", help="Include canceled requests", rich_help_panel=WHICH)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change the params of every request, like max_tokens=4096; an empty VALUE removes the key; repeatable",
        rich_help_panel=WHICH,
    ),
]
Edit = Annotated[
    bool,
    typer.Option("--edit", help="Write the requests to a file to edit; send nothing", rich_help_panel=WHICH),
]
From = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Send the requests of an edited file", rich_help_panel=WHICH),
]

# ---------------------------------------------------------------- batches

MaxRequests = Annotated[
    int,
    typer.Option("--max-requests", metavar="N", help="Requests per batch, 1 to 100,000", rich_help_panel=BATCHES),
]
MaxBytes = Annotated[
    int,
    typer.Option(
        "--max-bytes",
        parser=_size,
        metavar="SIZE",
        help="Bytes per batch, at most 250MB",
        show_default="250MB",
        rich_help_panel=BATCHES,
    ),
]
EqualSizes = Annotated[
    bool,
    typer.Option("--equal-sizes", help="Make all batches equal; default: sizes differ", rich_help_panel=BATCHES),
]
Parallel = Annotated[
    int,
    typer.Option(
        "--parallel", min=1, max=32, metavar="N", help="Uploads or downloads at once", rich_help_panel=BATCHES
    ),
]
EngineWord = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="KIND",
        help="threads or processes; default: by the job's size",
        autocompletion=choices(*ENGINES),
        rich_help_panel=BATCHES,
    ),
]
Batches = Annotated[bool, typer.Option("--batches", help="Show every batch", rich_help_panel=BATCHES)]
Format = Annotated[
    str,
    typer.Option(
        "-o", metavar="wide", help="Same as --batches", autocompletion=choices("wide"), rich_help_panel=BATCHES
    ),
]

# ---------------------------------------------------------------- the API

Betas = Annotated[
    list[str] | None,
    typer.Option("--beta", metavar="NAME", help="Value of the anthropic-beta header; repeatable", rich_help_panel=API),
]
BetasFromHere = Annotated[
    list[str] | None,
    typer.Option(
        "--beta", metavar="NAME", help="Add a beta to what is still to be sent; repeatable", rich_help_panel=API
    ),
]
NoBetas = Annotated[
    list[str] | None,
    typer.Option(
        "--no-beta",
        metavar="NAME",
        help="Remove a beta from what is still to be sent; repeatable",
        rich_help_panel=API,
    ),
]
ApiVersion = Annotated[
    str,
    typer.Option(
        "--api-version",
        parser=_version,
        metavar="DATE",
        help="anthropic-version header",
        autocompletion=choices(*API_VERSIONS),
        rich_help_panel=API,
    ),
]
VersionFromHere = Annotated[
    str | None,
    typer.Option(
        "--api-version",
        parser=_version,
        metavar="DATE",
        help="New anthropic-version for what is still to be sent",
        autocompletion=choices(*API_VERSIONS),
        rich_help_panel=API,
    ),
]
VersionOfBatches = Annotated[
    str | None,
    typer.Option(
        "--api-version",
        parser=_version,
        metavar="DATE",
        help="anthropic-version header",
        show_default=API_VERSION,
        autocompletion=choices(*API_VERSIONS),
        rich_help_panel=API,
    ),
]
CacheSystem = Annotated[
    str,
    typer.Option(
        "--cache-system",
        metavar="|".join(CACHE_TTLS),
        help="Add cache_control to the system prompts; whether it is read is not known",
        autocompletion=choices(*CACHE_TTLS),
        rich_help_panel=API,
    ),
]

Canary = Annotated[
    bool,
    typer.Option(
        "--canary",
        help="Send one request of each shape first, and withhold the shapes that the API refuses",
        rich_help_panel=INPUT,
    ),
]

Prime = Annotated[
    bool,
    typer.Option(
        "--prime",
        help="Cache long shared prompts for 1 hour with a first batch, and send the rest once it has ended",
        rich_help_panel=API,
    ),
]
DEFAULT_MIN_HIT = "50%"
PrimeMinHit = Annotated[
    str,
    typer.Option(
        "--prime-min-hit",
        metavar="PERCENT",
        help=f"Hold the rest if less is read from the cache; default: {DEFAULT_MIN_HIT}",
        rich_help_panel=API,
    ),
]

# ---------------------------------------------------------------- money

MaxCost = Annotated[
    Decimal | None,
    typer.Option(
        "--max-cost",
        parser=_dollars,
        metavar="USD",
        help="Cost limit for all rounds; below it, no confirmation",
        rich_help_panel=MONEY,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Confirm the price and warnings without asking", rich_help_panel=MONEY)
]
YesToPrice = Annotated[
    bool, typer.Option("--yes", "-y", help="Confirm the price without asking", rich_help_panel=MONEY)
]
Prices = Annotated[
    Path | None,
    typer.Option(
        "--prices", metavar="FILE", help="Private prices (TOML) [env: BATCHCTL_PRICES]", rich_help_panel=MONEY
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        parser=_day,
        metavar="DAY",
        help="Use the prices of a day: today, or like 2026-11-30",
        autocompletion=choices(TODAY),
        rich_help_panel=MONEY,
    ),
]
EveryModel = Annotated[bool, typer.Option("--all", help="Include retired models", rich_help_panel=MONEY)]
RefreshPrices = Annotated[
    bool, typer.Option("--refresh", help="Download the newest price list first", rich_help_panel=MONEY)
]

# ---------------------------------------------------------------- waiting

MaxRounds = Annotated[
    int,
    typer.Option("--max-rounds", min=1, metavar="N", help="Rounds in all, the first included", rich_help_panel=WAITING),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Poll until the job has ended", rich_help_panel=WAITING)]
Poll = Annotated[
    float | None,
    typer.Option(
        "--poll",
        parser=_seconds,
        metavar="TIME",
        help="Time between polls; default: 10s growing to 60s",
        rich_help_panel=WAITING,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=_seconds,
        metavar="TIME",
        help="Give up with exit status 8 after TIME, like 2h",
        rich_help_panel=WAITING,
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait", help="Do not wait for a full queue of the API, or for a first batch", rich_help_panel=WAITING
    ),
]
OnDone = Annotated[
    str | None,
    typer.Option(
        "--on-done",
        metavar="CMD",
        help="Run CMD with sh when the job ends or needs you",
        rich_help_panel=WAITING,
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="URL",
        help="Notify URL when the job ends or needs you; repeatable",
        rich_help_panel=WAITING,
    ),
]
NoWaitForEnd = Annotated[
    bool, typer.Option("--no-wait", help="Return before the cancel is complete", rich_help_panel=WAITING)
]

# ---------------------------------------------------------------- what is written

Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Results file, or -",
        show_default="JOB.results.jsonl",
        rich_help_panel=OUTPUT,
    ),
]
ResultsFile = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Results file",
        show_default="JOB.results.jsonl",
        rich_help_panel=OUTPUT,
    ),
]
RequestsFile = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Request file, or -",
        show_default="NAME.requests.jsonl",
        rich_help_panel=OUTPUT,
    ),
]
ForceRequests = Annotated[bool, typer.Option("--force", help="Replace a file that is there", rich_help_panel=OUTPUT)]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        metavar="DIR",
        help="Folder for results and errors",
        show_default=".",
        rich_help_panel=OUTPUT,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace files that this job did not write", rich_help_panel=OUTPUT)
]
Offline = Annotated[bool, typer.Option("--offline", help="Use local records only; no network", rich_help_panel=OUTPUT)]
ExitStatus = Annotated[
    bool, typer.Option("--exit-status", help="Exit with the job's state: 0, 3, 4, 7 or 8", rich_help_panel=OUTPUT)
]

# ---------------------------------------------------------------- decisions of a person

YesToDelete = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking")]
YesToCancel = Annotated[bool, typer.Option("--yes", "-y", help="Cancel without asking")]
Adopt = Annotated[str, typer.Option("--adopt", metavar="ID", help="The unconfirmed batch is batch ID of the API")]
Resend = Annotated[bool, typer.Option("--resend", help="The API does not have the batch: send it again")]
CancelDuplicate = Annotated[
    str, typer.Option("--cancel", metavar="ID", help="Cancel a batch that holds requests twice")
]
BatchNumber = Annotated[int | None, typer.Option("--batch", min=1, metavar="N", help="Decide about batch N only")]
YesToResend = Annotated[bool, typer.Option("--yes", "-y", help="Send again without asking; this may pay twice")]
