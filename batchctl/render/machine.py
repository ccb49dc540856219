"""The same for programs: JSON whose keys only grow. `schema_version` changes when one must go."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from batchctl.domain.errors import BatchctlError
from batchctl.domain.headers import headers_of
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Batch, Failures, Headers, Job, Merged, MessageBatch
from batchctl.domain.prices import Cached, Forecast, Total
from batchctl.render.text import is_harmless, is_utf8

if TYPE_CHECKING:
    from batchctl.domain.caching import Caching
    from batchctl.domain.health import Checkup
    from batchctl.domain.prices import ModelPrices, Prices
    from batchctl.domain.scan import Problem, Scan
    from batchctl.engine.choosing import Chosen
    from batchctl.engine.unconfirmed import UnconfirmedBatch
    from batchctl.money.advice import Advice
    from batchctl.money.bill import BatchBill, Bill, Cost, Part
    from batchctl.money.estimate import Estimate, Range
    from batchctl.money.price_table import PriceTable
    from batchctl.results.proof import Flaw, Proof

SCHEMA_VERSION = 1


def write(stream: TextIO, shape: dict[str, Any]) -> None:
    # A character that a stream has not would be replaced: then it is another name, or no JSON.
    said = json.dumps(
        {"schema_version": SCHEMA_VERSION, **shape}, default=_plain, ensure_ascii=not is_utf8(stream.encoding)
    )
    stream.write(_escaped(said) + "\n")
    stream.flush()


def _escaped(said: str) -> str:
    """The same JSON: JSON itself escapes the oldest of the characters that a terminal obeys, here are the others."""
    if said.isascii() and "\x7f" not in said:
        return said
    return "".join(c if is_harmless(c) else _escape(c) for c in said)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def problem_shape(problem: BatchctlError, exit_status: int) -> dict[str, Any]:
    """Of an error, on stderr."""
    return {
        "type": "error",
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint or None,
        "exit_status": exit_status,
    }


def job_shape(report: JobReport, *, with_batches: bool = False) -> dict[str, Any]:
    job = report.job
    return {
        "type": "job",
        "job": job.name,
        "stage": report.stage.value,
        "input": job.input_path if job.has_requests else None,
        "input_sha256": job.input_sha256 if job.has_requests else None,
        "labels": job.settings.labels,
        "cache_system": job.settings.cache_system or None,
        "api_version": job.settings.api_version,
        "betas": list(job.settings.betas),
        "max_cost_usd": None if job.max_cost is None else usd(job.max_cost),
        "requests": job.count,
        "left_out": job.left_out,
        "in_no_batch": report.in_no_batch,
        "created_at": job.created_at,
        "elapsed_seconds": round(report.elapsed.total_seconds(), 3),
        "eta": report.eta,
        "expires_at": report.expires_at,
        "retained_until": report.retained_until,
        "batches": {
            "total": len(report.batches),
            "ended": report.ended,
            "fetched": report.fetched,
            "provisional": report.matched,
        },
        "rests_on": report.rests_on or None,
        "rounds": [
            {
                "round": r.number,
                "requests": r.requests,
                "batches": r.batches,
                "states": {state.value: n for state, n in r.by_state.items()},
                "request_counts": asdict(r.counts),
                "headers": [{**headers_shape(headers), "batches": n} for headers, n in r.headers],
                "changes": list(r.changes),
            }
            for r in report.rounds
        ],
        "answers": merged_shape(report.merged) if report.merged else None,
        "cost": total_shape(report.merged.cost) if report.merged else None,
        "failures": [failures_shape(f) for f in report.failures],
        "warnings": list(report.warnings),
        "next_command": report.next_command or None,
        **({"message_batches": [batch_shape(b, headers_of(job, b)) for b in report.batches]} if with_batches else {}),
    }


def headers_shape(of: Headers | None) -> dict[str, Any]:
    """Null where they are not known: of batches that were made elsewhere."""
    return {"api_version": of.api_version if of else None, "betas": list(of.betas) if of else None}


def batch_shape(batch: Batch, headers: Headers | None) -> dict[str, Any]:
    return {
        "id": batch.message_batch_id,
        "round": batch.round,
        "first": batch.cut.first,
        "requests": batch.count,
        "bytes": batch.cut.body_bytes if batch.cut.has_requests else None,
        "sha256": batch.cut.sha256 if batch.cut.has_requests else None,
        "state": batch.state.value,
        "provisional": batch.provisional,
        "evidence": batch.evidence or None,
        "held": batch.held or None,
        **headers_shape(headers),
        "request_counts": asdict(batch.counts),
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "ended_at": batch.ended_at,
        "note": batch.note or None,
    }


def failures_shape(of: Failures) -> dict[str, Any]:
    return {
        "outcome": of.outcome,
        "type": of.error_type,
        "class": of.failure_class,
        "requests": of.count,
        "sample_ids": list(of.sample_ids),
        "sample_message": of.sample_message,
    }


def merged_shape(merged: Merged) -> dict[str, Any]:
    counts = asdict(merged)
    return {name: n for name, n in counts.items() if name not in {"at", "batches", "failures", "cost"}}


def fetched_shape(report: JobReport, merged: Merged, results: str, errors: Path) -> dict[str, Any]:
    return {
        **job_shape(report),
        "type": "fetch",
        "answers": merged_shape(merged),
        "cost": total_shape(merged.cost),
        "results_file": results if merged.batches else None,
        "errors_file": str(errors),
    }


def usd(value: Decimal) -> str:
    """Exact, to the last digit."""
    return f"{value.normalize():f}"


def total_shape(total: Total | None) -> dict[str, Any] | None:
    """`..._usd` are null where the cost is not known: then `known_..._usd` are of all that has a price, or null, too."""
    if total is None:
        return None
    return {
        **_amounts(total.batch, total.real_time, is_known=not total.unknown, has_known=total.has_known),
        **_cache_shape(total.cache),
        "at_least": bool(total.beyond),
        "unknown": list(total.unknown),
        "beyond": list(total.beyond),
        "sources": list(total.sources),
        "price_days": [day.isoformat() for day in total.days],
    }


def _cache_shape(of: Cached | None) -> dict[str, Any]:
    """Nulls where nothing was to be cached; a saving below 0 is a loss, and null where a price is not known."""
    rate = float(round(of.hit_rate, 6)) if of else None
    saved = usd(of.saved) if of and of.saved is not None else None
    return {"cache_hit_rate": rate, "cache_saved_usd": saved}


# Of a total, where nothing was fetched so far.
_NOTHING = {"at_least": False, "unknown": [], "beyond": [], "sources": [], "price_days": []}


def _amounts(batch: Decimal, real_time: Decimal, *, is_known: bool, has_known: bool) -> dict[str, str | None]:
    found = {"batch_usd": usd(batch), "real_time_usd": usd(real_time), "saved_usd": usd(real_time - batch)}
    known = {f"known_{name}": value if has_known else None for name, value in found.items()}
    return {**(found if is_known else dict.fromkeys(found)), **known}


def cost_shape(bill: "Bill", next_command: str, *, with_batches: bool) -> dict[str, Any]:
    """Of `cost`."""
    from batchctl.money.bill import whole  # noqa: PLC0415 - of one verb

    return {
        "type": "cost",
        "job": bill.job.name,
        "total": {
            **_cost_shape(bill.cost, is_summed_up=bill.total is not None),
            **(total_shape(bill.total) or _NOTHING),
        },
        "models": _models_shape(bill.models),
        "rounds": [
            {
                "round": one.number,
                "batches": one.batches,
                "batches_summed_up": one.summed_up,
                "at_least": 0 < one.summed_up < one.batches,
                **_cost_shape(whole(one.models), is_summed_up=bool(one.summed_up)),
                "forecast": forecast_shape(one.forecast) if one.forecast else None,
                "models": _models_shape(one.models),
            }
            for one in bill.rounds
        ],
        "free": {name: getattr(bill.free, name) for name in ("errored", "canceled", "expired")},
        **({"message_batches": [_batch_bill_shape(one) for one in bill.batches]} if with_batches else {}),
        "next_command": next_command or None,
    }


def forecast_shape(of: Forecast) -> dict[str, Any]:
    amounts = {"low_usd": of.low, "expected_usd": of.expected, "high_usd": of.high}
    said = {"high_is_bound": of.is_bound, "how": of.how, "prices": of.prices}
    return {**{name: usd(value) for name, value in amounts.items()}, **said}


def _batch_bill_shape(one: "BatchBill") -> dict[str, Any]:
    from batchctl.money.bill import whole  # noqa: PLC0415 - of one verb

    return {
        "id": one.batch.message_batch_id,
        "round": one.batch.round,
        "batch": one.number,
        "price_day": one.day.isoformat(),
        "usage_unread": one.unread,
        **_cost_shape(whole(one.models), is_summed_up=one.unread is not None),
        "models": _models_shape(one.models),
    }


def _models_shape(models: "Mapping[str, Part]") -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            **_cost_shape(part.cost),
            "prices": [
                {"model": s.model, "day": s.day.isoformat(), "source": s.source, "note": s.note or None}
                for s in part.model_prices_list
            ],
        }
        for model, part in models.items()
    ]


def _cost_shape(cost: "Cost", *, is_summed_up: bool = True) -> dict[str, Any]:
    """Amounts are null where nothing is known so far: nothing was fetched, or nothing of it has a price."""
    has_known = is_summed_up and (cost.is_known or cost.unpriced < cost.requests)
    return {
        "requests": cost.requests,
        "unpriced_requests": cost.unpriced,
        "usage": asdict(cost.usage),
        **_cache_shape(cost.cache),
        **_amounts(cost.batch, cost.real_time, is_known=is_summed_up and cost.is_known, has_known=has_known),
    }


def proof_shape(proof: "Proof") -> dict[str, Any]:
    from batchctl.results.proof import Part, hint  # noqa: PLC0415 - of one verb

    """Of `verify`. `holds`: the disk is what the ledger says; `complete`: and every line of the input has its answer."""
    output = proof.output
    return {
        "type": "verify",
        "job": proof.job.name,
        "holds": not proof.flaws,
        "complete": proof.is_complete,
        "requests": proof.job.count,
        "left_out": proof.job.left_out,
        "lines": proof.job.line_count,
        "verdicts": {part.value: proof.verdict(part).value for part in Part},
        "rounds": [
            {
                "round": one.number,
                "requests": one.requests,
                "requests_known": one.requests_known,
                "held_against_input": one.is_held_against_input,
                "batches": one.batches,
                "fetched": one.fetched,
                "results": one.results,
            }
            for one in proof.rounds
        ],
        "waiting": proof.waiting,
        "rests_on": proof.rests_on or None,
        "answers": merged_shape(proof.answers) if proof.answers else None,
        "results_file": output.path,
        "results_file_lines": output.lines if output.is_there else None,
        "results_file_sha256": output.sha256 or None,
        "flaws": proof.flaws,
        "first_flaws": [_flaw_shape(flaw, hint(flaw, proof.fetch_command)) for flaw in proof.first_flaws],
        "next_command": proof.next_command or None,
    }


def _flaw_shape(flaw: "Flaw", advice: str) -> dict[str, Any]:
    return {
        "part": flaw.part.value,
        "message": flaw.message,
        "round": flaw.round or None,
        "batch": flaw.batch or None,
        "line": flaw.line or None,
        "custom_id": flaw.custom_id or None,
        "path": flaw.path or None,
        "hint": advice,
    }


def checkup_shape(found: "Checkup") -> dict[str, Any]:
    from batchctl.domain.health import Health  # noqa: PLC0415 - of one verb

    """Of `doctor`."""
    return {
        "type": "doctor",
        "ok": found.count(Health.OK),
        "warn": found.count(Health.WARN),
        "fail": found.count(Health.FAIL),
        "findings": [
            {"subject": one.subject, "health": one.health.value, "said": one.said, "advice": one.advice or None}
            for one in found.findings
        ],
        "next_command": found.next_command,
    }


def prices_shape(table: "PriceTable", next_command: str) -> dict[str, Any]:
    """US$ per million tokens and, of web searches, per thousand; as text, for a number would be rounded."""
    refreshed = table.refreshed
    return {
        "type": "prices",
        "day": str(table.day),
        "models": [sheet_shape(model_prices) for model_prices in table.model_prices_list],
        "unpriced": list(table.unpriced),
        "left_out": table.left_out,
        "refreshed": asdict(refreshed) if refreshed else None,
        "next_command": next_command,
    }


def sheet_shape(model_prices: "ModelPrices") -> dict[str, Any]:
    return {
        "model": model_prices.model,
        "source": model_prices.source,
        "note": model_prices.note or None,
        "steps": [
            {"over": step.over, "real_time": _prices_shape(step.real_time), "batch": _prices_shape(step.batch)}
            for step in model_prices.steps
        ],
    }


def _prices_shape(prices: "Prices") -> dict[str, str]:
    return {name: f"{price.normalize():f}" for name, price in asdict(prices).items()}


def chosen_shape(
    job: str, round_: int, chosen: "Chosen", path: Path, estimate: "Estimate | None" = None
) -> dict[str, Any]:
    return {
        "type": "retry",
        "job": job,
        "round": round_,
        "requests": chosen.requests,
        "bytes": chosen.bytes,
        "sent": [{"type": kind, "class": cls, "requests": n} for (kind, cls), n in chosen.sent.items()],
        "left": [
            {"type": kind, "class": cls, "why": why, "requests": n} for (kind, cls, why), n in chosen.left.items()
        ],
        "request_file": str(path),
        "estimate": estimate_shape(estimate) if estimate else None,
    }


def doubts_shape(
    job: str, opened: "Sequence[UnconfirmedBatch]", surplus: Sequence[str], suspects: Sequence[MessageBatch]
) -> dict[str, Any]:
    return {
        "type": "doubts",
        "job": job,
        "doubts": [
            {
                "batch": d.number,
                "round": d.batch.round,
                "requests": d.batch.count,
                "message_batch_id": d.batch.message_batch_id,
                "known_to_the_api": not d.is_lost,
                "list_may_be_behind": d.is_early,
                "list_read_whole": d.is_list_whole,
                "sent_with_another_key": d.is_other_key,
                "intent_at": d.batch.intent_at,
                "missing_since": d.batch.missing_since,
                "note": d.batch.note or None,
                "candidates": [{**_seen_shape(c.seen), "share_of_ids": c.share} for c in d.candidates],
            }
            for d in opened
        ],
        "surplus": list(surplus),
        "may_be_surplus": [_seen_shape(s) for s in suspects],
    }


def _seen_shape(seen: MessageBatch) -> dict[str, Any]:
    return {
        "id": seen.id,
        "processing_status": seen.processing_status,
        "requests": seen.size,
        "created_at": seen.created_at,
    }


def estimate_shape(of: "Estimate") -> dict[str, Any]:
    """Amounts are US dollars as exact decimals in text; null where a model has no price."""
    forecast = of.forecast
    return {
        "type": "estimate",
        "day": of.day,
        "sources": list(of.sources),
        "requests": of.requests,
        "requests_counted": of.counted,
        "batch_usd": _range_shape(forecast),
        "high_is_bound": forecast.is_bound if forecast else None,
        "real_time_usd": _range_shape(of.real_time),
        "unpriced": list(of.unpriced),
        "models": [
            {
                "model": one.model,
                "priced_as": one.model_prices.model if one.model_prices else None,
                "source": one.model_prices.source if one.model_prices else None,
                "requests": one.requests,
                "groups": one.groups,
                "input_tokens": _range_shape(one.input),
                "output_tokens": _range_shape(one.output),
                "batch_usd": _range_shape(one.batch),
                "real_time_usd": _range_shape(one.real_time),
            }
            for one in of.models
        ],
        "caches": [
            {
                "ttl": one.ttl,
                "is_in_the_input": one.is_there,
                "requests": one.requests,
                "prefix_tokens": one.prefix_tokens,
                "input_without_cache_usd": one.without,
                "input_usd_by_hit_rate": {str(rate): amount for rate, amount in one.rows},
                "break_even_hit_rate": round(one.break_even, 4),
            }
            for one in of.caches
        ],
        "how": list(of.how),
        "advice": [_advice_shape(one) for one in of.advice],
    }


def _advice_shape(one: "Advice") -> dict[str, Any]:
    """`saves_usd`: at worst and at best, below 0 where it costs more; null where no bill changes or no price is known."""
    return {
        "code": one.code.value,
        "model": one.model,
        "requests": one.requests,
        "text": one.text,
        "saves_usd": dict(zip(("low", "high"), map(usd, one.saves), strict=True)) if one.saves else None,
    }


def _range_shape(of: "Range[Any] | Forecast | None") -> dict[str, Any] | None:
    return {"low": of.low, "expected": of.expected, "high": of.high} if of else None


def rest_shape(job: Job, planned: Sequence[Batch], unconfirmed: int, estimate: "Estimate | None") -> dict[str, Any]:
    """Of a job that is there: what is left to send. `unconfirmed`: batches that may have to be sent again."""
    return {
        "type": "rest",
        "job": job.name,
        "requests": sum(batch.count for batch in planned),
        "batches": [
            {
                "round": one.round,
                "first": one.cut.first,
                "requests": one.count,
                "bytes": one.cut.body_bytes,
                "sha256": one.cut.sha256,
            }
            for one in planned
        ],
        "unconfirmed": unconfirmed,
        "estimate": estimate_shape(estimate) if estimate else None,
    }


def check_shape(
    scan: "Scan", problems: "Sequence[Problem]", problems_file: str | None, estimate: "Estimate | None" = None
) -> dict[str, Any]:
    return {
        "type": "check",
        "requests": scan.count,
        "left_out": scan.left_out,
        "blank_lines": scan.blank,
        "bytes": scan.size,
        "sha256": scan.sha256,
        "deep_checked": scan.deep_checked,
        "models_checked": not scan.models_unchecked,
        "cache_system": _caching_shape(scan.caching) if scan.caching else None,
        "errors": scan.errors,
        "warnings": scan.warnings,
        "by_code": scan.by_code,
        "batches": [
            {"first": c.first, "requests": c.count, "bytes": c.body_bytes, "sha256": c.sha256} for c in scan.cuts
        ],
        "first_problems": [
            {
                "line": p.line,
                "custom_id": p.custom_id or None,
                "severity": p.fault.severity.value,
                "code": p.fault.code,
                "path": p.fault.path or None,
                "message": p.fault.message,
            }
            for p in problems
        ],
        "problems_file": problems_file,
        "estimate": estimate_shape(estimate) if estimate else None,
    }


def _caching_shape(of: "Caching") -> dict[str, Any]:
    return {
        "ttl": of.ttl,
        "requests": of.requests,
        "seen_before": of.repeats,
        "left": [{"why": why, "requests": n} for why, n in of.left.items()],
        "too_short": [
            {"model": model, "requests": one.requests, "estimated_tokens": one.tokens, "least_tokens": one.least}
            for model, one in of.short.items()
        ],
    }
