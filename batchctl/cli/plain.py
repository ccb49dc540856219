"""Typer's commands, but for this: what needs no conversion is not converted.

Typer hands every value to pydantic, absent ones and defaults too, and to import pydantic takes a third of the time in which
`status --offline` is done. Whatever a person types that is to be more than text goes Typer's own way.
"""

from typing import Any

from typer import Context
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption


class Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _lightened(super().get_params(ctx))


class Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _lightened(super().get_params(ctx))


class _Option(TyperOption):
    def get_runtime_param(self) -> Any:
        return _Conversion(super().get_runtime_param)


class _Argument(TyperArgument):
    def get_runtime_param(self) -> Any:
        return _Conversion(super().get_runtime_param)


class _Conversion:
    """Stands in for Typer's, which is built when there is something to convert."""

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
