"""`prices`: columns by their decimal points, real time beside batch beside cached."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from batchctl.domain.faults import shown
from batchctl.domain.prices import GEO_FACTOR, ModelPrices, Prices, PriceTier
from batchctl.domain.wording import plural
from batchctl.money.catalog import PriceTable, Refreshed
from batchctl.render import styles
from batchctl.render.json_output import usd
from batchctl.render.layout import hanging
from batchctl.render.text import clean, number
from batchctl.requests.rules import Rule

NEXT = "batchctl estimate INPUT.jsonl"
GAP = "  "
GROUP_GAP = "   "

# Columns under one title: the head of each and the prices below it.
Columns = Sequence[tuple[str, Sequence[Decimal]]]


def draw_all(table: PriceTable) -> RenderableType:
    """Return a line for each model and each of its further price steps."""
    rows = [(model_prices, tier) for model_prices in table.model_prices_list for tier in model_prices.tiers]

    def column(head: str, price_of: Callable[[PriceTier], Decimal]) -> tuple[str, list[Decimal]]:
        return head, [price_of(tier) for _, tier in rows]

    groups: list[tuple[str, Columns]] = [
        ("real time", [column("in", lambda s: s.real_time.input), column("out", lambda s: s.real_time.output)]),
        ("batch", [column("in", lambda s: s.batch.input), column("out", lambda s: s.batch.output)]),
        ("batch write", [column("5 min", lambda s: s.batch.write_5m), column("1 h", lambda s: s.batch.write_1h)]),
        ("batch", [column("read", lambda s: s.batch.read)]),
    ]
    labels = [f"  over {number(tier.over)}" if tier.over else clean(model_prices.model) for model_prices, tier in rows]
    return Group(_unit(table), Text(""), *_grid("model", labels, groups), Text(""), *_notes_below(table))


def draw(table: PriceTable, rules: Sequence[Rule] = ()) -> RenderableType:
    """Return one model: a line for each class of token, two columns for each price step; then what it refuses."""
    (model_prices,) = table.model_prices_list
    groups = [(_step_title(model_prices, tier), _lanes(tier)) for tier in model_prices.tiers]
    title = Text.assemble((clean(model_prices.model), "bold"), GAP, _unit(table))
    below = _notes_below(table, has_searches=True)
    return Group(title, Text(""), *_grid("", list(_CLASSES), groups), Text(""), *below, *_refused(rules, table.day))


def _refused(rules: Sequence[Rule], today: date) -> list[RenderableType]:
    """Return a line for each rule of a model, with the version that it holds for; one that has to be read anew is marked."""
    if not rules:
        return []
    lines: list[RenderableType] = [Text(""), Text("refused by this model", style=styles.QUIET)]
    for rule in rules:
        values = ", ".join(map(shown, rule.values))
        version = f" (API version {', '.join(rule.api_versions)})" if rule.api_versions else ""
        past = f" ! read on {rule.seen}, and may have changed" if rule.is_past(today) else ""
        what = f" {values}" if values else f": {rule.message.replace('{value}: ', '')}"
        cure = (f": {rule.cure}", styles.QUIET)
        text = Text.assemble((rule.path, "bold"), f"{what}{version}", cure, (past, styles.WARN))
        lines.append(hanging(Text("  "), text))
    return lines


def draw_refreshed(refreshed: Refreshed) -> str:
    """Return where a list was fetched from, and which prices are new."""
    parts = [f"{refreshed.source}, kept as {refreshed.path}"]
    parts += [f"new: {', '.join(refreshed.new)}"] if refreshed.new else []
    parts += [f"other prices: {', '.join(refreshed.changed)}"] if refreshed.changed else []
    return "; ".join(parts) if len(parts) > 1 else f"{parts[0]}; no price has changed"


_CLASSES: dict[str, Callable[[Prices], Decimal]] = {
    "input": lambda prices: prices.input,
    "cache write, 5 min": lambda prices: prices.write_5m,
    "cache write, 1 h": lambda prices: prices.write_1h,
    "cache read": lambda prices: prices.read,
    "output": lambda prices: prices.output,
    "1,000 web searches": lambda prices: prices.web_search,
}


def _lanes(tier: PriceTier) -> Columns:
    return [
        (head, [price_of(prices) for price_of in _CLASSES.values()])
        for head, prices in (("real time", tier.real_time), ("batch", tier.batch))
    ]


def _step_title(model_prices: ModelPrices, tier: PriceTier) -> str:
    if len(model_prices.tiers) == 1:
        return ""
    return f"prompt over {number(tier.over)}" if tier.over else f"prompt to {number(model_prices.tiers[1].over)}"


def _unit(table: PriceTable) -> Text:
    return Text(f"US$ per million tokens on {table.day}", style=styles.QUIET)


# ---------------------------------------------------------------- the grid


def _grid(first: str, labels: Sequence[str], groups: Sequence[tuple[str, Columns]]) -> list[Text]:
    """Return the titles where there are some, the heads, and a line for each label."""
    drawn = [(title, [_column(head, prices) for head, prices in columns]) for title, columns in groups]
    width = max(map(len, (first, *labels)), default=0)
    titles = GROUP_GAP.join(title.center(len(_line(columns, 0))) for title, columns in drawn)
    lines = [Text(f"{'':{width}}{GROUP_GAP}{titles}".rstrip(), style=styles.QUIET)] if titles.strip() else []
    for at, label in enumerate((first, *labels)):
        cells = GROUP_GAP.join(_line(columns, at) for _, columns in drawn)
        lines.append(Text(f"{label:{width}}{GROUP_GAP}{cells}".rstrip(), style="" if at else styles.QUIET))
    return lines


def _line(columns: Sequence[Sequence[str]], at: int) -> str:
    return GAP.join(column[at] for column in columns)


def _column(head: str, prices: Sequence[Decimal]) -> list[str]:
    """Return the head and the amounts below it, all of one width."""
    halves = [_amount(price).partition(".") for price in prices]
    places = max((len(after) for _, _, after in halves), default=0)
    cells = [f"{before}.{after:{places}}" for before, _, after in halves]
    width = max(map(len, (head, *cells)))
    return [cell.rjust(width) for cell in (head, *cells)]


def _amount(price: Decimal) -> str:
    """Return an amount in cents, with further places only where they are needed."""
    plain = f"{price.normalize():f}"
    places = len(plain.partition(".")[2])
    return plain if places >= 2 else f"{price:.2f}"


# ---------------------------------------------------------------- what stands below it


def _notes_below(table: PriceTable, *, has_searches: bool = False) -> list[Text]:
    geo = ", ".join(f"{name}: {times} times the price of tokens" for name, times in GEO_FACTOR.items())
    below = [f"inference_geo {geo}"]
    if table.model_prices_list and not has_searches:
        searches = _grouped(
            (f"{_amount(s.tiers[0].batch.web_search)} per 1,000", s.model) for s in table.model_prices_list
        )
        below = [f"web searches {'; '.join(searches)}, in a batch as well", *below]
    below += [
        f"prices: {source}"
        for source in _grouped((model_prices.source, model_prices.model) for model_prices in table.model_prices_list)
    ]
    notes = _by_count((model_prices.note, model_prices.model) for model_prices in table.model_prices_list)
    lines = [Text(clean(text, 1000), style=styles.QUIET) for text in below]
    for note, models in notes:
        # Of all models it is said once.
        text = f"{note} ({', '.join(models)})" if len(notes) > 1 else note
        lines += [Text(f"! {clean(text, 1000)}", style=styles.WARN)] if note else []
    if table.unpriced:
        lines.append(Text(clean(f"! no price that can be used: {', '.join(table.unpriced)}", 1000), style=styles.WARN))
    if table.left_out:
        lines.append(Text(f"{plural(table.left_out, 'retired model')}: batchctl prices --all", style=styles.QUIET))
    return lines


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return what is said of models, the most common first; all others name their models."""
    (most, _), *others = _by_count(pairs) or [("", [])]
    return [most, *(f"{text} ({', '.join(models)})" for text, models in others)] if most else []


