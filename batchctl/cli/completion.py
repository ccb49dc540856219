"""Shell completion: the values that options and arguments offer, and `completion`, which prints the script of a shell.

A shell asks at every press of the tab key: nothing here opens a connection or the ledger.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

PROGRAM = "batchctl"
SHELLS = ("bash", "zsh", "fish")


def prepare() -> None:
    """Prepare Typer to answer a shell: without Rich, whose import takes longer than all the rest."""
    from typer import _completion_classes

    _completion_classes.completion_init()
    _completion_classes._sanitize_help_text = lambda text: text  # noqa: SLF001 - no text of ours holds Rich's markup


def check_choice(option: str, word: str, values: Sequence[str]) -> str:
    """Return the word. Raises BadParameter where it is none of the values."""
    if word not in values:
        near = next(iter(get_close_matches(word, values, n=1)), "")
        listed = f"{', '.join(values[:-1])} or {values[-1]}" if values[1:] else values[0]
        raise typer.BadParameter(f"{option} {word!r}: use {listed}{f'; did you mean {near}?' if near else ''}")
    return word


def choices(*values: str) -> Callable[[str], list[str]]:
    """Return a completer of these values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def complete_job(context: typer.Context, incomplete: str) -> list[str]:
    """Return the jobs of the workspace that begin so, the latest first."""
    from batchctl.domain.names import LAST
    from batchctl.verbs.known_names import job_names

    return [name for name in (*job_names(_workspace(context)), LAST) if name.startswith(incomplete)]


def complete_input(incomplete: str) -> list[str]:
    """Return the inputs in this folder that begin so; none for a path, which the shell completes itself."""
    from batchctl.verbs.known_names import input_names

    return [] if "/" in incomplete else [name for name in input_names() if name.startswith(incomplete)]


def complete_input_or_job(context: typer.Context, incomplete: str) -> list[str]:
    """Return the inputs in this folder and the jobs that begin so; none for a path, which the shell completes itself."""
    return [] if "/" in incomplete else [*complete_input(incomplete), *complete_job(context, incomplete)]


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Return the models that begin so: those that the API listed last for this workspace, and those that are known here."""
    from batchctl.verbs.known_names import model_names

    return [name for name in model_names(_workspace(context)) if name.startswith(incomplete)]


def _workspace(context: typer.Context) -> Path | None:
    named = context.params.get("workspace")
    return Path(named) if named else None


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish", autocompletion=choices(*SHELLS))],
) -> None:
    """Print the script that makes a shell complete commands, options, job names and models.

    Load it in the startup file of the shell.

    Examples:
        eval "$(batchctl completion bash)"      In ~/.bashrc
        eval "$(batchctl completion zsh)"       In ~/.zshrc, after compinit
        batchctl completion fish | source       In ~/.config/fish/config.fish
    """
    from typer._completion_shared import get_completion_script

    check_choice("SHELL", shell, SHELLS)
    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=f"_{PROGRAM.upper()}_COMPLETE", shell=shell))
