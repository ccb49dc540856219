"""The JSON object of a notification, and the same facts as environment variables."""

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Merged, State
from batchctl.domain.notifications import NotifyEvent
from batchctl.domain.wording import plural

SCHEMA_VERSION = 1
MAX_REASON = 1000
VARIABLES = "BATCHCTL_"
SECRET_VARIABLE = "BATCHCTL_NOTIFY_SECRET"  # noqa: S105 - the name of the variable
OUTCOMES = ("succeeded", "errored", "canceled", "expired", "unanswered")


def merge_of(report: JobReport) -> Merged | None:
    """Return the last merge where it holds all that has ended; None where more ended since, or nothing was merged."""
    is_behind = any(b.state is State.ENDED and not b.is_removed for b in report.batches)
    return None if is_behind else report.merged


def counts_of(report: JobReport) -> dict[str, int | None]:
    """Return the requests of a job by their newest outcome: those of the last merge, or else the API's.

    The API counts each round by itself. Of several rounds that are not merged yet, only the sum of the successes is known: the
    rest is None.
    """
    if merged := merge_of(report):
        return {name: getattr(merged, name) for name in OUTCOMES}
    if any(b.counts_unread for b in report.batches):
        return dict.fromkeys(OUTCOMES)
    if len(report.rounds) > 1:
        return {**dict.fromkeys(OUTCOMES), "succeeded": sum(r.counts.succeeded for r in report.rounds)}
    counts = report.rounds[0].counts
    known = {name: getattr(counts, name) for name in OUTCOMES if name != "unanswered"}
    return {**known, "unanswered": report.job.count - sum(known.values())}


def cost_of(report: JobReport) -> Decimal | None:
    """Return what the job cost in US dollars by its last merge; None where that is not known, or not all of it."""
    merged = merge_of(report)
    cost = merged.cost if merged else None
    return None if cost is None or cost.unknown or cost.beyond else cost.batch


def message_of(
    event: NotifyEvent, report: JobReport, reason: str, next_command: str, workspace: str, at: datetime
) -> str:
    """Return the JSON object of a notification. Its keys only grow.

    - `schema_version`, `type` ("notification"), `event` ("ended" or "needs_person"), `at` (ISO 8601, UTC)
    - `job`, `stage` and `requests` as in `status --json`; `workspace`: its absolute path
    - `counts`: requests by outcome; null where that is not known yet
    - `cost_usd`: text, exact; null where the cost of a part is not known, or more may come on top
    - `reason`: why a person is needed; null otherwise
    - `next`: the next command as an argv list; null where there is none

    Args:
        event: What happened.
        report: The job.
        reason: Why a person is needed, without secrets; empty otherwise.
        next_command: The command that comes next, with all options that it needs; empty where there is none.
        workspace: The folder of the workspace, absolute.
        at: When it happened.
    """
    cost = cost_of(report)
    content = {
        "schema_version": SCHEMA_VERSION,
        "type": "notification",
        "event": event.value,
        "job": report.job.name,
        "stage": report.stage.value,
        "reason": reason[:MAX_REASON] or None,
        "at": at.isoformat(),
        "requests": report.job.count,
        "counts": counts_of(report),
        "cost_usd": None if cost is None else f"{cost.normalize():f}",
        "workspace": workspace,
        "next": shlex.split(next_command) or None,
    }
    # ASCII: a path that is not UTF-8 can be sent, too, and no text drives a terminal.
    return json.dumps(content)


def variables_of(body: str) -> dict[str, str]:
    """Return the environment variables of the JSON object that `message_of` wrote."""
    content: dict[str, Any] = json.loads(body)
    values = {
        "EVENT": content["event"],
        "JOB": content["job"],
        "STAGE": content["stage"],
        **{name.upper(): "" if n is None else str(n) for name, n in content["counts"].items()},
        "COST_USD": content["cost_usd"] or "",
        "WORKSPACE": content["workspace"],
    }
    return {f"{VARIABLES}{name}": value for name, value in values.items()}


def text_of(body: str) -> tuple[str, str]:
    """Return a title and a text for a person, of the JSON object that `message_of` wrote."""
    content: dict[str, Any] = json.loads(body)
    title = f"{content['job']} {'has ended' if content['event'] == NotifyEvent.ENDED else 'needs a person'}"
    counted = [f"{number:,} {name}" for name, number in content["counts"].items() if number]
    lines = [content["reason"] or "", f"{plural(content['requests'], 'request')}: {', '.join(counted)}"]
    if content["cost_usd"] is not None:
        lines.append(f"cost: ${content['cost_usd']}")
    if content["next"]:
        lines.append(f"next: {shlex.join(content['next'])}")
    return title, "\n".join(line for line in lines if line)


def without_secrets(environment: Mapping[str, str], secrets: frozenset[str]) -> dict[str, str]:
    """Return the variables that a command may have: none that the API's client reads, and none that holds one of the secrets."""
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith("ANTHROPIC_")
        and name.upper() != SECRET_VARIABLE
        and not any(secret in value for secret in secrets)
    }
