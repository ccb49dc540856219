"""An event as a line: the same words on a terminal and in a log. Programs get the report of a poll, and no line."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain import events
from batchctl.domain.caching import BYTES_PER_TOKEN, Caching
from batchctl.domain.check_report import ProblemKind, Scan
from batchctl.domain.faults import Severity
from batchctl.domain.model import Batch, Job, Purpose, WithheldShape
from batchctl.domain.notifications import NotifyEvent
from batchctl.domain.prices import dollars
from batchctl.domain.wording import of_total, plural
from batchctl.render import styles
from batchctl.render.text import clean, duration, number, size

GOOD, PLAIN, DIM, WARN, BAD = "good", "plain", "dim", "warn", "bad"
STYLES = {
    GOOD: styles.GOOD,
    PLAIN: "",
    DIM: styles.QUIET,
    WARN: styles.WARN,
    BAD: styles.BAD,
    "error": styles.BAD,
    "warning": styles.WARN,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text whose first word, up to two spaces, has a colour by its tone."""

    text: str
    tone: str = PLAIN

    def draw(self) -> Text:
        """Return the line for a log."""
        word, rest = self._halves()
        return Text.assemble((word, STYLES[self.tone]), rest)

    def draw_hanging(self) -> RenderableType:
        """Return the line for a terminal: what does not fit goes on under the text, not under the first word."""
        word, rest = self._halves()
        if not rest:
            return self.draw()
        table = Table.grid()
        table.add_column(no_wrap=True, width=len(word) + len(rest) - len(rest.lstrip()))
        table.add_column(overflow="fold")
        table.add_row(Text(word, style=STYLES[self.tone]), rest.strip())
        return table

    def _halves(self) -> tuple[str, str]:
        word, gap, rest = self.text.partition("  ")
        return (word, gap + rest) if gap and word.strip() else (self.text, "")


def line_of(event: events.Event, now: datetime) -> Line | None:
    """Return the line of an event; None where it is only movement."""
    match event:
        case (
            events.Checked()
            | events.CountRefused()
            | events.Converted()
            | events.CacheControlAdded()
            | events.ModelDeprecated()
        ):
            return _of_checking(event)
        case (
            events.Planned()
            | events.ShapesSampled()
            | events.PrimePlanned()
            | events.CacheMeasured()
            | events.FirstBatchJudged()
        ):
            return _of_planning(event)
        case events.Attached() | events.InputMatched() | events.Continued() | events.HeadersChanged():
            return _of_a_job(event)
        case (
            events.BatchSent()
            | events.BatchNotSent()
            | events.BatchUnconfirmed()
            | events.CancelAsked()
            | events.BatchDeleted()
        ):
            return _of_sending(event, now)
        case events.BatchReconciled() | events.ForeignBatch() | events.DuplicateBatch():
            return _of_reconciling(event)
        case (
            events.FieldsUnread()
            | events.PlaceChecked()
            | events.PollFailed()
            | events.WorkerLost()
            | events.Notified()
            | events.NotifyFailed()
            | events.Stopping()
        ):
            return _of_circumstances(event, now)
        case events.BatchFetched() | events.DownloadFailed() | events.ResultsRemoved():
            return _of_fetching(event, now)
        case events.Waiting(until, why):
            return Line(f"waiting    {duration(until - now)}: {clean(why)}", DIM)
        case (
            events.Polled()
            | events.Reading()
            | events.Merging()
            | events.Verifying()
            | events.TransfersPlanned()
            | events.Transferred()
            | events.SendingBegun()
            | events.DownloadBegun()
        ):
            return None


def _of_circumstances(
    event: events.FieldsUnread
    | events.PlaceChecked
    | events.PollFailed
    | events.WorkerLost
    | events.Notified
    | events.NotifyFailed
    | events.Stopping,
    now: datetime,
) -> Line:
    match event:
        case events.FieldsUnread(message_batch_id, fields):
            names = ", ".join(clean(field, 40) for field in fields)
            return Line(f"unread     {clean(message_batch_id)}: {names} cannot be read, and is asked for again", WARN)
        case events.PlaceChecked(why):
            return Line(f"moved      {clean(why)}: the API's list is read before anything is sent", WARN)
        case events.PollFailed(why, failures, again_in):
            return Line(f"no answer  {clean(why)} ({plural(failures, 'time')}; again in {again_in:.0f} s)", WARN)
        case events.WorkerLost(exit_code, is_last):
            how = "was killed" if exit_code == -9 else f"ended with {exit_code}"
            then = "threads download what is left" if is_last else "its downloads begin again"
            return Line(f"lost       a worker process {how}: {then}", WARN)
        case events.Notified() | events.NotifyFailed():
            return _of_notifying(event, now)
        case events.Stopping(in_flight):
            text = f"stopping   waiting for {plural(in_flight, 'upload')} to finish; Ctrl-C again stops at once"
            return Line(text, WARN)


