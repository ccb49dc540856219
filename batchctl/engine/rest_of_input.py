"""What is left of a job's input once its first batch is judged: each request as it is to be sent, or withheld."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from batchctl.domain.caching import LONG
from batchctl.domain.model import Batch, Job, WithheldShape
from batchctl.engine.first_batch_rules import Tried, Verdict, Withholding
from batchctl.requests.caching import with_cache_control
from batchctl.requests.request_file import blocks_of_range
from batchctl.requests.shapes import ShapeReader

# The position in round 1 of the first of some request lines that follow each other there.
Run = tuple[int, Sequence[bytes]]


def with_breakpoint(line: bytes, longest: int) -> bytes:
    """Return a line with a breakpoint for 1 hour; as it is where it has one, or would be longer than `longest` with it."""
    cached = with_cache_control(line, LONG)
    return line if cached is None or len(cached.line) > longest else cached.line


def as_first_sent(line: bytes, primed: Collection[str], longest: int) -> bytes:
    """Return a line as a first batch sends it: with a breakpoint where the digest of its shape is in `primed`."""
    return with_breakpoint(line, longest) if ShapeReader().shape(line)[0] in primed else line


class RestOfInput:
    """The requests that no round had, without those that are withheld.

    Attributes:
        withheld: The shapes of these, by what stands for each.
        primed: How many of the others read their prompt from the cache.
    """

    def __init__(
        self, path: Path, job: Job, tried: Sequence[Tried], sent: Collection[int], *, only_primed: bool = False
    ) -> None:
        """`sent`: the positions that rounds have. `only_primed`: leave out what reads from no cache, too."""
        self._path = path
        self._sent = sent
        self._only_primed = only_primed
        self._withholding = Withholding(tried)
        self._primed = frozenset(one.digest for one in tried if one.is_primed and one.verdict is Verdict.GOES)
        self._longest = job.settings.max_bytes
        self._shapes = ShapeReader()
        self.withheld: dict[tuple[str, str], WithheldShape] = {}
        self.primed = 0

    def runs(self, plan: Iterable[Batch]) -> Iterator[Run]:
        """Yield the requests, in order, in runs of lines that follow each other."""
        for batch in plan:
            first = batch.cut.first
            for lines in blocks_of_range(self._path, batch):
                yield from self._runs_of(lines, first)
                first += len(lines)

    def _runs_of(self, block: Sequence[bytes], first: int) -> Iterator[Run]:
        left_out = {n for n in range(len(block)) if first + n in self._sent}
        lines = [*block]
        if self._primed or not self._withholding.refuses_nothing:
            for digest, model, at in self._shapes.read(block):
                unsent = [n for n in at if n not in left_out]
                refused = self._withholding.refused(digest, model)
                if refused is not None:
                    self._withhold(digest, model, len(unsent), refused)
                    left_out.update(unsent)
                elif digest in self._primed:
                    self.primed += len(unsent)
                    for n in unsent:
                        lines[n] = with_breakpoint(block[n], self._longest)
                elif self._only_primed:
                    left_out.update(unsent)
        begin = 0
        for end in (*sorted(left_out), len(lines)):
            if begin < end:
                yield first + begin, lines[begin:end]
            begin = end + 1

    def _withhold(self, digest: str, model: str, requests: int, refused: Tried) -> None:
        # Shapes that were not tried stand together: there may be as many as requests.
        key = digest if digest == refused.digest else "", model
        known = self.withheld.get(key)
        if requests:
            self.withheld[key] = WithheldShape(
                digest=key[0],
                model=model,
                line=refused.line,
                custom_id=refused.custom_id,
                requests=requests + (known.requests if known else 0),
                message=refused.message,
            )


def first_of(runs: Iterable[Run], count: int) -> Iterator[Run]:
    """Yield the runs of the first `count` requests."""
    for first, lines in runs:
        yield first, lines[:count]
        count -= len(lines)
        if count <= 0:
            return
