"""Public price lists: that of the `genai-prices` package, or a newer one that `prices --refresh` fetched.

The package is imported when the first price is asked for, which takes a quarter of a second. Its types change with its
versions: a model whose entry is not understood has no price here.
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
from batchctl.domain.model_catalog import is_form_of
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

PROVIDER = "anthropic"
BATCH = {"processing": "batch"}
# Current models. A list without prices of all of them is refused.
KNOWN = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
MAX_BYTES = 20_000_000
# What code of ours or of the package raises for an entry of unknown form; ImportError for a name that it no longer has.
NOT_UNDERSTOOD = (
    LookupError, AttributeError, TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError, StopIteration,
    ImportError, re.error,
)  # fmt: skip

PER_TOKEN = ("input_mtok", "cache_write_mtok", "cache_write_1h_mtok", "cache_read_mtok", "output_mtok")
NO_BATCH_PRICE = "no batch price is listed: half of the real-time price"
NOT_HALF = "the listed batch price is not half of the real-time price; half of that is used"
# Prices that may be missing, with their name for a person and what is used instead.
INFERRED = {
    "cache_write_mtok": f"5 m cache writes ({WRITE_5M} of input)",
    "cache_write_1h_mtok": f"1 h cache writes ({WRITE_1H} of input)",
    "web_searches_kcount": f"web searches ({WEB_SEARCH} per 1,000)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """A public price list.

    Attributes:
        models: The package's own objects.
        source: Its name and version or day.
        warning: What to say about a list that should have been used instead, empty for nothing.
    """

    models: Sequence[Any]
    source: str
    warning: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its models."""
        return tuple(str(model.id) for model in self.models if hasattr(model, "id"))

    @property
    def served(self) -> tuple[str, ...]:
        """Models with a batch price at some time: the list has none for models that were retired before it had batch prices."""
        return tuple(str(model.id) for model in self.models if hasattr(model, "id") and _has_batch_price(model))

    def model_prices(self, model: str, day: date) -> ModelPrices | None:
        """Return the prices of a model on a day; None where it has none here, or none that fit `TIER_STARTS`."""
        try:
            # The list itself compares beginnings of names, and so may take a model that it does not know for another one.
            entry = next((one for one in self.models if is_form_of(model, one.id) and one.is_match(model)), None)
            return _model_prices(model, entry, day, self) if entry is not None else None
        except NOT_UNDERSTOOD:
            return None


def newest(paths: Iterable[Path]) -> PriceList:
    """Return the newest list: one that was fetched to one of `paths` with this version of the package, else the package's own."""
    import genai_prices  # noqa: PLC0415 - a quarter of a second, for who asks for a price

    fetched, unreadable = _fetched(paths)
    warning = "".join(
        f"{path} cannot be read and is not used; to write it again: batchctl prices --refresh"
        for path in unreadable[:1]
    )
    # A package that is newer than the one that checked a list may have newer prices; it does not say of which day.
    usable = [one for one in fetched if _numbers(genai_prices.__version__) <= one.checked_by]
    if usable:
        last = max(usable, key=lambda one: one.at)
        return PriceList(models=last.models, source=f"genai-prices list of {last.at:%Y-%m-%d}", warning=warning)
    return PriceList(models=_package(), source=f"genai-prices {genai_prices.__version__}", warning=warning)


# ---------------------------------------------------------------- a list that was fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """A list that was fetched. `checked_by`: the version of the package that was installed then."""

    at: datetime
    checked_by: tuple[int, ...]
    models: Sequence[Any] = field(repr=False)


def default_url() -> str:
    """Return where the package says that its newest list is."""
    from genai_prices.update_prices import DEFAULT_UPDATE_URL  # noqa: PLC0415 - as above

    return DEFAULT_UPDATE_URL


