"""What waits for a decision, as it is drawn and as a program reads it."""

from dataclasses import replace

from builders import HOUR, NOW, a_batch, a_message_batch
from render.drawing import drawn, written

from batchctl.domain.model import Batch, State
from batchctl.engine.unconfirmed import Candidate, UnconfirmedBatch
from batchctl.render import unconfirmed


def an_open(batch: Batch, *candidates: Candidate, is_lost: bool = False, is_early: bool = False) -> UnconfirmedBatch:
    return UnconfirmedBatch(batch=batch, number=2, total=3, is_lost=is_lost, is_early=is_early, candidates=candidates)


SEEN = a_message_batch("msgbatch_7", created_at=NOW)
OPENED = [
    an_open(a_batch(State.SUBMITTING, note="unconfirmed: HTTP 504 gateway\ntimeout"), Candidate(seen=SEEN, share=None)),
    an_open(a_batch(State.SUBMITTING), Candidate(seen=replace(SEEN, counts=None, created_at=None), share=1.0)),
    an_open(a_batch(State.ENDED, held="msgbatch_1: its model differs"), Candidate(seen=SEEN, share=0.5)),
    an_open(a_batch(State.SUBMITTING), is_early=True),
    an_open(a_batch(State.IN_PROGRESS, missing_since=NOW - HOUR), is_lost=True),
]


def test_what_is_unconfirmed_is_drawn_with_what_is_known_of_it() -> None:
    text = drawn(unconfirmed.draw("reviews-7f3a", OPENED, (), (), NOW + HOUR), 200)
    rows = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    begun = "its create began at 2026-11-21 12:00:00 UTC"
    place = "batch 2 of 3, round 1: 10 requests"
    assert [row for row in rows if row.startswith(("unconfirmed", "not known"))] == [
        rf"unconfirmed {place}; {begun}; HTTP 504 gateway\ntimeout",
        f"unconfirmed {place}; {begun}",
        f"unconfirmed {place}; msgbatch_1: its model differs",
        f"unconfirmed {place}; {begun}",
        f"not known {place}; the API answers 404 for msgbatch_1 since 2 h 0 m",
    ]
    assert [row for row in rows if row.startswith("msgbatch_7")] == [
        "msgbatch_7 in_progress 10 1 h 0 m ago not known before it has ended",
        "msgbatch_7 in_progress unknown unknown are this batch's",
        "msgbatch_7 in_progress 10 1 h 0 m ago are partly others'",
    ]


def test_what_does_not_fit_goes_on_under_the_text() -> None:
    text = drawn(unconfirmed.draw("reviews-7f3a", OPENED[:1], (), (), NOW), 60)
    begin, more = text.splitlines()[:2]
    assert begin.startswith("unconfirmed  batch 2 of 3")
    assert more.startswith(" " * len("unconfirmed  "))
    assert more.strip()


def test_a_candidate_that_cannot_be_read_is_null_and_never_zero() -> None:
    found = written(unconfirmed.to_json("reviews-7f3a", OPENED[:2], (), ()))
    assert [one["candidates"] for one in found["doubts"]] == [
        [
            {
                "id": "msgbatch_7",
                "processing_status": "in_progress",
                "requests": requests,
                "created_at": created_at,
                "share_of_ids": share,
            }
        ]
        for requests, created_at, share in ((10, "2026-11-21T12:00:00+00:00", None), (None, None, 1.0))
    ]
