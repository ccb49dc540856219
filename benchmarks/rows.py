"""What is worked out from what was run: every row of the table, and how it is defined."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report import MB, Bound, Row, Run, Spread, less, ratios, spread, total, walls
from benchmarks.stages import one_of

NOT_RUN = "its stage was not run"
MIN_SECONDS = 0.02
# Must and moonshot are about that many; of fewer, start-up is most of what is measured.
FULL, SMALLER = 1_000_000, 100_000


@dataclass(frozen=True)
class Findings:
    """`runs` and `spans` by label, as `stages` names them; `count` requests, `ids` in the largest check."""

    runs: Mapping[str, Sequence[Run]]
    spans: Mapping[str, Sequence[float]]
    facts: Mapping[str, float]
    whys: Mapping[str, str]
    count: int
    ids: int

    def walls(self, label: str) -> list[float]:
        """Raises KeyError where that was not run."""
        return walls(self.runs[label])

    def start(self, label: str) -> float:
        """What that command takes for one request: the median, for start-up varies more than some stages take."""
        return median(self.walls(one_of(label)))

    def net(self, label: str) -> list[float]:
        """Round by round, without that."""
        return less(self.walls(label), self.start(label))

    def whole_job(self, label: str = "whole job") -> list[float]:
        return total(self.walls(label), self.walls(f"{label}: retry file"))

    def above_imports(self, label: str, size: str = "") -> Spread:
        """MB of the peak above that of the same command for one request."""
        imports = median(run.peak_bytes for run in self.runs[one_of(label)])
        return spread(max(0.0, run.peak_bytes - imports) / MB for run in self.runs[f"{label}{size}"])


# ---------------------------------------------------------------- the table of aims


@dataclass(frozen=True, slots=True)
class Measured:
    whole: Spread | None
    net: Spread | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A row to come. `make` raises KeyError where its stage was not run. `any_size`: true of few requests, too."""

    work: str
    must: float
    moonshot: float
    make: Callable[[Findings], Measured]
    unit: str = "x"
    at_least: bool = False
    is_net: bool = False
    any_size: bool = False

    def row(self, found: Findings) -> Row:
        must, moonshot = (Bound(limit, at_least=self.at_least) for limit in (self.must, self.moonshot))
        try:
            made = self.make(found)
        except KeyError:
            made = Measured(whole=None)
        return Row(
            work=f"{self.work} ({made.note})" if made.note else self.work,
            whole=made.whole,
            net=made.net,
            is_net=self.is_net,
            must=must,
            moonshot=moonshot,
            unit=self.unit,
            is_held=self.any_size or found.count >= FULL,
            why="" if made.whole else NOT_RUN,
        )


def aims(found: Findings) -> list[Row]:
    """Every row that has a must, whether or not it could be measured."""
    return [aim.row(found) for aim in (*_speed(), *_memory(found), *_small_things())]


def _speed() -> Sequence[Aim]:
    return (
        Aim(
            work="whole job, times faster than the naive script",
            must=12,
            moonshot=20,
            make=_against_naive,
            at_least=True,
        ),
        Aim(work="whole job, against curl up and down", must=3.5, moonshot=2.2, make=_against_curl, is_net=True),
        Aim(work="check and cut, lines of 530 B, against cp", must=3.5, moonshot=1.7, make=_checking("small")),
        Aim(work="check and cut, lines of 6 KB, against cp", must=1.5, moonshot=1.1, make=_checking("documents")),
        Aim(work="send, against curl -T", must=2, moonshot=1.25, make=_sending, is_net=True),
        Aim(work="fetch, every line checked, against curl -o", must=2.5, moonshot=1.5, make=_fetching, is_net=True),
        Aim(
            work="fetch, with what its answers used summed up, against without",
            must=1.15,
            moonshot=1.05,
            make=_summing_up,
        ),
        Aim(work="retry file, against cp", must=2, moonshot=1.4, make=_rebuilding),
        Aim(work="merge in input order, against cp", must=4, moonshot=1.8, make=_merging),
    )


def _memory(found: Findings) -> Sequence[Aim]:
    what = "peak memory above the imports"
    sizes = [(f"{found.count:,} requests", _peak), (f"{found.ids:,} ids", _peak_of_ids)]
    if found.count > SMALLER:
        sizes.insert(0, (f"{SMALLER:,} requests", _peak_of_fewer))
    return [
        Aim(work=f"{what}, {size}", must=64, moonshot=32, make=make, unit=" MB", any_size=True) for size, make in sizes
    ]


