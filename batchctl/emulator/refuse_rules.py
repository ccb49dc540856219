"""Requests that a scenario has refused although nothing is wrong with them: by a value in their `params`.

Such a request is one whose flaw no client can know beforehand. The API finds it when the request runs, or when it counts tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Where a request is judged. In a batch it is each line by itself, when the batch runs.
PLACES = ("count_tokens", "batch", "messages")
KEYS = ("path", "equals", "contains", "message", "on")


@dataclass(frozen=True)
class RefuseRule:
    """One entry of `[[refuse]]`: the value at `path` is `equals`, or a text with `contains` in it."""

    path: tuple[str, ...]
    message: str
    on: tuple[str, ...] = ("count_tokens", "batch")
    equals: Any = None
    contains: str | None = None

    def refuses(self, params: Mapping[str, Any]) -> bool:
        """Return whether the rule refuses a request. A value that is not there is refused by none."""
        value: Any = params
        for part in self.path:
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                return False
        if self.contains is not None:
            return isinstance(value, str) and self.contains in value
        # In Python True equals 1, and 1 equals 1.0.
        return type(value) is type(self.equals) and value == self.equals


def refuse_rule_from(given: Any) -> RefuseRule:
    """A rule from a table of the scenario; raises `ValueError` with the reason."""
    if not isinstance(given, Mapping):
        raise ValueError("must be a table")  # noqa: TRY004 - told like every other wrong scenario
    for key in given:
        if key not in KEYS:
            raise ValueError(f"{key}: unknown key; allowed are {', '.join(KEYS)}")
    for key in ("path", "message"):
        if not isinstance(given.get(key), str) or not given[key]:
            raise ValueError(f"{key} = {given.get(key)!r}: must be a text that is not empty")
    if ("equals" in given) == ("contains" in given):
        raise ValueError("must have either equals or contains")
    if not isinstance(given.get("contains", ""), str):
        raise ValueError(f"contains = {given['contains']!r}: must be a text")  # noqa: TRY004 - as above
    on = given.get("on", ["count_tokens", "batch"])
    if not isinstance(on, list) or not on or not all(place in PLACES for place in on):
        raise ValueError(f"on = {on!r}: must be a list of some of {', '.join(PLACES)}")
    return RefuseRule(
        path=tuple(given["path"].split(".")),
        message=given["message"],
        on=tuple(on),
        equals=given.get("equals"),
        contains=given.get("contains"),
    )
