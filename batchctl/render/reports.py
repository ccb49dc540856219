"""A job, drawn: what a person wants to know first stands first."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batchctl.domain.job_report import JobReport, RoundReport, Stage
from batchctl.domain.model import Batch, FailureClass, Failures, Merged, MessageBatch, State
from batchctl.domain.prices import Cached, Total, dollars
from batchctl.render.text import clean, duration, moment, number, plural, size

if TYPE_CHECKING:
    from batchctl.engine.choosing import Chosen
    from batchctl.engine.unconfirmed import UnconfirmedBatch
    from batchctl.render.lines import Line

TONES = {
    "good": "green",
    "plain": "",
    "dim": "dim",
    "warn": "yellow",
    "bad": "red",
    "error": "red",
    "warning": "yellow",
}
STAGE_TONES = {
    Stage.SENDING: "cyan",
    Stage.RUNNING: "cyan",
    Stage.TO_FETCH: "green",
    Stage.DONE: "bold green",
    Stage.INCOMPLETE: "yellow",
    Stage.CANCELED: "yellow",
    Stage.PAUSED: "bold red",
    Stage.IN_DOUBT: "bold yellow",
    Stage.LOST: "bold red",
}
CLASS_TONES = {
    FailureClass.RETRY: "yellow",
    FailureClass.FIX: "red",
    FailureClass.ACCOUNT: "bold red",
    FailureClass.POLICY: "magenta",
}
BAR_WIDTH = 24
# Of failures; `--json` has them all.
SHOWN_TYPES = 12
UNKNOWN = "unknown"


def job(report: JobReport, *, wide: bool = False) -> RenderableType:
    parts: list[RenderableType] = [_title(report), indented(_facts(report)), Text("")]
    parts.append(indented(_rounds(report.rounds)))
    if any(r.by_state.get(State.IN_PROGRESS) for r in report.rounds):
        parts.append(Text("  the API counts a batch's requests only once all of it has ended", style="dim"))
    if report.merged:
        told = answers(report.merged, report.job.left_out)
        if report.stage not in {Stage.DONE, Stage.INCOMPLETE, Stage.CANCELED}:
            told.append(" (at the last fetch)", style="dim")
        parts += [Text(""), indented(told)]
        if report.merged.cost:
            parts.append(indented(cost(report.merged.cost)))
    if report.failures:
        parts += [Text(""), indented(failures(report.failures))]
    if wide:
        parts += [Text(""), indented(_batches(report.batches, report.now))]
    parts += [indented(warning(w)) for w in report.warnings]
    if report.next_command:
        parts += [Text(""), next_line(report.next_command)]
    return Group(*parts)


def indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2), expand=False)


def warning(text: str) -> Table:
    """What does not fit goes on under the text."""
    table = Table.grid()
    table.add_column(no_wrap=True, width=2)
    table.add_column(overflow="fold")
    table.add_row(Text("!", style="yellow"), Text(clean(text), style="yellow"))
    return table


def next_line(command: str) -> Text:
    return Text.assemble(("next: ", "dim"), (command, "bold"))


def _title(report: JobReport) -> Text:
    labels = " ".join(f"{k}={v}" for k, v in report.job.settings.labels.items())
    return Text.assemble(
        (report.job.name, "bold"),
        "  ",
        (report.stage.value, STAGE_TONES[report.stage]),
        (f"  {clean(labels)}" if labels else "", "dim"),
    )


def _facts(report: JobReport) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _fact_rows(report):
        table.add_row(name, value)
    return table


def _fact_rows(report: JobReport) -> Iterable[tuple[str, Text]]:
    left = f", {plural(report.job.left_out, 'line')} left out" if report.job.left_out else ""
    source = clean(report.job.input_path) if report.job.has_requests else "made elsewhere, attached without its input"
    yield "input", Text(f"{source}: {plural(report.job.count, 'request')}{left}")
    if report.job.settings.cache_system:
        yield "caching", Text(f"cache_control for {report.job.settings.cache_system} was added to system prompts")
    if report.job.max_cost is not None:
        yield "limit", Text(f"{dollars(report.job.max_cost)} for all rounds together")
    eta = f", about {duration(report.eta - report.now)} left" if report.eta else ""
    yield "started", Text(f"{moment(report.job.created_at)}, elapsed {duration(report.elapsed)}{eta}")
    yield "batches", _bar(report)
    if report.rests_on:
        yield "found", Text(report.rests_on)
    if report.expires_at:
        yield "expiry", Text(f"what is still in progress expires in {duration(report.expires_at - report.now)}")
    if report.retained_until:
        yield "kept", Text(f"results can be fetched for {duration(report.retained_until - report.now)}")


def _bar(report: JobReport) -> Text:
    total = len(report.batches)
    done = BAR_WIDTH * report.ended // total
    matched = f", {report.matched} matched provisionally" if report.matched else ""
    removed = sum(b.is_removed for b in report.batches)
    gone = f", {removed} removed by the API" if removed else ""
    text = f"{report.ended} of {total} ended, {report.fetched} fetched{gone}{matched}"
    return Text.assemble(("━" * done, "green"), ("━" * (BAR_WIDTH - done), "grey50"), "  ", text)


def _rounds(rounds: Sequence[RoundReport]) -> Table:
    heads = ("round", "requests", "batches", "in progress", "succeeded", "errored", "expired", "canceled")
    is_wide = any(one.requests >= 10_000_000 for one in rounds)
    table = headed(*heads, gap=1 if is_wide else 2)
    for one in rounds:
        c = one.counts
        cells = (one.requests, one.batches, c.processing, c.succeeded, c.errored, c.expired, c.canceled)
        table.add_row(str(one.number), *(number(n) for n in cells))
    return table


def answers(merged: Merged, left_out: int) -> Text:
    """Requests by what became of them over all rounds."""
    text = Text.assemble(("answers  ", "dim"), (f"{merged.succeeded:,} succeeded", "green"))
    named = (("errored", merged.errored), ("expired", merged.expired), ("canceled", merged.canceled))
    unanswered = merged.unanswered - merged.in_no_batch
    unsent = ("never sent", merged.in_no_batch)
    for name, n in (*named, ("of unknown type", merged.unknown), ("unanswered", unanswered), unsent):
        if n:
            text.append(f", {n:,} {name}", style="yellow")
    if left_out:
        text.append(f", {left_out:,} left out", style="yellow")
    apart = (
        ("truncated", merged.truncated),
        ("refused by the model", merged.refusals),
        ("paused", merged.paused_turns),
    )
    said = ", ".join(f"{n:,} {name}" for name, n in apart if n)
    return text.append(f" (of the succeeded: {said})" if said else "", style="dim")


def cost(of: Total) -> Text:
    """In a line: how much, whose prices these are, and what is not in it; in another what a cache did, if there was one."""
    known = f"{dollars(of.batch)} in batch ({dollars(of.real_time)} in real time)"
    amount = f"at least {known}" if of.beyond else known
    if of.unknown:
        rest = f"; all else {amount}" if of.has_known else ""
        amount = f"{UNKNOWN}, {'; '.join(of.unknown)}{rest}"
    left = f"; not in it: {'; '.join(of.beyond)}" if of.beyond else ""
    told = Text.assemble(("cost     ", "dim"), clean(f"{', '.join((amount, *prices(of)))}{left}", 1000))
    return told.append_text(Text.assemble(("\ncache    ", "dim"), cache(of.cache))) if of.cache else told


def cache(of: Cached) -> str:
    if of.saved is None:
        outcome = f"what that saved is {UNKNOWN}"
    else:
        outcome = f"{dollars(abs(of.saved))} {'lost' if of.saved < 0 else 'saved'} against no cache"
    read = f"{number(of.read_tokens)} of {number(of.tokens)} tokens that were to be cached were read from the cache"
    return f"{of.hit_rate * 100:.1f} % hit: {read}; {outcome}"


def prices(of: Total) -> Sequence[str]:
    """Whose, and of which days."""
    if not of.days:
        return of.sources
    first, last = of.days[0].isoformat(), of.days[-1].isoformat()
    return (*of.sources, f"prices of {first}" if first == last else f"prices of {first} to {last}")


def failures(kinds: Sequence[Failures]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True)
    heads = ("without success", "class", "requests", "for example")
    table.add_row(*(Text(head, style="dim") for head in heads))
    for kind in kinds[:SHOWN_TYPES]:
        tone = CLASS_TONES[FailureClass(kind.failure_class)]
        samples = Text(", ".join(clean(i, 64) for i in kind.sample_ids))
        error_type = Text(clean(kind.error_type, 40))
        table.add_row(error_type, Text(kind.failure_class, style=tone), number(kind.count), samples)
        if kind.sample_message:
            table.add_row("", "", "", Text(clean(kind.sample_message, 200), style="dim"))
    if rest := kinds[SHOWN_TYPES:]:
        more = Text(f"{len(rest)} more", style="dim")
        table.add_row(more, "", number(sum(kind.count for kind in rest)), Text("--json shows all of them", style="dim"))
    return table


def _batches(batches: Sequence[Batch], now: datetime) -> Table:
    table = headed(
        "round", "from", "requests", "size", "state", "message batch", "age", left=("state", "message batch"), gap=1
    )
    for one in batches:
        age = duration(now - one.created_at) if one.created_at else ""
        name = f"{one.message_batch_id or one.note}{' ?' if one.provisional else ''}"
        body = size(one.cut.body_bytes) if one.cut.has_requests else ""
        cells = (number(one.cut.first + 1), number(one.count), body, one.state.value)
        table.add_row(str(one.round), *cells, Text(clean(name, 80)), age)
    return table


def unconfirmed_batches(
    job: str,
    opened: "Sequence[UnconfirmedBatch]",
    surplus: Sequence[str],
    suspects: Sequence[MessageBatch],
    now: datetime,
    in_full: Callable[[str], str] = str,
) -> RenderableType:
    """Each doubt with what speaks for each side, then what a person can type; `in_full` adds what a command must repeat."""
    parts: list[RenderableType] = []
    for one in opened:
        parts += [_doubt(one, now), indented(_candidates(one, now)), Text("")]
    if surplus or suspects:
        parts += [indented(_surplus(surplus, suspects)), Text("")]
    possible = {c.seen.id for d in opened for c in d.candidates if c.share in {None, 1}}
    if possible:
        # One among several is not put into anybody's mouth.
        name = next(iter(possible)) if len(possible) == 1 else "ID"
        parts.append(_choice(in_full(f"batchctl resolve {job} --adopt {name}"), "it is this one"))
    if opened:
        parts.append(_choice(in_full(f"batchctl resolve {job} --resend"), "the API does not have it: plan it again"))
        if len(opened) > 1:
            parts.append(Text("  --batch N decides about one of them", style="dim"))
    parts += [
        _choice(in_full(f"batchctl resolve {job} --cancel {name}"), "end what is there twice") for name in surplus
    ]
    return Group(*parts)


def _choice(command: str, meaning: str) -> Text:
    return Text.assemble(("  ", ""), (clean(command, 1000), "bold"), (f"   {meaning}", "dim"))


def _doubt(one: "UnconfirmedBatch", now: datetime) -> Text:
    place = f"batch {one.number} of {one.total}, round {one.batch.round}: {plural(one.batch.count, 'request')}"
    if one.is_lost:
        since = duration(now - one.batch.missing_since) if one.batch.missing_since else "a while"
        name = clean(one.batch.message_batch_id or "")
        return Text.assemble(("not known  ", "bold red"), f"{place}; the API answers 404 for {name} since {since}")
    asked = f"; its create began at {one.batch.intent_at:%Y-%m-%d %H:%M:%S} UTC" if one.batch.intent_at else ""
    asked += ", with another key" if one.is_other_key else ""
    why = f"; {clean(one.batch.held or one.batch.note, 200)}" if one.batch.held or one.batch.note else ""
    return Text.assemble(("unconfirmed  ", "bold yellow"), f"{place}{asked}{why}")


def _candidates(one: "UnconfirmedBatch", now: datetime) -> RenderableType:
    if one.is_lost:
        return Text("deleted there, or this key belongs to another API workspace", style="dim")
    if not one.candidates:
        late = "; its list may still be behind" if one.is_early else ""
        late = "; not all of its list could be read" if not one.is_list_whole else late
        return Text(f"the API's list shows no batch that it could be{late}", style="dim")
    table = headed(
        "it may be", "status", "requests", "created", "its custom_ids", left=("it may be", "status", "its custom_ids")
    )
    for found in one.candidates:
        seen = found.seen
        if found.share is None:
            ids = "not known before it has ended"
        else:
            ids = "are this batch's" if found.share == 1 else "are others'" if not found.share else "are partly others'"
        ago = f"{duration(now - seen.created_at)} ago" if seen.created_at else "unknown"
        size = "unknown" if seen.size is None else number(seen.size)
        table.add_row(Text(clean(seen.id, 80)), seen.processing_status.value, size, ago, ids)
    return table


def _surplus(surplus: Sequence[str], suspects: Sequence[MessageBatch]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name in surplus:
        table.add_row(
            Text(clean(name, 80), style="bold red"), "holds requests that another batch of the job holds, too"
        )
    for seen in suspects:
        table.add_row(
            Text(clean(seen.id, 80), style="yellow"), "may hold requests twice: its ids tell once it has ended"
        )
    return table


def jobs(reports: Sequence[JobReport]) -> Table:
    left = ("job", "stage", "next")
    table = headed("job", "stage", "requests", "batches", "ended", "succeeded", "age", "next", left=left)
    for one in reports:
        succeeded = one.merged.succeeded if one.merged else sum(r.counts.succeeded for r in one.rounds)
        verb = one.next_command.split()[1] if one.next_command else ""
        table.add_row(
            Text(one.job.name, style="bold"),
            Text(one.stage.value, style=STAGE_TONES[one.stage]),
            number(one.job.count),
            number(len(one.batches)),
            number(one.ended),
            number(succeeded),
            duration(one.now - one.job.created_at),
            Text(verb, style="dim"),
        )
    return table


def problems(told: "Sequence[Line]") -> Table:
    """What the check found, on a terminal: the line numbers stand out, the rest is for reading."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for line in told:
        _, place, rest = line.text.split(" ", 2)
        table.add_row(Text(f"  line {place.rstrip(':')}", style=TONES[line.tone]), rest)
    return table


def chosen(of: "Chosen") -> Table:
    """What goes again and what stays, and why."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=9)
    for justify in ("left", "left", "right", "left"):
        table.add_column(justify=justify, overflow="fold")
    for (kind, cls), n in of.sent.items():
        word = "new" if kind == "in_no_batch" else "again"
        table.add_row(Text(word, style="green"), Text(clean(kind, 40)), Text(cls, style="dim"), number(n), "")
    for (kind, cls, why), n in of.left.items():
        table.add_row(Text("left", style="yellow"), Text(clean(kind, 40)), Text(cls, style="dim"), number(n), Text(why))
    return table


def headed(*heads: str, left: Sequence[str] = (), gap: int = 2) -> Table:
    """Where a terminal is too narrow, words go on in the next line: a number with its end cut off is another number."""
    table = Table.grid(padding=(0, gap))
    for head in heads:
        is_text = head in left
        # What a person copies stays in one piece, too.
        is_whole = not is_text or head == "job"
        table.add_column(justify="left" if is_text else "right", no_wrap=is_whole, overflow="fold")
    table.add_row(*(Text(head, style="dim") for head in heads))
    return table