def _small_things() -> Sequence[Aim]:
    return (
        Aim(work="status of 1,000 batches", must=2, moonshot=1, make=_looking, unit=" requests", any_size=True),
        Aim(work="--help, against python -c pass", must=7, moonshot=2.5, make=_starting("--help"), any_size=True),
        Aim(
            work="status --offline, against python -c pass",
            must=15,
            moonshot=4,
            make=_starting("status --offline"),
            any_size=True,
        ),
        Aim(work="ledger, for 1,000,000 requests", must=4, moonshot=1, make=_ledger, unit=" MB"),
    )


def _against_naive(found: Findings) -> Measured:
    return Measured(ratios(found.walls("naive script"), found.whole_job()))


def _against_curl(found: Findings) -> Measured:
    moved = total(found.walls("curl -T (whole)"), found.walls("curl -o (whole)"))
    net = less(found.whole_job(), median(found.whole_job(one_of("whole job"))))
    return Measured(ratios(found.whole_job(), moved), ratios(net, moved))


def _checking(what: str) -> Callable[[Findings], Measured]:
    def measured(found: Findings) -> Measured:
        ours, copied = found.walls(f"check and cut {what}"), found.walls(f"cp {what}")
        return Measured(ratios(ours, copied), ratios(less(ours, found.start("check and cut")), copied))

    return measured


def _sending(found: Findings) -> Measured:
    """Net is what the sink saw: start-up varies by more than a send takes, and cannot be taken out of it."""
    moved = found.walls("curl -T")
    return Measured(ratios(found.walls("send"), moved), ratios(found.spans["send"], moved))


def _fetching(found: Findings) -> Measured:
    """Net as above. `fetch` merges at its end; the same command again, with all on the disk, does that alone."""
    moved = found.walls("curl -o")
    ours = [one - other for one, other in zip(found.walls("fetch"), found.walls("merge"), strict=True)]
    return Measured(ratios(ours, moved), ratios(found.spans["fetch"], moved))


def _summing_up(found: Findings) -> Measured:
    return Measured(ratios(found.walls("fetch, summed up"), found.walls("fetch, not summed up")))


def _rebuilding(found: Findings) -> Measured:
    copied = found.walls("cp small (retry)")
    return Measured(ratios(found.walls("retry file"), copied), ratios(found.net("retry file"), copied))


def _merging(found: Findings) -> Measured:
    copied = found.walls("cp results")
    return Measured(ratios(found.walls("merge"), copied), ratios(found.net("merge"), copied))


def _starting(what: str) -> Callable[[Findings], Measured]:
    return lambda found: Measured(ratios(found.walls(what), found.walls("python -c pass")))


def _looking(found: Findings) -> Measured:
    return Measured(spread([found.facts["requests of a status"]]))


def _ledger(found: Findings) -> Measured:
    return Measured(spread([found.facts["ledger bytes"] / MB * 1_000_000 / found.count]))


# ---------------------------------------------------------------- memory

VERBS = ("check and cut", "send", "fetch", "merge", "retry file", "whole job")


def _peak(found: Findings) -> Measured:
    sizes = {"check and cut": " small"}
    return _largest({verb: found.above_imports(verb, sizes.get(verb, "")) for verb in VERBS})


def _peak_of_fewer(found: Findings) -> Measured:
    labels = {"check and cut": f" small, {SMALLER:,}", "whole job": f", {SMALLER:,}"}
    return _largest({verb: found.above_imports(verb, size) for verb, size in labels.items()})


def _peak_of_ids(found: Findings) -> Measured:
    kinds = ("ids", "ids-unordered")
    return _largest({kind: _above(found, f"check {kind}, {found.ids:,}", one_of("check and cut")) for kind in kinds})


def _above(found: Findings, label: str, imports: str) -> Spread:
    least = median(run.peak_bytes for run in found.runs[imports])
    return spread(max(0.0, run.peak_bytes - least) / MB for run in found.runs[label])


def _largest(peaks: Mapping[str, Spread]) -> Measured:
    which = max(peaks, key=lambda name: peaks[name].median)
    return Measured(peaks[which], note=f"most: {which}")


