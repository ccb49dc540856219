"""What an input will cost: tokens and money as low, expected and high, what a cache would do, and how to pay less."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.prices import Forecast, dollars
from batchctl.domain.wording import plural
from batchctl.money.advice import Advice
from batchctl.money.estimate import CacheEstimate, Estimate, Range
from batchctl.render import styles
from batchctl.render.json_output import usd
from batchctl.render.layout import UNKNOWN, ByWidth, indent, warning
from batchctl.render.text import clean, number

# The terminal columns from which on three amounts stand side by side.
WIDTH_OF_AMOUNTS = 60
LIVES = {"1h": "for 1 h", "5m": "for 5 min"}


def draw(estimate: Estimate) -> RenderableType:
    """Return an estimate, with what it rests on."""
    parts: list[RenderableType] = [indent(ByWidth(partial(_amounts, estimate))), Text("")]
    if estimate.caches:
        first = estimate.caches[0]
        shared = f"the {number(round(first.prefix_tokens / first.requests))} tokens that {plural(first.requests, 'request')} share"
        parts.append(indent(Text(f"the input in batches, if {shared} are cached", style=styles.QUIET)))
        parts += [indent(ByWidth(partial(_caches, estimate.caches))), Text("")]
    parts.append(indent(_basis(estimate)))
    if estimate.advice:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style=styles.ACTIVE)
        table.add_column(overflow="fold")
        for advice in estimate.advice:
            of_model = f"{advice.model}: " if advice.model and len(estimate.models) > 1 else ""
            table.add_row("to save" if advice.saves else "to know", clean(of_model + advice.text, 1000))
        parts += [Text(""), indent(table)]
    if estimate.unpriced:
        names = ", ".join(estimate.unpriced)
        text = f"no price is known for {names}: what this costs is unknown; batchctl prices shows what is"
        parts.append(indent(warning(text)))
    return Group(*parts)


def _amounts(estimate: Estimate, width: int) -> Table:
    """Return a column for each end of a range; on a narrow terminal the low one is left out, and no amount is cut."""
    table = _table_of_amounts(3, width)
    rows: list[tuple[str | Text, Iterable[str | Text]]] = [
        ("", [Text(head, style=styles.QUIET) for head in ("low", "expected", "high")])
    ]
    for model in estimate.models:
        rows.append((Text(clean(model.model, 60) or "other models", style="bold"), ("", "", "")))
        rows.append(("  requests", ("", number(model.requests), "")))
        rows.append(("  input tokens", _cells(model.input, number)))
        rows.append(("  output tokens", _cells(model.output, number)))
        rows += _money(model.batch, model.real_time)
    if len(estimate.models) > 1:
        rows.append((Text("all together", style="bold"), ("", "", "")))
        rows += _money(estimate.forecast, estimate.real_time)
    for name, cells in rows:
        table.add_row(name, *list(cells)[-(len(table.columns) - 1) :])
    return table


def _table_of_amounts(columns: int, width: int) -> Table:
    """Return an empty table of names and amounts, with room between these where the terminal has it."""
    is_wide = width >= WIDTH_OF_AMOUNTS
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", min_width=18 if is_wide else None)
    for _ in range(columns if is_wide else min(columns, 2)):
        table.add_column(justify="right", no_wrap=True, min_width=12 if is_wide else None)
    return table


def _money(
    batch: Range[Decimal] | Forecast | None, real_time: Range[Decimal] | None
) -> list[tuple[str | Text, Iterable[str | Text]]]:
    return [
        ("  in batches", [Text(cell, style="bold") for cell in _cells(batch, dollars)]),
        ("  in real time", [Text(cell, style=styles.QUIET) for cell in _cells(real_time, dollars)]),
    ]


def _cells(amounts: Range[Any] | Forecast | None, shown: Callable[[Any], str]) -> Iterable[str]:
    return [shown(value) for value in (amounts.low, amounts.expected, amounts.high)] if amounts else [UNKNOWN] * 3


def _caches(caches: Sequence[CacheEstimate], width: int) -> Table:
    """Return a row for each share of reads; what costs more than no cache stands out."""
    table = _table_of_amounts(len(caches), width)
    table.add_row(
        "", *(Text(f"{LIVES[one.ttl]}{', as it is' if one.is_there else ''}", style=styles.QUIET) for one in caches)
    )
    table.add_row("  no cache", *(dollars(one.without) for one in caches))
    for at, (rate, _) in enumerate(caches[0].rows):
        amounts = [(one.rows[at][1], one.without) for one in caches]
        cells = [Text(dollars(cost), style=styles.GOOD if cost < without else styles.WARN) for cost, without in amounts]
        table.add_row(f"  {rate:.0%} read from it" if rate else "  cold: none read", *cells)
    primed = [Text("" if one.primed is None else dollars(one.primed), style=styles.GOOD) for one in caches]
    table.add_row("  primed (--prime)", *primed)
    table.add_row("  pays from", *(Text(f"{one.break_even:.0%}", style="bold") for one in caches))
    return table


def _basis(estimate: Estimate) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style=styles.QUIET)
    table.add_column(overflow="fold", style=styles.QUIET)
    for text in estimate.how:
        what, _, rest = text.partition(": ")
        table.add_row(clean(what), clean(rest))
    if estimate.sources:
        table.add_row("prices", clean(f"{', '.join(estimate.sources)}, on {estimate.day}"))
    return table


# ---------------------------------------------------------------- for programs


def to_json(estimate: Estimate) -> dict[str, Any]:
    """Return amounts in US dollars as exact decimals in text; null where a model has no price."""
    forecast = estimate.forecast
    return {
        "type": "estimate",
        "day": estimate.day,
        "sources": list(estimate.sources),
        "requests": estimate.requests,
        "requests_counted": estimate.counted,
        "batch_usd": _range_to_json(forecast),
        "high_is_bound": forecast.is_bound if forecast else None,
        "real_time_usd": _range_to_json(estimate.real_time),
        "unpriced": list(estimate.unpriced),
        "models": [
            {
                "model": model.model,
                "priced_as": model.model_prices.model if model.model_prices else None,
                "source": model.model_prices.source if model.model_prices else None,
                "requests": model.requests,
                "groups": model.groups,
                "input_tokens": _range_to_json(model.input),
                "output_tokens": _range_to_json(model.output),
                "batch_usd": _range_to_json(model.batch),
                "real_time_usd": _range_to_json(model.real_time),
            }
            for model in estimate.models
        ],
        "caches": [
            {
                "ttl": cache.ttl,
                "is_in_the_input": cache.is_there,
                "requests": cache.requests,
                "prefix_tokens": cache.prefix_tokens,
                "input_without_cache_usd": cache.without,
                "input_primed_usd": cache.primed,
                "input_usd_by_hit_rate": {str(rate): amount for rate, amount in cache.rows},
                "break_even_hit_rate": round(cache.break_even, 4),
            }
            for cache in estimate.caches
        ],
        "how": list(estimate.how),
        "advice": [_advice_to_json(advice) for advice in estimate.advice],
        "refused": [
            {
                "line": kind.first.line,
                "custom_id": kind.first.custom_id or None,
                "requests": kind.lines,
                "code": kind.first.fault.code,
                "message": kind.first.fault.message,
            }
            for kind in estimate.refusals
        ],
    }


def _advice_to_json(advice: Advice) -> dict[str, Any]:
    """Return `saves_usd` at worst and at best, below 0 where it costs more; null where no bill changes or no price is known."""
    return {
        "code": advice.code.value,
        "model": advice.model,
        "requests": advice.requests,
        "text": advice.text,
        "saves_usd": dict(zip(("low", "high"), map(usd, advice.saves), strict=True)) if advice.saves else None,
    }


def _range_to_json(amounts: Range[Any] | Forecast | None) -> dict[str, Any] | None:
    return {"low": amounts.low, "expected": amounts.expected, "high": amounts.high} if amounts else None
