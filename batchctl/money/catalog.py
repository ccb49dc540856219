"""What a model costs on a day: by a person's own prices, else by the newest list at hand. Offline and exact."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.domain.prices import Sheet, Step, dearest

if TYPE_CHECKING:
    from batchctl.money.listed import PriceList

# How like one another a name and a slip of it are: `claude-opus-5.5` for `claude-opus-5-5`.
NEAR = 0.9


class Book:
    """Reads nothing before the first question. Every method raises UsageProblem for a wrong file of private prices."""

    def __init__(
        self, private: Path | None = None, lists: Iterable[Path] = (), relied_on: "Book | None" = None
    ) -> None:
        """`private`: a file of private prices. `lists`: where lists that were fetched may be.

        `relied_on`: prices that a limit may rest on, where these are not; None: these are.
        """
        self._path = private
        self._lists = tuple(lists)
        self._relied_on = relied_on

    def sheet(self, model: str, day: date) -> Sheet | None:
        """None where the model has no price here, or one that cannot be used on summed-up usage."""
        if (steps := self._private_steps(model)) is not None:
            assert self._path is not None
            return Sheet(model=model, day=day, source=self._path.name, steps=steps)
        sheet = self._listed.sheet(model, day)
        return self._with_note_of_slip(sheet) if sheet and self._private else sheet

    def sheet_for_limit(self, model: str, day: date) -> Sheet | None:
        """What a limit rests on: the dearer of these prices and those that are relied on; None where those have none."""
        own = self.sheet(model, day)
        if self._relied_on is None or own is None:
            return own
        relied_on = self._relied_on.sheet(model, day)
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

    def reread(self) -> "Book":
        """The same, of the files as they are now."""
        return Book(self._path, self._lists, self._relied_on and self._relied_on.reread())

    @cached_property
    def _private(self) -> dict[str, tuple[Step, ...]]:
        if self._path is None:
            return {}
        from batchctl.money.private import private_prices  # noqa: PLC0415 - every command has a book, few open it

        return private_prices(self._path)

    @cached_property
    def _listed(self) -> "PriceList":
        from batchctl.money.listed import newest  # noqa: PLC0415 - as above

        return newest(self._lists)

    def _with_note_of_slip(self, sheet: Sheet) -> Sheet:
        """Private prices under a name that no list has, and nearly this one, were meant for it."""
        assert self._path is not None
        from batchctl.money.price_table import version  # noqa: PLC0415 - as above

        unlisted = set(self._private).difference(self._listed.ids)
        others = [name for name in unlisted if version(name) == version(sheet.model)]
        if not (near := get_close_matches(sheet.model, others, n=1, cutoff=NEAR)):
            return sheet
        slip = f"{self._path.name} has prices of {near[0]!r}, which is another name: these are the listed ones"
        return replace(sheet, note=f"{sheet.note}; {slip}" if sheet.note else slip)

    def _private_steps(self, model: str) -> tuple[Step, ...] | None:
        from batchctl.money.price_table import is_form_of  # noqa: PLC0415 - as above

        named = (steps for name, steps in self._private.items() if is_form_of(model, name))
        return self._private.get(model) or next(named, None)
