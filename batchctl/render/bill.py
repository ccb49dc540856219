"""`cost`: what every model used and cost, the rounds beside what was estimated, and whose prices these are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from batchctl.domain.prices import Forecast, dollars
from batchctl.money.bill import BatchBill, Bill, Cost, Part, RoundBill, whole
from batchctl.render import styles, total
from batchctl.render.json_output import usd
from batchctl.render.layout import UNKNOWN, Column, Columns, Row, facts, indent, next_line, warning
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
# In JSON, the total of a job of which nothing was fetched so far.
NO_TOTAL = {"at_least": False, "unknown": [], "beyond": [], "sources": [], "price_days": []}


def draw(bill: Bill, next_command: str, *, wide: bool) -> RenderableType:
    """Return the bill of one job; `wide` adds a row for each batch."""
    parts: list[RenderableType] = [_title(bill)]
    if bill.models:
        parts += [Text(""), indent(_models(bill)), Text(""), indent(_rounds(bill.rounds))]
    if wide:
        parts += [Text(""), indent(_batches(bill.batches))]
    parts += [Text(""), indent(facts((name, Text(clean(text))) for name, text in _facts(bill)))]
    if bill.total:
        parts += [indent(warning(why)) for why in bill.total.unknown]
        parts += [indent(warning(f"not in it: {why}")) for why in bill.total.beyond]
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
        return Text.assemble(name, "  ", (UNKNOWN, styles.strong(styles.WARN)), rest)
    return Text.assemble(name, "  ", (known, styles.strong(styles.GOOD)), beside, saved)


def _amounts(cost: Cost) -> tuple[str, str]:
    return (dollars(cost.batch), dollars(cost.real_time)) if cost.is_known else (UNKNOWN, UNKNOWN)


def _models(bill: Bill) -> Columns:
    columns = (
        *(Column("model", is_text=True), Column("requests", rank=3), Column("tokens", rank=1), Column("in batch")),
        Column("in real time", rank=2),
    )
    rows: list[Row] = []
    for model, part in list(bill.models.items())[:SHOWN_MODELS]:
        rows.append((Text(clean(model, 128)), number(part.cost.requests), "", *_amounts(part.cost)))
        for name, field in CLASSES:
            if used := getattr(part.cost.usage, field):
                rows.append((Text(f"  {name}", style=styles.QUIET), "", number(used), "", ""))
    if rest := list(bill.models.values())[SHOWN_MODELS:]:
        cost = sum((part.cost for part in rest), Cost())
        rows.append((Text(f"{len(rest)} more", style=styles.QUIET), number(cost.requests), "", *_amounts(cost)))
    return Columns(columns, rows)


def _rounds(rounds: Sequence[RoundBill]) -> Columns:
    columns = (
        *(
            Column("round"),
            Column("batches", rank=2),
            Column("requests"),
            Column("in batch"),
            Column("in real time", rank=3),
        ),
        Column("estimated", rank=1, is_text=True),
    )
    rows = []
    for r in rounds:
        cost = whole(r.models)
        amounts = _amounts(cost) if r.summed_up else ("-", "-")
        if 0 < r.summed_up < r.batches and cost.is_known:
            amounts = (f"at least {amounts[0]}", amounts[1])
        estimated = ""
        if r.forecast:
            most = f"to {dollars(r.forecast.high)}" if r.forecast.is_bound else "or more"
            estimated = f"{dollars(r.forecast.expected)} ({dollars(r.forecast.low)} {most})"
        rows.append((str(r.number), number(r.batches), number(cost.requests), *amounts, Text(estimated)))
    return Columns(columns, rows)


def _batches(bills: Sequence[BatchBill]) -> Columns:
    columns = (
        *(
            Column("round", rank=3),
            Column("batch"),
            Column("requests"),
            Column("prompt", rank=1),
            Column("output", rank=2),
        ),
        *(Column("in batch"), Column("message batch", rank=4, is_text=True)),
    )
    rows: list[Row] = []
    for bill in bills:
        cost = whole(bill.models)
        name = Text(clean(bill.batch.message_batch_id or bill.batch.state.value, 80))
        cells = ["", "", "", "-"]
        if bill.unread is not None:
            used = (cost.requests, cost.usage.prompt_tokens, cost.usage.output_tokens)
            cells = [*map(number, used), _amounts(cost)[0]]
        rows.append((str(bill.batch.round), str(bill.number), *cells, name))
    return Columns(columns, rows)


def _facts(bill: Bill) -> Iterable[tuple[str, str]]:
    counts = ((name, getattr(bill.free, name)) for name in ("errored", "expired", "canceled"))
    if free := ", ".join(f"{number(n)} {name}" for name, n in counts if n):
        yield "free", free
    if bill.cost.cache:
        yield "cache", total.cache(bill.cost.cache)
    if bill.total and bill.total.sources:
        yield "prices", ", ".join(total.price_sources(bill.total))
    notes = {
        (model_prices.model, model_prices.note): None
        for part in bill.models.values()
        for model_prices in part.model_prices_list
        if model_prices.note
    }
    for model, note in notes:
        yield "", f"{model}: {note}"


# ---------------------------------------------------------------- for programs


def to_json(bill: Bill, next_command: str, *, with_batches: bool) -> dict[str, Any]:
    """Return the object of `cost`."""
    return {
        "type": "cost",
        "job": bill.job.name,
        "total": {
            **_cost_to_json(bill.cost, is_summed_up=bill.total is not None),
            **(total.to_json(bill.total) if bill.total else NO_TOTAL),
        },
        "models": _models_to_json(bill.models),
        "rounds": [
            {
                "round": r.number,
                "batches": r.batches,
                "batches_summed_up": r.summed_up,
                "at_least": 0 < r.summed_up < r.batches,
                **_cost_to_json(whole(r.models), is_summed_up=bool(r.summed_up)),
                "forecast": _forecast_to_json(r.forecast) if r.forecast else None,
                "models": _models_to_json(r.models),
            }
            for r in bill.rounds
        ],
        "free": {name: getattr(bill.free, name) for name in ("errored", "canceled", "expired")},
        **({"message_batches": [_batch_to_json(one) for one in bill.batches]} if with_batches else {}),
        "next_command": next_command or None,
    }


def _forecast_to_json(forecast: Forecast) -> dict[str, Any]:
    return {
        "low_usd": usd(forecast.low),
        "expected_usd": usd(forecast.expected),
        "high_usd": usd(forecast.high),
        "high_is_bound": forecast.is_bound,
        "how": forecast.how,
        "prices": forecast.prices,
    }


def _batch_to_json(bill: BatchBill) -> dict[str, Any]:
    return {
        "id": bill.batch.message_batch_id,
        "round": bill.batch.round,
        "batch": bill.number,
        "price_day": bill.day.isoformat(),
        "usage_unread": bill.unread,
        **_cost_to_json(whole(bill.models), is_summed_up=bill.unread is not None),
        "models": _models_to_json(bill.models),
    }


def _models_to_json(models: Mapping[str, Part]) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            **_cost_to_json(part.cost, is_summed_up=True),
            "prices": [
                {"model": s.model, "day": s.day.isoformat(), "source": s.source, "note": s.note or None}
                for s in part.model_prices_list
            ],
        }
        for model, part in models.items()
    ]


def _cost_to_json(cost: Cost, *, is_summed_up: bool) -> dict[str, Any]:
    """Return amounts that are null where nothing is known so far: nothing was fetched, or nothing of it has a price."""
    has_known = is_summed_up and (cost.is_known or cost.unpriced < cost.requests)
    return {
        "requests": cost.requests,
        "unpriced_requests": cost.unpriced,
        "usage": asdict(cost.usage),
        **total.cache_to_json(cost.cache),
        **total.amounts_to_json(
            cost.batch, cost.real_time, is_known=is_summed_up and cost.is_known, has_known=has_known
        ),
    }
