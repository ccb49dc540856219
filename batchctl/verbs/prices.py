"""`prices [MODEL]`: what models cost, by the price catalog; `--refresh` fetches the newest list first. Needs no key."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import UsageProblem
from batchctl.domain.prices import PriceTier
from batchctl.money.catalog import PriceCatalog, PriceTable, Refreshed, newest_first
from batchctl.requests.rules import Rule, rule_table
from batchctl.store.local import LocalStore
from batchctl.store.workspace import Workspace, cached_price_list, find_workspace
from batchctl.verbs.open_read_session import price_catalog_of
from batchctl.verbs.session_options import SessionOptions

if TYPE_CHECKING:
    from batchctl.domain.events import Emit

URL_VARIABLE = "BATCHCTL_PRICES_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSession:
    """What `prices` works with: neither a ledger nor the API.

    Attributes:
        workspace: Need not exist.
        cached: Where a price list is kept outside of a workspace; None where no folder is known for it.
        url: Of the price list; empty for the usual one.
        price_catalog: The prices that hold now.
        clock: The clock of the process.
        stop: Ends every wait once it is set.
    """

    workspace: Workspace
    cached: Path | None
    url: str
    price_catalog: PriceCatalog
    clock: Clock
    stop: StopSignal = field(default_factory=StopSignal)


@contextlib.contextmanager
def open_price_session(
    options: SessionOptions, clock: Clock, _emit: "Emit", stop: StopSignal
) -> Iterator[PriceSession]:
    """Open a session for `prices`, which emits no event."""
    workspace = Workspace(find_workspace(options.workspace, Path.cwd()))
    workspace.refuse_links_out()
    yield PriceSession(
        workspace=workspace,
        cached=cached_price_list(os.environ),
        url=os.environ.get(URL_VARIABLE, ""),
        price_catalog=price_catalog_of(workspace, options.prices),
        clock=clock,
        stop=stop,
    )


def prices(session: PriceSession, model: str | None, *, is_every: bool, refreshes: bool) -> PriceTable:
    """Return the prices of a model, or of all that are served; `is_every` adds the retired ones.

    Raises UsageProblem for a model without a price, and ServiceProblem and DiskProblem where the list cannot be refreshed.
    """
    if not refreshes:
        return _table(session, model, is_every=is_every)
    before = _price_tiers(session)
    path = _refresh(session)
    anew = replace(session, price_catalog=session.price_catalog.reread())
    after = _price_tiers(anew)
    refreshed = Refreshed(
        path=str(path),
        source=anew.price_catalog.source,
        new=tuple(name for name in after if name not in before),
        changed=tuple(name for name, tiers in after.items() if name in before and tiers != before[name]),
    )
    return replace(_table(anew, model, is_every=is_every), refreshed=refreshed)


def _table(session: PriceSession, model: str | None, *, is_every: bool) -> PriceTable:
    price_catalog, day = session.price_catalog, session.clock.now().date()
    models = (model,) if model is not None else price_catalog.models if is_every else price_catalog.served
    model_prices_list = {name: price_catalog.model_prices(name, day) for name in models}
    if model is not None and model_prices_list[model] is None:
        near = get_close_matches(model, price_catalog.models)
        said = f"similar names: {', '.join(near)}" if near else "list the models: batchctl prices"
        hint = f"{said}; a prices.toml can hold your own prices"
        raise UsageProblem(f"no price is known for {model!r}", hint=hint)
    return PriceTable(
        day=day,
        model_prices_list=newest_first(
            tuple(model_prices for model_prices in model_prices_list.values() if model_prices is not None)
        ),
        unpriced=tuple(name for name, model_prices in model_prices_list.items() if model_prices is None),
        left_out=0 if model is not None else len(price_catalog.models) - len(models),
    )


def rules_of(model: str) -> tuple[Rule, ...]:
    """Return the rules of the API that are about this model and not about every one."""
    return tuple(rule for rule in rule_table() if rule.models and rule.holds_for(model))


def _price_tiers(session: PriceSession) -> dict[str, tuple[PriceTier, ...]]:
    day = session.clock.now().date()
    model_prices_list = {
        model: session.price_catalog.model_prices(model, day) for model in session.price_catalog.models
    }
    return {model: model_prices.tiers for model, model_prices in model_prices_list.items() if model_prices is not None}


def _refresh(session: PriceSession) -> Path:
    """Fetch the newest list, and return where it is kept. The old list stays until a valid new one is whole on the disk."""
    from batchctl.api.fetching import fetch  # noqa: PLC0415
    from batchctl.money.listed import MAX_BYTES, checked, default_url  # noqa: PLC0415 - who only looks needs none of it

    # Not in the workspace: what lies there may be somebody else's, so that no limit would rest on it.
    path = session.cached or (session.workspace.price_list if session.workspace.root.is_dir() else None)
    if path is None:
        raise UsageProblem("there is no folder for the price list", hint="set HOME or XDG_CACHE_HOME")
    prices = checked(fetch(session.url or default_url(), MAX_BYTES), session.clock.now())
    LocalStore(path.parent).put(path.name, prices)
    return path
