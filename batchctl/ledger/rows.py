"""Conversion between rows of the ledger's tables and the words of `domain`.

A row holds Python values (SQLAlchemy has applied the types of `schema`), in the order of the columns named here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
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
    PresumedNotCreated,
    Purpose,
    RequestCounts,
    Round,
    Settings,
    State,
    Unconfirmed,
    WithheldShape,
)
from batchctl.domain.notifications import Notification, NotifyEvent, NotifyTarget, TargetKind
from batchctl.domain.prices import CacheUse, Forecast, ModelPrices, Prices, PriceTier, TotalCost, Usage, UsageTotals

Row = Sequence[Any]

COUNTERS = ("processing", "succeeded", "errored", "canceled", "expired")
# What was counted in the results stands in the merge and in `failure`: nobody asks the batch for it.
UNREAD = ("unknown", "truncated", "refusals", "paused_turns")

_CUT = ("first", "count", "start", "end", "sha256")
# All that stands behind the counters in a row of BATCH.
_REST = (
    "id", "job_id", "round", "message_batch_id", "tries", "list_reads", "attempt", "unknown_creates", "unproven_refusals",
    "api", "evidence", "held", "results_bytes", "results_sha256", "usage_unread", "note", "provisional", "identified",
    "counts_unread", "intent_at", "created_after", "not_before", "put_off_at", "missing_since", "deleted_at", "created_at",
    "expires_at", "ended_at", "polled_at",
)  # fmt: skip
# The note of the move by which a batch loses its id, because the API does not know it any more.
FORGOTTEN = "no longer known to the API"
PRESUMED = ("batch_id", *_CUT, "created_after")
BATCH = ("state", "unconfirmed", "if_absent", "owner", "lease_until", "headers", *_CUT, *COUNTERS, *_REST)
ROUND = (
    "job_id",
    "number",
    "request_file",
    "size",
    "mtime_ns",
    "count",
    "created_at",
    "shape",
    "forecast",
    "changes",
    "purpose",
)
JOB = (
    "id", "name", "input_path", "input_sha256", "input_size", "input_mtime_ns", "line_count", "left_out", "api_version",
    "betas", "max_requests", "max_bytes", "labels", "cache_system", "size_start", "depth", "created_at", "paused",
    "hold_until", "hold_at", "hold_reason", "canceled_at", "may_be_copied", "window", "window_at", "max_cost", "merged",
    "canary", "prime_min_hit", "withheld",
)  # fmt: skip
USED = {
    "input_tokens": "input",
    "write_5m_tokens": "write_5m",
    "write_1h_tokens": "write_1h",
    "read_tokens": "read",
    "output_tokens": "output",
    "web_searches": "web_searches",
}
NOTIFY_TARGET = ("id", "kind", "label")
NOTIFICATION = ("id", "message_id", "event", "body", "attempts", "created_at", "attempted_at", "not_before")
_AMOUNTS = ("low", "expected", "high")
_SETTINGS = (
    "api_version",
    "max_requests",
    "max_bytes",
    "labels",
    "cache_system",
    "size_start",
    "depth",
    "canary",
    "prime_min_hit",
)
USAGE = ("batch_id", "model", "prompt_over", "inference_geo", "requests", "prices", *USED.values())
FAILURE = ("batch_id", "outcome", "error_type", "failure_class", "count", "sample_ids", "sample_message")


def job_of(row: Row, rounds: Sequence[Round], duplicates: Sequence[tuple[str, bool]]) -> Job:
    """Return the job of a row of JOB.

    Args:
        row: Values of the columns of JOB.
        rounds: The rounds of the job.
        duplicates: Ids of duplicate batches at the API, each with whether it is over.

    Raises:
        LedgerProblem: The name of the job would lead out of its folder.
    """
    values = dict(zip(JOB, row, strict=True))
    if not _is_file_name(values["name"]):
        raise LedgerProblem(
            f"the ledger has a job with the invalid name {values['name']!r}",
            hint="if the workspace came from somebody else, use your own: --workspace DIR",
        )
    settings = Settings(
        betas=tuple(values.pop("betas")),
        **{name: values.pop(name) for name in _SETTINGS},
    )
    values["merged"] = _merged_of(values["merged"])
    if values["withheld"] is not None:
        values["withheld"] = tuple(WithheldShape(**shape) for shape in values["withheld"])
    values["max_cost"] = None if values["max_cost"] is None else Decimal(values["max_cost"])
    values["duplicate_batches"], values["paid_twice"] = (
        tuple(name for name, is_over in duplicates if is_over is which) for which in (False, True)
    )
    return Job(**values, settings=settings, rounds=tuple(rounds))


def _is_file_name(name: object) -> bool:
    """Return whether a job's folder and output may be called so: one part of a path that leads nowhere else."""
    return isinstance(name, str) and name not in {"", ".", ".."} and not {"/", "\0"} & set(name)


