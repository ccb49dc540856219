"""A job: `status`, and what `submit`, `fetch`, `retry`, `run`, `cancel` and `attach` end with. What matters most stands first."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.headers import headers_of
from batchctl.domain.job_report import JobReport, RoundReport, Stage
from batchctl.domain.model import Batch, FailureClass, Failures, Headers, Merged, State
from batchctl.domain.prices import dollars
from batchctl.render import total
from batchctl.render.json_output import usd
from batchctl.render.layout import facts, headed, indent, next_line, warning
from batchctl.render.text import clean, duration, moment, number, plural, size

STAGE_STYLES = {
    Stage.SENDING: "cyan",
    Stage.RUNNING: "cyan",
    Stage.TO_FETCH: "green",
    Stage.DONE: "bold green",
    Stage.INCOMPLETE: "yellow",
    Stage.CANCELED: "yellow",
    Stage.PAUSED: "bold red",
    Stage.UNCONFIRMED: "bold yellow",
    Stage.LOST: "bold red",
}
CLASS_STYLES = {
    FailureClass.RETRY: "yellow",
    FailureClass.FIX: "red",
    FailureClass.ACCOUNT: "bold red",
    FailureClass.POLICY: "magenta",
}
BAR_WIDTH = 24
# Of failures; `--json` has them all.
SHOWN_TYPES = 12


def draw(report: JobReport, *, wide: bool = False) -> RenderableType:
    """Return one job; `wide` adds a row for each batch."""
    labels = " ".join(f"{name}={value}" for name, value in report.job.settings.labels.items())
    title = Text.assemble(
        (report.job.name, "bold"),
        "  ",
        _stage(report.stage),
        (f"  {clean(labels)}" if labels else "", "dim"),
    )
    parts: list[RenderableType] = [title, indent(facts(_facts(report))), Text(""), indent(_rounds(report.rounds))]
    if any(r.by_state.get(State.IN_PROGRESS) for r in report.rounds):
        parts.append(Text("  the API counts a batch's requests only once all of it has ended", style="dim"))
    if report.merged:
        summary = answers(report.merged, report.job.left_out)
        if report.stage not in {Stage.DONE, Stage.INCOMPLETE, Stage.CANCELED}:
            summary.append(" (at the last fetch)", style="dim")
        parts += [Text(""), indent(summary)]
        if report.merged.cost:
            parts.append(indent(total.draw(report.merged.cost)))
    if report.failures:
        parts += [Text(""), indent(failures(report.failures))]
    if wide:
        parts += [Text(""), indent(_batches(report.batches, report.now))]
    parts += [indent(warning(text)) for text in report.warnings]
    if report.next_command:
        parts += [Text(""), next_line(report.next_command)]
    return Group(*parts)


def draw_all(reports: Sequence[JobReport]) -> Table:
    """Return a table of jobs."""
    left = ("job", "stage", "next")
    table = headed("job", "stage", "requests", "batches", "ended", "succeeded", "age", "next", left=left)
    for report in reports:
        succeeded = report.merged.succeeded if report.merged else sum(r.counts.succeeded for r in report.rounds)
        verb = report.next_command.split()[1] if report.next_command else ""
        table.add_row(
            Text(report.job.name, style="bold"),
            _stage(report.stage),
            number(report.job.count),
            number(len(report.batches)),
            number(report.ended),
            number(succeeded),
            duration(report.now - report.job.created_at),
            Text(verb, style="dim"),
        )
    return table


def draw_fetched(report: JobReport, merged: Merged, results: str, errors: str) -> Iterable[Text | Table]:
    """Yield what was fetched and merged, line by line, with the files that it is in; `results` is `-` for stdout."""
    yield answers(merged, report.job.left_out)
    if merged.cost:
        yield total.draw(merged.cost)
    if report.rests_on:
        yield Text(clean(f"found:   {report.rests_on}", 2000))
    if report.failures:
        yield Text("")
        yield failures(report.failures)
        yield Text("")
    if results != "-" and merged.batches:
        yield Text(clean(f"results: {results}", 2000))
    if merged.failures or report.job.left_out:
        yield Text(clean(f"errors:  {errors}", 2000))


def answers(merged: Merged, left_out: int) -> Text:
    """Return the requests by what became of them over all rounds."""
    text = Text.assemble(("answers  ", "dim"), (f"{merged.succeeded:,} succeeded", "green"))
    counts = (
        ("errored", merged.errored),
        ("expired", merged.expired),
        ("canceled", merged.canceled),
        ("of unknown type", merged.unknown),
        ("unanswered", merged.unanswered - merged.in_no_batch),
        ("never sent", merged.in_no_batch),
        ("left out", left_out),
    )
    for name, count in counts:
        if count:
            text.append(f", {count:,} {name}", style="yellow")
    apart = (
        ("truncated", merged.truncated),
        ("refused by the model", merged.refusals),
        ("paused", merged.paused_turns),
    )
    told_apart = ", ".join(f"{count:,} {name}" for name, count in apart if count)
    return text.append(f" (of the succeeded: {told_apart})" if told_apart else "", style="dim")


def failures(kinds: Sequence[Failures]) -> Table:
    """Return a table of the requests that did not succeed, by type."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True)
    table.add_row(*(Text(head, style="dim") for head in ("type", "class", "requests", "for example")))
    for kind in kinds[:SHOWN_TYPES]:
        style = CLASS_STYLES[FailureClass(kind.failure_class)]
        samples = Text(", ".join(clean(i, 64) for i in kind.sample_ids))
        error_type = Text(clean(kind.error_type, 40))
        table.add_row(error_type, Text(kind.failure_class, style=style), number(kind.count), samples)
        if kind.sample_message:
            table.add_row("", "", "", Text(clean(kind.sample_message, 200), style="dim"))
    if rest := kinds[SHOWN_TYPES:]:
        more = Text(f"{len(rest)} more", style="dim")
        table.add_row(more, "", number(sum(kind.count for kind in rest)), Text("--json shows all of them", style="dim"))
    return table


