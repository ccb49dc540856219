"""Rows to words and back. A row is a tuple of what SQLite holds, in the order of the columns that are named here."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.model import (
    Batch,
    Claim,
    Cut,
    FailureClass,
    Failures,
    Headers,
    IfAbsent,
    Job,
    Merged,
    MessageBatch,
    Outcome,
    Presumed,
    RequestCounts,
    Round,
    Settings,
    State,
    Unconfirmed,
)
from batchctl.domain.prices import Cached, Forecast, ModelPrices, Prices, PriceTier, Total, Usage, UsageTotals

Row = Sequence[Any]

COUNTERS = ("processing", "succeeded", "errored", "canceled", "expired")
# What was counted in the results stands in the merge and in `failure`: nobody asks the batch for it.
UNREAD = ("unknown", "truncated", "refusals", "paused_turns")

_CUT = ("first", "count", "start", "end", "sha256")
_PLAIN = (
    "id", "job_id", "round", "message_batch_id", "tries", "looks", "attempt", "unknown_creates", "unproven_refusals",
    "api", "evidence", "held", "results_bytes", "results_sha256", "usage_unread", "note",
)  # fmt: skip
_FLAGS = ("provisional", "identified", "counts_unread")
_INSTANTS = (
    "intent_at", "created_after", "not_before", "put_off_at", "missing_since", "deleted_at", "created_at", "expires_at",
    "ended_at", "looked_at",
)  # fmt: skip
# The note of the move by which a batch loses its name, because the API does not know it any more.
FORGOTTEN = "not known to the API any more"
PRESUMED = ("batch_id", *_CUT, "created_after")
BATCH = (
    "state",
    "unconfirmed",
    "if_absent",
    "owner",
    "lease_until",
    "headers",
    *_CUT,
    *COUNTERS,
    *_PLAIN,
    *_FLAGS,
    *_INSTANTS,
)
ROUND = ("job_id", "number", "request_file", "size", "mtime_ns", "count", "created_at", "shape", "forecast", "changes")
JOB = (
    "id", "name", "input_path", "input_sha256", "input_size", "input_mtime_ns", "line_count", "left_out", "api_version",
    "betas", "max_requests", "max_bytes", "labels", "cache_system", "size_start", "depth", "created_at", "paused", "hold_until", "hold_at", "hold_reason", "canceled_at",
    "may_be_copied", "window", "window_at", "max_cost", "merged",
)  # fmt: skip
USED = {
    "input_tokens": "input",
    "write_5m_tokens": "write_5m",
    "write_1h_tokens": "write_1h",
    "read_tokens": "read",
    "output_tokens": "output",
    "web_searches": "web_searches",
}
_AMOUNTS = ("low", "expected", "high")
USAGE = ("batch_id", "model", "prompt_over", "inference_geo", "requests", "prices", *USED.values())
FAILURE = ("batch_id", "outcome", "error_type", "failure_class", "count", "sample_ids", "sample_message")


def columns(table: str, names: Iterable[str]) -> str:
    # With its table: a name in quotes that is no column would be a text to SQLite.
    return ", ".join(f'{table}."{name}"' for name in names)


def job_of(row: Row, rounds: Sequence[Round], surplus: Sequence[tuple[str, bool]]) -> Job:
    """`surplus`: ids of the API, and whether each is settled."""
    of = dict(zip(JOB, row, strict=True))
    if not _is_file_name(of["name"]):
        raise LedgerProblem(
            f"the ledger has a job called {of['name']!r}, which batchctl names none",
            hint="if the workspace came with a repository or from somebody else, name one of your own: --workspace DIR",
        )
    settings = Settings(
        api_version=of.pop("api_version"),
        betas=tuple(json.loads(of.pop("betas"))),
        max_requests=of.pop("max_requests"),
        max_bytes=of.pop("max_bytes"),
        labels=json.loads(of.pop("labels")),
        cache_system=of.pop("cache_system"),
        size_start=of.pop("size_start"),
        depth=of.pop("depth"),
    )
    for name in ("created_at", "hold_until", "hold_at", "canceled_at", "window_at"):
        of[name] = instant(of[name])
    of["merged"] = merged_of(of["merged"])
    of["may_be_copied"] = bool(of["may_be_copied"])
    of["max_cost"] = None if of["max_cost"] is None else Decimal(of["max_cost"])
    of["surplus"], of["paid_twice"] = (
        tuple(name for name, is_settled in surplus if is_settled is which) for which in (False, True)
    )
    return Job(**of, settings=settings, rounds=tuple(rounds))


def _is_file_name(name: object) -> bool:
    """A job's folder and its output are named so: a part of a path, and none that leads elsewhere."""
    return isinstance(name, str) and name not in {"", ".", ".."} and not {"/", "\0"} & set(name)