def round_of(row: Row) -> Round:
    """Return the round of a row of ROUND."""
    values = dict(zip(ROUND, row, strict=True))
    del values["job_id"]
    stored = values.pop("forecast")
    forecast = Forecast(**{**stored, **{name: Decimal(stored[name]) for name in _AMOUNTS}}) if stored else None
    return Round(
        **{
            **values,
            "forecast": forecast,
            "changes": tuple(values["changes"] or ()),
            "purpose": Purpose(values["purpose"]),
        }
    )


def forecast_values(forecast: Forecast | None) -> dict[str, Any] | None:
    """Return a forecast as JSON, its amounts as text."""
    return {**asdict(forecast), **{name: str(getattr(forecast, name)) for name in _AMOUNTS}} if forecast else None


def usage_totals_of(row: Row) -> UsageTotals:
    """Return the usage of a row of USAGE."""
    values = dict(zip(USAGE, row, strict=True))
    used = {name: values.pop(column) for name, column in USED.items()}
    stored = values.pop("prices")
    del values["batch_id"]
    return UsageTotals(**values, usage=Usage(**used), model_prices=_model_prices_of(values["model"], stored))


def usage_totals_values(usage_totals: UsageTotals) -> dict[str, Any]:
    """Return the columns of a usage, without its batch."""
    plain = {name: getattr(usage_totals, name) for name in ("model", "prompt_over", "inference_geo", "requests")}
    used = {column: getattr(usage_totals.usage, name) for name, column in USED.items()}
    return {**plain, **used, "prices": _model_prices_values(usage_totals.model_prices)}


def _model_prices_of(model: str, stored: Mapping[str, Any] | None) -> ModelPrices | None:
    if not stored:
        return None
    tiers = tuple(
        PriceTier(over=tier["over"], batch=_prices_of(tier["batch"]), real_time=_prices_of(tier["real_time"]))
        for tier in stored["steps"]
    )
    day = date.fromisoformat(stored["day"])
    return ModelPrices(model=model, day=day, source=stored["source"], note=stored["note"], tiers=tiers)


def _prices_of(stored: dict[str, str]) -> Prices:
    return Prices(**{name: Decimal(value) for name, value in stored.items()})


def _model_prices_values(model_prices: ModelPrices | None) -> dict[str, Any] | None:
    if model_prices is None:
        return None
    tiers = [
        {"over": s.over, "batch": _as_text(s.batch), "real_time": _as_text(s.real_time)} for s in model_prices.tiers
    ]
    return {
        "day": model_prices.day.isoformat(),
        "source": model_prices.source,
        "note": model_prices.note,
        "steps": tiers,
    }


def _as_text(prices: Prices) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(prices).items()}


def batch_of(row: Row) -> Batch:
    """Return the batch of a row of BATCH."""
    # A report reads a thousand of them: the values are taken from left to right, each one once.
    values = iter(row)
    state, unconfirmed, if_absent, owner, lease_until, headers = (next(values) for _ in range(6))
    return Batch(
        state=State(state),
        unconfirmed=Unconfirmed(unconfirmed),
        if_absent=IfAbsent(if_absent),
        claim=Claim(owner=owner, until=lease_until) if owner else None,
        headers=Headers(api_version=headers["api_version"], betas=tuple(headers["betas"])) if headers else None,
        cut=Cut(**_taken(_CUT, values)),
        counts=RequestCounts(**_taken(COUNTERS, values)),
        **_taken(_REST, values),
    )


def headers_values(headers: Headers) -> dict[str, Any]:
    """Return headers as JSON; the keys are columns of a job, too."""
    return {"api_version": headers.api_version, "betas": list(headers.betas)}


def presumed_of(row: Row) -> PresumedNotCreated:
    """Return the presumption of a row of PRESUMED, followed by the job and the round of its batch."""
    values = dict(zip((*PRESUMED, "job_id", "round"), row, strict=True))
    cut = Cut(**{name: values.pop(name) for name in _CUT})
    return PresumedNotCreated(**values, cut=cut)


