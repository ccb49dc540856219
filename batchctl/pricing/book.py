"""The price list of the `genai-prices` package, as sheets of ours: offline, exact, of a model on a day.

The package is imported when the first price is asked for: that takes a quarter of a second.
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from batchctl.domain.money import PROMPT_STEPS, Prices, Sheet, Step

PROVIDER = "anthropic"
HALF = Decimal("0.5")
HALVED = "no batch price is listed for it: half of its real-time price"


class Book:
    def sheet(self, model: str, day: date) -> Sheet | None:
        """None where the model has no price here, or one that cannot be used on summed-up usage."""
        found = _found(model)
        if found is None:
            return None
        at = datetime.combine(day, time(12), UTC)
        real_time = found.get_prices(at)
        batch = found.get_prices(at, {"processing": "batch"})
        steps = _steps(real_time)
        if not steps <= set(PROMPT_STEPS):
            return None
        made = [
            Step(over=over, batch=_prices(batch, over), real_time=_prices(real_time, over)) for over in sorted(steps)
        ]
        # Where a model or a day has no batch price, the package gives the full one without a word.
        is_half = all(_halved(step.real_time) == step.batch for step in made)
        halves = [Step(over=step.over, batch=_halved(step.real_time), real_time=step.real_time) for step in made]
        return Sheet(model=found.id, day=day, source=source(), steps=tuple(halves), note="" if is_half else HALVED)


def source() -> str:
    """Whose prices these are, with its version."""
    import genai_prices  # noqa: PLC0415 - a quarter of a second, for who asks for a price

    return f"genai-prices {genai_prices.__version__}"


def _found(model: str) -> Any:
    from genai_prices import data_snapshot  # noqa: PLC0415 - as above

    try:
        return data_snapshot.get_snapshot().find_provider_model(model, None, PROVIDER, None)[1]
    except LookupError:
        return None


def _steps(listed: Any) -> set[int]:
    tiers = [tier for price in vars(listed).values() for tier in getattr(price, "tiers", ())]
    return {0, *(tier.start for tier in tiers)}


def _prices(listed: Any, over: int) -> Prices:
    return Prices(
        input=_price(listed.input_mtok, over),
        write_5m=_price(listed.cache_write_mtok, over),
        write_1h=_price(listed.cache_write_1h_mtok, over),
        read=_price(listed.cache_read_mtok, over),
        output=_price(listed.output_mtok, over),
        web_search=_price(listed.web_searches_kcount, over),
    )


def _price(listed: Any, over: int) -> Decimal:
    if isinstance(listed, Decimal):
        return listed
    passed = [tier.price for tier in listed.tiers if tier.start <= over]
    price: Decimal = passed[-1] if passed else listed.base
    return price


def _halved(prices: Prices) -> Prices:
    return Prices(
        input=prices.input * HALF,
        write_5m=prices.write_5m * HALF,
        write_1h=prices.write_1h * HALF,
        read=prices.read * HALF,
        output=prices.output * HALF,
        web_search=prices.web_search,
    )
