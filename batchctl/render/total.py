"""What the answers of a job cost in all, in a line: of a job, of what was fetched, and of a bill."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType

from batchctl.domain.prices import CacheUse, TotalCost, dollars
from batchctl.render.json_output import usd
from batchctl.render.layout import UNKNOWN, named_line
from batchctl.render.text import clean, number


def draw(total: TotalCost) -> RenderableType:
    """Return the amount, whose prices these are and what is not in it; then, where something was cached, what that did."""
    known = f"{dollars(total.batch)} in batch ({dollars(total.real_time)} in real time)"
    amount = f"at least {known}" if total.beyond else known
    if total.unknown:
        rest = f"; all else {amount}" if total.has_known else ""
        amount = f"{UNKNOWN}, {'; '.join(total.unknown)}{rest}"
    left = f"; not in it: {'; '.join(total.beyond)}" if total.beyond else ""
    lines = [named_line("cost", clean(f"{', '.join((amount, *price_sources(total)))}{left}", 1000))]
    return Group(*lines, *([named_line("cache", cache(total.cache))] if total.cache else []))


def cache(use: CacheUse) -> str:
    """Return which share of the tokens came from the cache, and what that saved."""
    if use.saved is None:
        outcome = f"what that saved is {UNKNOWN}"
    else:
        outcome = f"{dollars(abs(use.saved))} {'lost' if use.saved < 0 else 'saved'} against no cache"
    read = f"{number(use.read_tokens)} of {number(use.tokens)} tokens that were to be cached were read from the cache"
    return f"{use.hit_rate * 100:.1f} % hit: {read}; {outcome}"


def price_sources(total: TotalCost) -> Sequence[str]:
    """Return whose prices these are, and of which days."""
    if not total.days:
        return total.sources
    first, last = total.days[0].isoformat(), total.days[-1].isoformat()
    return (*total.sources, f"prices of {first}" if first == last else f"prices of {first} to {last}")


def to_json(total: TotalCost) -> dict[str, Any]:
    """Return the amounts: null where the cost is not known. The `known_` ones are of all that has a price, else null, too."""
    return {
        **amounts_to_json(total.batch, total.real_time, is_known=not total.unknown, has_known=total.has_known),
        **cache_to_json(total.cache),
        "at_least": bool(total.beyond),
        "unknown": list(total.unknown),
        "beyond": list(total.beyond),
        "sources": list(total.sources),
        "price_days": [day.isoformat() for day in total.days],
    }


def amounts_to_json(batch: Decimal, real_time: Decimal, *, is_known: bool, has_known: bool) -> dict[str, str | None]:
    """Return what it cost, what it would have cost in real time, and what was saved."""
    amounts = {"batch_usd": usd(batch), "real_time_usd": usd(real_time), "saved_usd": usd(real_time - batch)}
    known = {f"known_{name}": value if has_known else None for name, value in amounts.items()}
    return {**(amounts if is_known else dict.fromkeys(amounts)), **known}


def cache_to_json(use: CacheUse | None) -> dict[str, Any]:
    """Return nulls where nothing was to be cached. A saving below 0 is a loss, and null where a price is not known."""
    rate = float(round(use.hit_rate, 6)) if use else None
    saved = usd(use.saved) if use and use.saved is not None else None
    return {"cache_hit_rate": rate, "cache_saved_usd": saved}
