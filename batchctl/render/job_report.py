"""A job: `status`, and what `submit`, `fetch`, `retry`, `run`, `cancel` and `attach` end with. What matters most stands first."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from batchctl.domain.headers import headers_of
from batchctl.domain.job_report import JobReport, RoundReport, Stage
from batchctl.domain.model import Batch, FailureClass, Failures, Headers, Merged, State
from batchctl.domain.prices import dollars
from batchctl.domain.wording import plural
from batchctl.render import styles, total
from batchctl.render.json_output import usd
from batchctl.render.layout import Column, Columns, Row, facts, indent, named_line, next_line, warning
from batchctl.render.text import clean, duration, moment, number, size

STAGE_STYLES = {
    Stage.SENDING: styles.ACTIVE,
    Stage.RUNNING: styles.ACTIVE,
    Stage.TO_FETCH: styles.GOOD,
    Stage.DONE: styles.strong(styles.GOOD),
    Stage.INCOMPLETE: styles.BAD,
    Stage.CANCELED: styles.WARN,
    Stage.PAUSED: styles.strong(styles.BAD),
    Stage.UNCONFIRMED: styles.strong(styles.OTHER),
    Stage.LOST: styles.strong(styles.OTHER),
}
CLASS_STYLES = {
    FailureClass.RETRY: styles.WARN,
    FailureClass.FIX: styles.BAD,
    FailureClass.ACCOUNT: styles.strong(styles.BAD),
    FailureClass.POLICY: styles.OTHER,
}
# Batches that are fetched, ended, running, and not yet sent: in a strip, where only ASCII can be shown, and with a colour.
STRIP = (("█", "#", styles.GOOD), ("▓", "=", styles.ACTIVE), ("░", "-", styles.ACTIVE), ("·", ".", styles.QUIET))
STRIP_WIDTH, WIDE_STRIP, WIDE = 24, 48, 110
# Of failures; `--json` has them all.
SHOWN_TYPES = 12
# The terminal columns beside a table of failures in which their messages can be read.
MIN_MESSAGE = 24


def draw(report: JobReport, *, wide: bool = False) -> RenderableType:
    """Return one job; `wide` adds a row for each batch."""
    labels = " ".join(f"{name}={value}" for name, value in report.job.settings.labels.items())
    title = Text.assemble(
        (report.job.name, "bold"),
        "  ",
        _stage(report),
        (f"  {clean(labels)}" if labels else "", styles.QUIET),
    )
    parts: list[RenderableType] = [title, indent(facts(_facts(report))), Text(""), indent(_rounds(report.rounds))]
    if any(r.by_state.get(State.IN_PROGRESS) for r in report.rounds):
        parts.append(Text("  the API counts a batch's requests only once all of it has ended", style=styles.QUIET))
    if report.merged:
        summary = answers(report.merged, report.job.left_out)
        if report.stage not in {Stage.DONE, Stage.INCOMPLETE, Stage.CANCELED}:
            summary.append(" (at the last fetch)", style=styles.QUIET)
        parts += [Text(""), indent(named_line("answers", summary))]
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


JOB_COLUMNS = (
    Column("job", is_text=True),
    Column("stage", is_text=True),
    Column("requests"),
    Column("batches", rank=4),
    Column("ended", rank=3),
    Column("succeeded", rank=1),
    Column("age", rank=5),
    Column("next", rank=2, is_text=True),
)


def draw_all(reports: Sequence[JobReport]) -> Columns:
    """Return a table of jobs."""
    rows: list[Row] = []
    for report in reports:
        succeeded = report.merged.succeeded if report.merged else sum(r.counts.succeeded for r in report.rounds)
        verb = report.next_command.split()[1] if report.next_command else ""
        counts = (report.job.count, len(report.batches), report.ended, succeeded)
        age = duration(report.now - report.job.created_at)
        name = Text(report.job.name, style="bold")
        rows.append((name, _stage(report), *map(number, counts), age, Text(verb, style=styles.QUIET)))
    return Columns(JOB_COLUMNS, rows)


def draw_fetched(report: JobReport, merged: Merged, results: str, errors: str) -> Iterable[RenderableType]:
    """Yield what was fetched and merged, line by line, with the files that it is in; `results` is `-` for stdout."""
    yield named_line("answers", answers(merged, report.job.left_out))
    if merged.cost:
        yield total.draw(merged.cost)
    if report.rests_on:
        yield named_line("found", clean(report.rests_on, 2000))
    if report.failures:
        yield Text("")
        yield failures(report.failures)
        yield Text("")
    if results != "-" and merged.batches:
        yield named_line("results", clean(results, 2000))
    if merged.failures or report.job.left_out:
        yield named_line("errors", clean(errors, 2000))


def answers(merged: Merged, left_out: int) -> Text:
    """Return the requests by what became of them over all rounds."""
    text = Text(f"{merged.succeeded:,} succeeded", style=styles.GOOD if merged.succeeded else "")
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
            text.append(f", {count:,} {name}", style=styles.WARN)
    apart = (
        ("truncated", merged.truncated),
        ("refused by the model", merged.refusals),
        ("paused", merged.paused_turns),
    )
    told_apart = ", ".join(f"{count:,} {name}" for name, count in apart if count)
    return text.append(f" (of the succeeded: {told_apart})" if told_apart else "", style=styles.QUIET)


def failures(kinds: Sequence[Failures]) -> Group:
    """Return a table of the requests that did not succeed, by type, each with a message and a few ids."""
    shown = kinds[:SHOWN_TYPES]
    parts: list[RenderableType] = [_FailureTable(shown)]
    if rest := kinds[SHOWN_TYPES:]:
        requests = plural(sum(kind.count for kind in rest), "request")
        parts.append(Text(f"{len(rest)} more, of {requests}: --json shows all of them", style=styles.QUIET))
    return Group(*parts)


class _FailureTable:
    """Type, class and count of each kind are always there; what else there is goes beside them, or below."""

    def __init__(self, kinds: Sequence[Failures]) -> None:
        self._kinds = kinds

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = ("type", "class", "requests")
        kinds = [(clean(kind.error_type, 40), kind.failure_class, number(kind.count)) for kind in self._kinds]
        widths = [max(map(len, cells)) for cells in zip(heads, *kinds, strict=True)]
        is_beside = options.max_width - sum(widths) - 2 * len(widths) >= MIN_MESSAGE

        def row(cells: Sequence[Text], about: RenderableType) -> Table:
            table = Table.grid(padding=(0, 2))
            for head, width in zip(heads, widths, strict=True):
                table.add_column(width=width, justify="right" if head == "requests" else "left", overflow="fold")
            table.add_column(overflow="fold")
            table.add_row(*cells, about)
            return table

        yield row(
            [Text(head, style=styles.QUIET) for head in heads],
            Text("for example" if is_beside else "", style=styles.QUIET),
        )
        for kind, (error_type, failure_class, count) in zip(self._kinds, kinds, strict=True):
            style = CLASS_STYLES[FailureClass(failure_class)]
            message = Text(clean(kind.sample_message, 200), style=styles.QUIET)
            about = [text for text in (Text(", ".join(clean(i, 64) for i in kind.sample_ids)), message) if text]
            yield row(
                [Text(error_type), Text(failure_class, style=style), Text(count)], Group(*about) if is_beside else ""
            )
            yield from () if is_beside else map(indent, about)


def _stage(report: JobReport) -> Text:
    # `--json` keeps the older word.
    shown = report.shown_stage
    return Text(shown, style=STAGE_STYLES[Stage.DONE if shown == Stage.DONE.shown else report.stage])


def _facts(report: JobReport) -> Iterable[tuple[str, RenderableType]]:
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
    yield "batches", _Strip(report)
    if report.rests_on:
        yield "found", Text(report.rests_on)
    if report.expires_at:
        yield "expiry", Text(f"what is still in progress expires in {duration(report.expires_at - report.now)}")
    if report.retained_until:
        yield "kept", Text(f"results can be fetched for {duration(report.retained_until - report.now)}")


def _batches_line(report: JobReport) -> Text:
    matched = f", {report.matched:,} matched provisionally" if report.matched else ""
    removed = sum(batch.is_removed for batch in report.batches)
    gone = f", {removed:,} removed by the API" if removed else ""
    return Text(f"{report.ended:,} of {len(report.batches):,} ended, {report.fetched:,} fetched{gone}{matched}")


class _Strip:
    """The batches of a job as a strip that fills, and how many are how far."""

    def __init__(self, report: JobReport) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self._report
        running = sum(batch.is_running for batch in report.batches)
        counts = (report.fetched, report.ended - report.fetched, running)
        width = WIDE_STRIP if console.width >= WIDE else STRIP_WIDTH
        text = Text()
        for (full, ascii_, style), cells in zip(STRIP, strip_cells(counts, len(report.batches), width), strict=True):
            text.append((ascii_ if options.ascii_only else full) * cells, style=style)
        line = _batches_line(report)
        yield Text.assemble(text, "  ", line) if width + 2 + line.cell_len <= options.max_width else Group(text, line)


def strip_cells(counts: Sequence[int], total: int, width: int) -> list[int]:
    """Return the cells of a strip for each of the counts and, last, for the rest of `total`; `width` in all.

    The strip never shows more as done than is: what follows takes the broken cell. What there is has a cell, where one is left.
    """
    if not total:
        # A job whose first batch is not planned yet.
        return [0] * len(counts) + [width]
    ends, done = [], 0
    for count in counts:
        done += count
        ends.append(width * done // total)
    cells = [end - begin for begin, end in zip((0, *ends), (*ends, width), strict=True)]
    rest = total - sum(counts)
    for place, count in enumerate((*counts, rest)):
        if count and not cells[place]:
            largest = max(range(len(cells)), key=cells.__getitem__)
            cells[largest] -= 1
            cells[place] += 1
    return cells


ROUND_COLUMNS = (
    Column("round"),
    Column("requests"),
    Column("batches", rank=2),
    Column("in progress", rank=1),
    Column("succeeded"),
    Column("errored", rank=3),
    Column("expired", rank=4),
    Column("canceled", rank=5),
)
BATCH_COLUMNS = (
    Column("round", rank=3),
    Column("from", rank=2),
    Column("requests"),
    Column("size", rank=4),
    Column("state", is_text=True),
    Column("message batch", is_text=True),
    Column("age", rank=1),
)


def _rounds(rounds: Sequence[RoundReport]) -> Columns:
    rows = []
    # Round 1 of a job with a first batch only plans what the later rounds send.
    for r in [r for r in rounds if r.batches] or rounds:
        counts = (r.counts.processing, r.counts.succeeded, r.counts.errored, r.counts.expired, r.counts.canceled)
        name = f"{r.number} {r.purpose}" if r.purpose else str(r.number)
        rows.append((name, *map(number, (r.requests, r.batches, *counts))))
    return Columns(ROUND_COLUMNS, rows)


def _batches(batches: Sequence[Batch], now: datetime) -> Columns:
    rows = []
    for batch in batches:
        age = duration(now - batch.created_at) if batch.created_at else ""
        name = f"{batch.message_batch_id or batch.note}{' ?' if batch.provisional else ''}"
        body = size(batch.cut.body_bytes) if batch.cut.has_requests else ""
        state = batch.state.value.replace("_", " ")
        counts = (str(batch.round), number(batch.cut.first + 1), number(batch.count))
        rows.append((*counts, body, state, Text(clean(name, 200)), age))
    return Columns(BATCH_COLUMNS, rows)


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
                "purpose": r.purpose.value or None,
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
