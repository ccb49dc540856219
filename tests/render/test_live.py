"""A terminal that moves shows foreign text as text, and leaves nothing behind."""

import io
import re
import threading

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_job
from rich.console import Console

from batchctl.clock import Clock
from batchctl.domain import events
from batchctl.domain.job_report import report
from batchctl.domain.model import RequestCounts, State
from batchctl.render.live import LINES_UP_TO_BATCHES, LiveView

EVIL = "[/red] [bold]x[/bold] {0} {task.id}"
BATCH = a_batch(State.ENDED)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=True, markup=False, emoji=False, highlight=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


EVENTS: list[events.Event] = [
    events.Reading("checking", 5_000_000, 10_000_000),
    events.Reading("copying", 5_000_000, 0),
    events.SendingBegun(BATCH, 1, 3),
    events.BatchSent(BATCH, 1, 3, EVIL),
    events.Waiting(NOW + HOUR, EVIL),
    events.BatchUnconfirmed(BATCH, 1, 3, EVIL),
    events.DownloadBegun(BATCH, 1, 3),
    events.BatchFetched(BATCH, 1, 3, RequestCounts(succeeded=10), 100),
    events.Merging(5, 10),
    events.Verifying(5, 10),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_movement_can_be_drawn(console: Console, event: events.Event) -> None:
    live = LiveView(console, Clock())
    live.move(event)
    live.stop()
    assert "MarkupError" not in shown(console)


def test_a_reason_from_outside_stands_on_the_bar_as_it_is(console: Console) -> None:
    live = LiveView(console, Clock())
    live.move(events.Waiting(NOW + HOUR, EVIL))
    assert live._view is not None
    live._view.refresh()
    live.stop()
    assert "[/red] [bold]x[/bold]" in shown(console)


LONG = "unconfirmed, and the API cannot be reached: cannot connect: [Errno 111] Connection refused"


@pytest.mark.parametrize("is_watched", [False, True])
def test_a_long_reason_to_wait_is_broken_and_not_cut(console: Console, *, is_watched: bool) -> None:
    live = LiveView(console, Clock())
    if is_watched:
        live.watch(report(a_job(), [a_batch(State.IN_PROGRESS)], (), NOW))
    live.move(events.Waiting(Clock().now() + MINUTE, LONG))
    assert live._view is not None
    live._view.refresh()
    live.stop()
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(console))
    assert LONG in " ".join(drawn.split())
    assert max(map(len, drawn.splitlines())) <= 80


def test_a_wait_counts_down_without_an_event(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "now", lambda _: NOW)
    live = LiveView(console, Clock())
    live.move(events.Waiting(NOW + HOUR, "overloaded"))
    monkeypatch.setattr(Clock, "now", lambda _: NOW + HOUR - MINUTE)
    assert live._view is not None
    live._view.refresh()
    live.stop()
    assert "1 m 0 s: overloaded" in shown(console)


def test_nothing_is_printed_while_the_view_is_drawn(console: Console) -> None:
    live = LiveView(console, Clock())
    live.watch(report(a_job(), [a_batch(State.IN_PROGRESS)], (), NOW))
    assert live._view is not None
    printing = threading.Thread(target=live.print, args=("a line",))
    with live._view._lock:
        printing.start()
        printing.join(0.1)
        assert "a line" not in shown(console)
    printing.join()
    live.stop()
    assert "a line" in shown(console)


def test_one_bar_after_another_and_nothing_left(console: Console) -> None:
    live = LiveView(console, Clock())
    for event in EVENTS:
        live.move(event)
    live.stop()
    live.stop()
    assert "\x1b[?25h" in shown(console), "the cursor is shown again"
    assert live._progress is None


def test_a_watched_job_is_drawn_with_its_next_poll(console: Console) -> None:
    live = LiveView(console, Clock())
    live.watch(report(a_job(), [a_batch(State.IN_PROGRESS)], (), NOW))
    live.move(events.Waiting(Clock().now() + MINUTE, "batches are in progress"))
    assert live._view is not None
    live._view.refresh()
    live.stop()
    assert "reviews-7f3a" in shown(console)
    assert "next poll in" in shown(console)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.Waiting(NOW, "x"), False),
        (events.BatchSent(BATCH, 1, LINES_UP_TO_BATCHES, "m"), True),
        (events.BatchSent(BATCH, 1, LINES_UP_TO_BATCHES + 1, "m"), False),
        (events.BatchUnconfirmed(BATCH, 1, 1000, "x"), True),
        (events.DownloadFailed(BATCH, 1, 1000, "x", None), True),
    ],
)
def test_of_many_batches_only_trouble_is_a_line(console: Console, event: events.Event, *, expected: bool) -> None:
    assert LiveView(console, Clock()).is_worth_a_line(event) is expected
