"""The verbs of the command line, in the order in which `--help` lists them. Each stands in a file of its own."""

from typing import Annotated, ClassVar

import typer

from batchctl import __version__
from batchctl.cli.typer_classes import Group, Verb

JOB, MONEY, WRONG, TOOLS = "Run a job", "Money", "When something is wrong", "Tools"

VERBS = (
    Verb("run", JOB, "Run a whole job: submit, watch, fetch and retry"),
    Verb("submit", JOB, "Check an input, cut it into batches and send them"),
    Verb("status", JOB, "Show the state of one job or of all jobs"),
    Verb("fetch", JOB, "Download the results and write them in input order"),
    Verb("retry", JOB, "Send failed requests again"),
    Verb("cancel", JOB, "Cancel a job and fetch what was answered"),
    Verb("estimate", MONEY, "Check an input and estimate what it will cost"),
    Verb("cost", MONEY, "Show what a job has cost"),
    Verb("prices", MONEY, "Show the prices of the models"),
    Verb("doctor", WRONG, "Check your setup: versions, key, API, workspace"),
    Verb("verify", WRONG, "Prove that every line of the input has its answer"),
    Verb("resolve", WRONG, "Review batches whose creation is unconfirmed"),
    Verb("convert", TOOLS, "Convert a batch file of another vendor"),
    Verb("attach", TOOLS, "Make a job of batches that another program created"),
    Verb("delete", TOOLS, "Delete a job's batches at the API"),
    Verb("emulator", TOOLS, "Serve an emulator of the API on this machine"),
    Verb("completion", TOOLS, "Print the completion script of a shell"),
)


class _Verbs(Group):
    verbs: ClassVar[tuple[Verb, ...]] = VERBS


app = typer.Typer(
    cls=_Verbs,
    help="""Run many Messages requests through Anthropic's Message Batches API as one job.

    Examples:
        batchctl run requests.jsonl      Send the requests, wait, write the results
        batchctl run --help              Show the options of a command
        batchctl emulator                Try it without a key and without cost
    """,
    no_args_is_help=True,
    add_completion=False,
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass
