"""Every event as one plain line."""

import io
import pickle
from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from builders import HOUR, NOW, WITHHELD, a_batch, a_job, a_round
from render.drawing import drawn
from rich.console import Console

from batchctl.domain import events
from batchctl.domain.caching import Caching, ShortPrefixes, SkipReason
from batchctl.domain.check_report import Conversion, Problem, ProblemKind, Scan
from batchctl.domain.faults import Fault, Severity
from batchctl.domain.job_report import report
from batchctl.domain.model import Purpose, RequestCounts, Settings, State
from batchctl.domain.notifications import NotifyEvent
from batchctl.render.events import draw_problems, line_of, problem_line

SOON = NOW + timedelta(seconds=90)
BATCH = a_batch(State.ENDED, 10_000)
PLACE = (BATCH, 2, 12)
JOB = a_job()
LIKE = "7 requests like line 3 (r-2): not allowed"


def a_scan(**more: Any) -> Scan:
    given: dict[str, Any] = {
        "cuts": (),
        "count": 1_000,
        "lines": 1_000,
        "blank": 0,
        "left_out": 0,
        "size": 530_000,
        "sha256": "0" * 64,
        "deep_checked": 1_000,
        "is_clean": True,
        "has_bom": False,
        "errors": 0,
        "warnings": 0,
    }
    return Scan(**{**given, **more})


def a_conversion(**more: int) -> Conversion:
    given: dict[str, Any] = {
        "requests": 1_000,
        "lines": 1_000,
        "blank": 0,
        "left_out": 0,
        "size": 530_000,
        "errors": 0,
        "warnings": 0,
    }
    return Conversion(**{**given, **more})


REFUSED_SHAPE = ProblemKind(Problem(3, "r-3", Fault("shape_refused", "tools.0: no")), 17_000)
REFUSED_LINE = ProblemKind(Problem(9, "r-9", Fault("count_refused", "messages.0: no", Severity.WARNING)), 1)

GOLDEN: list[tuple[events.Event, str, str]] = [
    (
        events.Checked("in.jsonl", a_scan(), ""),
        "good",
        "checked    in.jsonl: 1,000 requests, 530 KB, all in depth",
    ),
    (
        events.Checked("in.jsonl", a_scan(blank=1, has_bom=True, left_out=2, lines=1_002, warnings=3, errors=2), "p"),
        "bad",
        (
            "checked    in.jsonl: 1,000 requests, 530 KB, all in depth, 1 blank line skipped,"
            " byte order mark dropped, 2 lines with errors, 3 warnings"
        ),
    ),
    (
        events.Checked("-", a_scan(deep_checked=50, warnings=1), "p"),
        "warn",
        "checked    -: 1,000 requests, 530 KB, 50 in depth (--check full does all), 1 warning",
    ),
    (
        events.CountRefused("in.jsonl", (REFUSED_SHAPE, REFUSED_LINE)),
        "bad",
        "counted    in.jsonl: the API refuses 17,001 requests",
    ),
    (events.CountRefused("-", (REFUSED_LINE,)), "warn", "counted    -: the API refuses 1 request"),
    (
        events.Converted("in.jsonl", a_conversion(), ""),
        "good",
        "converted  in.jsonl: 1,000 requests, 530 KB",
    ),
    (
        events.Converted("in.jsonl", a_conversion(blank=1, left_out=2, errors=2, warnings=3), "p"),
        "bad",
        "converted  in.jsonl: 1,000 requests, 530 KB, 1 blank line skipped, 2 lines with errors, 3 warnings",
    ),
    (
        events.Converted("-", a_conversion(warnings=1), "p"),
        "warn",
        "converted  -: 1,000 requests, 530 KB, 1 warning",
    ),
    (
        events.Planned(JOB, 2, 15_000, 12_300_000, 1),
        "good",
        "planned    reviews-7f3a: 15,000 requests in 2 batches, 12.3 MB",
    ),
    (events.Checked("-", a_scan(deep_checked=0), ""), "good", "checked    -: 1,000 requests, 530 KB, none in depth"),
    (
        events.Checked("-", a_scan(models_unchecked="no API key was found"), ""),
        "good",
        "checked    -: 1,000 requests, 530 KB, all in depth, models not checked (no API key was found)",
    ),
    (
        events.CacheControlAdded("in.jsonl", Caching(ttl="1h", requests=1, first_line=1, repeats=0)),
        "good",
        "cached     cache_control for 1h added to 1 system prompt",
    ),
    (
        events.CacheControlAdded(
            "in.jsonl",
            Caching(
                ttl="5m",
                requests=1_000,
                first_line=1,
                repeats=0,
                left={SkipReason.NO_SYSTEM: 1, SkipReason.FULL: 2},
                short={"claude-haiku-4-5": ShortPrefixes(requests=900, tokens=1_310, least=4_096)},
            ),
        ),
        "warn",
        (
            "cached     cache_control for 5m added to 1,000 system prompts; 1 request left without a system prompt; 2 requests left"
            " with 4 breakpoints, which is the most; 900 prompts too short to be cached: claude-haiku-4-5 caches 4,096 tokens or"
            " more, the longest has about 1,310 (at 4 bytes a token)"
        ),
    ),
    (
        events.ModelDeprecated("claude-sonnet-4-5-20250929", NOW),
        "warn",
        "deprecated claude-sonnet-4-5-20250929: retires on 2026-11-21",
    ),
    (
        events.ModelDeprecated("claude-mythos-preview", None),
        "warn",
        "deprecated claude-mythos-preview: no day is set for its end",
    ),
    (events.Planned(JOB, 1, 1, 530, 2), "good", "planned    reviews-7f3a round 2: 1 request in 1 batch, 530 B"),
    (
        events.Planned(a_job(rounds=(a_round(), a_round(2, 3, purpose=Purpose.FIRST))), 1, 3, 530, 2),
        "good",
        "planned    reviews-7f3a first batch: 3 requests in 1 batch, 530 B",
    ),
    (
        events.ShapesSampled(JOB, 50, 64),
        "warn",
        "sampled    reviews-7f3a: 50 requests of more than 64 shapes are tried first",
    ),
    (
        events.PrimePlanned(JOB, 2, 17_000, 3),
        "good",
        "primed     reviews-7f3a: 2 prompts, shared by 17,000 requests, are cached first; 3 other requests are sent unchanged",
    ),
    (
        events.PrimePlanned(JOB, 1, 9, 0, timedelta(minutes=4)),
        "warn",
        "primed     reviews-7f3a: a prompt, shared by 9 requests, is cached first, again: what was cached expires in 4 m 0 s",
    ),
    (
        events.PrimePlanned(JOB, 0, 0, 9),
        "warn",
        "primed     reviews-7f3a: no prompt is long enough and shared by 3 requests; nothing is cached",
    ),
    (
        events.CacheMeasured(JOB, Decimal("97.4")),
        "good",
        "measured   reviews-7f3a: 97 % of the shared prompts were read from the cache",
    ),
    (events.CacheMeasured(JOB, None), "warn", "measured   reviews-7f3a: the API cached none of the shared prompts"),
    (events.FirstBatchJudged(JOB, 3, 3, ()), "good", "judged     reviews-7f3a: 3 of 3 shapes accepted"),
    (
        events.FirstBatchJudged(JOB, 6, 2, (WITHHELD,) * 4),
        "warn",
        f"judged     reviews-7f3a: 2 of 6 shapes accepted; withheld: {LIKE}; {LIKE}; {LIKE}; and of 1 more shape",
    ),
    (
        events.Continued(a_job(settings=Settings(canary=True)), 0),
        "plain",
        "continued  reviews-7f3a: the rest is planned once its first batch is judged",
    ),
    (events.Continued(JOB, 3), "plain", "continued  reviews-7f3a: 3 batches to send"),
    (
        events.HeadersChanged(a_job(settings=Settings(betas=("a-1", "b-2"))), 2),
        "plain",
        "headers    reviews-7f3a: betas from here on: a-1, b-2; API version 2026-10-21; 2 batches keep what they were sent with",
    ),
    (
        events.HeadersChanged(JOB, 0),
        "plain",
        "headers    reviews-7f3a: betas from here on: none; API version 2026-10-21",
    ),
    (
        events.Attached(JOB, (a_batch(State.ENDED), a_batch(State.IN_PROGRESS), a_batch(State.ENDED))),
        "good",
        "attached   reviews-7f3a: 10 requests in 3 batches, 2 ended, 1 in progress",
    ),
    (
        events.InputMatched(JOB, 3),
        "good",
        "paired     reviews-7f3a: 10 lines of /data/reviews.jsonl went into 3 batches",
    ),
    (
        events.InputMatched(a_job(left_out=1_204), 1),
        "warn",
        (
            "paired     reviews-7f3a: 10 lines of /data/reviews.jsonl went into 1 batch;"
            " 1,204 lines are in none, and cannot be sent: their custom_ids repeat"
        ),
    ),
    (
        events.InputMatched(JOB, 1, 4),
        "warn",
        (
            "paired     reviews-7f3a: 6 lines of /data/reviews.jsonl went into 1 batch; 4 lines are in none of these and left"
            " to the next round, which pays twice for those that a batch holds which was not named"
        ),
    ),
    (events.BatchSent(*PLACE, "msgbatch_1"), "good", "sent       batch 2 of 12 (10,000 requests) as msgbatch_1"),
    (
        events.BatchNotSent(*PLACE, "HTTP 429 slow\ndown", SOON),
        "warn",
        r"not sent   batch 2 of 12 (10,000 requests): HTTP 429 slow\ndown; again in 1 m 30 s",
    ),
    (
        events.BatchNotSent(*PLACE, "HTTP 400", None),
        "warn",
        "not sent   batch 2 of 12 (10,000 requests): HTTP 400",
    ),
    (
        events.BatchNotSent(*PLACE, "cut in two", NOW),
        "warn",
        "not sent   batch 2 of 12 (10,000 requests): cut in two",
    ),
    (
        events.BatchUnconfirmed(*PLACE, "the connection broke"),
        "warn",
        "unconfirmed  batch 2 of 12 (10,000 requests): the connection broke; asking whether the API has it",
    ),
    (
        events.BatchReconciled(*PLACE, "msgbatch_1", identified=False),
        "plain",
        (
            "matched    batch 2 of 12 (10,000 requests): msgbatch_1 has its size; once it has ended, its results tell"
            " whether it is ours"
        ),
    ),
    (
        events.BatchReconciled(*PLACE, "msgbatch_1", identified=True),
        "good",
        "found      batch 2 of 12 (10,000 requests): msgbatch_1 holds its requests, as far as its custom_ids tell",
    ),
    (
        events.BatchReconciled(*PLACE, "", identified=False),
        "plain",
        "settled    batch 2 of 12 (10,000 requests): the API does not have it; it is sent again",
    ),
    (
        events.ForeignBatch(*PLACE, "msgbatch_1", "custom_id r-1: 41 tokens counted, 12 billed"),
        "warn",
        (
            "foreign    batch 2 of 12 (10,000 requests): msgbatch_1 is another job's, custom_id r-1: 41 tokens counted,"
            " 12 billed; it is unconfirmed again"
        ),
    ),
    (
        events.DuplicateBatch(*PLACE, "msgbatch_2"),
        "bad",
        (
            "duplicate  batch 2 of 12 (10,000 requests): msgbatch_2 holds the same requests, and is paid for unless it"
            " is canceled"
        ),
    ),
    (
        events.FieldsUnread("msgbatch_1", ("created_at", "request_counts")),
        "warn",
        "unread     msgbatch_1: created_at, request_counts cannot be read, and is asked for again",
    ),
    (
        events.PlaceChecked("it comes from another machine"),
        "warn",
        "moved      it comes from another machine: the API's list is read before anything is sent",
    ),
    (events.CancelAsked(*PLACE), "warn", "canceling  batch 2 of 12 (10,000 requests) msgbatch_1"),
    (events.BatchDeleted(*PLACE), "warn", "deleted    batch 2 of 12 (10,000 requests) msgbatch_1"),
    (events.Waiting(SOON, "the queue is full"), "dim", "waiting    1 m 30 s: the queue is full"),
    (events.PollFailed("HTTP 500", 1, 1.4), "warn", "no answer  HTTP 500 (1 time; again in 1 s)"),
    (
        events.BatchFetched(*PLACE, RequestCounts(succeeded=9_990, errored=7, canceled=1, expired=2), 5_300_000),
        "good",
        "fetched    batch 2 of 12: 9,990 succeeded, 7 errored, 1 canceled, 2 expired, 5.3 MB",
    ),
    (
        events.BatchFetched(*PLACE, RequestCounts(), 10),
        "good",
        "fetched    batch 2 of 12: 10 B",
    ),
    (
        events.DownloadFailed(*PLACE, "7 of 10 requests have no result", SOON),
        "warn",
        "not whole  batch 2 of 12 (10,000 requests): 7 of 10 requests have no result; again in 1 m 30 s",
    ),
    (
        events.ResultsRemoved(*PLACE, SOON),
        "bad",
        f"removed    batch 2 of 12 (10,000 requests): its results were removed by the API on {SOON:%Y-%m-%d}",
    ),
    (
        events.WorkerLost(-9, is_last=False),
        "warn",
        "lost       a worker process was killed: its downloads begin again",
    ),
    (
        events.WorkerLost(1, is_last=True),
        "warn",
        "lost       a worker process ended with 1: threads download what is left",
    ),
    (
        events.Notified("reviews-7f3a", NotifyEvent.ENDED, "https://example.com"),
        "good",
        "notified   https://example.com: reviews-7f3a has ended",
    ),
    (
        events.Notified("reviews-7f3a", NotifyEvent.NEEDS_PERSON, "the --on-done command"),
        "good",
        "notified   the --on-done command: reviews-7f3a needs a person",
    ),
    (events.NotifyFailed("", "", "disk full"), "warn", "warning    notification failed: disk full"),
    (
        events.NotifyFailed("reviews-7f3a", "https://example.com", "HTTP 500", SOON),
        "warn",
        (
            "warning    notification of reviews-7f3a to https://example.com failed: HTTP 500; a later command retries it,"
            " in 1 m 30 s at the earliest"
        ),
    ),
    (
        events.NotifyFailed(
            "reviews-7f3a", "the --on-done command", "ended with exit status 1", output=("one", "two\x1b[2J")
        ),
        "warn",
        (
            "warning    notification of reviews-7f3a to the --on-done command failed: ended with exit status 1; its output:"
            " one | two\\x1b[2J"
        ),
    ),
    (
        events.Stopping(2),
        "warn",
        "stopping   waiting for 2 uploads to finish; Ctrl-C again stops at once",
    ),
]
SILENT: list[events.Event] = [
    events.Reading("checking", 5, 10),
    events.TransfersPlanned(2, 100, 0),
    events.Transferred(1, 50),
    events.SendingBegun(*PLACE),
    events.DownloadBegun(*PLACE),
    events.Merging(5, 10),
    events.Verifying(5, 10),
    events.Polled(report(JOB, [BATCH], (), NOW)),
]


