"""`prices [MODEL]`: what models cost, by the book; --refresh fetches the newest list for it first. Needs no key."""

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import UsageProblem
from batchctl.domain.prices import PriceTier
from batchctl.money.catalog import PriceCatalog, PriceTable, Refreshed, newest_first
from batchctl.store.local import LocalStore
from batchctl.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSession:
    """`workspace` need not exist; `cached`: where a list is kept without one. `url`: of the list, empty for the usual."""

    workspace: Workspace
    cached: Path | None
    url: str
    price_catalog: PriceCatalog
    clock: Clock
    stop: StopSignal = field(default_factory=StopSignal)


def prices(session: PriceSession, model: str | None, *, is_every: bool, refreshes: bool) -> PriceTable:
    """Raises UsageProblem for a model without a price; refreshing, ServiceProblem and DiskProblem, too."""
    if not refreshes:
        return _table(session, model, is_every=is_every)
    before = _tiers(session)
    path = _refresh(session)
    anew = replace(session, price_catalog=session.price_catalog.reread())
    after = _tiers(anew)
    refreshed = Refreshed(
        path=str(path),
        source=anew.price_catalog.source,
        new=tuple(one for one in after if one not in before),
        changed=tuple(one for one, tiers in after.items() if one in before and tiers != before[one]),
    )
    return replace(_table(anew, model, is_every=is_every), refreshed=refreshed)


def _table(session: PriceSession, model: str | None, *, is_every: bool) -> PriceTable:
    price_catalog, day = session.price_catalog, session.clock.now().date()
    models = (model,) if model is not None else price_catalog.models if is_every else price_catalog.served
    model_prices_list = {one: price_catalog.model_prices(one, day) for one in models}
    if model is not None and model_prices_list[model] is None:
        raise _unknown(model, price_catalog)
    return PriceTable(
        day=day,
        model_prices_list=newest_first(
            tuple(model_prices for model_prices in model_prices_list.values() if model_prices is not None)
        ),
        unpriced=tuple(one for one, model_prices in model_prices_list.items() if model_prices is None),
        left_out=0 if model is not None else len(price_catalog.models) - len(models),
    )


def _unknown(model: str, price_catalog: PriceCatalog) -> UsageProblem:
    near = get_close_matches(model, price_catalog.models)
    said = f"near it: {', '.join(near)}" if near else "batchctl prices shows all models"
    return UsageProblem(f"no price is known for {model!r}", hint=f"{said}; a prices.toml may have prices of your own")


def _tiers(session: PriceSession) -> dict[str, tuple[PriceTier, ...]]:
    day = session.clock.now().date()
    model_prices_list = {
        model: session.price_catalog.model_prices(model, day) for model in session.price_catalog.models
    }
    return {model: model_prices.tiers for model, model_prices in model_prices_list.items() if model_prices is not None}


def _refresh(session: PriceSession) -> Path:
    """Where it is kept: what was there stays until a list that can be used is on the disk whole."""
    from batchctl.api.fetching import fetch  # noqa: PLC0415
    from batchctl.money.listed import MOST_BYTES, checked, default_url  # noqa: PLC0415 - who only looks needs none of it

    # Not in the workspace: what lies there may be somebody else's, so that no limit would rest on it.
    path = session.cached or (session.workspace.price_list if session.workspace.root.is_dir() else None)
    if path is None:
        raise UsageProblem("no folder to keep a price list in", hint="set HOME or XDG_CACHE_HOME")
    prices = checked(fetch(session.url or default_url(), MOST_BYTES), session.clock.now())
    LocalStore(path.parent).put(path.name, prices)
    return path