def round_of(row: Row) -> Round:
    of = dict(zip(ROUND, row, strict=True))
    del of["job_id"]
    changes = tuple(json.loads(of["changes"]) or ()) if of["changes"] is not None else ()
    forecast = _forecast_of(of["forecast"])
    return Round(**{**of, "created_at": instant(of["created_at"]), "forecast": forecast, "changes": changes})


def _forecast_of(stored: str | None) -> Forecast | None:
    of = json.loads(stored) if stored is not None else None
    if not of:
        return None
    return Forecast(**{**of, **{name: Decimal(of[name]) for name in _AMOUNTS}})


def forecast_values(forecast: Forecast | None) -> dict[str, Any] | None:
    return {**asdict(forecast), **{name: str(getattr(forecast, name)) for name in _AMOUNTS}} if forecast else None


def usage_totals_of(row: Row) -> UsageTotals:
    of = dict(zip(USAGE, row, strict=True))
    used = {name: of.pop(column) for name, column in USED.items()}
    stored = of.pop("prices")
    del of["batch_id"]
    return UsageTotals(**of, usage=Usage(**used), model_prices=_model_prices_of(of["model"], stored))


def usage_totals_values(usage_totals: UsageTotals) -> dict[str, Any]:
    plain = {name: getattr(usage_totals, name) for name in ("model", "prompt_over", "inference_geo", "requests")}
    used = {column: getattr(usage_totals.usage, name) for name, column in USED.items()}
    return {**plain, **used, "prices": _model_prices_values(usage_totals.model_prices)}


def _model_prices_of(model: str, stored: str | None) -> ModelPrices | None:
    of = json.loads(stored) if stored is not None else None
    if not of:
        return None
    steps = tuple(
        PriceTier(over=one["over"], batch=_prices_of(one["batch"]), real_time=_prices_of(one["real_time"]))
        for one in of["steps"]
    )
    return ModelPrices(
        model=model, day=date.fromisoformat(of["day"]), source=of["source"], note=of["note"], steps=steps
    )


def _prices_of(stored: dict[str, str]) -> Prices:
    return Prices(**{name: Decimal(value) for name, value in stored.items()})


def _model_prices_values(model_prices: ModelPrices | None) -> dict[str, Any] | None:
    if model_prices is None:
        return None
    steps = [
        {"over": s.over, "batch": _as_text(s.batch), "real_time": _as_text(s.real_time)} for s in model_prices.steps
    ]
    return {
        "day": model_prices.day.isoformat(),
        "source": model_prices.source,
        "note": model_prices.note,
        "steps": steps,
    }


def _as_text(prices: Prices) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(prices).items()}


def batch_of(row: Row) -> Batch:
    # A thousand of them make one picture: from left to right, each value touched once.
    values = iter(row)
    state, unconfirmed, if_absent, owner, lease_until, headers = (next(values) for _ in range(6))
    return Batch(
        state=State(state),
        unconfirmed=Unconfirmed(unconfirmed),
        if_absent=IfAbsent(if_absent),
        claim=Claim(owner=owner, until=datetime.fromisoformat(lease_until)) if owner else None,
        headers=_headers_of(headers) if headers else None,
        cut=Cut(**_taken(_CUT, values)),
        counts=RequestCounts(**_taken(COUNTERS, values)),
        **_taken(_PLAIN, values),
        **_taken(_FLAGS, map(bool, values)),
        **_taken(_INSTANTS, map(instant, values)),
    )


