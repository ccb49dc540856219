"""The list of the `genai-prices` package, or a newer one that was fetched, as sheets of ours.

The package is imported when the first price is asked for: that takes a quarter of a second. Its shapes change with its
versions: what of them is not understood has no price here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from batchctl.domain.errors import ServiceProblem
from batchctl.domain.prices import (
    BATCH_SHARE,
    MAX_PRICE,
    TIER_STARTS,
    WEB_SEARCH,
    WRITE_1H,
    WRITE_5M,
    ModelPrices,
    Prices,
    PriceTier,
)
from batchctl.money.price_table import is_form_of

PROVIDER = "anthropic"
BATCH = {"processing": "batch"}
# Current models, each with prices of its own: a list that does not have them is no list for us.
KNOWN = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
MOST_BYTES = 20_000_000
# What comes of a shape that is not known, ours or the package's own; ImportError: of a name that it no longer has.
NOT_UNDERSTOOD = (
    LookupError, AttributeError, TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError, StopIteration,
    ImportError, re.error,
)  # fmt: skip

PER_TOKEN = ("input_mtok", "cache_write_mtok", "cache_write_1h_mtok", "cache_read_mtok", "output_mtok")
NO_BATCH_PRICE = "no batch price is listed: half of the real-time price"
NOT_HALF = "the listed batch price is not half of the real-time price: half of it is used"
# What may be missing: how it is called, and what stands in for it.
INFERRED = {
    "cache_write_mtok": f"5 m cache writes ({WRITE_5M} of input)",
    "cache_write_1h_mtok": f"1 h cache writes ({WRITE_1H} of input)",
    "web_searches_kcount": f"web searches ({WEB_SEARCH} per 1,000)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """`models`: the package's own objects. `warning`: of a list that should have been used instead, empty for none."""

    models: Sequence[Any]
    source: str
    warning: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(str(model.id) for model in self.models if hasattr(model, "id"))

    @property
    def served(self) -> tuple[str, ...]:
        """Those with a batch price at some time: the list has none for models that were retired before it knew batches."""
        return tuple(str(model.id) for model in self.models if hasattr(model, "id") and _has_batch_price(model))

    def model_prices(self, model: str, day: date) -> ModelPrices | None:
        """None where the model has no price here, or one that cannot be used on summed-up usage."""
        try:
            # The list's own matching takes beginnings of names, and so another model for one that it does not know.
            found = next((one for one in self.models if is_form_of(model, one.id) and one.is_match(model)), None)
            return _model_prices(model, found, day, self) if found is not None else None
        except NOT_UNDERSTOOD:
            return None


def newest(paths: Iterable[Path]) -> PriceList:
    """The package's list, or the last one that was fetched to one of `paths` since that version of the package was out."""
    import genai_prices  # noqa: PLC0415 - a quarter of a second, for who asks for a price

    fetched, unreadable = _fetched(paths)
    warning = "".join(
        f"{path} cannot be read and is not used: batchctl prices --refresh writes it anew" for path in unreadable[:1]
    )
    # A newer package than the one that checked it may have newer prices: when those were made it does not tell.
    usable = [one for one in fetched if _numbers(genai_prices.__version__) <= one.checked_by]
    if usable:
        last = max(usable, key=lambda one: one.at)
        return PriceList(models=last.models, source=f"genai-prices list of {last.at:%Y-%m-%d}", warning=warning)
    return PriceList(models=_package(), source=f"genai-prices {genai_prices.__version__}", warning=warning)


# ---------------------------------------------------------------- a list that was fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """`checked_by`: the version of the package that was there when it was fetched."""

    at: datetime
    checked_by: tuple[int, ...]
    models: Sequence[Any] = field(repr=False)


def default_url() -> str:
    from genai_prices.update_prices import DEFAULT_UPDATE_URL  # noqa: PLC0415 - as above

    return DEFAULT_UPDATE_URL