def _taken(names: Sequence[str], values: Iterator[Any]) -> dict[str, Any]:
    """Take as many of the values as there are names."""
    return dict(zip(names, values, strict=False))


def failures_of(row: Row) -> Failures:
    """Return the failures of a row of FAILURE, followed by the round of its batch."""
    values = dict(zip((*FAILURE, "round"), row, strict=True))
    del values["batch_id"]
    return _failures(values)


def notify_target_of(row: Row) -> NotifyTarget:
    """Return the target of a row of NOTIFY_TARGET."""
    values = dict(zip(NOTIFY_TARGET, row, strict=True))
    return NotifyTarget(**{**values, "kind": TargetKind(values["kind"])})


def notification_of(row: Row) -> Notification:
    """Return the notification of a row of NOTIFICATION, followed by the name of its job and by NOTIFY_TARGET."""
    own, (job, *target) = row[: len(NOTIFICATION)], row[len(NOTIFICATION) :]
    values = dict(zip(NOTIFICATION, own, strict=True))
    return Notification(**{**values, "event": NotifyEvent(values["event"])}, job=job, target=notify_target_of(target))


def cut_values(cut: Cut) -> dict[str, Any]:
    """Return the columns of a batch that is only planned."""
    return {
        **asdict(cut),
        "state": State.PLANNED.value,
        "unconfirmed": Unconfirmed.NOTHING.value,
        "if_absent": IfAbsent.PLAN.value,
        **dict.fromkeys(("provisional", "identified", "counts_unread"), False),
        **dict.fromkeys(("api", "evidence", "held", "note"), ""),
        **dict.fromkeys(("tries", "list_reads", "attempt", "unknown_creates", "unproven_refusals"), 0),
        **dict.fromkeys((*COUNTERS, *UNREAD), 0),
    }


def seen_values(seen: MessageBatch, now: datetime) -> dict[str, Any]:
    """Return the columns that an answer of the API changes. What could not be read takes away nothing that is known."""
    times = {name: getattr(seen, name) for name in ("created_at", "expires_at", "ended_at")}
    return {
        **({name: getattr(seen.counts, name) for name in COUNTERS} if seen.counts is not None else {}),
        **{name: at for name, at in times.items() if at is not None},
        "counts_unread": seen.counts is None,
        "polled_at": now,
        "missing_since": None,
    }


def merged_values(merged: Merged) -> dict[str, Any]:
    """Return a merge as JSON."""
    return {**asdict(merged), "at": merged.at.isoformat(), "cost": _total_values(merged.cost)}


def _merged_of(stored: Mapping[str, Any] | None) -> Merged | None:
    if not stored:
        return None
    failures = tuple(_failures(kind) for kind in stored["failures"])
    cost = _total_of(stored.get("cost"))
    return Merged(**{**stored, "at": datetime.fromisoformat(stored["at"]), "failures": failures, "cost": cost})


def _total_values(total: TotalCost | None) -> dict[str, Any] | None:
    if total is None:
        return None
    amounts = {"batch": str(total.batch), "real_time": str(total.real_time)}
    saved = total.cache.saved if total.cache else None
    cache = {**asdict(total.cache), "saved": None if saved is None else str(saved)} if total.cache else None
    return {**asdict(total), **amounts, "cache": cache, "days": [day.isoformat() for day in total.days]}


def _total_of(stored: Mapping[str, Any] | None) -> TotalCost | None:
    if not stored:
        return None
    cache = stored.get("cache")
    saved = None if not cache or cache["saved"] is None else Decimal(cache["saved"])
    return TotalCost(
        batch=Decimal(stored["batch"]),
        real_time=Decimal(stored["real_time"]),
        unknown=tuple(stored["unknown"]),
        beyond=tuple(stored["beyond"]),
        sources=tuple(stored["sources"]),
        days=tuple(map(date.fromisoformat, stored["days"])),
        cache=CacheUse(**{**cache, "saved": saved}) if cache else None,
    )


def _failures(values: Mapping[str, Any]) -> Failures:
    words = {"outcome": Outcome(values["outcome"]), "failure_class": FailureClass(values["failure_class"])}
    return Failures(**{**values, **words, "sample_ids": tuple(values["sample_ids"])})
