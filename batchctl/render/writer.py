"""Where everything comes out: chosen once, by what the streams are and what a person asked for."""

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
from batchctl.domain.wording import plural
from batchctl.render import error, job_report
from batchctl.render.json_output import write
from batchctl.render.layout import next_line, warning
from batchctl.render.repeated_options import RepeatedOptions
from batchctl.render.text import clean, size

if TYPE_CHECKING:
    from batchctl.domain.check_report import Conversion, Scan
    from batchctl.domain.events import Event
    from batchctl.domain.health import Checkup
    from batchctl.engine.retry_choice import Chosen
    from batchctl.engine.unconfirmed import UnconfirmedBatch
    from batchctl.money.bill import Bill
    from batchctl.money.catalog import PriceTable
    from batchctl.money.estimate import Estimate
    from batchctl.render.progress import ProgressWriter
    from batchctl.requests.rules import Rule
    from batchctl.results.proof import Proof

# Off a terminal nothing is wrapped: a log and a grep want whole lines.
PIPE_WIDTH = 10_000


class ReportWriter:
    """Where a command writes what it ends with, what it asks and what went wrong; and, as it works, events.

    With `as_json`: objects on stdout and, for errors, on stderr; nothing else. With `quiet`: only errors and what was asked
    for. `options`: those that every command which is named to a person must repeat.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        options: RepeatedOptions | None = None,
    ) -> None:
        self.options = options or RepeatedOptions()
        self._clock = clock
        self._json = as_json
        self._quiet = quiet or as_json
        self._verbose = verbose
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)
        self._opening = threading.Lock()
        self._progress: ProgressWriter | None = None

    @property
    def is_read_by_a_person(self) -> bool:
        """Whether somebody is there to answer a question; a program is asked none."""
        return not self._json and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    # ------------------------------------------------------------------ while a command works

    def emit(self, event: "Event") -> None:
        """Show an event; may be called from any thread."""
        self._opened_progress().emit(event)

    def watch(self, report: JobReport, results: str = "", *, was_polled: bool = True) -> None:
        """Show every poll from here on, as `ProgressWriter.watch` does."""
        self._opened_progress().watch(report, results, was_polled=was_polled)

    def _opened_progress(self) -> "ProgressWriter":
        from batchctl.render.progress import ProgressWriter  # noqa: PLC0415 - a report from the ledger has no event

        with self._opening:
            if self._progress is None:
                self._progress = ProgressWriter(
                    self._err,
                    self._clock,
                    self.options,
                    as_json=self._json,
                    quiet=self._quiet,
                    verbose=self._verbose,
                )
            return self._progress

    def note(self, text: str) -> None:
        """Write a line on stderr, unless it is to be quiet."""
        self.close()
        if not self._quiet:
            _print(self._err, Text(clean(text, 2000)))

    def close(self) -> None:
        """End the moving view."""
        if self._progress is not None:
            self._progress.stop_live()

    # ------------------------------------------------------------------ what a command ends with

    def write_submitted(self, report: JobReport) -> None:
        """Write the job's name alone on stdout, for scripts."""
        report = self.options.in_report(report)
        if self._json:
            write(sys.stdout, job_report.to_json(report))
            return
        sys.stdout.write(f"{report.job.name}\n")
        sys.stdout.flush()
        running = sum(batch.is_running for batch in report.batches)
        if running:
            self.note(f"{plural(running, 'batch')} in progress; most end within an hour, all within 24 hours")
        self._end(report)

    def write_status(self, report: JobReport, *, wide: bool) -> None:
        """Write one job; `wide` adds its batches."""
        self.close()
        report = self.options.in_report(report)
        if self._json:
            write(sys.stdout, job_report.to_json(report, with_batches=wide))
        else:
            _print(self._out, job_report.draw(report, wide=wide))

    def write_jobs(self, reports: Sequence[JobReport]) -> None:
        """Write all jobs of a workspace."""
        if self._json:
            jobs = [job_report.to_json(self.options.in_report(report)) for report in reports]
            write(sys.stdout, {"type": "jobs", "jobs": jobs})
        elif reports:
            _print(self._out, job_report.draw_all(reports))
            self.note(self.options.in_full("Details: batchctl status JOB"))
        else:
            self.note("no jobs in this workspace yet")
            self.write_next_command("batchctl submit INPUT.jsonl")

    def write_fetched(self, report: JobReport, merged: Merged, results: str, errors: Path) -> None:
        """Write what was fetched and merged, on stderr; as JSON on stdout, unless the results are there."""
        report = self.options.in_report(report)
        if self._json:
            stream = sys.stderr if results == "-" else sys.stdout
            write(stream, job_report.fetched_to_json(report, merged, results, str(errors)))
            return
        self.close()
        if self._quiet:
            return
        for part in job_report.draw_fetched(report, merged, results, str(errors)):
            _print(self._err, part)
        self._end(report)

    def write_proof(self, proof: "Proof") -> None:
        """Write what `verify` proved."""
        from batchctl.render.proof import draw, to_json  # noqa: PLC0415 - one verb needs it

        self.close()
        proof = self.options.in_proof(proof)
        if self._json:
            write(sys.stdout, to_json(proof))
        else:
            _print(self._out, draw(proof))

    def write_bill(self, bill: "Bill", next_command: str, *, wide: bool) -> None:
        """Write what a job cost; `wide` adds its batches."""
        from batchctl.render.bill import draw, to_json  # noqa: PLC0415 - one verb needs it

        self.close()
        next_command = self.options.in_full(next_command)
        if self._json:
            write(sys.stdout, to_json(bill, next_command, with_batches=wide))
        else:
            _print(self._out, draw(bill, next_command, wide=wide))

    def write_checkup(self, checkup: "Checkup") -> None:
        """Write what `doctor` found."""
        from batchctl.render.checkup import draw, to_json  # noqa: PLC0415 - one verb needs it

        checkup = self.options.in_checkup(checkup)
        if self._json:
            write(sys.stdout, to_json(checkup))
            return
        _print(self._out, draw(checkup, all_of_it=self._verbose))
        self._next(checkup.next_command)

    def write_prices(self, table: "PriceTable", rules: "Sequence[Rule] | None" = None) -> None:
        """Write the prices of many models in a line each; or, where its `rules` are given, of one model in full."""
        from batchctl.render.prices import NEXT, draw, draw_all, draw_refreshed, to_json  # noqa: PLC0415 - one verb needs it

        next_command = self.options.in_full(NEXT)
        if self._json:
            write(sys.stdout, to_json(table, next_command, rules))
            return
        if table.refreshed:
            self.note(draw_refreshed(table.refreshed))
        _print(self._out, draw_all(table) if rules is None else draw(table, rules))
        self._next(next_command)

    def write_retry(
        self, job: str, round_: int, chosen: "Chosen", path: Path, *, is_last: bool, price: "Estimate | None"
    ) -> None:
        """Write what a retry sends again, before it is sent or instead of it (`is_last`), with what it would cost."""
        from batchctl.render.retry import draw, to_json  # noqa: PLC0415 - one verb needs it

        if self._json:
            if is_last:
                write(sys.stdout, to_json(job, round_, chosen, path, price))
            return
        self.close()
        if not self._quiet:
            _print(self._err, draw(chosen))
            if price is not None:
                self.show_price(price)
        if is_last and chosen.requests:
            sys.stdout.write(f"{path}\n")

    def write_unconfirmed(
        self,
        job: str,
        undecided: "Sequence[UnconfirmedBatch]",
        duplicates: Sequence[str],
        suspects: Sequence[MessageBatch],
    ) -> None:
        """Write what a person may decide, and how."""
        from batchctl.render.unconfirmed import draw, to_json  # noqa: PLC0415 - one verb needs it

        self.close()
        if self._json:
            write(sys.stdout, to_json(job, undecided, duplicates, suspects))
        elif undecided or duplicates or suspects:
            now = self._clock.now()
            _print(self._out, draw(job, undecided, duplicates, suspects, now, self.options.in_full))
        else:
            self.note(f"{job}: nothing is unconfirmed")

    def write_deleted(self, job: str, batches: int, folder: Path, bytes_: int) -> None:
        """Write what was deleted at the API, and what stays here."""
        if self._json:
            content = {"type": "deleted", "job": job, "batches": batches, "folder": str(folder), "bytes": bytes_}
            write(sys.stdout, content)
            return
        gone = f"{plural(batches, 'batch')} deleted at the API" if batches else "nothing of it is left at the API"
        stays = f"{size(bytes_)} of results in {folder}, and the merged files, which `fetch` writes anew"
        self.note(f"{job}: {gone}")
        self.note(f"what stays: {stays}")

    def write_dry_run(self, scan: "Scan", batches: Sequence[tuple[int, int]], price: "Estimate", path: str) -> None:
        """Write what would be sent, as requests and body bytes of each batch, and what it would cost."""
        from batchctl.render.dry_run import lines, to_json  # noqa: PLC0415 - one verb needs it

        if self._json:
            write(sys.stdout, to_json(scan, price))
            return
        numbered = ((number, len(batches), *batch) for number, batch in enumerate(batches, 1))
        sys.stdout.write(f"{lines(numbered)}\n")
        self._print_price(price, self._out)
        self.note("nothing was sent")
        self.note(
            self.options.in_full(
                f"for an estimate with counts from the API: batchctl estimate {self.options.path(path)}"
            )
        )

    def write_rest(
        self,
        job: Job,
        planned: Sequence[tuple[tuple[int, int], Batch]],
        unconfirmed: int,
        price: "Estimate | None",
    ) -> None:
        """Write what is left to send of a job: each batch with its place in its round, and the cost. None of no batch."""
        from batchctl.render.dry_run import lines, rest_to_json  # noqa: PLC0415 - one verb needs it

        if self._json:
            write(sys.stdout, rest_to_json(job, [batch for _, batch in planned], unconfirmed, price))
            return
        sys.stdout.write(lines((*place, batch.count, batch.cut.body_bytes) for place, batch in planned))
        if price is not None:
            sys.stdout.write("\n")
            self._print_price(price, self._out)
        if unconfirmed:
            self.note(f"{plural(unconfirmed, 'batch')} unconfirmed: sent again only where the API does not have it")
        self.note("nothing was sent")
        self.write_next_command(f"batchctl submit {job.name}{' --yes' if job.canceled_at else ''}")

    def write_converted(self, conversion: "Conversion", path: str, output: str, problems: Path) -> None:
        """Write where the converted requests are, on stderr; as JSON on stdout, unless the requests are there."""
        from batchctl.render.convert import line, to_json  # noqa: PLC0415 - one verb needs it

        is_file = output != "-"
        next_command = self.options.in_full(f"batchctl estimate {clean(self.options.path(output))}") if is_file else ""
        if self._json:
            stream = sys.stdout if is_file else sys.stderr
            write(stream, to_json(conversion, path, output, problems, next_command))
        elif is_file:
            self.note(line(conversion, output))
            self._next(next_command)

    def write_estimate(self, price: "Estimate", path: str) -> None:
        """Write what an input will cost."""
        from batchctl.render.estimate import to_json  # noqa: PLC0415 - few verbs need it

        if self._json:
            write(sys.stdout, to_json(price))
            return
        self._print_price(price, self._out)
        self.write_next_command(f"batchctl submit {clean(self.options.path(path))}")

    def show_price(self, price: "Estimate") -> None:
        """Write the cost that a person is asked about above the question, however quiet it is to be."""
        self._err.print()
        self._print_price(price, self._err)
        self._err.print()

    def write_payload(self, body: bytes) -> None:
        """Write one request as it would be sent."""
        sys.stdout.flush()
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.buffer.flush()

    def write_error(self, problem: BatchctlError, exit_status: int) -> None:
        """Write what went wrong, on stderr."""
        self.close()
        problem.hint = self.options.in_full(problem.hint)
        if self._json:
            write(sys.stderr, error.to_json(problem, exit_status))
            return
        with suppress(OSError):
            _print(self._err, error.draw(problem))

    def write_next_command(self, command: str) -> None:
        """Write how to go on."""
        self.close()
        self._next(self.options.in_full(command))

    def _end(self, report: JobReport) -> None:
        if not self._quiet:
            for text in report.warnings:
                _print(self._err, warning(text))
        if report.next_command:
            self._next(report.next_command)

    def _next(self, command: str) -> None:
        if not self._quiet:
            self._err.print(next_line(command), soft_wrap=True)

    def _print_price(self, price: "Estimate", console: Console) -> None:
        from batchctl.render.estimate import draw  # noqa: PLC0415 - few verbs need it

        self.close()
        sys.stdout.flush()
        _print(console, draw(price))


def _console(stream: TextIO) -> Console:
    is_plain = not stream.isatty()
    width = PIPE_WIDTH if is_plain and not os.environ.get("COLUMNS") else None
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def _print(console: Console, content: RenderableType) -> None:
    """Print without the blanks that pad a table's cells to its width, unless it is on a terminal."""
    if console.is_terminal:
        console.print(content)
        return
    with console.capture() as capture:
        console.print(content)
    text = "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    # A path that is no UTF-8 cannot be written as it is.
    console.file.write(text.encode("utf-8", "backslashreplace").decode())
    console.file.flush()
