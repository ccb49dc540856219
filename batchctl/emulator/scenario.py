"""The scenario: how long batches take, how requests turn out, which limits hold and what goes wrong, as one table.

It is read from TOML or taken as a dict of the same shape; whatever it does not know, it refuses by name.
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from batchctl.emulator.faults import Fault, fault_from
from batchctl.emulator.refuse_rules import RefuseRule, refuse_rule_from

Made = TypeVar("Made")


class ScenarioError(ValueError):
    """A scenario that cannot be followed; says the key and what is allowed."""


@dataclass(frozen=True)
class Key:
    """One key of a table: what it is when left out, which values it takes, and that in words."""

    default: Any
    takes: Callable[[Any], bool]
    allowed: str
    meaning: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds(default: float, meaning: str) -> Key:
    return Key(default, lambda v: _is_number(v) and v >= 0, "a number of seconds, 0 or more", meaning)


def _share(default: float | None, meaning: str) -> Key:
    return Key(default, lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1", meaning)


def _count(default: int, most: int, meaning: str) -> Key:
    def takes(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most

    return Key(default, takes, f"a whole number from 0 to {most}", meaning)


def _switch(meaning: str) -> Key:
    return Key(default=False, takes=lambda v: isinstance(v, bool), allowed="true or false", meaning=meaning)


def _one_of(default: Any, choices: tuple[Any, ...], meaning: str) -> Key:
    return Key(default, lambda v: v in choices, "one of " + ", ".join(map(repr, choices)), meaning)


def _strings(meaning: str) -> Key:
    def takes(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)

    return Key([], takes, "a list of strings", meaning)


TOP: Mapping[str, Key] = {
    "batch_seconds": _seconds(3.0, "real seconds a batch takes until it ends"),
    "spread_seconds": _seconds(0.0, "up to this many more real seconds, drawn per batch, so that batches end apart"),
    "cancel_seconds": _seconds(0.5, "real seconds from cancel to ended"),
    "finished_at_cancel": _share(
        None, "share of the lines that had finished when a cancel came; left out: as time passed"
    ),
    "live_counters": _switch("counters move while a batch is processed (documented: all stay in `processing`)"),
    "retry_after": Key(
        10,
        lambda v: v is False or (isinstance(v, int) and not isinstance(v, bool) and v >= 0),
        "a whole number of seconds, or false for no header",
        "`retry-after` on the answer to retrieving a batch in progress",
    ),
    "cancel_ended": _one_of(200, (200, 400), "status of cancelling a batch that has ended"),
    "betas": _strings("further values the `anthropic-beta` header may hold"),
}

TRANSIENT = ("api_error", "overloaded_error", "timeout_error", "rate_limit_error", "expired", "canceled")
OUTCOMES = (
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    *TRANSIENT,
    "out_of_credit",
    "refusal",
    "max_tokens",
    "pause_turn",
    "model_context_window_exceeded",
    "unknown_type",
)

TABLES: Mapping[str, Mapping[str, Key]] = {
    "outcomes": {kind: _share(0.0, f"share of requests that turn out as `{kind}`") for kind in OUTCOMES}
    | {"recover_after": _count(1, 1000, "sendings of a `custom_id` after which transient kinds succeed; 0: never")},
    "answers": {
        "text": Key("", lambda v: isinstance(v, str), "a string", "the text of every answer"),
        "choices": _strings("texts to pick from, the same one each time for the same request"),
        "echo": _switch("answer with the last user message itself"),
        "words": _count(0, 100_000, "pad the derived answer with this many words"),
    },
    "cache": {
        "cold_hit_rate": _share(0.0, "share of later requests of a batch that read what the batch itself caches"),
        "warm_hit_rate": _share(1.0, "share of requests that read what a batch cached that has ended"),
    },
    "limits": {
        "requests": _count(100_000, 100_000, "requests per batch"),
        "bytes": _count(256_000_000, 256_000_000, "bytes per create body"),
        "queue": _count(0, 1_000_000_000, "requests in batches that have not ended; 0: no cap"),
        "rpm": _count(0, 1_000_000_000, "calls per minute; 0: no cap"),
        "too_large": _one_of("json", ("json", "html", "reset"), "how the edge refuses a body that is too large"),
    },
    "results": {
        "gzip": _switch("compress results when the caller accepts it"),
        "framing": _one_of("chunked", ("chunked", "content-length"), "how the end of the results is marked"),
    },
    "clock": {
        "skew_seconds": Key(0.0, _is_number, "a number of seconds", "how far the server's clock is ahead"),
    },
}


@dataclass(frozen=True)
class Scenario:
    """A scenario with every key filled in; tables keep the names of the file."""

    top: Mapping[str, Any]
    outcomes: Mapping[str, Any]
    answers: Mapping[str, Any]
    cache: Mapping[str, Any]
    limits: Mapping[str, Any]
    results: Mapping[str, Any]
    clock: Mapping[str, Any]
    keys: Mapping[str, str] | None = None
    faults: tuple[Fault, ...] = ()
    refuse: tuple[RefuseRule, ...] = ()


def _table(name: str, keys: Mapping[str, Key], given: Any) -> dict[str, Any]:
    where = f"[{name}] " if name else ""
    if not isinstance(given, dict):
        raise ScenarioError(f"{name}: must be a table")
    for key, value in given.items():
        if key not in keys:
            raise ScenarioError(f"{where}{key}: unknown key; allowed are {', '.join(keys)}")
        if not keys[key].takes(value):
            raise ScenarioError(f"{where}{key} = {value!r}: must be {keys[key].allowed}")
    return {key: given.get(key, about.default) for key, about in keys.items()}


def _outcomes(given: Any) -> dict[str, Any]:
    table = _table("outcomes", TABLES["outcomes"], given)
    total = sum(table[kind] for kind in OUTCOMES)
    if total > 1 + 1e-9:
        raise ScenarioError(f"[outcomes]: the shares sum to {total:g}; they must sum to at most 1")
    return table


def _keys(given: Any) -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not all(isinstance(name, str) and name for name in given.values()):
        raise ScenarioError("[keys]: must map each key to the name of a workspace")
    return given


def _each(name: str, given: Any, made_from: Callable[[Any], Made]) -> tuple[Made, ...]:
    """What the tables of a list make."""
    if not isinstance(given, list):
        raise ScenarioError(f"[[{name}]]: must be a list of tables")
    made = []
    for number, each in enumerate(given, 1):
        try:
            made.append(made_from(each))
        except ValueError as problem:
            raise ScenarioError(f"[[{name}]] number {number}: {problem}") from None
    return tuple(made)


def scenario_from(given: Mapping[str, Any]) -> Scenario:
    """A scenario from a dict shaped as the file; raises `ScenarioError`."""
    tables = {name: given.get(name, {}) for name in TABLES}
    names = (*TABLES, "keys", "faults", "refuse")
    top = {key: value for key, value in given.items() if key not in names}
    for key in top:
        if key not in TOP:
            raise ScenarioError(f"{key}: unknown key or table; allowed are {', '.join((*TOP, *names))}")
    return Scenario(
        top=_table("", TOP, top),
        outcomes=_outcomes(tables.pop("outcomes")),
        **{name: _table(name, TABLES[name], table) for name, table in tables.items()},
        keys=_keys(given.get("keys")),
        faults=_each("faults", given.get("faults", []), fault_from),
        refuse=_each("refuse", given.get("refuse", []), refuse_rule_from),
    )


def read_scenario(path: Path) -> Scenario:
    """The scenario in a TOML file; raises `ScenarioError` naming the file."""
    try:
        return scenario_from(tomllib.loads(path.read_text("utf-8")))
    except OSError as problem:
        raise ScenarioError(f"{path}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ScenarioError) as problem:
        raise ScenarioError(f"{path}: {problem}") from None
