"""The JSON object of a notification, and the same as variables and as a text."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, a_batch, a_job, a_round

from batchctl.domain.job_report import JobReport, report
from batchctl.domain.model import Merged, RequestCounts, State
from batchctl.domain.notifications import NotifyEvent
from batchctl.domain.prices import TotalCost
from batchctl.notify.message import counts_of, message_of, text_of, variables_of

COST = TotalCost(batch=Decimal("0.1200"), real_time=Decimal("0.24"))
UNKNOWN = dict.fromkeys(("succeeded", "errored", "canceled", "expired", "unanswered"))
COUNTS = RequestCounts(succeeded=6, errored=1, canceled=1, expired=1)


def ended(**more: Any) -> JobReport:
    return report(a_job(**more), [a_batch(State.ENDED, counts=COUNTS)], [], NOW)


def merged(cost: TotalCost | None = COST, *more: Any) -> JobReport:
    done = Merged(at=NOW, batches=1, succeeded=7, errored=2, expired=1, cost=cost)
    return report(
        a_job(merged=done, rounds=[a_round(), *[a_round(2, 3)] * len(more)]), [a_batch(State.FETCHED), *more], [], NOW
    )


@pytest.mark.parametrize(
    ("job", "counts"),
    [
        (merged(), {"succeeded": 7, "errored": 2, "canceled": 0, "expired": 1, "unanswered": 0}),
        # The API's, before they are merged.
        (ended(), {"succeeded": 6, "errored": 1, "canceled": 1, "expired": 1, "unanswered": 1}),
        (
            report(a_job(), [a_batch(State.IN_PROGRESS)], [], NOW),
            {"succeeded": 0, "errored": 0, "canceled": 0, "expired": 0, "unanswered": 10},
        ),
        # What cannot be known is not 0.
        (report(a_job(), [a_batch(State.ENDED, counts_unread=True)], [], NOW), UNKNOWN),
        (merged(COST, a_batch(State.ENDED, round=2, counts=RequestCounts(succeeded=2))), {**UNKNOWN, "succeeded": 12}),
    ],
)  # fmt: skip
def test_the_counts_are_of_the_last_merge_or_of_the_api_and_else_unknown(
    job: JobReport, counts: dict[str, int | None]
) -> None:
    assert counts_of(job) == counts


@pytest.mark.parametrize(
    ("job", "cost"),
    [
        (merged(), "0.12"),
        (merged(replace(COST, batch=Decimal(0))), "0"),
        (merged(replace(COST, unknown=("no price",))), None),
        (merged(replace(COST, beyond=("a duplicate",))), None),
        (merged(None), None),
        (ended(), None),
        (merged(COST, a_batch(State.ENDED, round=2)), None),
    ],
)
def test_a_cost_that_is_not_known_is_empty(job: JobReport, cost: str | None) -> None:
    body = message_of(NotifyEvent.ENDED, job, "", "", "/w", NOW)
    assert json.loads(body)["cost_usd"] == cost
    assert variables_of(body)["BATCHCTL_COST_USD"] == (cost or "")


def test_the_object_in_full() -> None:
    body = message_of(NotifyEvent.NEEDS_PERSON, merged(), "no credit", "batchctl submit 'a job'", "/w/ü\udcff", NOW)
    assert body.isascii()
    assert json.loads(body) == {
        "schema_version": 1,
        "type": "notification",
        "event": "needs_person",
        "job": "reviews-7f3a",
        "stage": "done, some without success",
        "reason": "no credit",
        "at": NOW.isoformat(),
        "requests": 10,
        "counts": {"succeeded": 7, "errored": 2, "canceled": 0, "expired": 1, "unanswered": 0},
        "cost_usd": "0.12",
        "workspace": "/w/ü\udcff",
        "next": ["batchctl", "submit", "a job"],
    }
    assert variables_of(body) == {
        "BATCHCTL_EVENT": "needs_person",
        "BATCHCTL_JOB": "reviews-7f3a",
        "BATCHCTL_STAGE": "done, some without success",
        "BATCHCTL_SUCCEEDED": "7",
        "BATCHCTL_ERRORED": "2",
        "BATCHCTL_CANCELED": "0",
        "BATCHCTL_EXPIRED": "1",
        "BATCHCTL_UNANSWERED": "0",
        "BATCHCTL_COST_USD": "0.12",
        "BATCHCTL_WORKSPACE": "/w/ü\udcff",
    }
    assert text_of(body) == (
        "reviews-7f3a needs a person",
        "no credit\n10 requests: 7 succeeded, 2 errored, 1 expired\ncost: $0.12\nnext: batchctl submit 'a job'",
    )


def test_a_reason_is_bounded() -> None:
    body = message_of(NotifyEvent.NEEDS_PERSON, ended(), "x" * 5000, "", "/w", NOW)
    assert json.loads(body)["reason"] == "x" * 1000
    assert json.loads(body)["next"] is None
    assert text_of(message_of(NotifyEvent.ENDED, ended(), "", "", "/w", NOW))[0] == "reviews-7f3a has ended"
