"""Every field of an answer of the API, and every way to change it.

A real answer is walked, and each place in it gives a change for every operation of the table that fits what stands
there. A field that the emulator learns later is covered by itself.
"""

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

# A step into every entry of a list.
EACH = "*"
Place = tuple[str, ...]


class OutcomeCode(Enum):
    """What an operation leaves instead of a value."""

    DROPPED = "the field, the entry or the line is not there"


DEEP = "a list in a list in a list"
# More than any parser of the program follows.
DEPTH = 100_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
_WORD = re.compile(r"[a-z]+(_[a-z]+)*")


# ---------------------------------------------------------------- what stands there


def _is_anything(_: object) -> bool:
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_time(value: object) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _is_plain_text(value: object) -> bool:
    return isinstance(value, str) and not _is_time(value)


def _is_word(value: object) -> bool:
    """Whether it looks like a value of an enumeration."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_filled(value: object) -> bool:
    return isinstance(value, str | list | dict) and bool(value)


def _not(predicate: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: not predicate(value)


# ---------------------------------------------------------------- what is made of it


@dataclass(frozen=True)
class Operation:
    """One way to change a value. `fits`: the values that it is made for.

    `is_lossless`: a client that follows the API's rules reads the same from the changed answer, so that nothing may go
    otherwise than without it.
    """

    name: str
    fits: Callable[[Any], bool]
    change: Callable[[Any], Any]
    is_lossless: bool = False


def _as_text(value: Any) -> str:
    return json.dumps(value)


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _in_another_zone(value: str) -> str:
    return _moment(value).astimezone(timezone(timedelta(hours=9))).isoformat()


def _http_date(value: str) -> datetime:
    return parsedate_to_datetime(value)


def _is_http_date(value: str) -> bool:
    try:
        return bool(_http_date(value))
    except ValueError:
        return False


OPERATIONS: tuple[Operation, ...] = (
    # Not there, or not what it was.
    Operation("dropped", _is_anything, lambda _: OutcomeCode.DROPPED),
    Operation("null", lambda value: value is not None, lambda _: None),
    Operation("a number", _not(_is_number), lambda _: 7),
    Operation("true", lambda value: value is None or _is_number(value), lambda _: True),
    Operation("text", _not(_is_text), _as_text),
    Operation("a list", _not(_is_list), lambda value: [value]),
    Operation("an object", lambda value: value is None or _is_list(value), lambda value: {"value": value}),
    Operation("empty", _is_filled, lambda value: type(value)()),
    # Absurd.
    Operation("negative", _is_number, lambda _: -1),
    Operation("huge", _is_number, lambda _: 10**30),
    Operation("NaN", _is_number, lambda _: float("nan")),
    Operation("a fraction", _is_number, lambda value: value + 0.5),
    Operation("very long", _is_plain_text, lambda value: value + "9" * 100_000),
    Operation("the year 9999", _is_time, lambda _: "9999-12-31T23:59:59Z"),
    Operation("the year 1", _is_time, lambda _: "0001-01-01T00:00:00Z"),
    Operation("half a character", _is_text, lambda value: value + "\ud800"),
    Operation("control characters", _is_text, lambda value: value + "\x00\x1b[2J\r\n"),
    Operation("very deep", _is_object, lambda value: {**value, "later": DEEP}),
    # In another order.
    Operation("keys reversed", _is_object, lambda value: dict(reversed(value.items())), is_lossless=True),
    Operation("entries reversed", _is_list, lambda value: value[::-1]),
    Operation("entries repeated", _is_list, lambda value: value + value),
    Operation("a null before", _is_list, lambda value: [None, *value]),
    Operation("a number before", _is_list, lambda value: [7, *value]),
    Operation("a text before", _is_list, lambda value: ["odd", *value]),
    # As a later API may say it.
    Operation("an unknown key", _is_object, lambda value: {**value, "later": {"a": [1]}}, is_lossless=True),
    Operation("a new word", _is_word, lambda _: "postponed"),
    Operation("epoch seconds", _is_time, lambda value: int(_moment(value).timestamp())),
    Operation("epoch milliseconds", _is_time, lambda value: int(_moment(value).timestamp() * 1000)),
    Operation("another zone", _is_time, _in_another_zone, is_lossless=True),
)

HEADER_OPERATIONS: tuple[Operation, ...] = (
    Operation("dropped", _is_anything, lambda _: OutcomeCode.DROPPED),
    Operation("empty", _is_filled, lambda _: ""),
    Operation("odd text", _is_anything, lambda _: "odd; text=7, 8"),
    Operation("0", _is_anything, lambda _: "0"),
    Operation("-1", _is_anything, lambda _: "-1"),
    Operation("nan", _is_anything, lambda _: "nan"),
    Operation("inf", _is_anything, lambda _: "inf"),
    Operation("huge", _is_anything, lambda _: "9" * 400),
    Operation("the year 1970", _is_anything, lambda _: "Thu, 01 Jan 1970 00:00:00 GMT"),
    Operation("the year 9999", _is_anything, lambda _: "Fri, 31 Dec 9999 23:59:59 GMT"),
    Operation("RFC 3339", _is_http_date, lambda value: _http_date(value).isoformat()),
    Operation("epoch seconds", _is_http_date, lambda value: str(int(_http_date(value).timestamp()))),
)
# What carries the answer, and says nothing about it.
FRAMING = {"content-length", "transfer-encoding", "connection"}
# Nobody reads them.
LIMITS = "anthropic-ratelimit-"

# A page that is the first one, whichever was asked for.
CURSOR_IGNORED = Operation("the cursor ignored", _is_list, lambda value: value)
# Of a whole list, over all of its pages. It comes newest first.
ORDERS: tuple[Operation, ...] = (
    Operation("oldest first", _is_list, lambda value: value[::-1]),
    Operation("shuffled", _is_list, lambda value: value[1::2] + value[::2]),
    CURSOR_IGNORED,
)


# ---------------------------------------------------------------- a change, and where it is made


class Part(Enum):
    """Which part of an answer is changed."""

    BODY = "body"
    HEADERS = "header"
    ORDER = "order of the list"


@dataclass(frozen=True)
class Change:
    """One operation on one place of the answers of one kind; `kind` as `changing.kind_of` names them."""

    kind: str
    place: Place
    operation: Operation
    part: Part = Part.BODY

    def __str__(self) -> str:
        where = ".".join(self.place) or "the whole answer"
        said = {Part.BODY: where, Part.HEADERS: f"header {where}", Part.ORDER: "the whole list"}[self.part]
        return f"{said}: {self.operation.name}"

    def of_body(self, answer: Any) -> Any:
        """The changed answer; the answer itself where there is nothing to change."""
        return _changed(answer, self.place, self.operation)

    def of_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        (name,) = self.place
        if name not in headers or not self.operation.fits(headers[name]):
            return headers
        value = self.operation.change(headers[name])
        rest = {other: said for other, said in headers.items() if other != name}
        return rest if value is OutcomeCode.DROPPED else {**rest, name: value}


def _changed(value: Any, place: Place, operation: Operation) -> Any:
    if not place:
        return operation.change(copy.deepcopy(value)) if operation.fits(value) else value
    step, rest = place[0], place[1:]
    if step == EACH and isinstance(value, list):
        entries = [_changed(entry, rest, operation) for entry in value]
        is_same = all(entry is before for entry, before in zip(entries, value, strict=True))
        return value if is_same else [entry for entry in entries if entry is not OutcomeCode.DROPPED]
    if not isinstance(value, dict) or step not in value:
        return value
    made = _changed(value[step], rest, operation)
    if made is value[step]:
        return value
    return {
        key: made if key == step else said
        for key, said in value.items()
        if key != step or made is not OutcomeCode.DROPPED
    }


def places(answers: Iterable[Any]) -> dict[Place, list[Any]]:
    """Every place in any of these answers, with the values that stand there."""
    found: dict[Place, list[Any]] = {}
    for answer in answers:
        for place, value in _walk(answer, ()):
            found.setdefault(place, []).append(value)
    return found


def _walk(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    yield place, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, (*place, key))
    elif isinstance(value, list):
        for entry in value:
            yield from _walk(entry, (*place, EACH))


def changes_of_body(kind: str, answers: Iterable[Any]) -> Iterator[Change]:
    """Every operation on every place of these answers."""
    for place, values in places(answers).items():
        for operation in OPERATIONS:
            if any(operation.fits(value) for value in values):
                yield Change(kind, place, operation)


def changes_of_headers(kind: str, answers: Iterable[Mapping[str, str]]) -> Iterator[Change]:
    values: dict[str, list[str]] = {}
    for headers in answers:
        for name, value in headers.items():
            values.setdefault(name, []).append(value)
    for name in sorted(name for name in values.keys() - FRAMING if not name.startswith(LIMITS)):
        for operation in HEADER_OPERATIONS:
            if any(operation.fits(value) for value in values[name]):
                yield Change(kind, (name,), operation, Part.HEADERS)


def encoded(answer: Any) -> bytes:
    """As JSON. What only an escape can spell, as half a character, is escaped; what was dropped is empty."""
    if answer is OutcomeCode.DROPPED:
        return b""
    text = json.dumps(answer, separators=(",", ":"))
    return text.replace(f'"{DEEP}"', "[" * DEPTH + "]" * DEPTH).encode()
