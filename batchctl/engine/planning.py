"""The plan: the whole input checked and cut before the first byte is sent, then recorded in one transaction.

1. read    stdin and compressed inputs are copied out first, so that what is checked is what can be sent; so is an input
           that `cache_control` is added to
2. check   every line; any error ends it here, unless bad lines are to be left out
3. clean   only where the file is no clean run of requests: the good lines, copied
4. hold    a clone or a hard link, so that deleting or replacing the input hurts nobody
5. record  job, round and batches, all or nothing
A stop before 5 leaves nothing but files that the next try writes anew.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from batchctl.domain.caching import Caching, sharing_faults
from batchctl.domain.errors import InputProblem
from batchctl.domain.events import CacheControlAdded, Checked, Planned
from batchctl.domain.faults import Fault
from batchctl.domain.groups import shape_digest
from batchctl.domain.model import Cut, Job, Round, Settings
from batchctl.domain.prices import Forecast
from batchctl.domain.scan import Depth, Problem, Scan
from batchctl.engine.account_models import AccountModels
from batchctl.engine.input_file import plain_file, progress
from batchctl.engine.session import ReadSession
from batchctl.requests.caching import OriginalInput, write_with_cache_control
from batchctl.requests.check import CheckOptions, ProblemFile, scan
from batchctl.requests.cut_builders import CleanCopy
from batchctl.requests.grouping import group_requests
from batchctl.requests.inputs import STDIN, absolute, input_name, keep_input, stat
from batchctl.requests.repeated_ids import repeated_lines
from batchctl.store.local import link_or_copy, place, replacing

if TYPE_CHECKING:
    from batchctl.ledger.ledger import SqlLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input, read and checked. `plain` is the file of its bytes; `is_ours` says whether it is a copy of ours.

    `plain_sha256`: of that file, which is another than the input where `cache_control` was added.
    """

    path: str
    plain: Path
    is_ours: bool
    size: int
    mtime_ns: int
    scan: Scan
    plain_sha256: str
    problems: ProblemFile
    repeats: frozenset[int] = frozenset()


