"""How each request of a batch turns out: by its own flaws, then by the scenario's dice, the same for the same seed."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from batchctl.emulator.answers import Author, digest, encode, message, share, usage
from batchctl.emulator.models import callable_model
from batchctl.emulator.refusal import MESSAGES
from batchctl.emulator.scenario import OUTCOMES, TRANSIENT
from batchctl.emulator.tokens import Weight, weigh
from batchctl.emulator.validation import Flaw, Rules, flaw_in

# One byte per line says which counter it moves; a type never heard of counts as errored, for there is no sixth counter.
SUCCEEDED, ERRORED, CANCELED, EXPIRED = b"seCx"
COUNTERS: Mapping[int, str] = {SUCCEEDED: "succeeded", ERRORED: "errored", CANCELED: "canceled", EXPIRED: "expired"}

OUT_OF_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)
_LINE_MESSAGES: Mapping[str, str] = {
    "invalid_request_error": "messages.0.content: the emulator was asked to refuse this request",
    "authentication_error": MESSAGES[401],
    "billing_error": MESSAGES[402],
    "permission_error": MESSAGES[403],
    "not_found_error": "model: emulated-not-found",
    "rate_limit_error": MESSAGES[429],
    "timeout_error": MESSAGES[504],
    "api_error": MESSAGES[500],
    "overloaded_error": MESSAGES[529],
}
# `params` may hold anything at all, and whatever it is errs its own line only, as it does at the API.
SHAPELESS = (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError)
MISSHAPEN = Flaw("Input should be a valid Messages request")
_STOPS = ("refusal", "max_tokens", "pause_turn", "model_context_window_exceeded")


@dataclass
class Memory:
    """What earlier sendings left behind, by workspace: unlucky requests by number of sendings, and cached prefixes.

    Attributes:
        live: Prefixes that Messages calls cached. No batch reads them, and no call reads what a batch wrote.
        cached: Prefixes that batches cached, with the times from which and until which later batches read them.
    """

    sent: dict[bytes, int] = field(default_factory=dict)
    cut_at: dict[bytes, int] = field(default_factory=dict)
    live: set[bytes] = field(default_factory=set)
    cached: dict[bytes, tuple[float, float]] = field(default_factory=dict)


# How long a prefix lives, by its ttl, from the start of the request that writes or reads it.
_LIFETIMES = {"5m": 300.0, "1h": 3600.0}


class Dice:
    """Which kind of outcome a `custom_id` draws, by the shares of the scenario."""

    def __init__(self, shares: Mapping[str, Any], seed: int) -> None:
        self._kinds = [kind for kind in OUTCOMES if shares[kind]]
        self._edges = list(accumulate(shares[kind] for kind in self._kinds))
        self._recover_after = shares["recover_after"]
        self._seed = str(seed)

    def drawn(self, custom_id: str, prompt: str = "") -> bytes:
        """Return the seeded bytes that decide about a request."""
        return digest(self._seed, custom_id, prompt)

    def kind(self, drawn: bytes, sent: int) -> str:
        """`succeeded`, or a kind of `[outcomes]`; transient kinds pass after enough sendings."""
        place = bisect_right(self._edges, share(drawn))
        if place == len(self._kinds):
            return "succeeded"
        kind = self._kinds[place]
        over = kind in TRANSIENT and self._recover_after and sent >= self._recover_after
        return "succeeded" if over else kind


class Fates:
    """Turns the requests of one batch into result lines; remembers in `memory` only when `keep` is called."""

    def __init__(
        self, dice: Dice, author: Author, rules: Rules, memory: Memory, cache: Mapping[str, Any], begins_at: float
    ) -> None:
        """`cache`: the scenario's shares. `begins_at`: when the batch is created; its requests run from then on."""
        self._dice, self._author, self._rules = dice, author, rules
        self._memory, self._cache, self._begins_at = memory, cache, begins_at
        self._new = Memory()

    def line(self, custom_id: str, params: dict[str, Any]) -> tuple[bytes, int]:
        """The result line with its newline, and the counter it moves."""
        try:
            flaw = flaw_in(params, self._rules)
            result, counter = _errored(flaw) if flaw else self._result(custom_id, params)
        except SHAPELESS:
            result, counter = _errored(MISSHAPEN)
        text = f'{{"custom_id":"{custom_id}","result":{encode(result)}}}\n'
        return text.encode("utf-8", "replace"), counter

    def keep(self, ends_at: float) -> None:
        """The batch was accepted: what was sent counts as sent. What it caches is read by batches created after its end."""
        self._memory.sent.update(self._new.sent)
        self._memory.cut_at.update(self._new.cut_at)
        # What has expired is forgotten: an input may have a prefix of its own on every line.
        cached = {prefix: times for prefix, times in self._memory.cached.items() if times[1] > self._begins_at}
        for prefix, (_, until) in self._new.cached.items():
            begin, end = cached.get(prefix, (ends_at, until))
            cached[prefix] = min(begin, ends_at), max(end, until)
        self._memory.cached = cached

    def _result(self, custom_id: str, params: dict[str, Any]) -> tuple[dict[str, Any], int]:
        drawn = self._dice.drawn(custom_id)
        kind = self._kind(drawn, params)
        if kind in ("succeeded", *_STOPS):
            return {"type": "succeeded", "message": self._message(params, drawn, kind)}, SUCCEEDED
        if kind in ("expired", "canceled"):
            return {"type": kind}, EXPIRED if kind == "expired" else CANCELED
        if kind == "unknown_type":
            return {"type": "postponed", "reason": "a type newer than you"}, ERRORED
        if kind == "out_of_credit":
            return _errored(Flaw(OUT_OF_CREDIT))
        return _errored(Flaw(_LINE_MESSAGES[kind], kind), request_id=f"workerreq_01{drawn[:11].hex()}")

    def _kind(self, drawn: bytes, params: dict[str, Any]) -> str:
        key = drawn[:8]
        kind = self._dice.kind(drawn, 0)
        if kind in TRANSIENT:
            sent = self._memory.sent.get(key, 0)
            self._new.sent[key] = sent + 1
            return self._dice.kind(drawn, sent)
        if kind == "max_tokens":
            # Sent again with room for more, it is no longer cut.
            first = self._memory.cut_at.get(key, params["max_tokens"])
            self._new.cut_at[key] = first
            return "succeeded" if params["max_tokens"] > first else kind
        return kind

    def _message(self, params: dict[str, Any], drawn: bytes, kind: str) -> dict[str, Any]:
        content, stop, output = self._author.content(params, drawn)
        weight = weigh(params)
        parts: dict[str, Any] = {"content": content, "stop_reason": stop if kind == "succeeded" else kind}
        if kind == "refusal":
            parts["content"], output = [], 1
            parts["stop_details"] = {"type": "refusal", "category": "general_harms", "explanation": None}
        elif kind == "max_tokens":
            output = params["max_tokens"]
        parts["usage"] = usage(weight, output, tier="batch", cached=self._cached(params, weight, drawn))
        return message(params, drawn, parts)

    def _cached(self, params: dict[str, Any], weight: Weight, drawn: bytes) -> str:
        if not is_cacheable(params, weight):
            return ""
        begin, end = self._memory.cached.get(weight.prefix, (0.0, 0.0))
        rate = 0.0
        if begin <= self._begins_at < end:
            rate = self._cache["warm_hit_rate"]
        elif weight.prefix in self._new.cached:
            rate = self._cache["cold_hit_rate"]
        self._new.cached[weight.prefix] = self._begins_at, self._begins_at + _LIFETIMES[weight.ttl]
        return "read" if share(drawn[26:]) < rate else "written"


def is_cacheable(params: dict[str, Any], weight: Weight) -> bool:
    """Return whether a request has a breakpoint, and before it as much as its model caches."""
    model = callable_model(params["model"])
    return bool(weight.prefix) and model is not None and weight.prefix_tokens >= model.cacheable


def _errored(flaw: Flaw, request_id: str | None = None) -> tuple[dict[str, Any], int]:
    error: dict[str, Any] = {"type": flaw.type, "message": flaw.message}
    if request_id is None:
        error["details"] = {"error_visibility": "user_facing"}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": request_id}}, ERRORED
