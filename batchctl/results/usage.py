"""What the successes of a batch used, summed up while their lines come.

`UsageMeter` takes lines in two ways. One by one they are parsed, and `used_by` says what each used. Many at once are read by
a form: the lines of a batch are written alike, so one of them shows what all have in common and where their numbers stand. A
block in which any line is written otherwise is parsed: slower, never wrong.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from operator import add
from typing import Any

import orjson

from batchctl.domain.prices import GEO_FACTOR, TIER_STARTS, Usage, UsageTotals, tier_of
from batchctl.results.result_lines import message_of

# No answer uses that many tokens; and the sums of as many as a batch can hold are numbers that the ledger can keep.
MOST_TOKENS = 1 << 40
MODEL_CHARACTERS = 128
# Sums by model, place and length of prompt; what would need more is not read. No account has so many models.
MOST_SUMS = 100
# With fewer lines, to learn a form takes as long as to parse them.
LEAST_LINES = 8
# The most blocks that are parsed before a form is tried again, where lines are written otherwise again and again.
LONGEST_PAUSE = 15

# The numbers of a Usage in the order of its fields: for a million lines, an object each would take longer than the reading.
Classes = tuple[int, ...]
_CLASSES = tuple(each.name for each in fields(Usage))
_PROMPT = slice(_CLASSES.index("output_tokens"))


class UsageMeter:
    """Takes the lines of successes and sums up what they used.

    Attributes:
        unread: How many of them do not say what they used, or would need more than MOST_SUMS sums.
    """

    def __init__(self) -> None:
        self.unread = 0
        # By model, least length of the prompt's price tier, and place: the number of lines, then the sum of each class.
        self._sums: dict[tuple[str, int, str], tuple[int, ...]] = {}
        self._form: _Form | None = None
        # How many blocks are parsed before the next try: in all, and still to come.
        self._pause = self._left_out = 0

    @property
    def usage_totals(self) -> tuple[UsageTotals, ...]:
        """Return the sums by model, price tier and place."""
        return tuple(
            UsageTotals(
                model=model,
                prompt_over=prompt_over,
                inference_geo=geo,
                requests=requests,
                usage=Usage(**dict(zip(_CLASSES, classes, strict=True))),
            )
            for (model, prompt_over, geo), (requests, *classes) in self._sums.items()
            if requests
        )

    def take(self, lines: Sequence[bytes]) -> None:
        """Take lines one by one."""
        for message in map(message_of, lines):
            used = used_by(message)
            if used is None:
                self.unread += 1
            else:
                self._take_one(*used)

    def take_back(self, line: bytes) -> None:
        """Take back a line that was taken and does not count."""
        used = used_by(message_of(line))
        if used is None:
            self.unread -= 1
            return
        model, inference_geo, classes = used
        key = (model, tier_of(sum(classes[_PROMPT])), inference_geo)
        self._add(key, (-1, *(-number for number in classes)))

    def take_many(self, lines: Sequence[bytes]) -> bool:
        """Take many lines at once; False, and take none, where not all are plain successes as the API writes them."""
        if len(lines) < LEAST_LINES:
            return False
        if self._left_out:
            self._left_out -= 1
            return False
        if (self._form is None or not self._read(self._form, lines)) and not self._read_anew(lines):
            self._pause = self._left_out = min(2 * self._pause + 1, LONGEST_PAUSE)
            return False
        self._pause = 0
        return True

    def _read_anew(self, lines: Sequence[bytes]) -> bool:
        # Zeros are mostly zero in all lines; where they are not, the second form finds them.
        known, self._form = self._form, form_of(lines[-1], _ANY if self._form else _NONZERO)
        return self._form is not None and self._form != known and self._read(self._form, lines)

    def _read(self, form: "_Form", lines: Sequence[bytes]) -> bool:
        models, columns = form.read(lines)
        names = set(models)
        if not names or not all(map(_is_model, names)):
            return False
        if len(names) == 1 and sum(map(max, columns[_PROMPT])) <= TIER_STARTS[1]:
            self._add((models[0], 0, form.inference_geo), (len(lines), *map(sum, columns)))
            return True
        for model, *classes in zip(models, *columns, strict=True):
            self._take_one(model, form.inference_geo, classes)
        return True

    def _take_one(self, model: str, inference_geo: str, classes: Sequence[int]) -> None:
        self._add((model, tier_of(sum(classes[_PROMPT])), inference_geo), (1, *classes))

    def _add(self, key: tuple[str, int, str], sums: tuple[int, ...]) -> None:
        known = self._sums.get(key)
        if known is None and len(self._sums) >= MOST_SUMS:
            self.unread += sums[0]
            return
        self._sums[key] = tuple(map(add, known, sums)) if known else sums


# ---------------------------------------------------------------- one message, parsed

# The times to live that tokens are written to a cache for.
TIMES = frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"})


def used_by(message: object) -> tuple[str, str, Classes] | None:
    """Return the model of a success, where it ran if that has a price of its own (else ""), and what it used.

    None where the `message` does not say in whole numbers what it used, or names no model.
    """
    if not isinstance(message, dict):
        return None
    model, usage = message.get("model"), message.get("usage")
    if not isinstance(model, str) or not isinstance(usage, dict) or not _is_model(model):
        return None
    classes = classes_of(usage)
    return None if classes is None else (model, _priced_geo(usage), classes)


def _is_model(name: str) -> bool:
    return 0 < len(name) <= MODEL_CHARACTERS and name.isprintable()


def _priced_geo(usage: dict[str, Any]) -> str:
    geo = usage.get("inference_geo")
    return geo if isinstance(geo, str) and geo in GEO_FACTOR else ""


def classes_of(usage: dict[str, Any]) -> Classes | None:
    """Return the numbers of a `usage`; None where one of them cannot be read.

    `input_tokens` and `output_tokens` are always there, all else may be missing or null (API reference). None, too, where
    something was used beside them, such as by compacting: an entry of `iterations` that is no `message` is not in the sums
    (the SDK's own description of it).
    """
    try:
        iterations = usage.get("iterations")
        iterations = [] if iterations is None else iterations
        if not isinstance(iterations, list) or any(not _is_iteration_of_message(each) for each in iterations):
            return None
        return (
            _whole(usage.get("input_tokens")),
            *_written(usage),
            _whole(usage.get("cache_read_input_tokens"), absent=0),
            _whole(usage.get("output_tokens")),
            _whole(_object(usage, "server_tool_use").get("web_search_requests"), absent=0),
        )
    except ValueError:
        return None


def _is_iteration_of_message(iteration: object) -> bool:
    return isinstance(iteration, dict) and iteration.get("type") == "message"


def _written(usage: dict[str, Any]) -> tuple[int, int]:
    """Return the tokens written for 5 minutes and for 1 hour. Without the split all are for 5 minutes: the API's default.

    Raises ValueError where some were written for another time.
    """
    split = _object(usage, "cache_creation")
    written = usage.get("cache_creation_input_tokens")
    if not split:
        return _whole(written, absent=0), 0
    write_5m = _whole(split.get("ephemeral_5m_input_tokens"), absent=0)
    write_1h = _whole(split.get("ephemeral_1h_input_tokens"), absent=0)
    is_other = any(tokens for name, tokens in split.items() if name not in TIMES)
    if is_other or (written is not None and _whole(written) != write_5m + write_1h):
        raise ValueError("written for a time that is not known")
    return write_5m, write_1h


def _object(usage: dict[str, Any], name: str) -> dict[str, Any]:
    value = usage.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(name)
    return value or {}


def _whole(value: object, absent: int | None = None) -> int:
    """Return a whole number, or `absent` for None. Raises ValueError."""
    if value is None and absent is not None:
        return absent
    if type(value) is not int or not 0 <= value <= MOST_TOKENS:
        raise ValueError(value)
    return value


# ---------------------------------------------------------------- many lines, by their form

_USAGE, _CLOSING = b',"usage":', b"}}}"
_HEAD = re.compile(
    rb'\{"custom_id":"[^"\\]*"(?P<type>,"result":\{"type":"succeeded","message":\{)(?P<pairs>(?:"[a-z_]+":"[^"\\]*",)*)'
    rb'"model":"[^"\\]*",'
).match
_ID = re.compile(rb'"id":"[^"]*"')
_STOP_REASON = re.compile(rb'"stop_reason":"[a-z_]+"')
_PLAIN_STOP = rb'"stop_reason":"(?:end_turn|tool_use|stop_sequence)"'
_ANY, _NONZERO = (re.compile(rb"(?<=:)%b(?=[,}])" % digits) for digits in (rb"\d+", rb"[1-9]\d*"))
# Whatever the digits, less than MOST_TOKENS.
_NUMBER = rb"(\d{1,12})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How lines are written.

    Attributes:
        first: Finds the model of a line.
        all: Finds in a block, for each line, the numbers of its end and the model of the line that follows, as JSON.
        last: The beginning of a line, to follow the last one of a block.
        places: Where among those numbers each class stands, from 1; 0 where it is zero in every line.
        written: Where the sum of both classes of written tokens stands; None where it is not in the lines.
        inference_geo: Where all of them ran.
    """

    first: "re.Pattern[bytes]"
    all: "re.Pattern[bytes]"
    last: bytes = field(compare=False)
    places: tuple[int, ...]
    written: int | None
    inference_geo: str

    def read(self, lines: Sequence[bytes]) -> tuple[list[str], list[list[int]]]:
        """Return the model of each line, and each class as a column; nothing where one of the lines is written otherwise.

        Why that is exact, for lines that are JSON: an unescaped quote begins or ends a text, so the beginning that matches is
        that of the line, its result and its message. What follows the usage closes three objects. So the usage is as deep as
        the keys of the message, and is the message's own unless the message was closed before. Then a key would follow, as in
        `},"`: where that stands in a line, but for its end, nothing is read.
        """
        opening = self.first.match(lines[0])
        if opening is None:
            return [], []
        matches = self.all.findall(b"\n".join((*lines, self.last)))
        if len(matches) != len(lines):
            return [], []
        try:
            values = orjson.loads(b"[%b,%b]" % (opening[1], b",".join(map(b",".join, matches))))
        except orjson.JSONDecodeError:
            return [], []
        width, zeros = len(matches[0]), [0] * len(lines)
        columns = [values[place::width] if place else zeros for place in self.places]
        if self.written is not None:
            written = values[self.written :: width] if self.written else zeros
            if written != list(map(add, columns[1], columns[2])):
                return [], []
        return values[:-1:width], columns


def form_of(line: bytes, numbers: "re.Pattern[bytes]") -> _Form | None:
    """Return the form that a line shows; None where it is not as the API writes successes.

    `numbers` matches the numbers that may be others in other lines.
    """
    head = _HEAD(line)
    start = line.rfind(b"}]", 0, line.rfind(_USAGE))
    if head is None or start < 0 or not line.endswith(_CLOSING):
        return None
    end, count = line[start + 1 :], itertools.count(1)
    try:
        usage = _usage_in(end)
        numbered = _usage_in(numbers.sub(lambda _: b"%d" % next(count), end))
    except orjson.JSONDecodeError:
        return None
    ending, stops = _STOP_REASON.subn(_PLAIN_STOP, _NUMBER.join(map(re.escape, numbers.split(end))))
    if next(count) == 1 or stops != 1 or not isinstance(usage, dict) or classes_of(usage) is None:
        return None
    if not TIMES.issuperset(usage.get("cache_creation") or ()):
        # Zero here, but perhaps not in all lines.
        return None
    # The beginning of every line up to its model, which is the one group.
    pairs = _ID.sub(_ID.pattern, re.escape(head["pairs"]))
    begin = rb'\{"custom_id":"[^"]*"%b%b"model":("[^"\\]*"),' % (re.escape(head["type"]), pairs)
    places, written = _places(numbered)
    return _Form(
        first=re.compile(begin),
        all=re.compile(rb'\}(?:%b\n%b|\s*,\s*")' % (ending, begin)),
        last=head[0],
        places=places,
        written=written,
        inference_geo=_priced_geo(usage),
    )


def _usage_in(end: bytes) -> Any:
    return orjson.loads(end.rpartition(_USAGE)[2].removesuffix(_CLOSING))


def _places(numbered: dict[str, Any]) -> tuple[tuple[int, ...], int | None]:
    """Return `places` and `written` of a form, from a usage in which every number is its own place."""
    split, searches = numbered.get("cache_creation") or {}, numbered.get("server_tool_use") or {}
    written = numbered.get("cache_creation_input_tokens")
    places = (
        numbered["input_tokens"],
        split.get("ephemeral_5m_input_tokens") if split else written,
        split.get("ephemeral_1h_input_tokens"),
        numbered.get("cache_read_input_tokens"),
        numbered["output_tokens"],
        searches.get("web_search_requests"),
    )
    return tuple(place or 0 for place in places), written if split else None
