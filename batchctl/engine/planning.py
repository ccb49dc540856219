"""Plan a job: check and cut the whole input before the first byte is sent, then record the job in one transaction.

1. read    copy stdin, a compressed input, or one that `cache_control` is added to, so that what is checked is what is sent
2. check   check every line; an error ends it here, unless lines with errors are to be left out
3. clean   copy the lines without errors, where the file is not already whole lines of requests
4. keep    clone or link the input, so that it may be deleted or replaced
5. record  record job, round and batches, all or nothing

A stop before step 5 leaves only files that the next run writes anew.
"""

import contextlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.caching import Caching, sharing_faults
from batchctl.domain.check_report import Depth, Problem, Scan
from batchctl.domain.engines import Engine
from batchctl.domain.errors import InputProblem
from batchctl.domain.events import CacheControlAdded, Checked, Planned
from batchctl.domain.faults import Fault
from batchctl.domain.groups import shape_digest
from batchctl.domain.model import Cut, Job, Round, Settings
from batchctl.domain.prices import Forecast
from batchctl.domain.wording import of_total
from batchctl.engine.account_models import AccountModels
from batchctl.engine.cores import available_cores
from batchctl.engine.input_file import plain_file, progress
from batchctl.engine.session import ReadSession, Session
from batchctl.requests.caching import OriginalInput, write_with_cache_control
from batchctl.requests.check import scan
from batchctl.requests.cut_builders import CleanCopy
from batchctl.requests.grouping import group_requests
from batchctl.requests.inputs import STDIN, absolute, input_name, keep_input, stat
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.repeated_ids import repeated_lines
from batchctl.requests.scanner import CheckOptions
from batchctl.store.local import place, replacing

