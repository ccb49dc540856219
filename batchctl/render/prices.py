"""Prices, drawn: columns by their decimal points, real time beside batch beside cached."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from batchctl.domain.prices import OF_GEO, ModelPrices, Prices, PriceTier
from batchctl.money.price_table import PriceTable, Refreshed
from batchctl.render.text import clean, number

NEXT = "batchctl estimate INPUT.jsonl"
GAP = "  "
GROUP_GAP = "   "

# Columns under one title: the head of each and the prices below it.
Columns = Sequence[tuple[str, Sequence[Decimal]]]


def models(table: PriceTable) -> RenderableType:
    """A line for each model and each of its further steps."""
    rows = [(model_prices, step) for model_prices in table.model_prices_list for step in model_prices.steps]

    def column(head: str, of: Callable[[PriceTier], Decimal]) -> tuple[str, list[Decimal]]:
        return head, [of(step) for _, step in rows]

    groups: list[tuple[str, Columns]] = [
        ("real time", [column("in", lambda s: s.real_time.input), column("out", lambda s: s.real_time.output)]),
        ("batch", [column("in", lambda s: s.batch.input), column("out", lambda s: s.batch.output)]),
        ("batch write", [column("5 min", lambda s: s.batch.write_5m), column("1 h", lambda s: s.batch.write_1h)]),
        ("batch", [column("read", lambda s: s.batch.read)]),
    ]
    labels = [_label(model_prices, step) for model_prices, step in rows]
    return Group(_unit(table), Text(""), *_grid("model", labels, groups), Text(""), *_said_of(table))


def model(table: PriceTable) -> RenderableType:
    """One model: a line for each class of token, two columns for each step."""
    (model_prices,) = table.model_prices_list
    groups = [(_step(model_prices, step), _lanes(step)) for step in model_prices.steps]
    title = Text.assemble((clean(model_prices.model), "bold"), GAP, _unit(table))
    return Group(title, Text(""), *_grid("", list(_CLASSES), groups), Text(""), *_said_of(table, has_searches=True))


def refreshed(of: Refreshed) -> str:
    parts = [f"{of.source}, kept as {of.path}"]
    parts += [f"new: {', '.join(of.new)}"] if of.new else []
    parts += [f"other prices: {', '.join(of.changed)}"] if of.changed else []
    return "; ".join(parts) if len(parts) > 1 else f"{parts[0]}; no price has changed"


_CLASSES: dict[str, Callable[[Prices], Decimal]] = {
    "input": lambda prices: prices.input,
    "cache write, 5 min": lambda prices: prices.write_5m,
    "cache write, 1 h": lambda prices: prices.write_1h,
    "cache read": lambda prices: prices.read,
    "output": lambda prices: prices.output,
    "1,000 web searches": lambda prices: prices.web_search,
}


def _lanes(step: PriceTier) -> Columns:
    return [
        (head, [of(prices) for of in _CLASSES.values()])
        for head, prices in (("real time", step.real_time), ("batch", step.batch))
    ]


def _step(model_prices: ModelPrices, step: PriceTier) -> str:
    if len(model_prices.steps) == 1:
        return ""
    if step.over:
        return f"prompt over {number(step.over)}"
    return f"prompt to {number(model_prices.steps[1].over)}"


def _label(model_prices: ModelPrices, step: PriceTier) -> str:
    return f"  over {number(step.over)}" if step.over else clean(model_prices.model)


def _unit(table: PriceTable) -> Text:
    return Text(f"US$ per million tokens on {table.day}", style="dim")


# ---------------------------------------------------------------- the grid


def _grid(first: str, labels: Sequence[str], groups: Sequence[tuple[str, Columns]]) -> list[Text]:
    """Titles where there are some, heads, and a line for each label."""
    drawn = [(title, [_column(head, prices) for head, prices in columns]) for title, columns in groups]
    width = max(map(len, (first, *labels)), default=0)
    titles = GROUP_GAP.join(title.center(len(_line(columns, 0))) for title, columns in drawn)
    lines = [Text(f"{'':{width}}{GROUP_GAP}{titles}".rstrip(), style="dim")] if titles.strip() else []
    for at, label in enumerate((first, *labels)):
        cells = GROUP_GAP.join(_line(columns, at) for _, columns in drawn)
        lines.append(Text(f"{label:{width}}{GROUP_GAP}{cells}".rstrip(), style="" if at else "dim"))
    return lines


def _line(columns: Sequence[Sequence[str]], at: int) -> str:
    return GAP.join(column[at] for column in columns)


def _column(head: str, prices: Sequence[Decimal]) -> list[str]:
    """Of one width, head first."""
    said = [_amount(price).partition(".") for price in prices]
    places = max((len(after) for _, _, after in said), default=0)
    cells = [f"{before}.{after:{places}}" for before, _, after in said]
    width = max(map(len, (head, *cells)))
    return [one.rjust(width) for one in (head, *cells)]


def _amount(price: Decimal) -> str:
    """Cents, and further places only where they are needed."""
    plain = f"{price.normalize():f}"
    places = len(plain.partition(".")[2])
    return plain if places >= 2 else f"{price:.2f}"


# ---------------------------------------------------------------- what is said below


def _said_of(table: PriceTable, *, has_searches: bool = False) -> list[Text]:
    geo = ", ".join(f"{name}: {times} times the price of tokens" for name, times in OF_GEO.items())
    said = [f"inference_geo {geo}"]
    if table.model_prices_list and not has_searches:
        searches = _grouped(
            (f"{_amount(s.steps[0].batch.web_search)} per 1,000", s.model) for s in table.model_prices_list
        )
        said = [f"web searches {'; '.join(searches)}, in a batch as well", *said]
    said += [
        f"prices: {one}"
        for one in _grouped((model_prices.source, model_prices.model) for model_prices in table.model_prices_list)
    ]
    notes = _notes((model_prices.note, model_prices.model) for model_prices in table.model_prices_list)
    lines = [Text(clean(one, 1000), style="dim") for one in said]
    lines += [Text(f"! {clean(one, 1000)}", style="yellow") for one in notes]
    if table.unpriced:
        lines.append(Text(clean(f"! no price that can be used: {', '.join(table.unpriced)}", 1000), style="yellow"))
    if table.left_out:
        lines.append(Text(f"{table.left_out} models that are no longer served: batchctl prices --all", style="dim"))
    return lines


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """What is said, the most common first; of which models is told for all but that one."""
    (most, _), *others = _by_count(pairs) or [("", [])]
    return [most, *(f"{said} ({', '.join(of)})" for said, of in others)] if most else []


def _notes(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Of which models it is said, unless of all of them."""
    found = _by_count(pairs)
    return [f"{said} ({', '.join(of)})" if len(found) > 1 else said for said, of in found if said]


def _by_count(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    models: dict[str, list[str]] = {}
    for said, model_ in pairs:
        models.setdefault(said, []).append(model_)
    return sorted(models.items(), key=lambda pair: -len(pair[1]))
