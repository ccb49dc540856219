"""What an input will cost, drawn: tokens and money as low, expected and high, what a cache would do, how it was got, and what to do."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.prices import Forecast, dollars
from batchctl.money.estimate import CacheEstimate, Estimate, ModelEstimate, Range
from batchctl.render.reports import UNKNOWN, indented, warning
from batchctl.render.text import clean, number, plural

LIVES = {"1h": "for 1 h", "5m": "for 5 min"}


def estimate(of: Estimate) -> RenderableType:
    parts: list[RenderableType] = [indented(_amounts(of)), Text("")]
    if of.caches:
        parts += [_of_cache(of.caches), indented(_caches(of.caches)), Text("")]
    parts.append(indented(_how(of)))
    if of.advice:
        parts += [Text(""), indented(_advice(of))]
    if of.unpriced:
        said = (
            f"no price is known for {', '.join(of.unpriced)}: what this costs is unknown; batchctl prices shows what is"
        )
        parts.append(indented(warning(said)))
    return Group(*parts)


def _amounts(of: Estimate) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", min_width=18)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True, min_width=12)
    table.add_row("", *(Text(head, style="dim") for head in ("low", "expected", "high")))
    for one in of.models:
        _add_model(table, one)
    if len(of.models) > 1:
        table.add_row(Text("all together", style="bold"))
        _add_money(table, of.forecast, of.real_time)
    return table


def _add_model(table: Table, one: ModelEstimate) -> None:
    table.add_row(Text(clean(one.model, 60) or "other models", style="bold"))
    table.add_row("  requests", "", number(one.requests))
    table.add_row("  input tokens", *_cells(one.input, number))
    table.add_row("  output tokens", *_cells(one.output, number))
    _add_money(table, one.batch, one.real_time)


def _add_money(table: Table, batch: Range[Decimal] | Forecast | None, real_time: Range[Decimal] | None) -> None:
    table.add_row("  in batches", *(Text(cell, style="bold") for cell in _cells(batch, dollars)))
    table.add_row("  in real time", *(Text(cell, style="dim") for cell in _cells(real_time, dollars)))


def _cells(of: Range[Any] | Forecast | None, shown: Callable[[Any], str]) -> Iterable[str]:
    return [shown(value) for value in (of.low, of.expected, of.high)] if of else [UNKNOWN] * 3


def _of_cache(caches: Sequence[CacheEstimate]) -> Text:
    each = round(caches[0].prefix_tokens / caches[0].requests)
    said = f"the input in batches, with the {number(each)} tokens that {plural(caches[0].requests, 'request')} share cached"
    return Text(f"  {said}", style="dim")


def _caches(caches: Sequence[CacheEstimate]) -> Table:
    """Down the shares of reads; what costs more than no cache stands out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=18)
    for _ in caches:
        table.add_column(justify="right", no_wrap=True, min_width=12)
    table.add_row("", *(Text(f"{LIVES[one.ttl]}{', as it is' if one.is_there else ''}", style="dim") for one in caches))
    table.add_row("  no cache", *(dollars(one.without) for one in caches))
    for at, (rate, _) in enumerate(caches[0].rows):
        amounts = [(one.rows[at][1], one.without) for one in caches]
        cells = [Text(dollars(cost), style="green" if cost < without else "yellow") for cost, without in amounts]
        table.add_row(f"  {rate:.0%} read from it", *cells)
    table.add_row("  pays from", *(Text(f"{one.break_even:.0%}", style="bold") for one in caches))
    return table


def _how(of: Estimate) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold", style="dim")
    for said in of.how:
        what, _, rest = said.partition(": ")
        table.add_row(clean(what), clean(rest))
    if of.sources:
        table.add_row("prices", clean(f"{', '.join(of.sources)}, on {of.day}"))
    return table


def _advice(of: Estimate) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for one in of.advice:
        table.add_row("to save" if one.saves else "to know", clean(one.text, 1000))
    return table