def checked(raw: bytes, now: datetime) -> bytes:
    """What is to be kept of a list as it was fetched: our provider, when it came and who has read it. Raises ServiceProblem."""
    import genai_prices  # noqa: PLC0415 - as above

    try:
        provider = _ours(_parsed(raw))
        priced = PriceList(models=_models(provider), source="")
    except NOT_UNDERSTOOD as error:
        if raw.lstrip().startswith(b"<"):
            _refuse("it is a page of HTML")
        said = " ".join(str(error).split())[:200]
        _refuse(f"it cannot be read as one ({type(error).__name__}{said and ': '}{said})")
    if missing := [model for model in KNOWN if priced.model_prices(model, now.date()) is None]:
        _refuse(f"it has no price for {', '.join(missing)}")
    kept = {"at": now.isoformat(), "checked_by": genai_prices.__version__, "provider": provider}
    return json.dumps(kept, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _refuse(why: str) -> NoReturn:
    raise ServiceProblem(
        f"what came is no price list that can be used: {why}",
        hint="prices are as before; a newer genai-prices may read it: pip install --upgrade genai-prices",
    )


def _fetched(paths: Iterable[Path]) -> tuple[list[_Fetched], list[Path]]:
    """Those that can be read, and the paths of those that are there and cannot."""
    found, unreadable = [], []
    for path in paths:
        try:
            found.append(_read(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, *NOT_UNDERSTOOD):
            unreadable.append(path)
    return found, unreadable


def _read(path: Path) -> _Fetched:
    with path.open("rb") as file:
        kept = _parsed(file.read(MOST_BYTES))
    return _Fetched(
        at=datetime.fromisoformat(kept["at"]).astimezone(UTC),
        checked_by=_numbers(kept["checked_by"]),
        models=_models(kept["provider"]),
    )


def _parsed(raw: bytes) -> Any:
    """JSON, with each number as it is written: a float would be another one."""
    return json.loads(raw, parse_float=str, parse_constant=_no_number)


def _no_number(said: str) -> NoReturn:
    raise ValueError(f"{said} is no price")


def _ours(providers: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What is needed of our provider; the rest is how other programs read a usage."""
    for one in providers:
        if one["id"] == PROVIDER:
            return {name: one[name] for name in ("id", "name", "api_pattern", "models")}
    raise LookupError(f"nothing of {PROVIDER}")


def _models(provider: Mapping[str, Any]) -> Sequence[Any]:
    from genai_prices.types import _providers_from_raw  # noqa: PLC0415 - as above

    models = _providers_from_raw([provider])[0].models
    if not models:
        raise ValueError("no models")
    return models


def _package() -> Sequence[Any]:
    from genai_prices import data_snapshot  # noqa: PLC0415 - as above

    try:
        return data_snapshot.get_snapshot().find_provider(None, PROVIDER, None).models
    except NOT_UNDERSTOOD:
        return ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version))


# ---------------------------------------------------------------- one model


def _has_batch_price(model: Any) -> bool:
    try:
        return any(variant.when == BATCH for variant in model.price_variants or ())
    except NOT_UNDERSTOOD:
        return False


def _model_prices(model: str, found: Any, day: date, listed_by: PriceList) -> ModelPrices | None:
    at = datetime.combine(day, time(12), UTC)
    real_time, batch = found.get_prices(at), found.get_prices(at, BATCH)
    overs = sorted(_overs(real_time) | _overs(batch))
    if not set(overs) <= set(TIER_STARTS):
        return None
    prices = {over: _prices(real_time, over) for over in overs}
    tiers = tuple(PriceTier(over=over, real_time=one, batch=one.at(BATCH_SHARE)) for over, one in prices.items())
    notes = (_of_batch(real_time, batch, overs), _of_inferred(real_time, overs), listed_by.warning)
    return ModelPrices(model=model, day=day, source=listed_by.source, tiers=tiers, note="; ".join(filter(None, notes)))


def _of_batch(real_time: Any, batch: Any, overs: Iterable[int]) -> str:
    """Where a model or a day has no batch price, the list gives the full one without a word."""
    places = [(name, over) for name in PER_TOKEN for over in overs]
    listed = [_price(batch, *place) for place in places]
    full = [_price(real_time, *place) for place in places]
    if listed == full:
        return NO_BATCH_PRICE
    return "" if listed == [price and price * BATCH_SHARE for price in full] else NOT_HALF


def _of_inferred(listed: Any, overs: Iterable[int]) -> str:
    missing = [said for name, said in INFERRED.items() if any(_price(listed, name, over) is None for over in overs)]
    return f"not listed, and by the API's general rule: {', '.join(missing)}" if missing else ""


def _overs(listed: Any) -> set[int]:
    return {0, *(tier.start for name in PER_TOKEN for tier in getattr(getattr(listed, name, None), "tiers", ()))}


def _prices(listed: Any, over: int) -> Prices:
    """Raises LookupError where one is missing that no rule stands in for."""
    per_input = _needed(listed, "input_mtok", over)
    return Prices(
        input=per_input,
        write_5m=_price(listed, "cache_write_mtok", over) or per_input * WRITE_5M,
        write_1h=_price(listed, "cache_write_1h_mtok", over) or per_input * WRITE_1H,
        read=_needed(listed, "cache_read_mtok", over),
        output=_needed(listed, "output_mtok", over),
        web_search=_price(listed, "web_searches_kcount", over) or WEB_SEARCH,
    )


def _needed(listed: Any, name: str, over: int) -> Decimal:
    if (price := _price(listed, name, over)) is None:
        raise LookupError(name)
    return price


def _price(listed: Any, name: str, over: int) -> Decimal | None:
    """None for one that is not listed, and for 0, which nothing costs."""
    price = getattr(listed, name, None)
    if price is not None and not isinstance(price, Decimal):
        passed = [tier.price for tier in price.tiers if tier.start <= over]
        price = passed[-1] if passed else price.base
    is_one = isinstance(price, Decimal) and price.is_finite() and 0 < price <= MAX_PRICE
    return price if is_one else None