def _of_notifying(event: events.Notified | events.NotifyFailed, now: datetime) -> Line:
    match event:
        case events.Notified(job, what, target):
            said = "has ended" if what is NotifyEvent.ENDED else "needs a person"
            return Line(f"notified   {clean(target)}: {clean(job)} {said}", GOOD)
        case events.NotifyFailed(job, target, why, until, output):
            whose = f" of {clean(job)}" if job else ""
            where = f" to {clean(target)}" if target else ""
            again = f"; a later command retries it, in {duration(until - now)} at the earliest" if until else ""
            wrote = f"; its output: {' | '.join(clean(line, 200) for line in output)}" if output else ""
            return Line(f"warning    notification{whose}{where} failed: {clean(why, 300)}{again}{wrote}", WARN)


def _of_checking(
    event: events.Checked | events.CountRefused | events.Converted | events.CacheControlAdded | events.ModelDeprecated,
) -> Line:
    match event:
        case events.CacheControlAdded(_, caching):
            return _cached(caching)
        case events.Checked():
            return _checked(event)
        case events.CountRefused(path, kinds):
            is_bad = any(kind.first.fault.severity is Severity.ERROR for kind in kinds)
            requests = plural(sum(kind.lines for kind in kinds), "request")
            return Line(f"counted    {clean(path)}: the API refuses {requests}", BAD if is_bad else WARN)
        case events.Converted():
            return _converted(event)
        case events.ModelDeprecated(model, retires_at):
            when = f"retires on {retires_at:%Y-%m-%d}" if retires_at else "no day is set for its end"
            return Line(f"deprecated {clean(model, 64)}: {when}", WARN)


def _cached(caching: Caching) -> Line:
    parts = [f"cache_control for {caching.ttl} added to {plural(caching.requests, 'system prompt')}"]
    parts += [f"{plural(n, 'request')} left {why}" for why, n in caching.left.items()]
    parts += [
        f"{plural(short.requests, 'prompt')} too short to be cached: {clean(model, 64)} caches {number(short.least)} tokens or"
        f" more, the longest has about {number(short.tokens)} (at {BYTES_PER_TOKEN} bytes a token)"
        for model, short in caching.short.items()
    ]
    return Line(f"cached     {'; '.join(parts)}", WARN if caching.short or not caching.requests else GOOD)


def _converted(event: events.Converted) -> Line:
    conversion = event.conversion
    parts = [plural(conversion.requests, "request"), size(conversion.size)]
    if conversion.blank:
        parts.append(f"{plural(conversion.blank, 'blank line')} skipped")
    if conversion.left_out:
        parts.append(f"{plural(conversion.left_out, 'line')} with errors")
    if conversion.warnings:
        parts.append(plural(conversion.warnings, "warning"))
    tone = BAD if conversion.left_out else WARN if conversion.warnings else GOOD
    return Line(f"converted  {clean(event.input)}: {', '.join(parts)}", tone)


def _checked(event: events.Checked) -> Line:
    scan = event.scan
    parts = [plural(scan.count, "request"), size(scan.size), _depth(scan)]
    if scan.blank:
        parts.append(f"{plural(scan.blank, 'blank line')} skipped")
    if scan.has_bom:
        parts.append("byte order mark dropped")
    if scan.left_out:
        parts.append(f"{plural(scan.left_out, 'line')} with errors")
    if scan.warnings:
        parts.append(plural(scan.warnings, "warning"))
    if scan.models_unchecked:
        parts.append(f"models not checked ({clean(scan.models_unchecked, 200)})")
    tone = BAD if scan.left_out else WARN if scan.warnings else GOOD
    return Line(f"checked    {clean(event.input)}: {', '.join(parts)}", tone)


def _depth(scan: Scan) -> str:
    if not scan.deep_checked:
        return "none in depth"
    if scan.deep_checked >= scan.lines - scan.left_out:
        return "all in depth"
    return f"{number(scan.deep_checked)} in depth (--check full does all)"


def problem_line(kind: ProblemKind) -> Line:
    """Return where a fault is and what it is: `line 12 (row-12) params.messages.0.role: ...`, or `500 lines, first 12 ...`."""
    problem, place = kind.first, _lines(kind)
    who = f" ({clean(problem.custom_id, 64)})" if problem.custom_id else ""
    where = f" {clean(problem.fault.path, 120)}:" if problem.fault.path else ":"
    return Line(f"{place}{who}{where} {clean(problem.fault.message)}", problem.fault.severity.value)


