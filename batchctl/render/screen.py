"""Where everything comes out: chosen once, by what the streams are and what the person asked for."""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from batchctl.clock import Clock
from batchctl.domain.errors import BatchctlError
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Batch, Job, Merged, MessageBatch
from batchctl.render import machine, reports
from batchctl.render.text import clean, plural, size
from batchctl.render.typed import Given

if TYPE_CHECKING:
    from batchctl.domain.events import Event
    from batchctl.domain.health import Checkup
    from batchctl.domain.scan import Scan
    from batchctl.engine.choosing import Chosen
    from batchctl.engine.unconfirmed import UnconfirmedBatch
    from batchctl.money.bill import Bill
    from batchctl.money.estimate import Estimate
    from batchctl.money.price_table import PriceTable
    from batchctl.render.telling import Telling
    from batchctl.results.proof import Proof

# Off a terminal nothing is wrapped: a log and a grep want whole lines.
PIPE_WIDTH = 10_000


class Screen:
    """`--json`: objects on stdout and, for errors, on stderr; nothing else. `-q`: only errors and what was asked for."""

    def __init__(
        self,
        clock: Clock,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        given: Given | None = None,
    ) -> None:
        """`given`: options that every command which is named to a person must repeat."""
        self.given = given or Given()
        self._clock = clock
        self._json = as_json
        self._quiet = quiet or as_json
        self._verbose = verbose
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)
        self._opening = threading.Lock()
        self._opened: Telling | None = None

    @property
    def is_read_by_a_person(self) -> bool:
        """Whether somebody is there to answer a question; a program is asked none."""
        return not self._json and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    def emit(self, event: "Event") -> None:
        """From any thread."""
        self._telling().emit(event)

    def watch(self, report: JobReport, results: str = "", *, has_polled: bool = True) -> None:
        """As `Telling.watch`."""
        self._telling().watch(self.given.report(report), results, has_polled=has_polled)

    def _telling(self) -> "Telling":
        from batchctl.render.telling import Telling  # noqa: PLC0415 - a picture from the ledger tells of no event

        with self._opening:
            if self._opened is None:
                self._opened = Telling(
                    self._err,
                    self._clock,
                    as_json=self._json,
                    quiet=self._quiet,
                    verbose=self._verbose,
                    given=self.given,
                )
            return self._opened

    # ------------------------------------------------------------------ what a verb ends with

    def submitted(self, report: JobReport) -> None:
        """The job's name alone on stdout, for scripts."""
        report = self.given.report(report)
        if self._json:
            machine.write(sys.stdout, machine.job_shape(report))
            return
        sys.stdout.write(f"{report.job.name}\n")
        sys.stdout.flush()
        running = sum(b.is_running for b in report.batches)
        if running:
            self._note(f"{plural(running, 'batch')} in progress; most end within an hour, all within 24 hours")
        self._end(report)

    def status(self, report: JobReport, *, wide: bool) -> None:
        self._stop_live()
        report = self.given.report(report)
        if self._json:
            machine.write(sys.stdout, machine.job_shape(report, with_batches=wide))
        else:
            self._print(reports.job(report, wide=wide))

    def jobs(self, all_of_them: Sequence[JobReport]) -> None:
        if self._json:
            machine.write(
                sys.stdout, {"type": "jobs", "jobs": [machine.job_shape(self.given.report(r)) for r in all_of_them]}
            )
        elif all_of_them:
            self._print(reports.jobs(all_of_them))
            self._note(self.given.in_full("one of them: batchctl status JOB"))

    def fetched(self, report: JobReport, merged: Merged, results: str, errors: Path) -> None:
        report = self.given.report(report)
        if self._json:
            stream = sys.stderr if results == "-" else sys.stdout
            machine.write(stream, machine.fetched_shape(report, merged, results, errors))
            return
        self._stop_live()
        if self._quiet:
            return
        self._err.print(reports.answers(merged, report.job.left_out), soft_wrap=True)
        if merged.cost:
            self._err.print(reports.cost(merged.cost), soft_wrap=True)
        if report.rests_on:
            self._note(f"found:   {report.rests_on}")
        if report.failures:
            self._err.print()
            _print(self._err, reports.failures(report.failures))
            self._err.print()
        if results != "-" and merged.batches:
            self._note(f"results: {results}")
        if merged.failures or report.job.left_out:
            self._note(f"errors:  {errors}")
        self._end(report)

    def verified(self, proof: "Proof") -> None:
        from batchctl.render import proofs  # noqa: PLC0415 - of two verbs

        self._stop_live()
        proof = self.given.proof(proof)
        if self._json:
            machine.write(sys.stdout, machine.proof_shape(proof))
        else:
            self._print(proofs.proof(proof))

    def cost(self, bill: "Bill", next_command: str, *, wide: bool) -> None:
        from batchctl.render import costs  # noqa: PLC0415 - of one verb

        self._stop_live()
        next_command = self.given.in_full(next_command)
        if self._json:
            machine.write(sys.stdout, machine.cost_shape(bill, next_command, with_batches=wide))
        else:
            self._print(costs.cost(bill, next_command, wide=wide))

    def checkup(self, found: "Checkup") -> None:
        from batchctl.render import proofs  # noqa: PLC0415 - of two verbs

        found = self.given.checkup(found)
        if self._json:
            machine.write(sys.stdout, machine.checkup_shape(found))
            return
        self._print(proofs.checkup(found))
        if not self._quiet:
            self._err.print(reports.next_line(found.next_command), soft_wrap=True)

    def prices(self, table: "PriceTable", *, is_one: bool) -> None:
        """Of one model in full, or of many in a line each."""
        from batchctl.render import prices  # noqa: PLC0415 - of one verb

        next_command = self.given.in_full(prices.NEXT)
        if self._json:
            machine.write(sys.stdout, machine.prices_shape(table, next_command))
            return
        if table.refreshed:
            self._note(prices.refreshed(table.refreshed))
        self._print(prices.model(table) if is_one else prices.models(table))
        if not self._quiet:
            self._err.print(reports.next_line(next_command), soft_wrap=True)

    def chosen(
        self, job: str, round_: int, chosen: "Chosen", path: Path, *, is_last: bool, estimate: "Estimate | None"
    ) -> None:
        """Before a retry is sent, or instead of it (`is_last`), with what it would cost."""
        if self._json:
            if is_last:
                machine.write(sys.stdout, machine.chosen_shape(job, round_, chosen, path, estimate))
            return
        self._stop_live()
        if not self._quiet:
            _print(self._err, reports.chosen(chosen))
            if estimate is not None:
                self.to_agree(estimate)
        if is_last and chosen.requests:
            sys.stdout.write(f"{path}\n")

    def unconfirmed_batches(
        self, job: str, opened: "Sequence[UnconfirmedBatch]", surplus: Sequence[str], suspects: Sequence[MessageBatch]
    ) -> None:
        """What a person may decide, and how."""
        self._stop_live()
        if self._json:
            machine.write(sys.stdout, machine.doubts_shape(job, opened, surplus, suspects))
            return
        if not opened and not surplus and not suspects:
            self._note(f"{job}: nothing is unconfirmed")
            return
        self._print(reports.unconfirmed_batches(job, opened, surplus, suspects, self._clock.now(), self.given.in_full))

    def deleted(self, job: str, batches: int, folder: Path, bytes_: int) -> None:
        if self._json:
            shape = {"type": "deleted", "job": job, "batches": batches, "folder": str(folder), "bytes": bytes_}
            machine.write(sys.stdout, shape)
            return
        gone = f"{plural(batches, 'batch')} deleted at the API" if batches else "nothing of it is left at the API"
        self._note(f"{job}: {gone}")
        self._note(
            f"what stays: {size(bytes_)} of results in {folder}, and the merged files, which `fetch` writes anew"
        )

    def dry_run(self, scan: "Scan", batches: Sequence[tuple[int, int]], estimate: "Estimate", path: str) -> None:
        """What would be sent: requests and body bytes of each batch; and what it would cost."""
        if self._json:
            machine.write(sys.stdout, machine.check_shape(scan, scan.first_problems, None, estimate))
            return
        for position, (count, body_bytes) in enumerate(batches, 1):
            sys.stdout.write(f"batch {position} of {len(batches)}: {plural(count, 'request')}, {body_bytes:,} bytes\n")
        sys.stdout.write("\n")
        self._estimate(estimate)
        self._note("nothing was sent")
        self._note(self.given.in_full(f"some of it counted by the API: batchctl estimate {self.given.path(path)}"))

    def dry_run_of_rest(
        self,
        job: Job,
        planned: Sequence[tuple[tuple[int, int], Batch]],
        unconfirmed: int,
        estimate: "Estimate | None",
    ) -> None:
        """What is left of a job: each batch with its number in its round; and what that would cost. None of no batch."""
        if self._json:
            batches = [batch for _, batch in planned]
            machine.write(sys.stdout, machine.rest_shape(job, batches, unconfirmed, estimate))
            return
        for (number, total), batch in planned:
            body = f"{plural(batch.count, 'request')}, {batch.cut.body_bytes:,} bytes"
            sys.stdout.write(f"batch {number} of {total}: {body}\n")
        if estimate is not None:
            sys.stdout.write("\n")
            self._estimate(estimate)
        if unconfirmed:
            self._note(f"{plural(unconfirmed, 'batch')} unconfirmed: sent again only where the API does not have it")
        self._note("nothing was sent")
        self.come_back(f"batchctl submit {job.name}{' --yes' if job.canceled_at else ''}")

    def estimated(self, estimate: "Estimate", path: str) -> None:
        if self._json:
            machine.write(sys.stdout, machine.estimate_shape(estimate))
            return
        self._estimate(estimate)
        self.come_back(f"batchctl submit {clean(self.given.path(path))}")

    def to_agree(self, estimate: "Estimate") -> None:
        """What a person is asked about stands above the question, however quiet it is to be."""
        self._err.print()
        self._estimate(estimate, self._err)
        self._err.print()

    def _estimate(self, estimate: "Estimate", console: Console | None = None) -> None:
        from batchctl.render import estimates  # noqa: PLC0415 - of few verbs

        self._stop_live()
        sys.stdout.flush()
        _print(console or self._out, estimates.estimate(estimate))

    def payload(self, body: bytes) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.buffer.flush()

    def problem(self, problem: BatchctlError, exit_status: int) -> None:
        self._stop_live()
        problem.hint = self.given.in_full(problem.hint)
        if self._json:
            machine.write(sys.stderr, machine.problem_shape(problem, exit_status))
            return
        with suppress(OSError):
            self._err.print(Text.assemble(("error: ", "bold red"), clean(problem.message, 1000)), soft_wrap=True)
            if problem.hint:
                self._err.print(Text.assemble(("  try: ", "dim"), clean(problem.hint, 1000)), soft_wrap=True)

    def come_back(self, command: str) -> None:
        """How to go on."""
        self._stop_live()
        if not self._quiet:
            self._err.print(reports.next_line(self.given.in_full(command)), soft_wrap=True)

    def note(self, text: str) -> None:
        if not self._quiet:
            self._note(text)

    def close(self) -> None:
        self._stop_live()

    def _stop_live(self) -> None:
        if self._opened is not None:
            self._opened.stop_live()

    def _note(self, text: str) -> None:
        self._stop_live()
        if not self._quiet:
            self._err.print(Text(clean(text, 2000)), soft_wrap=True)

    def _end(self, report: JobReport) -> None:
        if self._quiet:
            return
        for warning in report.warnings:
            self._err.print(Text(f"! {clean(warning)}", style="yellow"), soft_wrap=True)
        if report.next_command:
            self._err.print(reports.next_line(report.next_command), soft_wrap=True)

    def _print(self, what: RenderableType) -> None:
        _print(self._out, what)


def _console(stream: TextIO) -> Console:
    is_plain = not stream.isatty()
    width = PIPE_WIDTH if is_plain and not os.environ.get("COLUMNS") else None
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def _print(console: Console, what: RenderableType) -> None:
    """A table's cells are padded to its width; off a terminal that would be trailing blanks."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as capture:
        console.print(what)
    text = "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    # A path that is no UTF-8 cannot be written as it is.
    console.file.write(text.encode("utf-8", "backslashreplace").decode())
    console.file.flush()