# Processes that check an input. More of them would wait for the one that hashes it and puts their reports together.
MAX_PROCESSES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input that was read and checked.

    Attributes:
        path: The input as a person named it.
        plain: A file with its bytes that can be read by range.
        is_ours: Whether `plain` is a copy that this program made.
        size: The size of the file at `path`; 0 for stdin.
        mtime_ns: Its time of modification; 0 for stdin.
        scan: What the check found, with the cuts.
        plain_sha256: The hash of `plain`, whose bytes are not those of the input where `cache_control` was added.
        problems: The list of all faults, on the disk.
        repeats: The lines whose `custom_id` is on an earlier line.
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
    """Reads, checks and records inputs with the same settings."""

    def __init__(
        self,
        session: ReadSession,
        settings: Settings,
        *,
        skip_bad: bool | None,
        depth: Depth,
        strict: bool = False,
        models: AccountModels | None = None,
    ) -> None:
        """Prepare.

        Args:
            session: What to work with.
            settings: How the job is cut and sent.
            skip_bad: Whether lines with errors are left out; None where the verb has no such option.
            depth: How much of each request is checked.
            strict: Whether warnings are errors.
            models: Compared with the models that requests name; None to compare nothing.
        """
        self._session = session
        self._settings = settings
        self._skip_bad = skip_bad
        self._depth = depth
        self._strict = strict
        self._models = models

    def read(self, path: str, stdin: BinaryIO | None, called: str = "") -> Input:
        """Take steps 1 and 2. `called` names the input in messages, where that is not its path.

        Raises:
            InputProblem: The input has errors. `Checked`, which names all of them, was emitted.
        """
        called = called or path
        workspace = self._session.workspace
        copied, cached = (workspace.temporary(f"{os.getpid()}.{what}") for what in ("input", "cached"))
        plain = plain_file(self._session, path, copied, stdin)
        file = stat(plain) if path == STDIN else stat(Path(path))
        # A list of this process alone: another process may check an input of the same name.
        problems = ProblemFile(workspace.temporary(f"{os.getpid()}.problems"))
        listed = workspace.problems(input_name(called))
        try:
            changed = self._add_cache_control(path, plain, cached, problems)
            if changed is not None:
                copied.unlink(missing_ok=True)
                plain = cached
            checked, repeats = self._check(plain, problems)
            plain_sha256 = checked.sha256
            if changed is not None:
                caching, original = changed
                checked = replace(checked, caching=caching, size=original.size, sha256=original.sha256)
            problems.publish(listed)
            self._session.emit(Checked(called, checked, str(listed)))
            self._refuse(called, checked, listed)
        except BaseException as stopped:
            problems.close()
            for left in (problems.path, copied, cached):
                left.unlink(missing_ok=True)
            if isinstance(stopped, InputProblem):
                hint = stopped.hint.replace(shlex.quote(str(plain)), shlex.quote(called))
                raise InputProblem(stopped.message.replace(str(plain), called), hint=hint) from stopped
            raise
        return Input(
            path=path,
            plain=plain,
            is_ours=plain in {copied, cached},
            size=0 if path == STDIN else file.st_size,
            mtime_ns=0 if path == STDIN else file.st_mtime_ns,
            scan=checked,
            plain_sha256=plain_sha256,
            problems=problems,
            repeats=repeats,
        )

    def record(self, name: str, given: Input, forecast: Forecast | None = None, max_cost: Decimal | None = None) -> Job:
        """Take steps 3 to 5, and return the job. Raises InputProblem where the input has changed meanwhile."""
        session = self._session
        assert isinstance(session, Session), "a session that only reads records nothing"
        request_file, cuts = self._write_request_file(name, given)
        file = request_file.stat()
        first = Round(
            number=1,
            request_file=session.workspace.stored_path(request_file),
            size=file.st_size,
            mtime_ns=file.st_mtime_ns,
            count=given.scan.count,
            created_at=session.now(),
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
            created_at=session.now(),
            max_cost=max_cost,
            rounds=(first,),
        )
        recorded = session.ledger.record_job(job, cuts)
        session.emit(Planned(recorded, len(cuts), given.scan.count, sum(cut.body_bytes for cut in cuts), first.number))
        return recorded

    @contextlib.contextmanager
    def rehearsed(self, given: Input) -> Iterator[tuple[Path, tuple[Cut, ...]]]:
        """Yield the request file that would be sent and its cuts. The file exists while the context lasts."""
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
        """Remove the files that were made of an input that is not planned after all."""
        given.problems.path.unlink(missing_ok=True)
        if given.is_ours:
            given.plain.unlink(missing_ok=True)

    def _add_cache_control(
        self, path: str, plain: Path, target: Path, problems: ProblemFile
    ) -> tuple[Caching, OriginalInput] | None:
        """Write the input with `cache_control` to `target`, where the settings ask for it; return None where they do not."""
        ttl = self._settings.cache_system
        if not ttl:
            return None
        emit = progress(self._session, "copying", stat(plain).st_size)
        caching, original = write_with_cache_control(plain, target, ttl, self._settings.max_bytes, emit)
        for fault in sharing_faults(caching):
            problems.add(Problem(caching.first_line, "", fault))
        self._session.emit(CacheControlAdded(path, caching))
        return caching, original

    def _check_options(self) -> CheckOptions:
        options = CheckOptions(
            settings=self._settings,
            scratch=self._session.workspace.root / "tmp",
            depth=self._depth,
            strict=self._strict,
            processes=1 if self._session.engine is Engine.THREADS else min(available_cores(), MAX_PROCESSES),
        )
        return replace(options, judge=self._models.faults) if self._models else options

    def _check(self, plain: Path, problems: ProblemFile) -> tuple[Scan, frozenset[int]]:
        emit = progress(self._session, "checking", stat(plain).st_size)
        checked, hashes = scan(plain, self._check_options(), problems, emit)
        if self._models is not None:
            self._models.keep()
            checked = replace(checked, models_unchecked=self._models.why_not)
        repeats: set[int] = set()
        for line, custom_id, first in repeated_lines(plain, hashes, problems.error_lines()) if hashes else ():
            repeats.add(line)
            fault = Fault(
                "custom_id_repeated", f"custom_id {custom_id!r} is already used on line {first:,}; make it unique"
            )
            problems.add(Problem(line, custom_id, fault))
        if repeats:
            checked = replace(
                checked,
                errors=problems.errors,
                left_out=checked.left_out + len(repeats),
                count=checked.count - len(repeats),
                by_code=dict(problems.by_code),
                first_problems=tuple(sorted(problems.first, key=lambda problem: problem.line)),
                problem_kinds=problems.kinds,
                is_clean=False,
                # The first pass grouped them with all others.
                request_groups=group_requests(plain, problems.error_lines()) if self._skip_bad else (),
            )
        return checked, frozenset(repeats)

    def _refuse(self, path: str, checked: Scan, listed: Path) -> None:
        """Raise InputProblem where there are errors, unless lines with errors are left out and another line remains."""
        if checked.errors and not self._skip_bad:
            way = "remove them" if self._skip_bad is None else "skip them with --skip-bad"
            raise InputProblem(
                f"{path}: {of_total(checked.left_out, checked.lines, 'line')} cannot be sent; nothing was sent",
                hint=f"fix them, or {way}; the full list: {listed}",
            )
        if not checked.count:
            raise InputProblem(f"{path}: no line can be sent", hint=f"the full list of problems: {listed}")

    def _write_request_file(self, name: str, given: Input) -> tuple[Path, tuple[Cut, ...]]:
        """Take steps 3 and 4, and return the request file and its cuts."""
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
        """Write the lines without errors to `target`, and their line numbers to `lines`; return the cuts."""
        workspace = self._session.workspace
        again = ProblemFile(workspace.temporary(f"{os.getpid()}.cleaning"))
        try:
            with replacing(target) as requests, replacing(lines) as numbers:
                copy = CleanCopy(requests=requests, numbers=numbers)
                options = replace(self._check_options(), repeats=given.repeats, copy=copy)
                emit = progress(self._session, "cleaning", stat(given.plain).st_size)
                cleaned, _ = scan(given.plain, options, again, emit)
        finally:
            again.close()
            again.path.unlink(missing_ok=True)
        if (cleaned.sha256, cleaned.count) != (given.plain_sha256, given.scan.count):
            raise InputProblem(
                f"{given.path}: the file changed while it was read",
                hint="run the same command again when nothing writes to the file",
            )
        return cleaned.cuts