def _stage(stage: Stage) -> Text:
    # `--json` keeps the older word.
    return Text(stage.shown, style=STAGE_STYLES[stage])


def _facts(report: JobReport) -> Iterable[tuple[str, Text]]:
    job = report.job
    left = f", {plural(job.left_out, 'line')} left out" if job.left_out else ""
    source = clean(job.input_path) if job.has_requests else "made elsewhere, attached without its input"
    yield "input", Text(f"{source}: {plural(job.count, 'request')}{left}")
    if job.settings.cache_system:
        yield "caching", Text(f"cache_control for {job.settings.cache_system} was added to system prompts")
    if job.max_cost is not None:
        yield "limit", Text(f"{dollars(job.max_cost)} for all rounds together")
    eta = f", about {duration(report.eta - report.now)} left" if report.eta else ""
    yield "started", Text(f"{moment(job.created_at)}, elapsed {duration(report.elapsed)}{eta}")
    yield "batches", _bar(report)
    if report.rests_on:
        yield "found", Text(report.rests_on)
    if report.expires_at:
        yield "expiry", Text(f"what is still in progress expires in {duration(report.expires_at - report.now)}")
    if report.retained_until:
        yield "kept", Text(f"results can be fetched for {duration(report.retained_until - report.now)}")


def _bar(report: JobReport) -> Text:
    batches = len(report.batches)
    done = BAR_WIDTH * report.ended // batches
    matched = f", {report.matched} matched provisionally" if report.matched else ""
    removed = sum(batch.is_removed for batch in report.batches)
    gone = f", {removed} removed by the API" if removed else ""
    text = f"{report.ended} of {batches} ended, {report.fetched} fetched{gone}{matched}"
    return Text.assemble(("━" * done, "green"), ("━" * (BAR_WIDTH - done), "grey50"), "  ", text)


def _rounds(rounds: Sequence[RoundReport]) -> Table:
    heads = ("round", "requests", "batches", "in progress", "succeeded", "errored", "expired", "canceled")
    has_long_numbers = any(r.requests >= 10_000_000 for r in rounds)
    table = headed(*heads, gap=1 if has_long_numbers else 2)
    for r in rounds:
        counts = (r.counts.processing, r.counts.succeeded, r.counts.errored, r.counts.expired, r.counts.canceled)
        table.add_row(str(r.number), *map(number, (r.requests, r.batches, *counts)))
    return table


def _batches(batches: Sequence[Batch], now: datetime) -> Table:
    heads = ("round", "from", "requests", "size", "state", "message batch", "age")
    table = headed(*heads, left=("state", "message batch"), gap=1)
    for batch in batches:
        age = duration(now - batch.created_at) if batch.created_at else ""
        name = f"{batch.message_batch_id or batch.note}{' ?' if batch.provisional else ''}"
        body = size(batch.cut.body_bytes) if batch.cut.has_requests else ""
        cells = (number(batch.cut.first + 1), number(batch.count), body, batch.state.value)
        table.add_row(str(batch.round), *cells, Text(clean(name, 80)), age)
    return table


# ---------------------------------------------------------------- for programs


def to_json(report: JobReport, *, with_batches: bool = False) -> dict[str, Any]:
    """Return the object of one job."""
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
                "headers": [{**_headers_to_json(headers), "batches": n} for headers, n in r.headers],
                "changes": list(r.changes),
            }
            for r in report.rounds
        ],
        "answers": answers_to_json(report.merged) if report.merged else None,
        "cost": total.to_json(report.merged.cost) if report.merged and report.merged.cost else None,
        "failures": [
            {
                "outcome": kind.outcome,
                "type": kind.error_type,
                "class": kind.failure_class,
                "requests": kind.count,
                "sample_ids": list(kind.sample_ids),
                "sample_message": kind.sample_message,
            }
            for kind in report.failures
        ],
        "warnings": list(report.warnings),
        "next_command": report.next_command or None,
        **(
            {"message_batches": [_batch_to_json(b, headers_of(job, b)) for b in report.batches]} if with_batches else {}
        ),
    }


def fetched_to_json(report: JobReport, merged: Merged, results: str, errors: str) -> dict[str, Any]:
    """Return the object of `fetch`: that of its job, and the files that were written."""
    return {
        **to_json(report),
        "type": "fetch",
        "answers": answers_to_json(merged),
        "cost": total.to_json(merged.cost) if merged.cost else None,
        "results_file": results if merged.batches else None,
        "errors_file": errors,
    }


def answers_to_json(merged: Merged) -> dict[str, Any]:
    """Return the requests by what became of them over all rounds."""
    return {name: n for name, n in asdict(merged).items() if name not in {"at", "batches", "failures", "cost"}}


def _headers_to_json(headers: Headers | None) -> dict[str, Any]:
    """Return nulls where they are not known: of batches that were made elsewhere."""
    return {
        "api_version": headers.api_version if headers else None,
        "betas": list(headers.betas) if headers else None,
    }


def _batch_to_json(batch: Batch, headers: Headers | None) -> dict[str, Any]:
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
        **_headers_to_json(headers),
        "request_counts": asdict(batch.counts),
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "ended_at": batch.ended_at,
        "note": batch.note or None,
    }
