"""`prices [MODEL]`: what models cost, by the book; --refresh fetches the newest list for it first. Needs no key."""

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from batchctl.clock import Clock, StopSign
from batchctl.domain.errors import UsageProblem
from batchctl.domain.prices import Step
from batchctl.money.catalog import Book
from batchctl.money.price_table import PriceTable, Refreshed, newest_first
from batchctl.store.local import keep
from batchctl.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTools:
    """`workspace` need not exist; `cached`: where a list is kept without one. `url`: of the list, empty for the usual."""

    workspace: Workspace
    cached: Path | None
    url: str
    book: Book
    clock: Clock
    stop: StopSign = field(default_factory=StopSign)


def prices(tools: PriceTools, model: str | None, *, is_every: bool, refreshes: bool) -> PriceTable:
    """Raises UsageProblem for a model without a price; refreshing, ServiceProblem and DiskProblem, too."""
    if not refreshes:
        return _table(tools, model, is_every=is_every)
    before = _steps(tools)
    path = _refresh(tools)
    anew = replace(tools, book=tools.book.reread())
    after = _steps(anew)
    refreshed = Refreshed(
        path=str(path),
        source=anew.book.source,
        new=tuple(one for one in after if one not in before),
        changed=tuple(one for one, steps in after.items() if one in before and steps != before[one]),
    )
    return replace(_table(anew, model, is_every=is_every), refreshed=refreshed)


def _table(tools: PriceTools, model: str | None, *, is_every: bool) -> PriceTable:
    book, day = tools.book, tools.clock.now().date()
    models = (model,) if model is not None else book.models if is_every else book.served
    sheets = {one: book.sheet(one, day) for one in models}
    if model is not None and sheets[model] is None:
        raise _unknown(model, book)
    return PriceTable(
        day=day,
        sheets=newest_first(tuple(sheet for sheet in sheets.values() if sheet is not None)),
        unpriced=tuple(one for one, sheet in sheets.items() if sheet is None),
        left_out=0 if model is not None else len(book.models) - len(models),
    )


def _unknown(model: str, book: Book) -> UsageProblem:
    near = get_close_matches(model, book.models)
    said = f"near it: {', '.join(near)}" if near else "batchctl prices shows all models"
    return UsageProblem(f"no price is known for {model!r}", hint=f"{said}; a prices.toml may have prices of your own")


def _steps(tools: PriceTools) -> dict[str, tuple[Step, ...]]:
    day = tools.clock.now().date()
    sheets = {model: tools.book.sheet(model, day) for model in tools.book.models}
    return {model: sheet.steps for model, sheet in sheets.items() if sheet is not None}


def _refresh(tools: PriceTools) -> Path:
    """Where it is kept: what was there stays until a list that can be used is on the disk whole."""
    from batchctl.api.fetching import fetch  # noqa: PLC0415
    from batchctl.money.listed import MOST_BYTES, checked, default_url  # noqa: PLC0415 - who only looks needs none of it

    # Not in the workspace: what lies there may be somebody else's, so that no limit would rest on it.
    path = tools.cached or (tools.workspace.price_list if tools.workspace.root.is_dir() else None)
    if path is None:
        raise UsageProblem("no folder to keep a price list in", hint="set HOME or XDG_CACHE_HOME")
    keep(path, checked(fetch(tools.url or default_url(), MOST_BYTES), tools.clock.now()))
    return path
