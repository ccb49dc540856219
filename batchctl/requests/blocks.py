"""Request lines read many at once: quick for lines that are plainly good, and exact where it accepts them.

Every line must begin with one opening, an id and the start of `params`. The ends of all lines are then read as one JSON text,
each as the value of a key that nobody can have written: a line that is not one object with two keys shows as a parse error or
as another key, whatever stands inside.
"""

import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import orjson

from batchctl.domain.faults import MAX_CUSTOM_ID_CHARACTERS

# A line of so many bytes is read by itself: reading many at once takes copies of them.
LONG_BYTES = 1 << 20
_HEAD = re.compile(rb'(\{"custom_id": ?")[^"]*(", ?"params": ?(?={))').match
_ID_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_KEY = secrets.token_hex(8)
_OPEN = b'{"%b":' % _KEY.encode()
# The end of a key and the opening of the text that is its value; within a text, a quote has a backslash.
_TEXT_OPENS = re.compile(rb'":[ ]?"').finditer
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]"]', re.DOTALL).findall
# Params that are no part of what the requests of a group have in common.
_OWN = frozenset({b'"messages"', b'"metadata"'})
# Keys of texts that are content; other keys say what kind of object they stand in.
_SAYS = frozenset({b'"content"', b'"text"', b'"user_id"'})


def read_requests(lines: Sequence[bytes]) -> tuple[list[bytes], list[Any]] | None:
    """Return the custom_ids and the params of whole lines; None where each line has to be read by itself."""
    divided = _divided(lines)
    if divided is None:
        return None
    ids, ends = divided
    params = _values(_OPEN, ends)
    return None if params is None else (ids, params)


class SharedPrefix(NamedTuple):
    """Lines whose params are the same but for one value, a list or an object in which they differ from one text on.

    Attributes:
        ids: The custom_ids of all lines.
        params: The params of the first line.
        is_own: Whether that value is `messages` or `metadata`.
        is_plain: Whether it has nothing but texts, from there on, in all lines.
    """

    ids: list[bytes]
    params: Any
    is_own: bool
    is_plain: bool


def read_shared_prefix(lines: Sequence[bytes]) -> SharedPrefix | None:
    """Return what whole lines have in common; None where that is nothing, or cannot be told: then ask `read_requests`."""
    divided = _divided(lines)
    if divided is None:
        return None
    ids, ends = divided
    shared = _shared(min(ends), max(ends))
    opening, is_own, says = _opening_of(shared)
    if not opening:
        return None
    # What all have in common is read once: behind it a parser is in the same state in each of them.
    rests = _values(_OPEN + opening, [end[len(shared) :] for end in ends])
    first = _values(_OPEN, ends[:1])
    if rests is None or first is None or set(map(len, rests)) != {1}:
        return None
    return SharedPrefix(ids, first[0], is_own, says and _are_texts(rests))


def _are_texts(values: Sequence[Any]) -> bool:
    """Return whether all that was opened goes on as one text, and what follows is text, too."""
    while (kinds := set(map(type, values))) != {str}:
        sizes = set(map(len, values))
        if kinds == {dict} and sizes != {1}:
            return set(map(type, chain.from_iterable(map(dict.values, values)))) == {str}
        if sizes != {1} or kinds not in ({dict}, {list}):
            return False
        values = [value[_KEY] for value in values] if kinds == {dict} else [value[0] for value in values]
    return True


def read_ids(lines: Sequence[bytes]) -> list[bytes] | None:
    """Return the custom_ids of lines that were checked before; None where each has to be read by itself."""
    like = _HEAD(lines[0])
    return None if like is None else _ids([line.partition(like[2])[0] for line in lines], like[1])


def _divided(lines: Sequence[bytes]) -> tuple[list[bytes], Sequence[bytes]] | None:
    """Return the custom_ids, and what stands behind the key `params`; None where a line begins otherwise."""
    like = _HEAD(lines[0])
    if like is None or max(map(len, lines)) >= LONG_BYTES:
        return None
    heads, _, ends = zip(*[line.partition(like[2]) for line in lines], strict=True)
    ids = _ids(heads, like[1])
    return None if ids is None else (ids, ends)


def _values(opening: bytes, ends: Sequence[bytes]) -> list[Any] | None:
    """Return the value of our own key in each object that `opening` begins; None where there is anything else."""
    try:
        objects = orjson.loads(b"[%b%b]" % (opening, (b"," + opening).join(ends)))
        values = [each[_KEY] for each in objects]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return values if len(values) == len(ends) and set(map(len, objects)) == {1} else None


def _shared(low: bytes, high: bytes) -> bytes:
    """Return what the least and the greatest of some texts, and so all of them, begin with, up to the opening of a text."""
    size, over = 0, min(len(low), len(high)) + 1
    while over - size > 1:
        middle = (size + over) // 2
        size, over = (middle, over) if low[:middle] == high[:middle] else (size, middle)
    ends = [opened.end() for opened in _TEXT_OPENS(low[:size])]
    return low[: ends[-1]] if ends else b""


@lru_cache(maxsize=16)
def _opening_of(shared: bytes) -> tuple[bytes, bool, bool]:
    """Return the shortest JSON that leaves a parser in the state in which `shared` leaves it: in a text, as deep.

    It is empty where the text is in no list or object of params, or where that cannot be told. Return, too, whether the param
    is one of _OWN, and whether the key of the text is one of _SAYS.
    """
    stack: list[bytes] = []
    text = key = b""
    for token in _TOKENS(shared[:-1]):
        if token == b'"':
            return b"", False, False
        if token in {b"{", b"["}:
            key = text if len(stack) == 1 else key
            stack.append(token)
        elif token not in {b"}", b"]"}:
            text = token
        elif stack:
            stack.pop()
    if len(stack) < 2 or stack[0] != b"{":
        return b"", False, False
    return b"".join(_OPEN if bracket == b"{" else b"[" for bracket in stack) + b'"', key in _OWN, text in _SAYS


def _ids(heads: Sequence[bytes], opening: bytes) -> list[bytes] | None:
    # An id that holds what joins them is none, so each head is one opening and one id.
    before, *ids = b"\n".join((b"", *heads)).split(b"\n" + opening)
    return ids if not before and len(ids) == len(heads) and _are_ids(ids) else None


def _are_ids(ids: Sequence[bytes]) -> bool:
    sizes = set(map(len, ids))
    return min(sizes) >= 1 and max(sizes) <= MAX_CUSTOM_ID_CHARACTERS and not b"".join(ids).translate(None, _ID_BYTES)