def _by_count(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    models: dict[str, list[str]] = {}
    for text, model in pairs:
        models.setdefault(text, []).append(model)
    return sorted(models.items(), key=lambda pair: -len(pair[1]))


# ---------------------------------------------------------------- for programs


def to_json(table: PriceTable, next_command: str, rules: Sequence[Rule] | None = None) -> dict[str, Any]:
    """Return US$ per million tokens and, of web searches, per thousand; as text, for a number would be rounded.

    `rules`: of the one model that was asked for; null for many.
    """
    refreshed = table.refreshed
    return {
        "type": "prices",
        "day": str(table.day),
        "models": [
            {
                "model": model_prices.model,
                "source": model_prices.source,
                "note": model_prices.note or None,
                "steps": [
                    {
                        "over": tier.over,
                        "real_time": _prices_to_json(tier.real_time),
                        "batch": _prices_to_json(tier.batch),
                    }
                    for tier in model_prices.tiers
                ],
            }
            for model_prices in table.model_prices_list
        ],
        "unpriced": list(table.unpriced),
        "left_out": table.left_out,
        "refreshed": asdict(refreshed) if refreshed else None,
        "rules": None if rules is None else [_rule_to_json(rule, table.day) for rule in rules],
        "next_command": next_command,
    }


def _rule_to_json(rule: Rule, today: date) -> dict[str, Any]:
    return {
        "code": rule.code,
        "severity": rule.severity.value,
        "path": rule.path,
        "values": [shown(value) for value in rule.values],
        "api_versions": list(rule.api_versions),
        "message": rule.message.replace("{value}: ", ""),
        "cure": rule.cure,
        "evidence": rule.evidence,
        "sources": list(rule.sources),
        "seen": str(rule.seen),
        "until": str(rule.until) if rule.until else None,
        "is_past": rule.is_past(today),
    }


def _prices_to_json(prices: Prices) -> dict[str, str]:
    return {name: usd(price) for name, price in asdict(prices).items()}
