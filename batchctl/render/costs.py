"""What was paid, drawn: what every model used and cost, the rounds beside what was estimated, and whose prices these are."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.prices import Forecast, dollars
from batchctl.money.bill import BatchBill, Bill, Cost, RoundBill, whole
from batchctl.render.reports import UNKNOWN, cache, headed, indented, next_line, prices, warning
from batchctl.render.text import clean, number

CLASSES = (
    ("input", "input_tokens"),
    ("cache writes, 5 m", "write_5m_tokens"),
    ("cache writes, 1 h", "write_1h_tokens"),
    ("cache reads", "read_tokens"),
    ("output", "output_tokens"),
    ("web searches", "web_searches"),
)

# `--json` has them all.
SHOWN_MODELS = 20


def cost(bill: Bill, next_command: str, *, wide: bool) -> RenderableType:
    parts: list[RenderableType] = [_title(bill)]
    if bill.models:
        parts += [Text(""), indented(_models(bill)), Text(""), indented(_rounds(bill.rounds))]
    if wide:
        parts += [Text(""), indented(_batches(bill.batches))]
    parts += [Text(""), indented(_facts(bill))]
    if bill.total:
        parts += [indented(warning(why)) for why in bill.total.unknown]
        parts += [indented(warning(f"not in it: {why}")) for why in bill.total.beyond]
    if next_command:
        parts += [Text(""), next_line(next_command)]
    return Group(*parts)


def _title(bill: Bill) -> Text:
    name = (bill.job.name, "bold")
    if bill.total is None:
        return Text.assemble(name, "  nothing of it is fetched yet")
    batch, real_time = bill.total.batch, bill.total.real_time
    known = f"{'at least ' if bill.total.beyond else ''}{dollars(batch)}"
    beside = f" in batch, {dollars(real_time)} in real time"
    saved = f": {dollars(real_time - batch)} saved" if real_time > batch else ""
    if bill.total.unknown:
        rest = f"; what has a price is {known}{beside}{saved}" if bill.total.has_known else ""
        return Text.assemble(name, "  ", (UNKNOWN, "bold yellow"), rest)
    return Text.assemble(name, "  ", (known, "bold green"), beside, saved)


def _amounts(cost: Cost) -> tuple[str, str]:
    if not cost.is_known:
        return UNKNOWN, UNKNOWN
    return dollars(cost.batch), dollars(cost.real_time)


def _models(bill: Bill) -> Table:
    table = headed("model", "requests", "tokens", "in batch", "in real time", left=("model",))
    for model, part in list(bill.models.items())[:SHOWN_MODELS]:
        table.add_row(Text(clean(model, 128)), number(part.cost.requests), "", *_amounts(part.cost))
        for name, field in CLASSES:
            if used := getattr(part.cost.usage, field):
                table.add_row(Text(f"  {name}", style="dim"), "", number(used), "", "")
    if rest := list(bill.models.values())[SHOWN_MODELS:]:
        cost = sum((part.cost for part in rest), Cost())
        table.add_row(Text(f"{len(rest)} more", style="dim"), number(cost.requests), "", *_amounts(cost))
    return table


def _rounds(rounds: Sequence[RoundBill]) -> Table:
    table = headed("round", "batches", "requests", "in batch", "in real time", "estimated", left=("estimated",))
    for one in rounds:
        cost = whole(one.models)
        amounts = _amounts(cost) if one.summed_up else ("-", "-")
        if 0 < one.summed_up < one.batches and cost.is_known:
            amounts = (f"at least {amounts[0]}", amounts[1])
        estimated = _forecast(one.forecast) if one.forecast else ""
        table.add_row(str(one.number), number(one.batches), number(cost.requests), *amounts, Text(estimated))
    return table


def _forecast(of: Forecast) -> str:
    most = f"to {dollars(of.high)}" if of.is_bound else "or more"
    return f"{dollars(of.low)} {most}, expected {dollars(of.expected)}"


def _batches(bills: Sequence[BatchBill]) -> Table:
    heads = ("round", "batch", "requests", "prompt", "output", "in batch", "message batch")
    table = headed(*heads, left=("message batch",), gap=1)
    for one in bills:
        cost = whole(one.models)
        name = Text(clean(one.batch.message_batch_id or one.batch.state.value, 80))
        if one.unread is None:
            table.add_row(str(one.batch.round), str(one.number), "", "", "", "-", name)
            continue
        used = (cost.requests, cost.usage.prompt_tokens, cost.usage.output_tokens)
        table.add_row(str(one.batch.round), str(one.number), *map(number, used), _amounts(cost)[0], name)
    return table


def _facts(bill: Bill) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in _fact_rows(bill):
        table.add_row(name, Text(clean(said)))
    return table


def _fact_rows(bill: Bill) -> Iterable[tuple[str, str]]:
    counts = ((name, getattr(bill.free, name)) for name in ("errored", "expired", "canceled"))
    if free := ", ".join(f"{number(n)} {name}" for name, n in counts if n):
        yield "free", free
    if bill.cost.cache:
        yield "cache", cache(bill.cost.cache)
    if bill.total and bill.total.sources:
        yield "prices", ", ".join(prices(bill.total))
    notes = {
        (model_prices.model, model_prices.note): None
        for part in bill.models.values()
        for model_prices in part.model_prices_list
        if model_prices.note
    }
    for model, note in notes:
        yield "", f"{model}: {note}"
