"""The options that every verb has: declared once, and added to the signature of each verb by a decorator."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from batchctl.cli import options as o
from batchctl.verbs.session_options import SessionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions(SessionOptions):
    """What a command line says of the session, of what is shown, and of when to stop.

    Attributes:
        as_json: Whether objects are written instead of text.
        quiet: Whether only errors, and what was asked for, are shown.
        verbose: Whether every event is shown.
        timeout: Seconds after which the command stops; None for never.
        cancels: Whether the verb cancels batches: a stop does not take that back.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    timeout: float | None = None
    cancels: bool = False


def _options(  # the signature is what is added
    workspace: o.Workspace = None,
    base_url: o.BaseUrl = None,
    insecure_http: o.InsecureHttp = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> GlobalOptions:
    return GlobalOptions(
        workspace=workspace,
        base_url=base_url,
        insecure_http=insecure_http,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )


def with_global_options(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb the global options: Typer sees them after its own ones, and the verb gets them as its first argument.

    `left_out` names the parameters that the verb has no use for.
    """
    added = [each for name, each in inspect.signature(_options).parameters.items() if name not in left_out]

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(verb).parameters.values())[1:]

        @functools.wraps(verb)
        def command(**values: Any) -> None:
            verb(_options(**{each.name: values.pop(each.name) for each in added}), **values)

        command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        return command

    return decorate