@pytest.mark.parametrize(("event", "tone", "text"), GOLDEN, ids=[type(event).__name__ for event, _, _ in GOLDEN])
def test_an_event_is_one_line(event: events.Event, tone: str, text: str) -> None:
    line = line_of(event, NOW)
    assert line is not None
    assert line.text == text
    assert line.tone == tone


@pytest.mark.parametrize("event", SILENT, ids=lambda event: type(event).__name__)
def test_movement_is_no_line(event: events.Event) -> None:
    assert line_of(event, NOW) is None


def test_every_event_is_in_one_of_the_two_tables() -> None:
    assert {type(event) for event, _, _ in GOLDEN} | {type(event) for event in SILENT} == set(get_args(events.Event))


@pytest.mark.parametrize("event", [*(event for event, _, _ in GOLDEN), *SILENT], ids=lambda event: type(event).__name__)
def test_an_event_travels_between_processes(event: events.Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


EVIL = "\x1b[2J\u202e[bold]gone[/bold]\nsecond line"


@pytest.mark.parametrize(
    "event",
    [
        events.Checked(EVIL, a_scan(), ""),
        events.ModelDeprecated(EVIL, None),
        events.BatchSent(*PLACE, EVIL),
        events.BatchNotSent(*PLACE, EVIL, None),
        events.BatchUnconfirmed(*PLACE, EVIL),
        events.BatchReconciled(*PLACE, EVIL, identified=True),
        events.BatchReconciled(*PLACE, EVIL, identified=False),
        events.ForeignBatch(*PLACE, EVIL, EVIL),
        events.DuplicateBatch(*PLACE, EVIL),
        events.FieldsUnread(EVIL, (EVIL,)),
        events.FieldsUnread("msgbatch_1", (EVIL,)),
        events.PlaceChecked(EVIL),
        events.Waiting(NOW + HOUR, EVIL),
        events.PollFailed(EVIL, 2, 1.0),
        events.DownloadFailed(*PLACE, EVIL, None),
    ],
    ids=lambda event: type(event).__name__,
)
def test_no_text_from_outside_leaves_its_line(event: events.Event) -> None:
    line = line_of(event, NOW)
    assert line is not None
    assert line.text.isprintable()
    assert "[bold]gone[/bold]" in line.text


@pytest.mark.parametrize(
    ("given", "lines", "text"),
    [
        (
            Problem(1_234, "row-12", Fault("role", 'must be "user"', path="params.messages.0.role")),
            1,
            'line 1,234 (row-12) params.messages.0.role: must be "user"',
        ),
        (
            Problem(1, "row-1", Fault("model", "not available", path="params.model")),
            5_000,
            "5,000 lines, first 1 (row-1) params.model: not available",
        ),
        (Problem(5, "", Fault("id", "must be text", path="custom_id")), 1, "line 5 custom_id: must be text"),
        (Problem(3, "", Fault("not_json", "not JSON at byte 1")), 1, "line 3: not JSON at byte 1"),
        (Problem(3, "a\x1b", Fault("x", "bad\n", Severity.WARNING)), 1, r"line 3 (a\x1b): bad\n"),
    ],
)
def test_a_problem_says_where_it_is(given: Problem, lines: int, text: str) -> None:
    line = problem_line(ProblemKind(given, lines))
    assert line.text == text
    assert drawn(draw_problems([ProblemKind(given, lines)]), 200).strip() == text


@pytest.mark.parametrize("custom_id", ["row-5", ""])
def test_only_the_line_number_of_a_problem_stands_out(custom_id: str) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="256")
    with console.capture() as capture:
        console.print(draw_problems([ProblemKind(Problem(5, custom_id, Fault("id", "wrong", path="params.model")), 1)]))
    assert "mline 5\x1b[0m" in capture.get()
