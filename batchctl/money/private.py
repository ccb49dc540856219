"""A person's own prices, from a TOML file: what a contract says goes before any list.

[models."claude-opus-5-5"]          real-time US$ per million tokens
input = 3.60                        needed, as is output
output = 18
write_5m = 4.50                     default: 1.25 times input
write_1h = 7.20                     default: 2 times input
read = 0.18                         default: 0.1 times input
web_search = 10                     per 1,000; default: 10
batch = 0.5                         share of the real-time price; default: 0.5

[[models."claude-opus-5-5".steps]]  tier of requests with a longer prompt
over = 100000                       or 200000
input = 7.20                        and so on, without web_search and batch
output = 36

A wrong file is wrong usage (exit status 2), like an option out of range; 5 would say that the input has faults.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchctl.domain.errors import UsageProblem
from batchctl.domain.prices import (
    BATCH_SHARE,
    MAX_PRICE,
    TIER_STARTS,
    WEB_SEARCH,
    WRITE_1H,
    WRITE_5M,
    Prices,
    PriceTier,
)

# The default price of a cache read, by that of input.
READ = Decimal("0.1")
OF_TOKENS = ("input", "output", "write_5m", "write_1h", "read")
OF_MODEL = (*OF_TOKENS, "web_search", "batch", "steps")
OF_TIER = ("over", *OF_TOKENS)
MAX_BYTES = 1_000_000
MAX_PLACES = 12


def private_prices(path: Path) -> dict[str, tuple[PriceTier, ...]]:
    """Return the price tiers of each model in the file, by the name that the file has. Raise UsageProblem for a wrong file."""
    top = _Table(path, "the file", _toml(path), ("models",))
    models = top.given.get("models", {})
    if not isinstance(models, dict):
        raise top.problem('models must be a table, like [models."claude-opus-5-5"]')
    return {name: _tiers(_Table(path, f'[models."{name}"]', table, OF_MODEL)) for name, table in models.items()}


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise UsageProblem(f"{path}: too large for a price file")
        return tomllib.loads(raw.decode("utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        hint = "check the path in --prices or BATCHCTL_PRICES; without them, prices.toml in the workspace is used"
        raise UsageProblem(f"{path}: {error.strerror or error}", hint=hint) from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise UsageProblem(f"{path}: not TOML: {error}", hint='begin with [models."claude-opus-5-5"]') from error


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file. Raises UsageProblem for a key that is not among `allowed`, and for what is no table."""

    path: Path
    name: str
    given: Mapping[str, Any]
    allowed: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.given, dict):
            raise self.problem("must be a table")
        if unknown := [key for key in self.given if key not in self.allowed]:
            raise self.problem(f"unknown key: {', '.join(map(repr, unknown))}")

    def problem(self, what: str) -> UsageProblem:
        return UsageProblem(f"{self.path}: {self.name}: {what}", hint=f"the keys are: {', '.join(self.allowed)}")

    def number(self, key: str, default: Decimal | None = None, most: Decimal = MAX_PRICE) -> Decimal:
        if key not in self.given:
            if default is None:
                raise self.problem(f"{key} is missing")
            return default
        value = self.given[key]
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
            shown = value if isinstance(value, Decimal) else repr(value)
            raise self.problem(f"{key} = {shown} is not a number")
        if not 0 <= value <= most:
            raise self.problem(f"{key} = {value} must be from 0 to {most:,}")
        if int(Decimal(value).as_tuple().exponent) < -MAX_PLACES:
            raise self.problem(f"{key} has more than {MAX_PLACES} decimal places")
        return Decimal(value)


def _tiers(model: _Table) -> tuple[PriceTier, ...]:
    web_search = model.number("web_search", WEB_SEARCH)
    share = model.number("batch", BATCH_SHARE, Decimal(1))
    if not share:
        raise model.problem("batch = 0 would be free; it must be the share of the real-time price, like 0.5")
    longer = model.given.get("steps", [])
    if not isinstance(longer, list):
        raise model.problem(f"steps must be a list of tables, like [{model.name.removesuffix(']')}.steps]]")
    prices = {0: _prices(model, web_search)}
    for number, given in enumerate(longer, 1):
        table = _Table(model.path, f"[{model.name.removesuffix(']')}.steps]] {number}", given, OF_TIER)
        prices[_over(table, prices)] = _prices(table, web_search)
    return tuple(PriceTier(over=over, real_time=one, batch=one.scaled(share)) for over, one in sorted(prices.items()))


def _over(table: _Table, before: Mapping[int, Prices]) -> int:
    """The `over` of a tier: one of TIER_STARTS, between which usage is summed, and each only once."""
    over = int(table.number("over", most=Decimal(10**9)))
    if over not in TIER_STARTS or table.given["over"] != over or not over:
        raise table.problem(f"over = {table.given['over']} must be one of {', '.join(map(str, TIER_STARTS[1:]))}")
    if over in before:
        raise table.problem(f"over = {over} occurs twice")
    return over


def _prices(table: _Table, web_search: Decimal) -> Prices:
    per_input = table.number("input")
    return Prices(
        input=per_input,
        write_5m=table.number("write_5m", per_input * WRITE_5M),
        write_1h=table.number("write_1h", per_input * WRITE_1H),
        read=table.number("read", per_input * READ),
        output=table.number("output"),
        web_search=web_search,
    )
