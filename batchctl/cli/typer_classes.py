"""Typer's commands: with help pages of our own, built when they are called, and converting only what needs conversion.

Typer hands every value to pydantic, absent ones and defaults too. To import pydantic takes a third of the time of
`status --offline`. What a person types and is to be more than text is converted by Typer itself.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar

from typer import Abort, Context
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption, UsageError
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from batchctl.cli.help_pages import OPTION_GROUPS, Section, page

JSON = "--json"


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb as `batchctl --help` lists it: `name` is also that of its module in `cli` and of the function there."""

    name: str
    group: str
    summary: str


class Command(TyperCommand):
    """A verb."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, each with a conversion that is built only when it is needed."""
        return _lightened(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help page."""
        return _page(self, ctx, [])


class Group(TyperGroup):
    """All verbs, each imported and built when it is called: `--help` and a typing error need none of them."""

    verbs: ClassVar[tuple[Verb, ...]] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Commands(self.verbs)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, each with a conversion that is built only when it is needed."""
        return _lightened(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help page."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for verb in self.verbs:
            groups.setdefault(verb.group, []).append((verb.name, verb.summary))
        return _page(self, ctx, [Section(heading, rows) for heading, rows in groups.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that is called. Raises NoSuchVerb."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise NoSuchVerb(args[0], next(iter(get_close_matches(args[0], self.commands, n=1)), ""), ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the verbs that begin so; else the options."""
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(verb.name, help=verb.summary) for verb in self.verbs if verb.name.startswith(incomplete)]

    def _main_shell_completion(self, *args: Any, **extra: Any) -> None:
        from batchctl.cli.completion import prepare

        prepare()
        super()._main_shell_completion(*args, **extra)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program as Typer does; an error in the command line is shown as every other error is."""
        words = args[0] if args else sys.argv[1:]
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except NoArgsIsHelpError as wrong:
            wrong.show()
            sys.exit(wrong.exit_code)
        except ClickException as wrong:
            _report(wrong, as_json=JSON in words)
            sys.exit(wrong.exit_code)
        except Abort:
            sys.exit(1)
        sys.exit(status or 0)


class NoSuchVerb(UsageError):
    """A verb that does not exist. `near`: the one that was probably meant, empty where none is near."""

    def __init__(self, name: str, near: str, context: Any) -> None:
        super().__init__(f"no such command: {name}{f'; did you mean {near}?' if near else ''}", context)
        self.near = near


class _Commands(Mapping[str, Command]):
    """The verbs by name."""

    def __init__(self, verbs: tuple[Verb, ...]) -> None:
        self._names = [verb.name for verb in verbs]
        self._built: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._built:
            self._built[name] = _built(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _built(name: str) -> Any:
    from typer.main import get_command_from_info
    from typer.models import CommandInfo

    verb = getattr(importlib.import_module(f"batchctl.cli.{name}"), name)
    info = CommandInfo(name, cls=Command, callback=verb)
    return get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)


# ---------------------------------------------------------------- errors of the command line


def _report(wrong: ClickException, *, as_json: bool) -> None:
    from batchctl.clock import Clock
    from batchctl.domain.errors import UsageProblem
    from batchctl.render.writer import ReportWriter

    context: Any = getattr(wrong, "ctx", None)
    command = context.command_path if context else "batchctl"
    message = wrong.format_message().rstrip(".").replace(": Value error, ", ": ")
    if isinstance(wrong, NoSuchOption):
        # The nearest comes first.
        near = next(iter(wrong.possibilities or ()), "")
        message = f"no such option: {wrong.option_name}{f'; did you mean {near}?' if near else ''}"
    elif isinstance(wrong, NoSuchVerb):
        command = f"batchctl {wrong.near}" if wrong.near else command
    message = f"{message[:1].lower()}{message[1:]}"
    ReportWriter(Clock(), as_json=as_json).write_error(UsageProblem(message, hint=f"{command} --help"), wrong.exit_code)


# ---------------------------------------------------------------- help pages


def _page(command: Any, context: Any, verbs: list[Section]) -> str:
    from shutil import get_terminal_size

    arguments: list[tuple[str, str]] = []
    groups: dict[str, list[tuple[str, str]]] = {}
    usage = [context.command_path, "[OPTIONS]"]
    for param in command.get_params(context):
        if isinstance(param, TyperArgument):
            arguments.append((param.display_name_raw, param.help or ""))
            usage.append(_usage_of(param))
        else:
            groups.setdefault(param.rich_help_panel or "Options", []).append((_names_of(param), _meaning_of(param)))
    if verbs:
        usage.append("COMMAND [ARGUMENTS]")
    if len(groups.get(OPTION_GROUPS[-1], ())) == 1:
        # --help alone
        groups.setdefault("Options", []).extend(groups.pop(OPTION_GROUPS[-1]))
    # The options that a verb has of its own come first, those that all have come last.
    order = {heading: number for number, heading in enumerate(("Options", *OPTION_GROUPS))}
    options = sorted(groups.items(), key=lambda group: order[group[0]])
    sections = [*verbs, Section("Arguments", arguments), *(Section(heading, rows) for heading, rows in options)]
    return page(
        " ".join(usage),
        command.help or "",
        sections,
        width=get_terminal_size().columns,
        # Off a terminal, Typer takes the colors out as it writes.
        is_colored=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
    )


def _usage_of(argument: Any) -> str:
    name = argument.display_name_raw if argument.required else f"[{argument.display_name_raw}]"
    return f"{name}..." if argument.nargs != 1 else name


def _names_of(option: Any) -> str:
    short, *long = sorted(option.opts, key=len)
    names = f"{short}, {long[0]}" if long else short if not short.startswith("--") else f"    {short}"
    return names if option.is_flag else f"{names} {option.metavar}"


def _meaning_of(option: Any) -> str:
    default = option.show_default if isinstance(option.show_default, str) else option.default
    # A default of nothing, or of no, says nothing.
    is_shown = option.show_default and default and not option.is_flag
    notes = ([f"[default: {default}]"] if is_shown else []) + ([f"[env: {option.envvar}]"] if option.envvar else [])
    return " ".join((option.help or "", *notes))


# ---------------------------------------------------------------- parameters


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
        if param.name == "help":
            param.help, param.rich_help_panel = "Show this help", OPTION_GROUPS[-1]
    return params
