"""What an account's models say of a request: unknown, retired, not in batches, a limit above the model's, an end too near.

The API judges all of this hours later, request by request; its list of models tells it before anything is sent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchctl.domain.faults import MAX_TOKENS_BETA, MAX_TOKENS_CEILING, Fault, Severity, did_you_mean, shown
from batchctl.domain.model import EXPIRY

FRESH_FOR = timedelta(hours=24)
# `lifecycle` is the signal, says the SDK: a date that has passed means only that retirement is overdue.
RETIRED, DEPRECATED = "retired", "deprecated"
# True of a model, not of a line: told with the first line that names it.
TOLD_ONCE = frozenset({"model_retires"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the API describes it. `lifecycle`: active, deprecated, retired, or a word newer than this program.

    None where the API does not say; the limits are in tokens.
    """

    id: str
    lifecycle: str = ""
    retires_at: datetime | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    is_in_batches: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The models of an account by the names that requests may use, and names that the API did not know.

    `api`: base URL, organization and API workspace that told it, at `asked_at`.
    """

    api: str
    asked_at: datetime
    models: Mapping[str, Model]
    unknown: frozenset[str] = frozenset()

    def is_fresh(self, api: str, now: datetime) -> bool:
        """Whether it may be used in place of asking. `api`: where one would ask, as far as that is known."""
        is_there = self.api == api or self.api.startswith(f"{api} ")
        return is_there and timedelta() <= now - self.asked_at < FRESH_FOR


def unknown_faults(name: str, known: Iterable[str]) -> list[Fault]:
    """Of a model that the API does not know. `known`: the names that it lists."""
    said = f"{shown(name)} is no model of this account{did_you_mean(name, known)}"
    return [Fault("model_unknown", said, path="params.model")]


def model_faults(model: Model, max_tokens: int, *, betas: Iterable[str], now: datetime) -> list[Fault]:
    """What is wrong with asking a model that is known for at most `max_tokens`, 0 for a limit that is judged elsewhere."""
    path = "params.model"
    faults = []
    if model.lifecycle == RETIRED:
        since = f" since {model.retires_at:%Y-%m-%d}" if model.retires_at and model.retires_at <= now else ""
        faults.append(Fault("model_retired", f"{shown(model.id)} is retired{since}: it answers no more", path=path))
    elif model.retires_at is not None and model.retires_at < now + EXPIRY:
        said = f"{shown(model.id)} retires on {model.retires_at:%Y-%m-%d}, before a batch must have ended; so for every line"
        faults.append(Fault("model_retires", said, Severity.WARNING, path))
    if model.is_in_batches is False:
        faults.append(Fault("model_not_in_batches", f"{shown(model.id)} takes no batches", path=path))
    if model.max_tokens is not None and max_tokens > _ceiling(model.max_tokens, betas):
        faults.append(_above(model, model.max_tokens, max_tokens))
    return faults


def _ceiling(of_model: int, betas: Iterable[str]) -> float:
    """Which models the beta raises the list does not say; what is above its own ceiling is warned of for every model."""
    return float("inf") if MAX_TOKENS_BETA in betas else of_model


def _above(model: Model, most: int, max_tokens: int) -> Fault:
    said = f"{max_tokens} is above {most}, the most that {shown(model.id)} writes"
    if max_tokens <= MAX_TOKENS_CEILING:
        said += f" (some models more, with --beta {MAX_TOKENS_BETA})"
    return Fault("max_tokens_above_model", said, path="params.max_tokens")
