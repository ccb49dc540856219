"""Request lines read many at once: the quick way for lines that are plainly good, exact where it says yes.

Where every line is one opening, an id, and the start of `params`, their ends are read as one JSON text, each the value of
a key that nobody can have written: a line that is not one object with two keys, whatever stands inside, would show.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any

import orjson

_HEAD = re.compile(rb'(\{"custom_id": ?")[^"]*(", ?"params": ?(?={))').match
_ID_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_MAX_ID_BYTES = 64
_KEY = secrets.token_hex(8)
_OPEN = b'{"%b":' % _KEY.encode()
_NEXT = b"," + _OPEN


def read_requests(lines: Sequence[bytes]) -> tuple[list[bytes], list[Any]] | None:
    """The custom_ids and the params of whole lines; None means that each has to be looked at closely."""
    like = _HEAD(lines[0])
    if like is None:
        return None
    heads, _, ends = zip(*[line.partition(like[2]) for line in lines], strict=True)
    ids = _ids(heads, like[1])
    if ids is None:
        return None
    try:
        objects = orjson.loads(b"[%b%b]" % (_OPEN, _NEXT.join(ends)))
        params = [one[_KEY] for one in objects]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if len(params) != len(ids) or set(map(len, objects)) != {1}:
        return None
    return ids, params


def read_ids(lines: Sequence[bytes]) -> list[bytes] | None:
    """The custom_ids of lines that were found good before; None as above."""
    like = _HEAD(lines[0])
    return None if like is None else _ids([line.partition(like[2])[0] for line in lines], like[1])


def _ids(heads: Sequence[bytes], opening: bytes) -> list[bytes] | None:
    size = len(opening)
    ids = [head[size:] for head in heads]
    return ids if {head[:size] for head in heads} == {opening} and _are_ids(ids) else None


def _are_ids(ids: Sequence[bytes]) -> bool:
    sizes = set(map(len, ids))
    return min(sizes) >= 1 and max(sizes) <= _MAX_ID_BYTES and not b"".join(ids).translate(None, _ID_BYTES)
