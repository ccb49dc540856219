"""Requests sorted into groups and lengths while the lines are read, for the estimate.

A group is the requests that differ only in what APART names. Of each group and range of lengths a sample is remembered by
place.
"""

import hashlib
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from batchctl.domain.caching import LONG, SHORT, ttls_after, ttls_before
from batchctl.domain.groups import (
    ALL_SAMPLED,
    MAX_GROUPS,
    MAX_SAMPLED,
    RequestGroup,
    SampledLine,
    Stratum,
    stratum_floor,
)
from batchctl.domain.model import Batch, PresumedNotCreated
from batchctl.requests.decoding import BYTE_ORDER_MARK, decode_line
from batchctl.requests.inputs import PIECE_BYTES, opened
from batchctl.requests.request_file import blocks_of_range
from batchctl.requests.request_lines import RequestBlock, RequestReader, block_of

# Groups that a request is compared with before its digest is taken.
RECENT = 4
# Different lengths that are counted before they are summed up.
MAX_SIZES = 4096
# So many requests of a group are offered for the sample; then one of two, then one of four, and so on.
OFFERED = 512
MIX = 1 << 32
# How the types of tools begin that the client runs; a tool without a type is one of them.
CLIENT_TOOLS = ("custom", "bash_", "computer_", "memory_", "text_editor_")
# Params with which the API does no more than read the request and answer.
PLAIN_PARAMS = frozenset({
    "cache_control", "context_management", "inference_geo", "max_tokens", "messages", "metadata", "model", "output_config",
    "service_tier", "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip
# Levels of blocks in blocks: more than the API takes.
MAX_DEPTH = 8
# A float in JSON that was encoded anew; in its line it may have had fewer digits.
_FLOAT = re.compile(rb"(?<=[:,\[])-?[0-9]+\.[0-9eE+.-]+")

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Lines that follow each other: `offset` and `first` are the place and the number of the first.

    The place of another one is computed only for the few that are remembered.
    """

    lines: Sequence[bytes]
    offset: int
    first: int

    def sampled(self, at: int) -> SampledLine:
        """Return the number, the place and the size of the line at index `at`."""
        return SampledLine(self.first + at, self.offset + sum(map(len, self.lines[:at])) + at, len(self.lines[at]))


class RequestGrouper:
    """Takes good lines in order, a block at a time, and gives their groups."""

    def __init__(self, lines_before: int = 0) -> None:
        """`lines_before`: the lines of the file before those that are taken."""
        self._lines_before = lines_before
        self.groups: dict[str, _Group] = {}
        self._others: dict[tuple[str, str], _Group] = {}
        self._sketches: set[tuple[Any, ...]] = set()
        self._recent: deque[tuple[Params, _Group]] = deque(maxlen=RECENT)
        self.requests = 0

    def add(self, requests: RequestBlock, block: LineBlock) -> None:
        """Add the requests of a block of lines."""
        by_group: dict[int, tuple[_Group, list[int]]] = {}
        for params, at in requests.shapes:
            group = self._group_of(params, block.first + at[0])
            by_group.setdefault(id(group), (group, []))[1].extend(at)
            self.requests += len(at)
            if requests.looked_at:
                group.look(requests.looked_at[n] for n in at if n in requests.looked_at)
        for group, places in by_group.values():
            places.sort()
            group.add(block, places, [requests.max_tokens[n] for n in places], self._most_sampled)

    @property
    def tells_all_apart(self) -> bool:
        """Whether each request is in a group of its own kind, none of them among those that were not told apart."""
        return not self._others and len(self.groups) <= MAX_GROUPS

    def merge(self, later: "RequestGrouper") -> None:
        """Add the groups of lines that follow, of which all are told apart."""
        self.requests += later.requests
        for digest, group in later.groups.items():
            if digest in self.groups:
                self.groups[digest].merge(group, self._most_sampled)
            else:
                self.groups[digest] = group

    def finish(self) -> tuple[RequestGroup, ...]:
        """Return the groups in the order of their first lines, and last those that were not told apart."""
        most = self._most_sampled
        return tuple(group.request_group(most) for group in (*self.groups.values(), *self._others.values()))

    @property
    def _most_sampled(self) -> int:
        """Return how many requests of each length the sample has at most."""
        return MAX_SAMPLED if self.requests > ALL_SAMPLED else ALL_SAMPLED

    def _group_of(self, params: Params, line: int) -> "_Group":
        sketch = _sketch(params)
        is_full = len(self.groups) >= MAX_GROUPS
        if is_full and sketch not in self._sketches:
            return self._other(params, line)
        if group := next((group for known, group in self._recent if known == params), None):
            return group
        digest = digest_of(params)
        if digest not in self.groups and (is_full or not digest):
            return self._other(params, line)
        self._sketches.add(sketch)
        group = self.groups.setdefault(digest, _Group(digest, params, line, self._lines_before))
        self._recent.append((params, group))
        return group

    def _other(self, params: Params, line: int) -> "_Group":
        named = params["model"], _geo(params)
        if named not in self._others and len(self._others) >= MAX_GROUPS:
            # So many models are none that anybody knows.
            named = "", ""
        if named not in self._others:
            self._others[named] = _Group("", {**params, "model": named[0]}, line, self._lines_before)
        self._others[named].take_in(params)
        return self._others[named]


def group_requests(path: Path, without: Collection[int] = ()) -> tuple[RequestGroup, ...]:
    """Return the groups of a checked request file, without the lines whose numbers are in `without`."""
    grouper, reader = RequestGrouper(), RequestReader()
    offset, first = 0, 1
    with opened(path) as file:
        while lines := file.readlines(PIECE_BYTES):
            size = sum(map(len, lines))
            if first == 1 and lines[0].startswith(BYTE_ORDER_MARK):
                lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
                offset, size = len(BYTE_ORDER_MARK), size - len(BYTE_ORDER_MARK)
            numbers = range(first, first + len(lines))
            left_out = {number - first for number in without if number in numbers} if without else set()
            block = LineBlock([line.removesuffix(b"\n") for line in lines], offset, first)
            grouper.add(requests_of(reader, block.lines, left_out), block)
            offset, first = offset + size, numbers.stop
    return grouper.finish()


def group_ranges(path: Path, batches: Sequence[Batch | PresumedNotCreated]) -> tuple[RequestGroup, ...]:
    """Return the groups of the requests of some batches. Raises InputProblem where they are not those that were planned."""
    grouper, reader = RequestGrouper(), RequestReader()
    for batch in batches:
        offset, first = batch.cut.start, batch.cut.first + 1
        for lines in blocks_of_range(path, batch):
            grouper.add(requests_of(reader, lines), LineBlock(lines, offset, first))
            offset += sum(map(len, lines)) + len(lines)
            first += len(lines)
    return grouper.finish()


def requests_of(reader: RequestReader, lines: Sequence[bytes], left_out: Collection[int] = ()) -> RequestBlock:
    """Return what checked lines hold, without those at the indexes in `left_out`."""
    requests = None if left_out else reader.read(lines)
    if requests is None:
        at = [n for n, line in enumerate(lines) if n not in left_out and line and not line.isspace()]
        decoded: dict[int, Any] = {n: decode_line(lines[n]) for n in at}
        requests = block_of(decoded, len(lines))
    return requests


def _sketch(params: Params) -> tuple[Any, ...]:
    """Return a quick key that is the same for all requests of a group, and mostly another for another system prompt."""
    system = params.get("system")
    return params["model"], hash(system) if isinstance(system, str) else None


def digest_of(rest: Params) -> str:
    """Return the digest of a group, from the params without APART; empty for what is nested too deep to be encoded."""
    try:
        return hashlib.blake2b(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    except orjson.JSONEncodeError:
        return ""


class _Group:
    def __init__(self, digest: str, params: Params, line: int, lines_before: int) -> None:
        # Numbers for the draw that no group of the same requests has in another part of the file.
        self._drawn_from = lines_before
        self._fields: dict[str, Any] = {
            "digest": digest,
            "model": params["model"],
            "inference_geo": _geo(params),
            "first_line": line,
            "prefix_bytes": prefix_bytes(params) if digest else 0,
            "breakpoints": len([*ttls_before(params), *ttls_after(params)]),
        }
        self.ttls: set[str] = set()
        self.adds_prompt = self.calls_servers = self.beyond_text = self.marks_messages = False
        self.take_in(params)
        self._sizes: Counter[int] = Counter()
        self.strata: dict[int, _Stratum] = {}
        self.requests = self.longest = self.max_tokens = self.most = 0

    def take_in(self, params: Params) -> None:
        """Note what all requests of a group have; in a group of requests that were not told apart, what any of them has."""
        behind = set(ttls_after(params))
        self.ttls |= behind.union(ttls_before(params))
        self.marks_messages = self.marks_messages or bool(behind)
        self.adds_prompt = self.adds_prompt or _adds_prompt(params)
        self.calls_servers = self.calls_servers or _calls_servers(params)
        self.beyond_text = self.beyond_text or not _is_text(params.get("system"))

    def add(self, block: LineBlock, at: Sequence[int], max_tokens: Sequence[int], sampled: int) -> None:
        """Add the lines at the indexes `at` with their `max_tokens`; `sampled` is the size of the sample of each length."""
        lines = block.lines
        own = lines if len(at) == len(lines) else [lines[n] for n in at]
        self._sizes.update(map(len, own))
        if len(self._sizes) > MAX_SIZES:
            self.fold()
        # The longer it goes on, the fewer are offered; a length that is rare keeps most of what it is offered.
        stride = 1 << (self.requests // OFFERED).bit_length()
        for n in range(-self.requests % stride, len(at), stride):
            # One of each `stride`, but not always the first: files are often made by a rule that repeats.
            key, after = divmod(_mixed(self._drawn_from + self.requests + n), stride)
            if n + after < len(at):
                position = at[n + after]
                self._stratum(len(lines[position])).offer(block, position, key, sampled)
        self.requests += len(at)
        self.max_tokens += sum(max_tokens)
        self.most = max(self.most, *max_tokens)

    def merge(self, later: "_Group", sampled: int) -> None:
        """Add the same group of lines that follow; `sampled` as of `add`."""
        self.ttls |= later.ttls
        self.marks_messages = self.marks_messages or later.marks_messages
        self.adds_prompt = self.adds_prompt or later.adds_prompt
        self.calls_servers = self.calls_servers or later.calls_servers
        self.beyond_text = self.beyond_text or later.beyond_text
        self.requests += later.requests
        self.max_tokens += later.max_tokens
        self.most = max(self.most, later.most)
        for group in (self, later):
            group.fold()
        self.longest = max(self.longest, later.longest)
        for least, stratum in later.strata.items():
            self._stratum(least).merge(stratum, sampled)

    def look(self, many: Iterable[Params]) -> None:
        """Note what the messages have beside texts."""
        for params in many:
            if behind := set(ttls_after(params)):
                self.marks_messages = True
                self.ttls |= behind
            for message in params["messages"]:
                # Without a deep check a message need not be an object: what it is, is not known.
                content = message.get("content") if isinstance(message, dict) else [message]
                if not _is_text(content):
                    self.beyond_text = True
                    self.calls_servers = self.calls_servers or _is_read_elsewhere(content)

    def request_group(self, sampled: int) -> RequestGroup:
        """Return the group as a value; `sampled` as of `add`."""
        self.fold()
        strata = tuple(self.strata[least].closed(sampled) for least in sorted(self.strata))
        return RequestGroup(
            **self._fields,
            requests=self.requests,
            bytes=sum(stratum.bytes for stratum in strata),
            ttl=LONG if LONG in self.ttls else SHORT if self.ttls else "",
            marks_messages=self.marks_messages,
            beyond_text=self.beyond_text,
            adds_prompt=self.adds_prompt,
            calls_servers=self.calls_servers,
            longest=self.longest,
            max_tokens=self.max_tokens,
            most_max_tokens=self.most,
            strata=strata,
        )

    def fold(self) -> None:
        self.longest = max(self.longest, *self._sizes, 0)
        for size, count in self._sizes.items():
            self._stratum(size).count(size, count)
        self._sizes.clear()

    def _stratum(self, size: int) -> "_Stratum":
        least = stratum_floor(size)
        if least not in self.strata:
            self.strata[least] = _Stratum(least)
        return self.strata[least]


class _Stratum:
    """Requests of one range of lengths, and a sample of them.

    Of the requests that are offered one in `step` is kept, spread over the file; when they are too many, `step` doubles.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self.requests = self.bytes = 0
        self.step = 1
        self.kept: list[tuple[int, SampledLine]] = []

    def count(self, size: int, requests: int) -> None:
        """Count requests of one size."""
        self.requests += requests
        self.bytes += size * requests

    def offer(self, block: LineBlock, at: int, key: int, most: int) -> None:
        """Offer a line for the sample.

        `key` is below MIX. Where fewer lines are offered, their keys are smaller, so that every line has the same chance.
        """
        if key * self.step >= MIX:
            return
        self.kept.append((key, block.sampled(at)))
        self._thin(most)

    def merge(self, later: "_Stratum", most: int) -> None:
        """Add the requests of lines that follow, each sampled one with the chance that it has in both together."""
        self.requests += later.requests
        self.bytes += later.bytes
        self.step = max(self.step, later.step)
        kept = [*self.kept, *later.kept]
        self.kept = [(key, place) for key, place in kept if key * self.step < MIX]
        self._thin(most)

    def closed(self, most: int) -> Stratum:
        """Return the stratum as a value, with at most `most` requests in its sample."""
        self._thin(most)
        sampled = tuple(place for _, place in self.kept)
        return Stratum(least=self._least, requests=self.requests, bytes=self.bytes, sampled=sampled)

    def _thin(self, most: int) -> None:
        # From MIX on nothing more is left out.
        while len(self.kept) > most and self.step < MIX:
            self.step *= 2
            self.kept = [(key, place) for key, place in self.kept if key * self.step < MIX]


def _mixed(ordinal: int) -> int:
    """Return a number below MIX that is as good as drawn, and the same every time."""
    return (ordinal * 0x9E37_79B9_7F4A_7C15 >> 32) % MIX


# ---------------------------------------------------------------- what can be seen in params


def prefix_bytes(params: Params) -> int:
    """Return the bytes of `tools` and `system`, which stand before all messages, as the shortest JSON; 0 without them."""
    parts = [params[name] for name in ("tools", "system") if params.get(name)]
    try:
        return sum(len(_FLOAT.sub(b"0", orjson.dumps(part))) for part in parts)
    except orjson.JSONEncodeError:
        return 0


def _geo(params: Params) -> str:
    geo = params.get("inference_geo")
    return geo if isinstance(geo, str) else ""


def _is_text(content: object) -> bool:
    """Return whether content has no more tokens than bytes: a text, a list of blocks of text, or nothing."""
    if content is None or isinstance(content, str):
        return True
    blocks = content if isinstance(content, list) else [None]
    return all(isinstance(block, dict) and block.get("type") == "text" for block in blocks)


def _is_read_elsewhere(content: object, depth: int = 0) -> bool:
    """Return whether a block, at any depth, is one that the API reads from a URL when it answers."""
    if depth > MAX_DEPTH:
        return True
    for block in content if isinstance(content, list) else [content]:
        if not isinstance(block, dict):
            continue
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") == "url":
            return True
        within = (block.get("content"), source.get("content") if isinstance(source, dict) else None)
        if any(_is_read_elsewhere(inner, depth + 1) for inner in within if isinstance(inner, list | dict)):
            return True
    return False


def _adds_prompt(params: Params) -> bool:
    config = params.get("output_config")
    return bool(params.get("tools")) or (isinstance(config, dict) and any(name != "effort" for name in config))


def _calls_servers(params: Params) -> bool:
    """Return whether the API may do more than answer. What is not known here is taken to be so."""
    tools = params.get("tools")
    types = (
        [str(tool.get("type") or "custom") for tool in tools if isinstance(tool, dict)]
        if isinstance(tools, list)
        else []
    )
    unknown = (name for name, value in params.items() if name not in PLAIN_PARAMS and value is not None)
    return not all(name.startswith(CLIENT_TOOLS) for name in types) or any(unknown) or _is_compacted(params)


def _is_compacted(params: Params) -> bool:
    """Return whether the API may compact what it has read, which is billed beside the message."""
    managed = params.get("context_management")
    edits = managed.get("edits") if isinstance(managed, dict) else None
    types = [str(edit.get("type", "")) for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
    return not all(name.startswith("clear_") for name in types)
