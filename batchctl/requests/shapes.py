"""The shape of each request of a checked file. Requests have the same shape if they differ only in what `domain.groups.APART` names.

`requests.grouping` counts them for the estimate, and puts together what is rare. Here each line is told apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from batchctl.requests.grouping import digest_of, requests_of
from batchctl.requests.request_lines import RequestReader

# Digests that are remembered: of the params of a shape, as long as the reader remembers these.
MAX_REMEMBERED = 256


class LinesOfShape(NamedTuple):
    """Lines of one shape in a block: its digest, the model that they name, and their indexes, in order."""

    digest: str
    model: str
    at: Sequence[int]


class ShapeReader:
    """Reads blocks of lines, and remembers the shapes that it has met last."""

    def __init__(self) -> None:
        self._reader = RequestReader()
        # The params are kept beside their digest, so that no other object can have their identity.
        self._digests: dict[int, tuple[dict[str, Any], str]] = {}

    def read(self, lines: Sequence[bytes]) -> Iterator[LinesOfShape]:
        """Yield the shapes of a block of lines. Two of them may be equal."""
        for params, at in requests_of(self._reader, lines).shapes:
            yield LinesOfShape(self._digest(params), params["model"], at)

    def shape(self, line: bytes) -> tuple[str, str]:
        """Return the digest and the model of one line."""
        (shape,) = self.read([line])
        return shape.digest, shape.model

    def _digest(self, params: dict[str, Any]) -> str:
        known = self._digests.get(id(params))
        if known is None:
            if len(self._digests) >= MAX_REMEMBERED:
                self._digests.clear()
            known = self._digests[id(params)] = params, digest_of(params)
        return known[1]