def _lines(kind: ProblemKind) -> str:
    first = number(kind.first.line)
    return f"line {first}" if kind.lines == 1 else f"{number(kind.lines)} lines, first {first}"


def draw_problems(kinds: Iterable[ProblemKind]) -> RenderableType:
    """Return the lines of `problem_line` for a terminal: the line numbers stand out, the rest is for reading."""
    table = Table.grid()
    table.add_column(width=4)
    table.add_column(overflow="fold")
    for kind in kinds:
        line, place = problem_line(kind), _lines(kind)
        table.add_row("", Text.assemble((place, STYLES[line.tone]), line.text[len(place) :]))
    return table


# The words for the rounds that send the input of a job with a first batch.
_ROUNDS = {Purpose.FIRST: " first batch", Purpose.MEASURE: " measured batch", Purpose.REST: " rest"}
# Shapes that are named in one line.
_NAMED_SHAPES = 3


def _of_planning(
    event: events.Planned | events.ShapesSampled | events.PrimePlanned | events.CacheMeasured | events.FirstBatchJudged,
) -> Line:
    match event:
        case events.Planned():
            return _planned(event)
        case events.ShapesSampled(job, tried, shapes):
            requests = plural(tried, "request")
            return Line(
                f"sampled    {job.name}: {requests} of more than {plural(shapes, 'shape')} are tried first", WARN
            )
        case events.PrimePlanned():
            return _primed(event)
        case events.CacheMeasured(job, hit):
            if hit is None:
                return Line(f"measured   {job.name}: the API cached none of the shared prompts", WARN)
            return Line(f"measured   {job.name}: {hit:.0f} % of the shared prompts were read from the cache", GOOD)
        case events.FirstBatchJudged(job, tried, accepted, withheld):
            text = f"{of_total(accepted, tried, 'shape')} accepted"
            if not withheld:
                return Line(f"judged     {job.name}: {text}", GOOD)
            shown = [_withheld(shape) for shape in withheld[:_NAMED_SHAPES]]
            if more := withheld[_NAMED_SHAPES:]:
                shown.append(f"and of {plural(len(more), 'more shape')}")
            return Line(f"judged     {job.name}: {text}; withheld: {'; '.join(shown)}", WARN)


def _primed(event: events.PrimePlanned) -> Line:
    name = event.job.name
    if not event.prompts:
        return Line(f"primed     {name}: no prompt is long enough and shared by 3 requests; nothing is cached", WARN)
    prompts = f"{plural(event.prompts, 'prompt')}, shared by {plural(event.requests, 'request')}, are cached first"
    if event.prompts == 1:
        prompts = f"a prompt, shared by {plural(event.requests, 'request')}, is cached first"
    if event.left is not None:
        return Line(f"primed     {name}: {prompts}, again: what was cached expires in {duration(event.left)}", WARN)
    others = (
        f"; {plural(event.others, 'other request is', 'other requests are')} sent unchanged" if event.others else ""
    )
    return Line(f"primed     {name}: {prompts}{others}", GOOD)


def _withheld(shape: WithheldShape) -> str:
    requests = plural(shape.requests, "request")
    return f"{requests} like line {shape.line:,} ({clean(shape.custom_id, 64)}): {clean(shape.message, 300)}"


def _planned(event: events.Planned) -> Line:
    planned = next((r for r in event.job.rounds if r.number == event.round), None)
    purpose = planned.purpose if planned else Purpose.ORDINARY
    name = event.job.name + _ROUNDS.get(purpose, f" round {event.round}" if event.round > 1 else "")
    text = f"{plural(event.requests, 'request')} in {plural(event.batches, 'batch')}, {size(event.bytes)}"
    if planned and planned.changes:
        text += f", with {clean(', '.join(planned.changes), 200)}"
    if planned and (forecast := planned.forecast):
        most = f"at most {dollars(forecast.high)}" if forecast.is_bound else "no bound is known"
        text += f", about {dollars(forecast.expected)}, {most}"
        text += f" ({clean(forecast.prices, 120)})" if forecast.prices else ""
    return Line(f"planned    {name}: {text}", GOOD)


