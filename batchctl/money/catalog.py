"""Where the prices of a model are found, and the table of prices that a person is shown.

`PriceCatalog.model_prices(model, day)` answers what a model costs on a day, offline and exactly. It looks in this order:

1. a person's own file (`money.private`): `--prices`, BATCHCTL_PRICES or `prices.toml` in the workspace;
2. the newest list at hand (`money.listed`): one that `prices --refresh` fetched, or that of the `genai-prices` package.

A dollar's way: **catalog** → `money.estimate` (what an input will cost) → `money.budget` (within a person's limit?) →
`money.bill` (what the answers did cost).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.domain.model_catalog import is_form_of, model_version
from batchctl.domain.prices import ModelPrices, PriceTier, dearest

if TYPE_CHECKING:
    from batchctl.money.listed import PriceList

# From this likeness on one name is taken for a slip of another: `claude-opus-5.5` for `claude-opus-5-5`.
NEAR = 0.9


class PriceCatalog:
    """The prices of models. It reads no file before the first question.

    Every method raises UsageProblem where the file of private prices is wrong.
    """

    def __init__(
        self, private: Path | None = None, lists: Iterable[Path] = (), relied_on: "PriceCatalog | None" = None
    ) -> None:
        """Name the files that prices come from.

        Args:
            private: A file of private prices.
            lists: Where price lists that were fetched may be.
            relied_on: Other prices, that a limit may rest on where `private` came with the workspace and is not trusted; None
                where it is trusted.
        """
        self._path = private
        self._lists = tuple(lists)
        self._relied_on = relied_on

    def model_prices(self, model: str, day: date) -> ModelPrices | None:
        """Return the prices of a model on a day.

        None where it has none here, or tiers that `domain.prices.TIER_STARTS` does not know.
        """
        if (tiers := self._private_tiers(model)) is not None:
            assert self._path is not None
            return ModelPrices(model=model, day=day, source=self._path.name, tiers=tiers)
        model_prices = self._listed.model_prices(model, day)
        return self._with_note_of_slip(model_prices) if model_prices and self._private else model_prices

    def prices_for_limit(self, model: str, day: date) -> ModelPrices | None:
        """Return the prices that a limit rests on: the dearer of these and those relied on; None where either has none.

        A workspace may come from somebody else. Its own prices count for a limit only where they are dearer.
        """
        own = self.model_prices(model, day)
        if self._relied_on is None or own is None:
            return own
        relied_on = self._relied_on.model_prices(model, day)
        return dearest(own, relied_on) if relied_on is not None else None

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of all models that it may have prices for."""
        return tuple(dict.fromkeys((*self._private, *self._listed.ids)))

    @property
    def served(self) -> tuple[str, ...]:
        """The ids of those that the API still serves, by the price list; of all where the list does not say."""
        return tuple(dict.fromkeys((*self._private, *(self._listed.served or self._listed.ids))))

    @property
    def source(self) -> str:
        """The name of the price list in use."""
        return self._listed.source

    def reread(self) -> "PriceCatalog":
        """Return a catalog of the same files as they are now."""
        return PriceCatalog(self._path, self._lists, self._relied_on and self._relied_on.reread())

    @cached_property
    def _private(self) -> dict[str, tuple[PriceTier, ...]]:
        if self._path is None:
            return {}
        from batchctl.money.private import private_prices  # noqa: PLC0415 - every command has a catalog, few ask it

        return private_prices(self._path)

    @cached_property
    def _listed(self) -> "PriceList":
        from batchctl.money.listed import newest  # noqa: PLC0415 - as above

        return newest(self._lists)

    def _with_note_of_slip(self, model_prices: ModelPrices) -> ModelPrices:
        """Note where private prices have a name that no list has and that is nearly this one: probably a typo."""
        assert self._path is not None
        unlisted = set(self._private).difference(self._listed.ids)
        others = [name for name in unlisted if model_version(name) == model_version(model_prices.model)]
        if not (near := get_close_matches(model_prices.model, others, n=1, cutoff=NEAR)):
            return model_prices
        slip = f"{self._path.name} has prices for {near[0]!r}, which is another name; the listed prices are used"
        return replace(model_prices, note=f"{model_prices.note}; {slip}" if model_prices.note else slip)

    def _private_tiers(self, model: str) -> tuple[PriceTier, ...] | None:
        named = (tiers for name, tiers in self._private.items() if is_form_of(model, name))
        return self._private.get(model) or next(named, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A price list that was just fetched.

    Attributes:
        path: Where it is kept.
        source: Its name and day.
        new: Models that had no price before it; `changed` are those whose prices it changes.
    """

    path: str
    source: str
    new: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """The prices that a person asked to see.

    Attributes:
        unpriced: Models that are listed without a price that can be used.
        left_out: How many models are listed and not shown.
        refreshed: The list that was fetched first, None where none was.
    """

    day: date
    model_prices_list: tuple[ModelPrices, ...]
    unpriced: tuple[str, ...] = ()
    left_out: int = 0
    refreshed: Refreshed | None = None


def newest_first(model_prices_list: Iterable[ModelPrices]) -> tuple[ModelPrices, ...]:
    """Return prices by the version that the id names, the newest first; within one version the dearest first."""
    return tuple(
        sorted(
            model_prices_list, key=lambda each: (model_version(each.model), each.tiers[0].real_time.input), reverse=True
        )
    )
