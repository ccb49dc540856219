"""Request lines read many at once by a typed decoder, which accepts only what a full parse of each line finds.

The decoder knows the params that the lines have, by name. It builds text only of what differs from line to line; all other
params stay bytes, and lines whose bytes are equal have the same params. Of those, one is parsed in full.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import attrgetter, sub
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from msgspec import Meta, MsgspecError, Raw, Struct, defstruct
from msgspec.json import Decoder

from batchctl.domain.faults import MAX_CUSTOM_ID_CHARACTERS, MAX_TOKENS_CEILING
from batchctl.domain.groups import APART

# Params by name that one decoder knows: more than the API has.
MAX_NAMES = 40
# The most bytes of lines of which the params are remembered.
MAX_KNOWN_BYTES = 4 << 20
# A line of so many bytes is read by itself: reading many at once takes copies of them.
LONG_BYTES = 1 << 20
_ID_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
# What a line has beside its custom_id and its params at least, and what a second key takes at least.
_KEYS_BYTES = len('{"custom_id":"","params":}')
_MORE_BYTES = len(',"params":0')
_ABSENT = Raw(b"")


class Envelope(Struct, forbid_unknown_fields=True, gc=False):
    """A line of which the params are bytes."""

    custom_id: str
    params: Raw


class OnlyId(Struct, gc=False):
    """A line of which only the custom_id is read."""

    custom_id: str


class Message(Struct, forbid_unknown_fields=True, gc=False):
    """One of the `messages` of a request. Blocks of content stay bytes.

    As for `Metadata`, what is accepted has no fault that a check in depth would find, but in blocks of content.
    """

    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


class Metadata(Struct, forbid_unknown_fields=True, gc=False):
    """The `metadata` of a request."""

    user_id: Annotated[str, Meta(max_length=512)] | None = None


class Shape(NamedTuple):
    """Lines of a block whose params are equal but for those in APART.

    Attributes:
        params: The params without those.
        at: The indexes of the lines, in order.
    """

    params: dict[str, Any]
    at: Sequence[int]


class RequestBlock(NamedTuple):
    """What the requests in a block of lines hold.

    Attributes:
        ids: The custom_ids of the requests.
        max_tokens: The `max_tokens` by the index of the line; any number for a line that is no request.
        shapes: Their other params, in the order of their first lines. Two shapes may have equal params.
        looked_at: All params of the requests that have to be looked at by themselves, by the index of the line: those with a
            message that is no text, or a blank one, or with an answer to be continued, or a `user_id` with an @.
    """

    ids: list[bytes]
    max_tokens: Sequence[int]
    shapes: list[Shape]
    looked_at: dict[int, dict[str, Any]]


# What the decoders raise for what they do not accept.
NO_REQUEST = (MsgspecError, RecursionError)
_decode_envelope = Decoder(Envelope).decode
_decode_id = Decoder(OnlyId).decode
_id_of, _params_of = attrgetter("custom_id"), attrgetter("params")
_max_tokens_of, _messages_of, _content_of = map(attrgetter, ("max_tokens", "messages", "content"))
_metadata_of = attrgetter("metadata")


class RequestReader:
    """Reads blocks of lines, and remembers the params that they have in common."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._known_bytes = 0

    def read(self, lines: Sequence[bytes]) -> RequestBlock | None:
        """Return what whole lines hold; None where each has to be read by itself.

        Of a param that stands twice on a line the last one counts, as for any parser here.
        """
        divided = _divided(lines) if max(map(len, lines)) < LONG_BYTES else None
        if divided is None:
            return None
        ids, raws = divided
        try:
            params = self._decoded(raws)
            shapes = self._shapes(params, lines)
            looked_at = {n: orjson.loads(lines[n])["params"] for n in _odd(params)}
        except (*NO_REQUEST, orjson.JSONDecodeError):
            return None
        return RequestBlock(ids, list(map(_max_tokens_of, params)), shapes, looked_at)

    def _decoded(self, raws: Sequence[Raw]) -> list[Any]:
        """Return the params of each line as an object with the attributes that `_params_decoder` names."""
        try:
            return list(map(_params_decoder(self._names).decode, raws))
        except MsgspecError:
            names = set(self._names).union(*map(orjson.loads, map(bytes, raws))) - _TYPED
            if len(names) == len(self._names) or len(names) > MAX_NAMES or not all(map(_is_name, names)):
                raise
            self._names = tuple(sorted(names))
            self._forget()
        return list(map(_params_decoder(self._names).decode, raws))

    def _shapes(self, params: Sequence[Any], lines: Sequence[bytes]) -> list[Shape]:
        rows = list(map(_row_of(len(self._names)), params))
        if rows.count(rows[0]) == len(rows):
            return [Shape(self._parsed(_key(rows[0]), lines[0]), range(len(rows)))]
        places: dict[tuple[Any, ...], list[int]] = {}
        for n, row in enumerate(rows):
            places.setdefault(_key(row), []).append(n)
        return [Shape(self._parsed(key, lines[at[0]]), at) for key, at in places.items()]

    def _parsed(self, key: tuple[Any, ...], line: bytes) -> dict[str, Any]:
        """Return what the params of a line have in common with others. What is spelled the same is parsed once.

        The typed decoder only skips over what it leaves as bytes. Raises JSONDecodeError where that is no JSON.
        """
        if key not in self._known:
            if self._known_bytes > MAX_KNOWN_BYTES:
                self._forget()
            self._known[key] = _without_apart(orjson.loads(line)["params"])
            self._known_bytes += len(line)
        return self._known[key]

    def _forget(self) -> None:
        self._known.clear()
        self._known_bytes = 0