class Planner:
    def __init__(
        self,
        session: ReadSession,
        settings: Settings,
        *,
        skip_bad: bool | None,
        depth: Depth,
        models: AccountModels | None = None,
    ) -> None:
        """`skip_bad`: None where it cannot be asked for. `models`: what requests name is held against them; None: it is not."""
        self._session = session
        self._settings = settings
        self._skip_bad = skip_bad
        self._depth = depth
        self._models = models

    def read(self, path: str, stdin: BinaryIO | None, called: str = "") -> Input:
        """Steps 1 and 2. `called`: what a person knows it by, where that is not its path.

        Raises InputProblem where the input has an error, after telling of all of them.
        """
        called = called or path
        workspace = self._session.workspace
        copied, cached = (workspace.temporary(f"{os.getpid()}.{what}") for what in ("input", "cached"))
        plain = plain_file(self._session, path, copied, stdin)
        found = stat(plain) if path == STDIN else stat(Path(path))
        # A list of our own: another process may check an input of the same name.
        problems = ProblemFile(workspace.temporary(f"{os.getpid()}.problems"))
        listed = workspace.problems(input_name(called))
        try:
            changed = self._add_cache_control(path, plain, cached, problems)
            if changed is not None:
                copied.unlink(missing_ok=True)
                plain = cached
            seen, repeats = self._check(plain, problems)
            plain_sha256 = seen.sha256
            if changed is not None:
                caching, original = changed
                seen = replace(seen, caching=caching, size=original.size, sha256=original.sha256)
            problems.close()
            listed.unlink(missing_ok=True)
            if problems.path.exists():
                link_or_copy(problems.path, listed)
            self._session.emit(Checked(called, seen, str(listed)))
            self._refuse(called, seen, listed)
        except BaseException as stopped:
            problems.close()
            for left in (problems.path, copied, cached):
                left.unlink(missing_ok=True)
            if isinstance(stopped, InputProblem):
                raise InputProblem(stopped.message.replace(str(plain), called), hint=stopped.hint) from stopped
            raise
        return Input(
            path=path,
            plain=plain,
            is_ours=plain in {copied, cached},
            size=0 if path == STDIN else found.st_size,
            mtime_ns=0 if path == STDIN else found.st_mtime_ns,
            scan=seen,
            plain_sha256=plain_sha256,
            problems=problems,
            repeats=repeats,
        )

    def record(
        self,
        ledger: "SqlLedger",
        name: str,
        given: Input,
        forecast: Forecast | None = None,
        max_cost: Decimal | None = None,
    ) -> Job:
        """Steps 3 to 5."""
        request_file, cuts = self._lay_down(name, given)
        found = request_file.stat()
        first = Round(
            number=1,
            request_file=self._session.workspace.stored_path(request_file),
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            count=given.scan.count,
            created_at=self._session.now(),
            shape=shape_digest(given.scan.request_groups),
            forecast=forecast,
        )
        job = Job(
            id=0,
            name=name,
            input_path=given.path if given.path == STDIN else absolute(given.path),
            input_sha256=given.scan.sha256,
            input_size=given.size,
            input_mtime_ns=given.mtime_ns,
            line_count=given.scan.lines,
            left_out=given.scan.left_out,
            settings=self._settings,
            created_at=self._session.now(),
            max_cost=max_cost,
            rounds=(first,),
        )
        recorded = ledger.record_job(job, cuts)
        self._session.emit(
            Planned(recorded, len(cuts), given.scan.count, sum(cut.body_bytes for cut in cuts), first.number)
        )
        return recorded

    @contextlib.contextmanager
    def rehearsed(self, given: Input) -> Iterator[tuple[Path, tuple[Cut, ...]]]:
        """What would be sent: the file and its cuts, for as long as the block lasts."""
        if given.scan.is_clean:
            yield given.plain, given.scan.cuts
            return
        target, lines = (self._session.workspace.temporary(f"{os.getpid()}.{what}") for what in ("clean", "lines"))
        try:
            yield target, self._clean(given, target, lines)
        finally:
            target.unlink(missing_ok=True)
            lines.unlink(missing_ok=True)

    def discard(self, given: Input) -> None:
        """Removes what was made of an input that is not planned after all."""
        given.problems.path.unlink(missing_ok=True)
        if given.is_ours:
            given.plain.unlink(missing_ok=True)

    def _add_cache_control(
        self, path: str, plain: Path, target: Path, problems: ProblemFile
    ) -> tuple[Caching, OriginalInput] | None:
        """The input at `plain` to `target`, where a person asked for it; None where nobody did."""
        ttl = self._settings.cache_system
        if not ttl:
            return None
        emit = progress(self._session, "copying", stat(plain).st_size)
        caching, original = write_with_cache_control(plain, target, ttl, self._settings.max_bytes, emit)
        for fault in sharing_faults(caching):
            problems.add(Problem(caching.first_line, "", fault))
        self._session.emit(CacheControlAdded(path, caching))
        return caching, original

    def _order(self) -> CheckOptions:
        order = CheckOptions(settings=self._settings, scratch=self._session.workspace.root / "tmp", depth=self._depth)
        return replace(order, judge=self._models.faults) if self._models else order

    def _check(self, plain: Path, problems: ProblemFile) -> tuple[Scan, frozenset[int]]:
        order = self._order()
        seen, hashes = scan(plain, order, problems, progress(self._session, "checking", stat(plain).st_size))
        if self._models is not None:
            self._models.keep()
            seen = replace(seen, models_unchecked=self._models.why_not)
        repeats: set[int] = set()
        for line, custom_id, first in repeated_lines(plain, hashes, problems.error_lines()) if hashes else ():
            repeats.add(line)
            fault = Fault(
                "custom_id_repeated", f"custom_id {custom_id!r} stands on line {first:,} already: make it unique"
            )
            problems.add(Problem(line, custom_id, fault))
        if repeats:
            seen = replace(
                seen,
                errors=problems.errors,
                left_out=seen.left_out + len(repeats),
                count=seen.count - len(repeats),
                by_code=dict(problems.by_code),
                first_problems=tuple(sorted(problems.first, key=lambda problem: problem.line)),
                is_clean=False,
                # The first look took them for requests like all others.
                request_groups=group_requests(plain, problems.error_lines()) if self._skip_bad else (),
            )
        return seen, frozenset(repeats)

    def _refuse(self, path: str, seen: Scan, listed: Path) -> None:
        """Raises InputProblem where an error stands, unless bad lines are left out and a good one remains."""
        if seen.errors and not self._skip_bad:
            way = "take them out" if self._skip_bad is None else "leave them out with --skip-bad"
            raise InputProblem(
                f"{path}: {seen.left_out:,} of {seen.lines:,} lines cannot be sent; nothing was sent",
                hint=f"mend them, or {way}; all of them: {listed}",
            )
        if not seen.count:
            raise InputProblem(f"{path}: no line can be sent", hint=f"all that is wrong: {listed}")

    def _lay_down(self, name: str, given: Input) -> tuple[Path, tuple[Cut, ...]]:
        """The request file in the job's folder, and its cuts."""
        workspace = self._session.workspace
        target = workspace.requests(name, 1)
        for left in (workspace.lines(name), workspace.left_out(name)):
            left.unlink(missing_ok=True)
        if given.scan.left_out:
            place(given.problems.path, workspace.left_out(name))
        else:
            given.problems.path.unlink(missing_ok=True)
        if not given.scan.is_clean:
            cuts = self._clean(given, target, workspace.lines(name))
            self.discard(given)
            return target, cuts
        if given.is_ours:
            place(given.plain, target)
        elif not keep_input(given.plain, target):
            target = given.plain
        return target, given.scan.cuts

    def _clean(self, given: Input, target: Path, lines: Path) -> tuple[Cut, ...]:
        """The good lines alone, to `target`, and their line numbers to `lines`."""
        workspace = self._session.workspace
        again = ProblemFile(workspace.temporary(f"{os.getpid()}.cleaning"))
        try:
            with replacing(target) as requests, replacing(lines) as numbers:
                copy = CleanCopy(requests=requests, numbers=numbers)
                order = replace(self._order(), repeats=given.repeats, copy=copy)
                emit = progress(self._session, "cleaning", stat(given.plain).st_size)
                cleaned, _ = scan(given.plain, order, again, emit)
        finally:
            again.close()
            again.path.unlink(missing_ok=True)
        if (cleaned.sha256, cleaned.count) != (given.plain_sha256, given.scan.count):
            raise InputProblem(f"{given.path}: changed while it was read", hint="run it again once it is still")
        return cleaned.cuts
