"""The view that moves on a terminal: one bar for what is going on, or the whole job while it is watched."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from batchctl.clock import Clock
from batchctl.domain import events
from batchctl.domain.job_report import JobReport
from batchctl.render import job_report
from batchctl.render.text import clean, duration, number, size

LINES_UP_TO_BATCHES = 12
# What is waited for all day long is not worth saying.
ROUTINE = "batches are in progress"
REFRESHES_PER_SECOND = 8


class LiveView:
    """A bar or a watched job on a terminal, with lines printed above it. It is called from any thread."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._view: Live | None = None
        self._watched: _Watched | None = None
        # Events come from several threads.
        self._lock = threading.RLock()

    def is_worth_a_line(self, event: events.Event) -> bool:
        """Return whether an event has a line beside the bar: of many batches only trouble has one."""
        if isinstance(event, events.Waiting):
            return False
        if isinstance(event, events.BatchSent | events.BatchFetched):
            return event.total <= LINES_UP_TO_BATCHES
        return True

    def print(self, content: RenderableType) -> None:
        """Print above what moves."""
        self._console.print(content)

    def move(self, event: events.Event) -> None:
        """Move the bar, or the line under the watched job, on to an event."""
        with self._lock:
            match event:
                case events.Reading(what, done, total):
                    self._move_on(what, done, total or None, f"{size(done)}")
                case events.SendingBegun(batch, place, total):
                    self._move_on("sending", place - 1, total, f"{number(batch.count)} requests")
                case events.BatchSent(_, place, total, _):
                    self._move_on("sending", place, total, f"batch {place} of {total}")
                case events.DownloadBegun(_, place, total) | events.BatchFetched(_, place, total):
                    self._move_on(
                        "fetching", place - isinstance(event, events.DownloadBegun), total, f"batch {place} of {total}"
                    )
                case events.Merging(done, total):
                    self._move_on("merging", done, total, f"{number(done)} requests")
                case events.Verifying(done, total):
                    self._move_on("verifying", done, total, f"{number(done)} requests read")
                case events.Waiting(until, why):
                    self._wait(until, why)
                case events.Checked() | events.Planned() | events.Attached() | events.InputMatched():
                    self._stop_bar()
                case _:
                    pass

    def _move_on(self, what: str, done: float, total: float | None, detail: str) -> None:
        if self._watched is None:
            self._bar(what, done, total, detail)
        else:
            self._watched.next_poll, self._watched.activity = None, f"{what}: {detail}"

    def _wait(self, until: datetime, why: str) -> None:
        if self._watched is not None:
            self._watched.next_poll, self._watched.activity = until, why
        else:
            self._bar("waiting", 0, None, f"{duration(until - self._clock.now())}: {clean(why, 60)}")

    def watch(self, report: JobReport) -> None:
        """Show the whole job from here on, as this report has it."""
        with self._lock:
            self._stop_bar()
            if self._watched is None:
                self._watched = _Watched(report, self._clock)
                self._view = Live(
                    self._watched,
                    console=self._console,
                    refresh_per_second=REFRESHES_PER_SECOND,
                    transient=True,
                )
                self._view.start()
            self._watched.report = report

    def _bar(self, what: str, done: float, total: float | None, detail: str) -> None:
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description:<9}"),
                BarColumn(bar_width=24, complete_style="green", finished_style="green"),
                # The API's own words may stand here: a bracket in them is a bracket.
                TextColumn("{task.fields[detail]}", style="dim", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.start()
        if self._task is None or what != self._what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=total, detail=detail)
            self._what = what
        self._progress.update(self._task, completed=done, total=total, detail=detail)

    def _stop_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._task = None

    def stop(self) -> None:
        """Leave the terminal as it was."""
        with self._lock:
            self._stop_bar()
            if self._view is not None:
                self._view.stop()
                self._view = self._watched = None


class _Watched:
    """The job as it was last seen, with clocks that go on between the polls."""

    def __init__(self, report: JobReport, clock: Clock) -> None:
        self.report = report
        self.next_poll: datetime | None = None
        self.activity = ""
        self._clock = clock

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = self._clock.now()
        yield job_report.draw(replace(self.report, now=now, next_command=""))
        if self.next_poll is None:
            yield Text(f"  {self.activity}" if self.activity else "", style="dim")
        elif self.next_poll - now >= timedelta(seconds=1):
            why = "" if self.activity == ROUTINE else f" ({clean(self.activity, 60)})"
            yield Text(
                f"  next poll in {duration(self.next_poll - now)}{why}; Ctrl-C leaves, the job goes on", style="dim"
            )
