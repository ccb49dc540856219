"""Rows to words and back."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import (
    Batch,
    Claim,
    Cut,
    FailureClass,
    Failures,
    Job,
    Merged,
    MessageBatch,
    Outcome,
    RequestCounts,
    Round,
    Settings,
    State,
)

COUNTERS = ("processing", "succeeded", "errored", "canceled", "expired")


def job_of(row: sa.Row[Any], rounds: Sequence[sa.Row[Any]], surplus: Sequence[str]) -> Job:
    return Job(
        id=row.id,
        name=row.name,
        input_path=row.input_path,
        input_sha256=row.input_sha256,
        input_size=row.input_size,
        input_mtime_ns=row.input_mtime_ns,
        line_count=row.line_count,
        left_out=row.left_out,
        settings=Settings(
            api_version=row.api_version,
            betas=tuple(row.betas),
            max_requests=row.max_requests,
            max_bytes=row.max_bytes,
            labels=dict(row.labels),
        ),
        created_at=row.created_at,
        rounds=tuple(round_of(r) for r in rounds),
        paused=row.paused,
        hold_until=row.hold_until,
        hold_reason=row.hold_reason,
        canceled_at=row.canceled_at,
        window=row.window,
        window_at=row.window_at,
        merged=merged_of(row.merged),
        surplus=tuple(surplus),
    )


def round_of(row: sa.Row[Any]) -> Round:
    columns = row._mapping  # noqa: SLF001 - its public name; `count` and `index` are methods of a row
    names = ("number", "request_file", "size", "mtime_ns", "count", "created_at")
    return Round(**{name: columns[name] for name in names})


def batch_of(row: sa.Row[Any]) -> Batch:
    columns = row._mapping  # noqa: SLF001 - as above
    claim = Claim(owner=columns["owner"], until=columns["lease_until"]) if columns["owner"] else None
    names = (
        "id job_id round message_batch_id provisional identified tries looks intent_at lost_at given_up_at api not_before"
        " missing_since deleted_at created_at expires_at ended_at looked_at results_bytes results_sha256 note"
    )
    return Batch(
        cut=Cut(**{name: columns[name] for name in ("first", "count", "start", "end", "sha256")}),
        state=State(columns["state"]),
        claim=claim,
        counts=RequestCounts(**{name: columns[name] for name in COUNTERS}),
        **{name: columns[name] for name in names.split()},
    )


def failures_of(row: sa.Row[Any]) -> Failures:
    columns = row._mapping  # noqa: SLF001 - as above
    return Failures(
        round=columns["round"],
        outcome=Outcome(columns["outcome"]),
        error_type=columns["error_type"],
        failure_class=FailureClass(columns["failure_class"]),
        count=columns["count"],
        sample_ids=tuple(columns["sample_ids"]),
        sample_message=columns["sample_message"],
    )


def cut_values(cut: Cut) -> dict[str, Any]:
    """The columns of a batch that is only planned."""
    return {
        **asdict(cut),
        "state": State.PLANNED.value,
        "provisional": False,
        "identified": False,
        "api": "",
        "tries": 0,
        "looks": 0,
        "note": "",
        **dict.fromkeys((*COUNTERS, "unknown", "truncated", "refusals", "paused_turns"), 0),
    }


def seen_values(seen: MessageBatch, now: datetime) -> dict[str, Any]:
    """What a look at the API changes."""
    return {
        **{name: getattr(seen.counts, name) for name in COUNTERS},
        "created_at": seen.created_at,
        "expires_at": seen.expires_at,
        "ended_at": seen.ended_at,
        "looked_at": now,
        "missing_since": None,
    }


def merged_values(merged: Merged) -> dict[str, Any]:
    return {**asdict(merged), "at": merged.at.isoformat()}


def merged_of(stored: dict[str, Any] | None) -> Merged | None:
    if not stored:
        return None
    failures = tuple(_failure_of(one) for one in stored["failures"])
    return Merged(**{**stored, "at": datetime.fromisoformat(stored["at"]), "failures": failures})


def _failure_of(stored: dict[str, Any]) -> Failures:
    words = {"outcome": Outcome(stored["outcome"]), "failure_class": FailureClass(stored["failure_class"])}
    return Failures(**{**stored, **words, "sample_ids": tuple(stored["sample_ids"])})
