"""What a command shows while it works: a line for each event, or a view that moves. Chosen once, by what stderr is."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from batchctl.clock import Clock
from batchctl.domain import events
from batchctl.domain.check_report import Conversion, ProblemKind, Scan
from batchctl.domain.job_report import ENDED, JobReport
from batchctl.domain.wording import plural
from batchctl.render import job_report
from batchctl.render.events import DIM, STYLES, Line, draw_problems, line_of, problem_line
from batchctl.render.json_output import write
from batchctl.render.repeated_options import RepeatedOptions
from batchctl.render.text import number

if TYPE_CHECKING:
    from batchctl.render.live import LiveView

# Kinds of requests that the API refuses to count: each line of a sample may have its own.
MAX_REFUSED_KINDS = 20


class ProgressWriter:
    """Where events come out. It is called from any thread."""

    def __init__(
        self, err: Console, clock: Clock, options: RepeatedOptions, *, as_json: bool, quiet: bool, verbose: bool
    ) -> None:
        self._options = options
        self._err = err
        self._clock = clock
        self._json = as_json
        self._quiet = quiet
        self._verbose = verbose
        self._live: LiveView | None = None
        if err.is_terminal and not err.is_dumb_terminal and not quiet:
            from batchctl.render import live  # noqa: PLC0415 - only a terminal moves

            self._live = live.LiveView(err, clock)
        self._last_watched = ""
        self._json_stream = sys.stdout
        self._waited_for = ""

    def emit(self, event: events.Event) -> None:
        """Show an event, if it is one to be shown."""
        if isinstance(event, events.Waiting):
            event = replace(event, why=self._options.in_full(event.why))
        if isinstance(event, events.Polled):
            self._show_watched(self._options.in_report(event.report))
        if self._quiet:
            return
        line = line_of(event, self._clock.now()) if self._is_news(event) else None
        if self._live is not None:
            self._live.move(event)
            if not line or not (self._verbose or self._live.is_worth_a_line(event)):
                return
        if line:
            self._print(line)
        if isinstance(event, events.Checked):
            self._show_problems(event.scan.problem_kinds, _left_of(event.scan), event.problems)
        if isinstance(event, events.Converted):
            self._show_problems(event.conversion.problem_kinds, _left_of(event.conversion), event.problems)
        if isinstance(event, events.CountRefused):
            shown, left = event.problem_kinds[:MAX_REFUSED_KINDS], event.problem_kinds[MAX_REFUSED_KINDS:]
            self._show_problems(shown, sum(kind.lines for kind in left))

    def _is_news(self, event: events.Event) -> bool:
        """Return whether an event may have a line. A reason to wait has one: the loop wakes up more often than a person reads."""
        if self._verbose or not isinstance(event, events.Waiting):
            return True
        before, self._waited_for = self._waited_for, event.why
        return event.why != before and not self._last_watched

    def watch(self, report: JobReport, results: str = "", *, was_polled: bool = True) -> None:
        """Show every poll from here on: drawn anew on a terminal, a line per change elsewhere.

        `results`: where the answers go; if to stdout, JSON goes to stderr. `was_polled`: whether `report` comes from a
        poll; one that comes from the ledger alone has no line.
        """
        report = self._options.in_report(report)
        self._last_watched = "nothing yet"
        self._json_stream = sys.stderr if results == "-" else sys.stdout
        if self._live is not None:
            self._live.watch(report)
        elif was_polled or self._json:
            self._show_watched(report)

    def _show_watched(self, report: JobReport) -> None:
        if not self._last_watched:
            return
        if self._json:
            try:
                write(self._json_stream, {**job_report.to_json(report), "type": "status"})
            except BrokenPipeError:
                raise
            except OSError:
                # A full disk does not end the job. What is written at its end fails, too, and says why.
                return
        elif self._live is not None:
            self._live.watch(report)
        else:
            rest = Counter(batch.state.value for batch in report.batches if batch.state not in ENDED)
            others = "".join(f", {n:,} {state}" for state, n in rest.items())
            text = f"{report.ended:,} of {plural(len(report.batches), 'batch')} ended{others}"
            if text != self._last_watched and not self._quiet:
                self._last_watched = text
                self._print(Line(f"polled     {report.job.name}: {text}"))

    def _print(self, line: Line) -> None:
        line = Line(self._options.in_full(line.text), line.tone)
        if self._live is not None:
            self._live.print(line.draw_hanging())
        else:
            self._err.print(line.draw(), soft_wrap=True)

    def _show_problems(self, kinds: Sequence[ProblemKind], left: int, problems_file: str = "") -> None:
        """Show kinds of faults, and that there are `left` more faults than these; the file lists all."""
        if self._live is not None and kinds:
            self._live.print(draw_problems(kinds))
        else:
            for line in map(problem_line, kinds):
                self._err.print(Text(f"  {line.text}", style=STYLES[line.tone]), soft_wrap=True)
        if left > 0:
            where = f": {problems_file}" if problems_file else ""
            self._print(Line(f"  and {number(left)} more{where}", DIM))

    def stop_live(self) -> None:
        """End the moving view, before anything else is written."""
        if self._live is not None:
            self._live.stop()


def _left_of(found: Scan | Conversion) -> int:
    return found.errors + found.warnings - sum(kind.lines for kind in found.problem_kinds)
