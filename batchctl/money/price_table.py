"""Which price belongs to which name of a model, and the table of prices that a person is shown."""

import re
from dataclasses import dataclass
from datetime import date

from batchctl.domain.prices import ModelPrices

_DATE_OR_LATEST = re.compile(r"(-[0-9]{8}|-latest)?")
_DATE = re.compile(r"-[0-9]{8}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A price list that was just fetched: where it is kept, and the models whose prices are `new` or `changed` by it."""

    path: str
    source: str
    new: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """`unpriced`: models that are listed without a price that can be used. `left_out`: how many are listed and not shown."""

    day: date
    model_prices_list: tuple[ModelPrices, ...]
    unpriced: tuple[str, ...] = ()
    left_out: int = 0
    refreshed: Refreshed | None = None


def is_form_of(model: str, listed: str) -> bool:
    """Whether `model` is the listed id, a dated form of it or its `-latest`. Any longer name may be another model.

    A listed id may itself be an alias: `claude-opus-4-0` and `claude-3-5-haiku-latest` have dated forms without their ends.
    """
    stem = listed.removesuffix("-latest").removesuffix("-0")
    return model == listed or (model.startswith(stem) and bool(_DATE_OR_LATEST.fullmatch(model, len(stem))))


def newest_first(model_prices_list: tuple[ModelPrices, ...]) -> tuple[ModelPrices, ...]:
    """By the version that the id names; within one version the dearest first."""
    return tuple(
        sorted(
            model_prices_list,
            key=lambda model_prices: (version(model_prices.model), model_prices.tiers[0].real_time.input),
            reverse=True,
        )
    )


def version(model: str) -> tuple[int, ...]:
    """`claude-opus-4-5-20251101`: 4, 5."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", _DATE.sub("", model)))
