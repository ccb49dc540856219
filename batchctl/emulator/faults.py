"""Scripted failures: which call fails and how, counted, so that a test can tell that what it scripted did happen."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ENDPOINTS = ("create", "retrieve", "list", "cancel", "delete", "results", "models", "count_tokens", "messages")
NAMED = ("retrieve", "cancel", "delete", "results")


@dataclass(frozen=True)
class Kind:
    """A fault one can script: where it may strike, its own keys with their defaults, and what it does."""

    meaning: str
    on: tuple[str, ...] = ENDPOINTS
    keys: Mapping[str, Any] = field(default_factory=dict)


_RESULTS = ("results",)
# A new batch is missing from so many lists.
_HIDDEN = {"lists": 0}
_STATUS = {"status": 500, "type": "", "message": "", "error_code": "", "retry_after": -1}

# Refused, broken or slowed before anything is carried out.
BEFORE: Mapping[str, Kind] = {
    "status": Kind("refuses with any status; `retry_after` below 0 sends no such header", keys=_STATUS),
    "html_status": Kind("an HTML page of the edge instead of an answer", keys={"status": 520}),
    "html_413": Kind("413 as an HTML page of the edge, without reading the body", ("create",)),
    "not_found": Kind("404, though the batch exists (or 404 for the results, though it has ended)", NAMED),
    "queue_full": Kind("429: too many requests are waiting in the queue", ("create",), {"retry_after": 30}),
    "spend_limit_429": Kind("429 `enforced_spend_limit_reached`, without `retry-after`"),
    "spend_limit_400": Kind("400 whose text alone names the spend limit"),
    "on_hold": Kind("400 `organization_on_hold`"),
    "invalid_json_400": Kind("400 that an upload cut on its way gets", ("create",)),
    "drop_before_accept": Kind("closes the connection after reading part of the body", keys={"bytes": 0}),
}

# Carried out, but the caller cannot tell.
AFTER: Mapping[str, Kind] = {
    "drop_after_accept": Kind("carried out, then the connection is closed without an answer"),
    "error_after_accept": Kind("carried out, then answered with an error", keys={**_STATUS, "html": False}),
    "truncated_answer": Kind("carried out, then half of the answer's body", keys={"framing": "content-length"}),
    "garbage_answer": Kind("carried out, then 200 with a complete body that is no JSON", keys=_HIDDEN),
    "html_answer": Kind("carried out, then 200 with an HTML page", keys=_HIDDEN),
    "stall_after_accept": Kind("carried out, then answered after `seconds`", keys={"seconds": 1.0}),
    "wrong_counts": Kind("`request_counts` does not add up to the batch", ("create", "retrieve", "list", "cancel")),
    "hide_from_list": Kind(
        "on create: the new batch is missing from the first `lists` lists; on list: the newest batch is missing",
        ("create", "list"),
        {"lists": 1},
    ),
}

# The results of a batch, sent or written wrongly. `bytes` and `lines` below 0 mean half of them.
DOWNLOAD: Mapping[str, Kind] = {
    "reset": Kind("the connection is reset after `bytes`", _RESULTS, {"bytes": -1}),
    "short_content_length": Kind("fewer bytes than `content-length` says", _RESULTS, {"bytes": -1}),
    "early_end_at_line": Kind("no length, and a clean end after `lines` lines", _RESULTS, {"lines": -1}),
    "early_end_mid_line": Kind("no length, and a clean end within a line", _RESULTS, {"lines": -1}),
    "stall": Kind("pauses for `seconds` after `bytes`, then goes on", _RESULTS, {"bytes": -1, "seconds": 1.0}),
    "duplicate_line": Kind("the first line comes twice", _RESULTS),
    "changed_twin": Kind("the first line comes twice, the second time with other bytes", _RESULTS),
    "missing_line": Kind("the last line is left out", _RESULTS),
    "foreign_id": Kind("the first line carries a `custom_id` nobody sent", _RESULTS, {"custom_id": "foreign-id"}),
    "unknown_result_type": Kind("the first line has a `result.type` never heard of", _RESULTS),
    "extra_keys": Kind("every line carries keys never heard of", _RESULTS),
    "line_separator": Kind("the first line holds a raw U+2028 in a string", _RESULTS),
    "not_utf8": Kind("the first line holds a byte that is no UTF-8 in a string", _RESULTS),
    "nul_byte": Kind("the first line holds a NUL in a string", _RESULTS),
    "no_head": Kind("the first line is no JSON and names no `custom_id`", _RESULTS),
    "deep_line": Kind("the first line holds arrays within arrays, `levels` deep", _RESULTS, {"levels": 3000}),
    "huge_line": Kind("the first line is `bytes` long", _RESULTS, {"bytes": 10_000_000}),
    "crlf": Kind("lines end with CR LF", _RESULTS),
    "blank_line": Kind("a blank line stands at the end", _RESULTS),
    "no_final_newline": Kind("the last line has no newline", _RESULTS),
}

KINDS: Mapping[str, Kind] = {**BEFORE, **AFTER, **DOWNLOAD}
SCRIPT = ("on", "fault", "nth", "times", "probability", "batch")


@dataclass
class Fault:
    """One scripted failure and its account: `seen` calls that could have failed, `fired` that did.

    It strikes the calls `nth` to `nth + times - 1` of endpoint `on` (`times` 0: every one from `nth`), if given only with
    `probability`, and if given only those about `batch` (an id, or the number of the batch in order of creation from 1).
    """

    on: str
    fault: str
    nth: int = 1
    times: int = 1
    probability: float | None = None
    batch: str | int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def strikes(self, endpoint: str, batch: tuple[str, int] | None, dice: random.Random) -> bool:
        """Whether this call fails; counts it as seen when it is one that could."""
        if self.on != endpoint or (self.batch is not None and (batch is None or self.batch not in batch)):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times and self.fired >= self.times):
            return False
        return self.probability is None or dice.random() < self.probability

    def listed(self) -> dict[str, Any]:
        """As the control endpoint shows it: the keys as scripted, `seen` and `fired`."""
        script = {"on": self.on, "fault": self.fault, "nth": self.nth, "times": self.times}
        if self.probability is not None:
            script["probability"] = self.probability
        if self.batch is not None:
            script["batch"] = self.batch
        return {**script, **self.options, "seen": self.seen, "fired": self.fired}


def _whole(given: Mapping[str, Any], key: str, least: int) -> int:
    value = given.get(key, 1)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key} = {value!r}: must be a whole number, {least} or more")
    return value


def _chance(given: Mapping[str, Any]) -> float | None:
    value = given.get("probability")
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"probability = {value!r}: must be a number from 0 to 1")
    return value


def _options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    kind = KINDS[name]
    for key, value in given.items():
        if key in SCRIPT:
            continue
        if key not in kind.keys:
            raise ValueError(f"{key}: unknown key of {name}; allowed are {', '.join((*SCRIPT, *kind.keys))}")
        default = kind.keys[key]
        wanted = (int, float) if isinstance(default, float) else (type(default),)
        if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
            raise ValueError(f"{key} = {value!r}: must be like {default!r}")
    return {**kind.keys, **{key: value for key, value in given.items() if key in kind.keys}}


def fault_from(given: Any) -> Fault:
    """A fault from a table of the scenario or a body of the control endpoint; raises `ValueError` with the reason."""
    if not isinstance(given, Mapping):
        raise ValueError("must be a table")  # noqa: TRY004 - told like every other wrong script
    name = str(given.get("fault"))
    if name not in KINDS:
        raise ValueError(f"fault = {name!r}: unknown; allowed are {', '.join(KINDS)}")
    if given.get("on") not in KINDS[name].on:
        raise ValueError(f"on = {given.get('on')!r}: {name} strikes on {', '.join(KINDS[name].on)}")
    if not isinstance(given.get("batch", 1), str | int):
        raise ValueError(f"batch = {given['batch']!r}: must be an id or a number")  # noqa: TRY004 - as above
    return Fault(
        on=given["on"],
        fault=name,
        nth=_whole(given, "nth", 1),
        times=_whole(given, "times", 0),
        probability=_chance(given),
        batch=given.get("batch"),
        options=_options(name, given),
    )


class Script:
    """All scripted faults of a running emulator."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self.faults = list(faults)
        self._dice = random.Random(f"faults {seed}")

    def strike(self, endpoint: str, batch: tuple[str, int] | None = None) -> Fault | None:
        """The fault that strikes this call, if one does: the first in order of the script."""
        struck = [each for each in self.faults if each.strikes(endpoint, batch, self._dice)]
        if not struck:
            return None
        struck[0].fired += 1
        return struck[0]

    def unfired(self) -> list[Fault]:
        """Return the faults that have struck no call so far."""
        return [each for each in self.faults if not each.fired]