def checked(raw: bytes, now: datetime) -> bytes:
    """Return what is kept of a fetched list: our provider, the time, and the version of the package that read it.

    Raises ServiceProblem where it is no list, or has no prices of the current models.
    """
    import genai_prices  # noqa: PLC0415 - as above

    try:
        provider = _ours(_parsed(raw))
        priced = PriceList(models=_models(provider), source="")
    except NOT_UNDERSTOOD as error:
        if raw.lstrip().startswith(b"<"):
            _refuse("it is an HTML page")
        detail = " ".join(str(error).split())[:200]
        _refuse(f"it cannot be read as one ({type(error).__name__}{detail and ': '}{detail})")
    if missing := [model for model in KNOWN if priced.model_prices(model, now.date()) is None]:
        _refuse(f"it has no price for {', '.join(missing)}")
    kept = {"at": now.isoformat(), "checked_by": genai_prices.__version__, "provider": provider}
    return json.dumps(kept, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _refuse(why: str) -> NoReturn:
    raise ServiceProblem(
        f"the downloaded price list cannot be used: {why}",
        hint="the prices are unchanged; a newer genai-prices may read it: pip install --upgrade genai-prices",
    )


def _fetched(paths: Iterable[Path]) -> tuple[list[_Fetched], list[Path]]:
    """The lists that can be read, and the paths of those that are there and cannot."""
    fetched, unreadable = [], []
    for path in paths:
        try:
            fetched.append(_read(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, *NOT_UNDERSTOOD):
            unreadable.append(path)
    return fetched, unreadable


def _read(path: Path) -> _Fetched:
    with path.open("rb") as file:
        kept = _parsed(file.read(MAX_BYTES))
    return _Fetched(
        at=datetime.fromisoformat(kept["at"]).astimezone(UTC),
        checked_by=_numbers(kept["checked_by"]),
        models=_models(kept["provider"]),
    )


def _parsed(raw: bytes) -> Any:
    """JSON with each number as text: a float would be another number."""
    return json.loads(raw, parse_float=str, parse_constant=_no_number)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a price")


def _ours(providers: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What is needed of our provider; the rest tells other programs how to read a usage."""
    for provider in providers:
        if provider["id"] == PROVIDER:
            return {name: provider[name] for name in ("id", "name", "api_pattern", "models")}
    raise LookupError(f"it has no {PROVIDER}")


def _models(provider: Mapping[str, Any]) -> Sequence[Any]:
    from genai_prices.types import _providers_from_raw  # noqa: PLC0415 - as above

    models = _providers_from_raw([provider])[0].models
    if not models:
        raise ValueError("it has no models")
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


def _model_prices(model: str, entry: Any, day: date, listed_by: PriceList) -> ModelPrices | None:
    at = datetime.combine(day, time(12), UTC)
    real_time, batch = entry.get_prices(at), entry.get_prices(at, BATCH)
    overs = sorted(_overs(real_time) | _overs(batch))
    if not set(overs) <= set(TIER_STARTS):
        return None
    prices = {over: _prices(real_time, over) for over in overs}
    tiers = tuple(PriceTier(over=over, real_time=one, batch=one.scaled(BATCH_SHARE)) for over, one in prices.items())
    notes = (_of_batch(real_time, batch, overs), _of_inferred(real_time, overs), listed_by.warning)
    return ModelPrices(model=model, day=day, source=listed_by.source, tiers=tiers, note="; ".join(filter(None, notes)))


def _of_batch(real_time: Any, batch: Any, overs: Iterable[int]) -> str:
    """A note on batch prices. Where a model or a day has none, the list silently gives the real-time price."""
    places = [(name, over) for name in PER_TOKEN for over in overs]
    listed = [_price(batch, *place) for place in places]
    full = [_price(real_time, *place) for place in places]
    if listed == full:
        return NO_BATCH_PRICE
    return "" if listed == [price and price * BATCH_SHARE for price in full] else NOT_HALF


def _of_inferred(listed: Any, overs: Iterable[int]) -> str:
    missing = [said for name, said in INFERRED.items() if any(_price(listed, name, over) is None for over in overs)]
    return f"not listed, priced by the API's general rule: {', '.join(missing)}" if missing else ""


def _overs(listed: Any) -> set[int]:
    return {0, *(tier.start for name in PER_TOKEN for tier in getattr(getattr(listed, name, None), "tiers", ()))}


def _prices(listed: Any, over: int) -> Prices:
    """The prices of a tier. Raises LookupError where one is missing for which there is no rule."""
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
    """A price, None where it is not listed or 0: nothing is free."""
    price = getattr(listed, name, None)
    if price is not None and not isinstance(price, Decimal):
        passed = [tier.price for tier in price.tiers if tier.start <= over]
        price = passed[-1] if passed else price.base
    is_one = isinstance(price, Decimal) and price.is_finite() and 0 < price <= MAX_PRICE
    return price if is_one else None
