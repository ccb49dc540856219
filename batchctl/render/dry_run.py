"""What would be sent: of an input, or of what is left of a job. `--dry-run` alone."""

from collections.abc import Iterable, Sequence
from typing import Any

from batchctl.domain.caching import Caching
from batchctl.domain.check_report import Problem, Scan
from batchctl.domain.model import Batch, Job
from batchctl.domain.wording import plural
from batchctl.money.estimate import Estimate
from batchctl.render import estimate


def lines(batches: Iterable[tuple[int, int, int, int]]) -> str:
    """Return a line for each batch: its number, how many there are, its requests, and the bytes of its body."""
    return "".join(
        f"batch {number:,} of {total:,}: {plural(count, 'request')}, {body_bytes:,} bytes\n"
        for number, total, count, body_bytes in batches
    )


def to_json(scan: Scan, price: Estimate) -> dict[str, Any]:
    """Return what the check of an input found, its batches, and what they would cost."""
    return {
        "type": "check",
        "requests": scan.count,
        "left_out": scan.left_out,
        "blank_lines": scan.blank,
        "bytes": scan.size,
        "sha256": scan.sha256,
        "deep_checked": scan.deep_checked,
        "models_checked": not scan.models_unchecked,
        "cache_system": _caching_to_json(scan.caching) if scan.caching else None,
        "errors": scan.errors,
        "warnings": scan.warnings,
        "by_code": scan.by_code,
        "batches": [
            {"first": c.first, "requests": c.count, "bytes": c.body_bytes, "sha256": c.sha256} for c in scan.cuts
        ],
        "first_problems": [problem_to_json(problem) for problem in scan.first_problems],
        "problem_kinds": [{**problem_to_json(kind.first), "lines": kind.lines} for kind in scan.problem_kinds],
        # Nothing is kept of a dry run.
        "problems_file": None,
        "estimate": estimate.to_json(price),
    }


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """Return where a fault is and what it is."""
    return {
        "line": problem.line,
        "custom_id": problem.custom_id or None,
        "severity": problem.fault.severity.value,
        "code": problem.fault.code,
        "path": problem.fault.path or None,
        "message": problem.fault.message,
    }


def rest_to_json(job: Job, planned: Sequence[Batch], unconfirmed: int, price: Estimate | None) -> dict[str, Any]:
    """Return what is left to send of a job; `unconfirmed`: batches that may have to be sent again."""
    return {
        "type": "rest",
        "job": job.name,
        "requests": sum(batch.count for batch in planned),
        "batches": [
            {
                "round": batch.round,
                "first": batch.cut.first,
                "requests": batch.count,
                "bytes": batch.cut.body_bytes,
                "sha256": batch.cut.sha256,
            }
            for batch in planned
        ],
        "unconfirmed": unconfirmed,
        "estimate": estimate.to_json(price) if price else None,
    }


def _caching_to_json(caching: Caching) -> dict[str, Any]:
    return {
        "ttl": caching.ttl,
        "requests": caching.requests,
        "seen_before": caching.repeats,
        "left": [{"why": why, "requests": n} for why, n in caching.left.items()],
        "too_short": [
            {"model": model, "requests": short.requests, "estimated_tokens": short.tokens, "least_tokens": short.least}
            for model, short in caching.short.items()
        ],
    }
