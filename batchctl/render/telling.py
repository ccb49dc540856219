"""What is told while a command works: a line for each event, or a view that moves. Chosen once, by what stderr is."""

import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.clock import Clock
from batchctl.domain import events
from batchctl.domain.job_report import ENDED, JobReport
from batchctl.domain.scan import Scan
from batchctl.render import lines, machine, reports
from batchctl.render.lines import Line, line_of
from batchctl.render.text import number, plural
from batchctl.render.typed import Given

if TYPE_CHECKING:
    from batchctl.render.live import Live


class Telling:
    def __init__(
        self, err: Console, clock: Clock, *, as_json: bool, quiet: bool, verbose: bool, given: Given | None = None
    ) -> None:
        self._given = given or Given()
        self._err = err
        self._clock = clock
        self._json = as_json
        self._quiet = quiet
        self._verbose = verbose
        is_live = err.is_terminal and not err.is_dumb_terminal and not quiet
        self._live = _live(err, clock) if is_live else None
        self._last_watched = ""
        self._looks_to = sys.stdout
        self._waited_for = ""

    def emit(self, event: events.Event) -> None:
        if isinstance(event, events.Waiting):
            event = replace(event, why=self._given.in_full(event.why))
        if isinstance(event, events.Polled):
            self._polled(self._given.report(event.report))
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

    def watch(self, report: JobReport, results: str = "", *, has_polled: bool = True) -> None:
        """From here on every look is shown: drawn anew on a terminal, a line per change elsewhere.

        `results`: where the answers go; where that is stdout, nothing else does. `has_polled`: whether `report` is of a
        look; what the ledger alone says is no line.
        """
        self._last_watched = "nothing yet"
        self._looks_to = sys.stderr if results == "-" else sys.stdout
        if self._live is not None:
            self._live.watch(report)
        elif has_polled or self._json:
            self._polled(report)

    def _polled(self, report: JobReport) -> None:
        if not self._last_watched:
            return
        if self._json:
            self._write({**machine.job_shape(report), "type": "status"})
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

    def _write(self, shape: dict[str, Any]) -> None:
        """A full disk costs the looks, and not the job; what is written at its end says that it was full."""
        try:
            machine.write(self._looks_to, shape)
        except BrokenPipeError:
            raise
        except OSError:
            return

    def _say(self, line: Line) -> None:
        line = Line(self._given.in_full(line.text), line.tone)
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

    def stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()


def _live(err: Console, clock: Clock) -> "Live":
    from batchctl.render.live import Live  # noqa: PLC0415 - only a terminal moves

    return Live(err, clock)


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
