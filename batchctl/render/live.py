"""The view that moves on a terminal: one bar for what is going on, or the whole job while it is watched."""

import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from batchctl.clock import Clock
from batchctl.domain import events
from batchctl.domain.job_report import JobReport
from batchctl.domain.wording import of_total, plural
from batchctl.render import job_report, styles
from batchctl.render.layout import indent
from batchctl.render.text import clean, duration, size

LINES_UP_TO_BATCHES = 12
# What is waited for all day long is not worth saying.
ROUTINE = "batches are in progress"
# Clocks and rates: more often, a person would see no more.
REFRESHES_PER_SECOND = 4
# The most characters of a reason to wait.
REASON = 200


class _View(Live):
    """What moves. Lines above it are printed while it is not drawn: else each would erase lines of the other."""

    def print(self, content: RenderableType) -> None:
        """Print above it."""
        with self._lock:
            self.console.print(content)


class LiveView:
    """A bar or a watched job on a terminal, with lines printed above it. It is called from any thread."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        # What is going on, and since when by the monotonic clock.
        self._what = ""
        self._since = 0.0
        self._transfers = _Transfers()
        self._view: _View | None = None
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
        (self._view or self._console).print(content)

    def move(self, event: events.Event) -> None:
        """Move the bar, or the line under the watched job, on to an event."""
        with self._lock:
            match event:
                case events.Reading(what, done, total):
                    self._move_on(what, done, total or None, pace(done, total, self._seconds(what)))
                case events.Merging(done, total):
                    self._move_on("merging", done, total, pace(done, total, self._seconds("merging")))
                case events.Verifying(done, total):
                    self._move_on("verifying", done, total, f"{plural(done, 'request')} read")
                case events.Waiting(until, why):
                    self._wait(until, why)
                case (
                    events.Checked() | events.Converted() | events.Planned() | events.Attached() | events.InputMatched()
                ):
                    self._stop_bar()
                case _ if self._transfers.take(event):
                    kind, amount, whole = self._transfers.amount
                    self._move_on(kind, amount, whole, self._transfers.detail(self._seconds(kind)))
                case _:
                    pass

    def _seconds(self, what: str) -> float:
        """Return how long this has been going on."""
        now = self._clock.monotonic()
        if what != self._what:
            self._what, self._since = what, now
        return now - self._since

    def _move_on(self, what: str, done: float, total: float | None, detail: str) -> None:
        if self._watched is None:
            self._bar(what, done, total, detail)
        else:
            self._watched.next_poll, self._watched.activity = None, f"{what}: {detail}"

    def _wait(self, until: datetime, why: str) -> None:
        if self._watched is not None:
            self._watched.next_poll, self._watched.activity = until, why
        else:
            self._bar("waiting", 0, None, _Countdown(until, clean(why, REASON), self._clock))

    def watch(self, report: JobReport) -> None:
        """Show the whole job from here on, as this report has it."""
        with self._lock:
            self._stop_bar()
            if self._watched is None:
                self._watched = _Watched(report, self._clock)
                self._show(self._watched, REFRESHES_PER_SECOND / 2)
            self._watched.report = report

    def _show(self, content: RenderableType, per_second: float) -> None:
        self._view = _View(content, console=self._console, refresh_per_second=per_second, transient=True)
        self._view.start()

    def _bar(self, what: str, done: float, total: float | None, detail: "str | _Countdown") -> None:
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description:<9}"),
                BarColumn(
                    bar_width=min(20, self._console.width // 4),
                    complete_style=styles.GOOD,
                    finished_style=styles.GOOD,
                    table_column=Column(no_wrap=True),
                ),
                # The API's own words may stand here: a bracket in them is a bracket.
                TextColumn(
                    "{task.fields[detail]}", style=styles.QUIET, markup=False, table_column=Column(overflow="fold")
                ),
                console=self._console,
            )
            self._show(self._progress, REFRESHES_PER_SECOND)
        if self._task is None:
            self._task = self._progress.add_task(what, detail=detail)
        self._progress.update(self._task, description=what, completed=done, total=total, detail=detail)

    def _stop_bar(self) -> None:
        if self._progress is not None:
            self.stop()

    def stop(self) -> None:
        """Leave the terminal as it was."""
        with self._lock:
            if self._view is not None:
                self._view.stop()
            self._view = self._progress = self._task = self._watched = None


def pace(done: int, total: int, seconds: float) -> str:
    """Return `212 MB of 1.4 GB, 24.3 MB/s, 50 s left`, as far as it is known after so many seconds; `total` 0 is unknown."""
    parts = [f"{size(done)} of {size(total)}" if total else size(done)]
    # What was done in less time says little of what follows.
    if done and seconds >= 1:
        parts.append(f"{size(done / seconds)}/s")
        if total > done:
            parts.append(f"{duration(timedelta(seconds=seconds * (total - done) / done))} left")
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class _Countdown:
    """A wait and why, as text that is true whenever it is drawn."""

    until: datetime
    why: str
    clock: Clock

    def __str__(self) -> str:
        return f"{duration(self.until - self.clock.now())}: {self.why}"


class _Transfers:
    """The uploads and downloads that go on side by side, and how far they are."""

    def __init__(self) -> None:
        self._planned = events.TransfersPlanned(0, 0, 0)
        self._bytes: dict[int, int] = {}
        self._finished = 0
        self._is_upload = True
        # After a stop, only the uploads in flight are waited for.
        self._awaited = 0

    def take(self, event: events.Event) -> bool:
        """Take note of an event; return whether it is about a transfer."""
        match event:
            case events.TransfersPlanned():
                self._planned, self._bytes, self._finished, self._awaited = event, {}, 0, 0
                return False
            case events.Transferred(batch_id, done):
                self._bytes[batch_id] = done
            case events.SendingBegun() | events.DownloadBegun():
                self._is_upload = isinstance(event, events.SendingBegun)
            case events.BatchSent(batch):
                self._bytes[batch.id] = batch.cut.body_bytes
                self._finished += 1
            case events.BatchFetched(batch):
                self._bytes[batch.id] = event.bytes
                self._finished += 1
            case events.BatchNotSent() | events.BatchUnconfirmed() | events.DownloadFailed() | events.ResultsRemoved():
                self._bytes.pop(event.batch.id, None)
                self._finished += 1
            case events.Stopping(in_flight):
                self._awaited, self._finished = in_flight, 0
            case _:
                return False
        return True

    @property
    def amount(self) -> tuple[str, int, int | None]:
        """What goes on, how much of it is done, and of how much."""
        if self._awaited:
            return "stopping", self._finished, self._awaited
        if self._is_upload:
            return "uploading", sum(self._bytes.values()), self._planned.upload_bytes or None
        return "fetching", self._finished, self._planned.downloads or None

    def detail(self, seconds: float) -> str:
        """Return how far it is after so many seconds."""
        if self._awaited:
            return f"{of_total(self._finished, self._awaited, 'upload')} finished"
        done = sum(self._bytes.values())
        if self._is_upload:
            return f"{self._finished:,}/{self._planned.uploads:,}, {pace(done, self._planned.upload_bytes, seconds)}"
        text = f"{self._finished:,}/{self._planned.downloads:,}, {pace(done, 0, seconds)}"
        left = self._planned.downloads - self._finished
        # The API does not say how long results are: those that are left take as long as the others did.
        if not self._finished or left <= 0 or seconds < 1:
            return text
        return f"{text}, {duration(timedelta(seconds=seconds * left / self._finished))} left"


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
            yield Text(f"  {self.activity}" if self.activity else "", style=styles.QUIET)
        elif self.next_poll - now >= timedelta(seconds=1):
            why = "" if self.activity == ROUTINE else f" ({clean(self.activity, REASON)})"
            text = f"next poll in {duration(self.next_poll - now)}{why}; Ctrl-C leaves, the job goes on"
            yield indent(Text(text, style=styles.QUIET))