@lru_cache(maxsize=64)
def _headers_of(stored: str) -> Headers | None:
    """A job has a few of them, and a thousand batches."""
    of = json.loads(stored)
    return Headers(api_version=of["api_version"], betas=tuple(of["betas"])) if of else None


def headers_values(headers: Headers) -> dict[str, Any]:
    return {"api_version": headers.api_version, "betas": list(headers.betas)}


def presumed_of(row: Row) -> Presumed:
    """Of a row of PRESUMED, and the job and round of its batch."""
    of = dict(zip((*PRESUMED, "job_id", "round"), row, strict=True))
    cut = Cut(**{name: of.pop(name) for name in _CUT})
    return Presumed(**{**of, "cut": cut, "created_after": instant(of["created_after"])})


def _taken(names: Sequence[str], values: Iterator[Any]) -> dict[str, Any]:
    """As many of the values as there are names."""
    return dict(zip(names, values, strict=False))


def failures_of(row: Row) -> Failures:
    """Of a row of FAILURE, and the round of its batch."""
    of = dict(zip((*FAILURE, "round"), row, strict=True))
    del of["batch_id"]
    return _failures(of, json.loads(of["sample_ids"]))


def instant(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)


def cut_values(cut: Cut) -> dict[str, Any]:
    """The columns of a batch that is only planned."""
    return {
        **asdict(cut),
        "state": State.PLANNED.value,
        "unconfirmed": Unconfirmed.NOTHING.value,
        "if_absent": IfAbsent.PLAN.value,
        **dict.fromkeys(("provisional", "identified", "counts_unread"), False),
        **dict.fromkeys(("api", "evidence", "held", "note"), ""),
        **dict.fromkeys(("tries", "looks", "attempt", "unknown_creates", "unproven_refusals"), 0),
        **dict.fromkeys((*COUNTERS, *UNREAD), 0),
    }


def seen_values(seen: MessageBatch, now: datetime) -> dict[str, Any]:
    """What an answer about a batch changes. What could not be read takes nothing away that is known."""
    times = {name: getattr(seen, name) for name in ("created_at", "expires_at", "ended_at")}
    return {
        **({name: getattr(seen.counts, name) for name in COUNTERS} if seen.counts is not None else {}),
        **{name: at for name, at in times.items() if at is not None},
        "counts_unread": seen.counts is None,
        "looked_at": now,
        "missing_since": None,
    }


def merged_values(merged: Merged) -> dict[str, Any]:
    return {**asdict(merged), "at": merged.at.isoformat(), "cost": _total_values(merged.cost)}


def merged_of(stored: str | None) -> Merged | None:
    of = json.loads(stored) if stored is not None else None
    if not of:
        return None
    failures = tuple(_failures(one, one["sample_ids"]) for one in of["failures"])
    cost = _total_of(of.get("cost"))
    return Merged(**{**of, "at": datetime.fromisoformat(of["at"]), "failures": failures, "cost": cost})


def _total_values(total: Total | None) -> dict[str, Any] | None:
    if total is None:
        return None
    amounts = {"batch": str(total.batch), "real_time": str(total.real_time)}
    saved = total.cache.saved if total.cache else None
    cache = {**asdict(total.cache), "saved": None if saved is None else str(saved)} if total.cache else None
    return {**asdict(total), **amounts, "cache": cache, "days": [day.isoformat() for day in total.days]}


def _total_of(of: dict[str, Any] | None) -> Total | None:
    if not of:
        return None
    return Total(
        batch=Decimal(of["batch"]),
        real_time=Decimal(of["real_time"]),
        unknown=tuple(of["unknown"]),
        beyond=tuple(of["beyond"]),
        sources=tuple(of["sources"]),
        days=tuple(map(date.fromisoformat, of["days"])),
        cache=_cached_of(of.get("cache")),
    )


def _cached_of(of: dict[str, Any] | None) -> Cached | None:
    return Cached(**{**of, "saved": None if of["saved"] is None else Decimal(of["saved"])}) if of else None


def _failures(of: dict[str, Any], sample_ids: Sequence[str]) -> Failures:
    words = {"outcome": Outcome(of["outcome"]), "failure_class": FailureClass(of["failure_class"])}
    return Failures(**{**of, **words, "sample_ids": tuple(sample_ids)})
