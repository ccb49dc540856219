"""The verbs of the command line, in the order in which `--help` lists them. Each stands in a file of its own."""

from typing import Annotated

import typer

from batchctl import __version__
from batchctl.cli.attach import attach
from batchctl.cli.cancel import cancel
from batchctl.cli.cost import cost
from batchctl.cli.delete import delete
from batchctl.cli.doctor import doctor
from batchctl.cli.emulator import emulator
from batchctl.cli.estimate import estimate
from batchctl.cli.fetch import fetch
from batchctl.cli.prices import prices
from batchctl.cli.resolve import resolve
from batchctl.cli.retry import retry
from batchctl.cli.run import run
from batchctl.cli.status import status
from batchctl.cli.submit import submit
from batchctl.cli.typer_classes import Command, Group
from batchctl.cli.verify import verify

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


for _verb in (
    submit, estimate, status, fetch, retry, run, verify, cost, cancel, delete, resolve, doctor, prices, attach, emulator,
):  # fmt: skip
    app.command(cls=Command)(_verb)
