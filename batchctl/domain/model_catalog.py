"""Faults of a request that the account's models show, and what the name of a model says.

A model may be unknown, retired or not available in batches, or it may retire soon; `max_tokens` may be above its limit. The
API says so hours later, request by request. Its list of models says so before anything is sent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchctl.domain.faults import MAX_TOKENS_BETA, MAX_TOKENS_CEILING, Fault, Severity, did_you_mean, shown
from batchctl.domain.model import EXPIRY

FRESH_FOR = timedelta(hours=24)
# `lifecycle` is what counts (documentation of the SDK): a `retires_at` in the past only means that retirement is overdue.
RETIRED, DEPRECATED = "retired", "deprecated"
# Codes that hold for a model, not for a line: said only of the first line that names it.
TOLD_ONCE = frozenset({"model_retires"})

_DATE_OR_LATEST = re.compile(r"(-[0-9]{8}|-latest)?")
_DATE = re.compile(r"-[0-9]{8}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the API describes it. None stands for what the API does not say; limits are in tokens.

    Attributes:
        lifecycle: active, deprecated, retired, or a word that is newer than this program.
        max_input_tokens: The longest prompt.
        max_tokens: The longest answer.
        is_in_batches: Whether batches may name it.
    """

    id: str
    lifecycle: str = ""
    retires_at: datetime | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    is_in_batches: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The models of an account by the names that requests may use.

    Attributes:
        api: Base URL, organization and API workspace that listed them.
        asked_at: When they were listed.
        models: The models by id and by alias.
        unknown: Names that the API did not know.
    """

    api: str
    asked_at: datetime
    models: Mapping[str, Model]
    unknown: frozenset[str] = frozenset()

    def is_fresh(self, api: str, now: datetime) -> bool:
        """Return whether it can be used instead of asking `api` (base URL and account, as far as they are known) at `now`."""
        is_there = self.api == api or self.api.startswith(f"{api} ")
        return is_there and timedelta() <= now - self.asked_at < FRESH_FOR


def unknown_faults(name: str, known: Iterable[str]) -> list[Fault]:
    """Return the fault of a name that the API does not know. `known`: the names that it lists."""
    message = f"{shown(name)} is not available to this account{did_you_mean(name, known)}"
    return [Fault("model_unknown", message, path="params.model")]


def model_faults(model: Model, max_tokens: int, *, betas: Iterable[str], now: datetime) -> list[Fault]:
    """Return what is wrong with a request to a known model. `max_tokens` is 0 where its limit is checked elsewhere."""
    path = "params.model"
    faults = []
    if model.lifecycle == RETIRED:
        since = f" since {model.retires_at:%Y-%m-%d}" if model.retires_at and model.retires_at <= now else ""
        faults.append(Fault("model_retired", f"{shown(model.id)} is retired{since} and no longer available", path=path))
    elif model.retires_at is not None and model.retires_at < now + EXPIRY:
        message = f"{shown(model.id)} retires on {model.retires_at:%Y-%m-%d}, before a batch may have ended (all lines with this model)"
        faults.append(Fault("model_retires", message, Severity.WARNING, path))
    if model.is_in_batches is False:
        faults.append(Fault("model_not_in_batches", f"{shown(model.id)} is not available in batches", path=path))
    # The list does not say which models the beta raises; `faults` warns of what is above the limit that it raises them to.
    if model.max_tokens is not None and max_tokens > model.max_tokens and MAX_TOKENS_BETA not in betas:
        faults.append(_above(model, model.max_tokens, max_tokens))
    return faults


def _above(model: Model, most: int, max_tokens: int) -> Fault:
    message = f"{max_tokens} is above {most}, the limit of {shown(model.id)}"
    if max_tokens <= MAX_TOKENS_CEILING:
        message += f" (for some models, --beta {MAX_TOKENS_BETA} raises it)"
    return Fault("max_tokens_above_model", message, path="params.max_tokens")


# ---------------------------------------------------------------- what the name of a model says


def is_form_of(model: str, listed: str) -> bool:
    """Return whether `model` is the listed id, a dated form of it or its `-latest`. Any longer name may be another model.

    A listed id may be an alias itself: `claude-opus-4-0` and `claude-3-5-haiku-latest` have dated forms without their ends.
    """
    stem = listed.removesuffix("-latest").removesuffix("-0")
    return model == listed or (model.startswith(stem) and bool(_DATE_OR_LATEST.fullmatch(model, len(stem))))


def model_version(model: str) -> tuple[int, ...]:
    """Return the version that an id names: (4, 5) for `claude-opus-4-5-20251101`, empty where it names none."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", _DATE.sub("", model)))
