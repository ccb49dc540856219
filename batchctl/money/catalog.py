"""What a model costs on a day: by a person's own prices, else by the newest list at hand. Offline and exact."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.domain.prices import ModelPrices, PriceTier, dearest

if TYPE_CHECKING:
    from batchctl.money.listed import PriceList

# How like one another a name and a slip of it are: `claude-opus-5.5` for `claude-opus-5-5`.
NEAR = 0.9


class PriceCatalog:
    """Reads nothing before the first question. Every method raises UsageProblem for a wrong file of private prices."""

    def __init__(
        self, private: Path | None = None, lists: Iterable[Path] = (), relied_on: "PriceCatalog | None" = None
    ) -> None:
        """`private`: a file of private prices. `lists`: where lists that were fetched may be.

        `relied_on`: prices that a limit may rest on, where these are not; None: these are.
        """
        self._path = private
        self._lists = tuple(lists)
        self._relied_on = relied_on

    def model_prices(self, model: str, day: date) -> ModelPrices | None:
        """None where the model has no price here, or one that cannot be used on summed-up usage."""
        if (tiers := self._private_tiers(model)) is not None:
            assert self._path is not None
            return ModelPrices(model=model, day=day, source=self._path.name, tiers=tiers)
        model_prices = self._listed.model_prices(model, day)
        return self._with_note_of_slip(model_prices) if model_prices and self._private else model_prices

    def prices_for_limit(self, model: str, day: date) -> ModelPrices | None:
        """What a limit rests on: the dearer of these prices and those that are relied on; None where those have none."""
        own = self.model_prices(model, day)
        if self._relied_on is None or own is None:
            return own
        relied_on = self._relied_on.model_prices(model, day)
        return dearest(own, relied_on) if relied_on is not None else None

    @property
    def models(self) -> tuple[str, ...]:
        """Every id that it may have prices for."""
        return tuple(dict.fromkeys((*self._private, *self._listed.ids)))

    @property
    def served(self) -> tuple[str, ...]:
        """Those of them that the API serves, as far as can be known without asking it."""
        return tuple(dict.fromkeys((*self._private, *(self._listed.served or self._listed.ids))))

    @property
    def source(self) -> str:
        """Of all that is not a private price."""
        return self._listed.source

    def reread(self) -> "PriceCatalog":
        """The same, of the files as they are now."""
        return PriceCatalog(self._path, self._lists, self._relied_on and self._relied_on.reread())

    @cached_property
    def _private(self) -> dict[str, tuple[PriceTier, ...]]:
        if self._path is None:
            return {}
        from batchctl.money.private import private_prices  # noqa: PLC0415 - every command has a book, few open it

        return private_prices(self._path)

    @cached_property
    def _listed(self) -> "PriceList":
        from batchctl.money.listed import newest  # noqa: PLC0415 - as above

        return newest(self._lists)

    def _with_note_of_slip(self, model_prices: ModelPrices) -> ModelPrices:
        """Private prices under a name that no list has, and nearly this one, were meant for it."""
        assert self._path is not None
        from batchctl.money.price_table import version  # noqa: PLC0415 - as above

        unlisted = set(self._private).difference(self._listed.ids)
        others = [name for name in unlisted if version(name) == version(model_prices.model)]
        if not (near := get_close_matches(model_prices.model, others, n=1, cutoff=NEAR)):
            return model_prices
        slip = f"{self._path.name} has prices of {near[0]!r}, which is another name: these are the listed ones"
        return replace(model_prices, note=f"{model_prices.note}; {slip}" if model_prices.note else slip)

    def _private_tiers(self, model: str) -> tuple[PriceTier, ...] | None:
        from batchctl.money.price_table import is_form_of  # noqa: PLC0415 - as above

        named = (tiers for name, tiers in self._private.items() if is_form_of(model, name))
        return self._private.get(model) or next(named, None)
