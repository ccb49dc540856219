"""`--set PATH=VALUE`: changes that are made to the params of every request of a round."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchctl.domain.errors import InputProblem, UsageProblem

NOTHING = object()
_FORM = "use a form like max_tokens=4096, thinking.budget_tokens=2000 or temperature= (removes it)"


@dataclass(frozen=True, slots=True)
class ParamChange:
    """One change.

    `path` has names within objects and numbers within lists, from `params` on. `value` is any JSON value, or NOTHING, which
    removes what stands there.
    """

    path: tuple[str, ...]
    value: Any


class NoPlace(Exception):
    """The params have no such place: something on the way to it is no object, or a list is shorter."""


def param_change_of(text: str) -> ParamChange:
    """Return the change that a person typed; a value that is no JSON is text. Raises UsageProblem."""
    name, sign, value = text.partition("=")
    path = tuple(name.strip().removeprefix("params.").split("."))
    if not sign or not all(path):
        raise UsageProblem(f"--set {text!r} is not of the form PATH=VALUE", hint=_FORM)
    return ParamChange(path, _value(value.strip()) if value.strip() else NOTHING)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> Any:
    """Raise ValueError: only Python takes NaN and the infinities for JSON."""
    raise ValueError(constant)


def changed(params: dict[str, Any], changes: Sequence[ParamChange]) -> dict[str, Any]:
    """Return the params with the changes made, one after the other. Raises NoPlace with the path."""
    for change in changes:
        params = _changed(params, change.path, change.value, change)
    return params


def _changed(whole: Any, path: tuple[str, ...], value: Any, change: ParamChange) -> Any:
    name, *rest = path
    if isinstance(whole, list):
        return _in_list(whole, name, tuple(rest), value, change)
    if not isinstance(whole, dict):
        raise NoPlace(".".join(change.path))
    if rest:
        if name not in whole and value is NOTHING:
            return whole
        return {**whole, name: _changed(whole.get(name, {}), tuple(rest), value, change)}
    if value is NOTHING:
        return {key: kept for key, kept in whole.items() if key != name}
    return {**whole, name: value}


def _in_list(whole: list[Any], name: str, rest: tuple[str, ...], value: Any, change: ParamChange) -> list[Any]:
    if not (name.isascii() and name.isdigit() and int(name) < len(whole)):
        raise NoPlace(".".join(change.path))
    at = int(name)
    inner = _changed(whole[at], rest, value, change) if rest else value
    return [*whole[:at], *([] if inner is NOTHING else [inner]), *whole[at + 1 :]]


def shown(changes: Sequence[ParamChange]) -> list[str]:
    """Return the changes as they may be shown and stored: of a text only its length, because it may be a secret."""
    return [f"{'.'.join(change.path)}={_shown(change)}" for change in changes]


def _shown(change: ParamChange) -> str:
    value = change.value
    if value is NOTHING:
        return ""
    if isinstance(value, bool | int | float | None) or change.path == ("model",):
        return json.dumps(value, ensure_ascii=False)
    return f"({len(value) if isinstance(value, str) else len(json.dumps(value))} characters)"


def with_changes(line: bytes, changes: Sequence[ParamChange]) -> bytes:
    """Return a checked request line with the changes made to its params; the same bytes where nothing differs.

    Raises InputProblem where the params have no place for one.
    """
    if not changes:
        return line
    try:
        # This parser keeps integers of any length as they are.
        request = json.loads(line)
        params = _in_place(request, changes)
        return line if params == request["params"] else _encoded({**request, "params": params})
    except RecursionError:
        raise InputProblem(
            "a request is nested too deeply to be changed", hint="change it by hand with --edit"
        ) from None


def _in_place(request: dict[str, Any], changes: Sequence[ParamChange]) -> dict[str, Any]:
    try:
        return changed(request["params"], changes)
    except NoPlace as missing:
        raise InputProblem(
            f"custom_id {request['custom_id']!r}: its params have no place for {missing}",
            hint="--set changes every request; to change each by hand, use --edit",
        ) from None


def _encoded(request: dict[str, Any]) -> bytes:
    compact = (",", ":")
    try:
        return json.dumps(request, ensure_ascii=False, separators=compact).encode()
    except UnicodeEncodeError:
        # Half of a pair of surrogates can only be written as an escape.
        return json.dumps(request, separators=compact).encode()