# ---------------------------------------------------------------- what nobody is held to


def others(found: Findings) -> list[Row]:
    rows = [
        *_floors(),
        ("check and cut, ids in no order, against cp", _checking("small-unordered")),
        ("check and cut, custom_id after params, against cp", _checking("small-id-last")),
        ("check and cut, JSON with spaces, against cp", _checking("small-spaced")),
        ("check and cut, lines that end with CRLF, against cp", _checking("small-crlf")),
        ("run, with what failed sent again, against the naive script, times faster", _all_rounds),
        ("status of 1,000 batches, against python -c pass", _look_time),
        ("import anthropic, against python -c pass", _starting("import anthropic")),
        ("instructor sends 20,000 in one batch, batchctl: times faster", _peer("send 20,000 in one batch")),
        ("instructor fetches 10,000, batchctl: times faster", _peer("fetch 10,000")),
    ]
    return list(_free_rows(found, rows))


def _floors() -> Iterator[tuple[str, Callable[[Findings], Measured]]]:
    """Of what is promised for every byte and every line, the least that it takes in Python."""
    said = {"hash": "one SHA-256 and nothing else", "parse": "one orjson.loads for each line and nothing else"}
    against = {"small": "cp small (floors)", "documents": "cp documents (floors)", "results": "curl -o (floors)"}
    of = {
        "small": "lines of 530 B, against cp",
        "documents": "lines of 6 KB, against cp",
        "results": "results, against curl -o",
    }
    for name, base in against.items():
        for what, words in said.items():
            yield f"{words}, {of[name]}", _floor(f"{what} {name}", base)


def _floor(label: str, base: str) -> Callable[[Findings], Measured]:
    return lambda found: Measured(ratios(found.walls(label), found.walls(base)))


def _free_rows(found: Findings, rows: Sequence[tuple[str, Callable[[Findings], Measured]]]) -> Iterator[Row]:
    for work, make in rows:
        try:
            made = make(found)
        except KeyError:
            if why := next((why for name, why in found.whys.items() if name in work), ""):
                yield Row(work=work, why=why)
        else:
            yield Row(work=work, whole=made.whole, net=made.net)


def _all_rounds(found: Findings) -> Measured:
    return Measured(ratios(found.walls("naive script"), found.walls("run, all rounds")))


def _look_time(found: Findings) -> Measured:
    looks = found.walls("status of 1,000 batches")
    base = median(found.walls("python -c pass"))
    return Measured(spread(look / base for look in looks))


def _peer(label: str) -> Callable[[Findings], Measured]:
    def measured(found: Findings) -> Measured:
        theirs = f"instructor: {label}"
        ours = found.net(label)
        # So little may be left of ours that start-up, which varies, is more.
        net = ratios(less(found.walls(theirs), found.start(theirs)), ours) if min(ours) > MIN_SECONDS else None
        return Measured(ratios(found.walls(theirs), found.walls(label)), net)

    return measured


# ---------------------------------------------------------------- growth


GROWTH_HEADS = ("requests", "check and cut, s", "MB", "whole job, s", "MB", "naive script, s", "MB")


def growth(found: Findings) -> list[Sequence[str]]:
    """Medians of seconds, largest peaks in MB."""
    sizes = [(f"{count:,}", f" small, {count:,}", f", {count:,}", f", {count:,}") for count in (10_000, SMALLER)]
    sizes.append((f"{found.count:,}", " small", "", ""))
    rows = [
        [
            name,
            *_taken(found, f"check and cut{check}"),
            *_taken(found, f"whole job{job}"),
            *_taken(found, f"naive script{naive}"),
        ]
        for name, check, job, naive in sizes
    ]
    for kind, words in (("ids", "ids, rising"), ("ids-unordered", "ids, in no order")):
        rows.append([f"{found.ids:,} {words}", *_taken(found, f"check {kind}, {found.ids:,}"), "-", "-", "-", "-"])
    return [row for row in rows if any(cell != "-" for cell in row[1:])]


def _taken(found: Findings, label: str) -> tuple[str, str]:
    runs = found.runs.get(label)
    if not runs:
        return "-", "-"
    return f"{median(walls(runs)):.2f}", f"{max(run.peak_bytes for run in runs) / MB:.0f}"