def _odd(params: Sequence[Any]) -> Sequence[int]:
    """Return the indexes of requests that have to be looked at by themselves."""
    messages = list(map(_messages_of, params))
    contents = list(map(_content_of, chain.from_iterable(messages)))
    odd: set[int] = set()
    if set(map(type, contents)) != {str} or not all(map(str.strip, contents)):
        odd.update(n for n, few in enumerate(messages) if any(_is_odd(each.content) for each in few))
    if "assistant" in (roles := [few[-1].role for few in messages]):
        odd.update(n for n, role in enumerate(roles) if role == "assistant")
    if any(metadata := list(map(_metadata_of, params))):
        odd.update(n for n, each in enumerate(metadata) if each and each.user_id and "@" in each.user_id)
    return sorted(odd)


def _is_odd(content: object) -> bool:
    return not (isinstance(content, str) and content.strip())


def block_of(requests: Mapping[int, dict[str, Any]], size: int) -> RequestBlock:
    """Return the block of requests that were read one by one, by the index of the line among `size` lines."""
    max_tokens = [0] * size
    for n, request in requests.items():
        max_tokens[n] = request["params"]["max_tokens"]
    return RequestBlock(
        [request["custom_id"].encode() for request in requests.values()],
        max_tokens,
        [Shape(_without_apart(request["params"]), [n]) for n, request in requests.items()],
        {n: request["params"] for n, request in requests.items() if not _are_texts(request["params"]["messages"])},
    )


def _without_apart(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params without those in which the requests of a group may differ."""
    return {name: value for name, value in params.items() if name not in APART}


def _are_texts(messages: Sequence[Any]) -> bool:
    return all(isinstance(each, dict) and type(each.get("content")) is str for each in messages)


def has_each_key_once(line: bytes) -> bool:
    """Return whether a line that is one JSON object certainly has `custom_id` and `params` as its only keys, each once."""
    return _divided([line]) is not None


def read_ids(lines: Sequence[bytes]) -> list[bytes] | None:
    """Return the custom_ids of lines that were checked before; None where one cannot be read."""
    try:
        return [custom_id.encode() for custom_id in map(_id_of, map(_decode_id, lines))]
    except NO_REQUEST:
        return None


def _divided(lines: Sequence[bytes]) -> tuple[list[bytes], list[Raw]] | None:
    """Return the custom_ids, and the params as bytes; None where a line may be no request.

    The decoder takes a key that stands twice. The bytes of a line beside its id and its params are too few for that.
    """
    try:
        envelopes = list(map(_decode_envelope, lines))
    except NO_REQUEST:
        return None
    texts, raws = list(map(_id_of, envelopes)), list(map(_params_of, envelopes))
    sizes = list(map(len, texts))
    if min(sizes) < 1 or max(sizes) > MAX_CUSTOM_ID_CHARACTERS:
        return None
    joined = "\n".join(texts).encode()
    ids = joined.split(b"\n")
    if len(ids) != len(lines) or b"".join(ids).translate(None, _ID_BYTES):
        return None
    if max(map(sub, map(sub, map(len, lines), sizes), map(len, raws))) >= _KEYS_BYTES + _MORE_BYTES:
        return None
    return ids, raws


# The params that a decoder reads by their types; of the others it leaves the bytes.
_TYPED = frozenset({"model", "max_tokens", "messages", "metadata"})


def _is_name(name: str) -> bool:
    """Return whether a decoder takes a key of that name."""
    return name.isprintable() and not {'"', "\\"} & {*name}


def _attribute(n: int) -> str:
    # The name of a param need not be one that Python takes.
    return f"param_{n}"


@lru_cache(maxsize=16)
def _params_decoder(names: tuple[str, ...]) -> Decoder[Any]:
    """Return a decoder of params with these names beside those in _TYPED."""
    fields: list[Any] = [
        ("model", Annotated[str, Meta(min_length=1)]),
        ("max_tokens", Annotated[int, Meta(ge=1, le=MAX_TOKENS_CEILING)]),
        ("messages", Annotated[list[Message], Meta(min_length=1)]),
        ("metadata", Metadata, None),
        *((_attribute(n), Raw, _ABSENT) for n in range(len(names))),
    ]
    rename = {_attribute(n): name for n, name in enumerate(names)}
    return Decoder(defstruct("Params", fields, forbid_unknown_fields=True, gc=False, rename=rename))


@cache
def _row_of(names: int) -> Callable[[Any], tuple[Any, ...]]:
    # Of one attribute alone attrgetter gives no tuple.
    return attrgetter("model", "model", *map(_attribute, range(names)))


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values of a row, of which Raw has no hash."""
    return (row[0], *map(bytes, row[2:]))
