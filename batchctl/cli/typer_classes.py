"""Typer's commands, which convert no value that needs no conversion.

Typer hands every value to pydantic, absent ones and defaults too. To import pydantic takes a third of the time of
`status --offline`. What a person types and is to be more than text is converted by Typer itself.
"""

import sys
from typing import Any

from typer import Context
from typer._click.exceptions import ClickException
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

JSON = "--json"


class Command(TyperCommand):
    """A verb."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, each with a conversion that is built only when it is needed."""
        return _lightened(super().get_params(ctx))


class Group(TyperGroup):
    """All verbs."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, each with a conversion that is built only when it is needed."""
        return _lightened(super().get_params(ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program as Typer does; with --json, an error in the command line is an object, too."""
        if JSON not in (args[0] if args else sys.argv[1:]):
            return super().main(*args, **extra)
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except ClickException as wrong:
            _say(wrong)
            sys.exit(wrong.exit_code)
        sys.exit(status or 0)


def _say(wrong: ClickException) -> None:
    from batchctl.domain.errors import UsageProblem
    from batchctl.render import error
    from batchctl.render.json_output import write

    context = getattr(wrong, "ctx", None)
    hint = f"{context.command_path if context else 'batchctl'} -h"
    write(sys.stderr, error.to_json(UsageProblem(wrong.format_message(), hint=hint), wrong.exit_code))


class _Option(TyperOption):
    def get_runtime_param(self) -> Any:
        return _Conversion(super().get_runtime_param)


class _Argument(TyperArgument):
    def get_runtime_param(self) -> Any:
        return _Conversion(super().get_runtime_param)


class _Conversion:
    """Takes the place of Typer's conversion, which is built when there is something to convert."""

    def __init__(self, build: Any) -> None:
        self._build = build

    def coerce(self, value: Any, param: Any, ctx: Context) -> Any:
        wanted = param.type_descriptor
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        is_text = wanted.annotation is str and wanted.parameter_info.parser is None
        # Every default is what it is to become.
        if value == param.default or (is_text and isinstance(value, str)):
            return value
        return self._build().coerce(value, param=param, ctx=ctx)


def _lightened(params: list[Any]) -> list[Any]:
    for param in params:
        # Typer makes them itself: there is no way to hand it classes.
        param.__class__ = _Option if isinstance(param, TyperOption) else _Argument
    return params