def _of_a_job(event: events.Attached | events.InputMatched | events.Continued | events.HeadersChanged) -> Line:
    match event:
        case events.Attached(job, batches):
            states = Counter(batch.state.value.replace("_", " ") for batch in batches)
            counts = ", ".join(f"{number(n)} {state}" for state, n in states.items())
            text = f"{plural(job.count, 'request')} in {plural(len(batches), 'batch')}, {counts}"
            return Line(f"attached   {job.name}: {text}", GOOD)
        case events.InputMatched(job, batches, rest):
            return _paired(job, batches, rest)
        case events.Continued(job) if job.awaits_first_batch:
            return Line(f"continued  {job.name}: the rest is planned once its first batch is judged")
        case events.Continued(job, left):
            what = f"{plural(left, 'batch')} to send" if left else "all batches are sent"
            return Line(f"continued  {job.name}: {what}")
        case events.HeadersChanged(job, keep):
            settings = job.settings
            betas = ", ".join(clean(beta) for beta in settings.betas) or "none"
            kept = f"; {plural(keep, 'batch')} keep what they were sent with" if keep else ""
            return Line(f"headers    {job.name}: betas from here on: {betas}; API version {settings.api_version}{kept}")


def _paired(job: Job, batches: int, rest: int) -> Line:
    text = f"{plural(job.count - rest, 'line')} of {clean(job.input_path)} went into {plural(batches, 'batch')}"
    if rest:
        text += (
            f"; {plural(rest, 'line')} {'is' if rest == 1 else 'are'} in none of these and left to the next round, which pays"
            " twice for those that a batch holds which was not named"
        )
    if job.left_out:
        are = "is" if job.left_out == 1 else "are"
        text += f"; {plural(job.left_out, 'line')} {are} in none, and cannot be sent: their custom_ids repeat"
    return Line(f"paired     {job.name}: {text}", WARN if rest or job.left_out else GOOD)


def _place(batch: Batch, number_: int, total: int) -> str:
    return f"batch {number_:,} of {total:,} ({plural(batch.count, 'request')})"


def _again(until: datetime | None, now: datetime) -> str:
    return f"; again in {duration(until - now)}" if until and until > now else ""


def _of_sending(
    event: events.BatchSent | events.BatchNotSent | events.BatchUnconfirmed | events.CancelAsked | events.BatchDeleted,
    now: datetime,
) -> Line:
    place = _place(event.batch, event.number, event.total)
    match event:
        case events.BatchSent():
            return Line(f"sent       {place} as {clean(event.message_batch_id)}", GOOD)
        case events.BatchNotSent():
            return Line(f"not sent   {place}: {clean(event.why)}{_again(event.until, now)}", WARN)
        case events.BatchUnconfirmed():
            return Line(f"unconfirmed  {place}: {clean(event.why)}; asking whether the API has it", WARN)
        case events.CancelAsked():
            return Line(f"canceling  {place} {clean(event.batch.message_batch_id or '')}", WARN)
        case events.BatchDeleted():
            return Line(f"deleted    {place} {clean(event.batch.message_batch_id or '')}", WARN)


def _of_reconciling(event: events.BatchReconciled | events.ForeignBatch | events.DuplicateBatch) -> Line:
    place, name = _place(event.batch, event.number, event.total), clean(event.message_batch_id)
    match event:
        case events.ForeignBatch():
            return Line(
                f"foreign    {place}: {name} is another job's, {clean(event.why)}; it is unconfirmed again", WARN
            )
        case events.DuplicateBatch():
            return Line(
                f"duplicate  {place}: {name} holds the same requests, and is paid for unless it is canceled", BAD
            )
        case events.BatchReconciled() if not name:
            return Line(f"settled    {place}: the API does not have it; it is sent again", PLAIN)
        case events.BatchReconciled(identified=True):
            return Line(f"found      {place}: {name} holds its requests, as far as its custom_ids tell", GOOD)
        case events.BatchReconciled():
            return Line(
                f"matched    {place}: {name} has its size; once it has ended, its results tell whether it is ours"
            )


def _of_fetching(event: events.BatchFetched | events.DownloadFailed | events.ResultsRemoved, now: datetime) -> Line:
    place = _place(event.batch, event.number, event.total)
    if isinstance(event, events.ResultsRemoved):
        return Line(f"removed    {place}: its results were removed by the API on {event.at:%Y-%m-%d}", BAD)
    if isinstance(event, events.DownloadFailed):
        return Line(f"not whole  {place}: {clean(event.why)}{_again(event.until, now)}", WARN)
    counts = event.counts
    named = (("succeeded", counts.succeeded), ("errored", counts.errored), ("canceled", counts.canceled))
    more = (("expired", counts.expired), ("unknown", event.unknown), ("came twice, the same: left out", event.twins))
    parts = ", ".join((*(f"{n:,} {name}" for name, n in (*named, *more) if n), size(event.bytes)))
    return Line(f"fetched    batch {event.number} of {event.total}: {parts}", GOOD)
