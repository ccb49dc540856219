"""Where everything comes out: chosen once, by what the streams are and what the person asked for."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.clock import Clock
from batchctl.domain import events
from batchctl.domain.choosing import Chosen
from batchctl.domain.doubts import OpenDoubt
from batchctl.domain.errors import BatchctlError
from batchctl.domain.health import Checkup
from batchctl.domain.model import Merged, MessageBatch
from batchctl.domain.plans import Scan
from batchctl.domain.progress import ENDED, JobReport
from batchctl.domain.proving import Proof
from batchctl.render import lines, machine, proofs, reports
from batchctl.render.lines import Line, line_of
from batchctl.render.live import Live
from batchctl.render.text import clean, number, plural, size

# Off a terminal nothing is wrapped: a log and a grep want whole lines.
PIPE_WIDTH = 10_000


class Screen:
    """`--json`: objects on stdout and, for errors, on stderr; nothing else. `-q`: only errors and what was asked for."""

    def __init__(self, clock: Clock, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self._clock = clock
        self._json = as_json
        self._quiet = quiet or as_json
        self._verbose = verbose
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)
        is_live = self._err.is_terminal and not self._err.is_dumb_terminal and not self._quiet
        self._live = Live(self._err, clock) if is_live else None
        self._last_watched = ""
        self._looks_to = sys.stdout
        self._waited_for = ""

    def tell(self, event: events.Event) -> None:
        if isinstance(event, events.Looked):
            self._looked(event.report)
        if self._quiet:
            return
        line = line_of(event, self._clock.now()) if self._is_news(event) else None
        if self._live is not None:
            self._live.move(event)
            if not line or not (self._verbose or self._live.is_worth_a_line(event)):
                return
        if line:
            self._say(line)
        if isinstance(event, events.Checked):
            self._show_problems(event.scan, event.problems)

    def _is_news(self, event: events.Event) -> bool:
        """Of waiting, a line per reason: the loop wakes up more often than a person wants to read."""
        if self._verbose or not isinstance(event, events.Waiting):
            return True
        before, self._waited_for = self._waited_for, event.why
        return event.why != before and not self._last_watched

    def watch(self, report: JobReport, results: str = "", *, has_looked: bool = True) -> None:
        """From here on every look is shown: drawn anew on a terminal, a line per change elsewhere.

        `results`: where the answers go; where that is stdout, nothing else does. `has_looked`: whether `report` is of a
        look; what the ledger alone says is no line.
        """
        self._last_watched = "nothing yet"
        self._looks_to = sys.stderr if results == "-" else sys.stdout
        if self._live is not None:
            self._live.watch(report)
        elif has_looked or self._json:
            self._looked(report)

    def _looked(self, report: JobReport) -> None:
        if not self._last_watched:
            return
        if self._json:
            machine.write(self._looks_to, {**machine.job_shape(report), "type": "status"})
            return
        if self._live is not None:
            self._live.watch(report)
            return
        rest = Counter(b.state.value for b in report.batches if b.state not in ENDED)
        others = "".join(f", {n} {state}" for state, n in rest.items())
        seen = f"{report.ended} of {plural(len(report.batches), 'batch')} ended{others}"
        if seen != self._last_watched and not self._quiet:
            self._last_watched = seen
            self._say(Line(f"looked     {report.job.name}: {seen}"))

    def _say(self, line: Line) -> None:
        if self._live is not None:
            self._live.say(_hanging(line))
        else:
            self._err.print(_styled(line), soft_wrap=True)

    def _show_problems(self, scan: Scan, problems_file: str) -> None:
        told = [lines.problem(problem) for problem in scan.first_problems]
        if self._live is not None and told:
            self._live.say(reports.problems(told))
        else:
            for line in told:
                self._err.print(Text(f"  {line.text}", style=reports.TONES[line.tone]), soft_wrap=True)
        left = scan.errors + scan.warnings - len(told)
        if left > 0:
            self._say(Line(f"  and {number(left)} more: {problems_file}", lines.DIM))

    # ------------------------------------------------------------------ what a verb ends with

    def submitted(self, report: JobReport) -> None:
        """The job's name alone on stdout, for scripts."""
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
        if self._json:
            machine.write(sys.stdout, machine.job_shape(report, with_batches=wide))
        else:
            self._print(reports.job(report, wide=wide))

    def jobs(self, all_of_them: Sequence[JobReport]) -> None:
        if self._json:
            machine.write(sys.stdout, {"type": "jobs", "jobs": [machine.job_shape(r) for r in all_of_them]})
        elif all_of_them:
            self._print(reports.jobs(all_of_them))
            self._note("one of them: batchctl status JOB")

    def fetched(self, report: JobReport, merged: Merged, results: str, errors: Path) -> None:
        if self._json:
            stream = sys.stderr if results == "-" else sys.stdout
            machine.write(stream, machine.fetched_shape(report, merged, results, errors))
            return
        self._stop_live()
        if self._quiet:
            return
        self._err.print(reports.answers(merged, report.job.left_out), soft_wrap=True)
        if report.failures:
            self._err.print()
            _print(self._err, reports.failures(report.failures))
            self._err.print()
        if results != "-":
            self._note(f"results: {results}")
        if report.failures or report.job.left_out:
            self._note(f"errors:  {errors}")
        self._end(report)

    def verified(self, proof: Proof) -> None:
        self._stop_live()
        if self._json:
            machine.write(sys.stdout, machine.proof_shape(proof))
        else:
            self._print(proofs.proof(proof))

    def checkup(self, found: Checkup) -> None:
        if self._json:
            machine.write(sys.stdout, machine.checkup_shape(found))
            return
        self._print(proofs.checkup(found))
        if not self._quiet:
            self._err.print(reports.next_line(found.next_command), soft_wrap=True)

    def chosen(self, job: str, round_: int, chosen: Chosen, path: Path, *, is_last: bool) -> None:
        """Before a retry is sent, or instead of it (`is_last`)."""
        if self._json:
            if is_last:
                machine.write(sys.stdout, machine.chosen_shape(job, round_, chosen, path))
            return
        self._stop_live()
        if not self._quiet:
            _print(self._err, reports.chosen(chosen))
        if is_last and chosen.requests:
            sys.stdout.write(f"{path}\n")

    def doubts(
        self, job: str, opened: Sequence[OpenDoubt], surplus: Sequence[str], suspects: Sequence[MessageBatch]
    ) -> None:
        """What a person may decide, and how."""
        self._stop_live()
        if self._json:
            machine.write(sys.stdout, machine.doubts_shape(job, opened, surplus, suspects))
            return
        if not opened and not surplus and not suspects:
            self._note(f"{job}: nothing is in doubt")
            return
        self._print(reports.doubts(job, opened, surplus, suspects, self._clock.now()))

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

    def dry_run(self, scan: Scan, batches: Sequence[tuple[int, int]]) -> None:
        """What would be sent: requests and body bytes of each batch."""
        if self._json:
            machine.write(sys.stdout, machine.check_shape(scan, scan.first_problems, None))
            return
        for position, (count, body_bytes) in enumerate(batches, 1):
            sys.stdout.write(f"batch {position} of {len(batches)}: {plural(count, 'request')}, {body_bytes:,} bytes\n")
        self._note("nothing was sent")

    def payload(self, body: bytes) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.buffer.flush()

    def problem(self, problem: BatchctlError, exit_status: int) -> None:
        self._stop_live()
        if self._json:
            machine.write(sys.stderr, machine.problem_shape(problem, exit_status))
            return
        with suppress(OSError):
            self._err.print(Text.assemble(("error: ", "bold red"), clean(problem.message, 1000)), soft_wrap=True)
            if problem.hint:
                self._err.print(Text.assemble(("  try: ", "dim"), clean(problem.hint, 1000)), soft_wrap=True)

    def come_back(self, command: str) -> None:
        """After a stop: how to go on."""
        self._stop_live()
        if not self._quiet:
            self._err.print(reports.next_line(command), soft_wrap=True)

    def note(self, text: str) -> None:
        if not self._quiet:
            self._note(text)

    def close(self) -> None:
        self._stop_live()

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()

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


def _styled(line: Line) -> Text:
    """The first word carries the colour; the rest is for reading."""
    tone = reports.TONES[line.tone]
    word, rest = _halves(line)
    return Text.assemble((word, tone), rest) if rest else Text(line.text, style=tone)


def _hanging(line: Line) -> RenderableType:
    """For a terminal: what does not fit goes on under the text, not under the first word."""
    word, rest = _halves(line)
    if not rest:
        return Text(line.text, style=reports.TONES[line.tone])
    table = Table.grid()
    table.add_column(no_wrap=True, width=len(word) + len(rest) - len(rest.lstrip()))
    table.add_column(overflow="fold")
    table.add_row(Text(word, style=reports.TONES[line.tone]), rest.strip())
    return table


def _halves(line: Line) -> tuple[str, str]:
    word, gap, rest = line.text.partition("  ")
    return (word, gap + rest) if gap and word.strip() else (line.text, "")
