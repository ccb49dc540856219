"""Whether the results of a batch answer our requests: prompts and models held against what the answers were billed for.

The API gives a batch no name of ours, and two jobs may use the same custom_ids for different prompts. So the input tokens
of a few requests are compared with those that their answers were billed for, and the model with the model.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import gcd
from typing import Any

# So many answers are compared, spread over the batch.
ENOUGH_COMPARISONS = 20
# "The token count is an estimate" and "might differ by a small amount" (token counting page of the API's documentation).
SPARE_TOKENS, SPARE_SHARE = 2, 50

# Params that are no part of the prompt: count_tokens need not know them (MessageCreateParams of SDK 2.11).
NOT_COUNTED = frozenset({
    "max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_p", "top_k", "service_tier", "speed",
    "inference_geo", "diagnostics", "user_profile_id", "workspace_id", "billing_policy", "fallback_credit_token",
})  # fmt: skip
# Params by which the API reads more than the request, reads less than all of it, or asks another model.
_READ_ELSEWHERE: Mapping[str, str] = {
    "mcp_servers": "MCP servers",
    "container": "a container",
    "context_management": "context management",
    "compaction": "compaction",
    "thread": "a thread",
    "fallbacks": "fallback models",
}
# Blocks whose tokens are known from the request, wherever they stand in it.
_BLOCKS = frozenset({
    "text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result",
})  # fmt: skip
_SOURCES = frozenset({"base64", "text", "content"})
_PROMPT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_UNFINISHED = frozenset({"pause_turn", "compaction"})

# Of a rule that holds for all comparisons: tokens counted and not billed, or billed and not counted; how far apart is alike.
MOST_ADDED, MOST_BILLED, RATIO_TOLERANCE, LEAST_FOR_A_RULE = 10, 4, 0.05, 3

_DATE = re.compile(r"-[0-9]{8}")
# Its multiples modulo 1 leave no large gap, however many of them are taken.
_GOLDEN_RATIO = 0.618_034

Resolve = Callable[[str], str | None]


class Match(Enum):
    """What the comparison says of a batch."""

    OURS = "its results answer our requests, as far as anybody can tell"
    FOREIGN = "its results answer the requests of another job"
    UNDECIDED = "a person must decide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A conclusion and what it rests on, each as one line for people.

    `problem`: what differs, or why nothing can be compared; empty for OURS.
    """

    match: Match
    basis: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One request beside its answer: input tokens as counted and as billed, the model as requested and as answered.

    `is_text`: the prompt is plain text, of which nothing hidden is counted or billed.
    """

    custom_id: str
    counted: int
    billed: int
    requested: str
    answered: str
    is_text: bool = True

    @property
    def tokens_agree(self) -> bool:
        """Whether the counts differ by no more than 2 tokens and 2 % of what was counted."""
        return SPARE_SHARE * abs(self.counted - self.billed) <= SPARE_SHARE * SPARE_TOKENS + self.counted

    @property
    def is_other_text(self) -> bool:
        return self.is_text and not self.tokens_agree


class NotComparable(Exception):
    """A request, or its answer, whose billed tokens are not decided by the prompt alone; the text is a noun phrase."""


def spread(count: int) -> Iterator[int]:
    """Yield the numbers from 0 to below `count`, each once, in an order whose beginning is spread evenly over all."""
    step = max(1, round(count * _GOLDEN_RATIO))
    while gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


# ---------------------------------------------------------------- what can be compared


def check_request(params: Mapping[str, Any]) -> None:
    """Raise NotComparable where the API may be billed for more, or for less, than `params` say."""
    for name, said in _READ_ELSEWHERE.items():
        if params.get(name):
            raise NotComparable(said)
    for tool in _objects(params.get("tools")):
        if tool.get("type") not in (None, "custom"):
            raise NotComparable("tools of the API")
        if tool.get("defer_loading"):
            raise NotComparable("tools that are loaded later")
    contents = [params.get("system"), *(message.get("content") for message in _objects(params.get("messages")))]
    # Not recursive: how deep blocks are nested is up to whoever wrote the request.
    while contents:
        contents.extend(map(_content_of, _objects(contents.pop())))


def is_text(params: Mapping[str, Any]) -> bool:
    """Whether a comparable request holds nothing but text."""
    if any(params.get(name) for name in ("tools", "output_config", "thinking")):
        return False
    contents = [params.get("system"), *(message.get("content") for message in _objects(params.get("messages")))]
    return all(block.get("type") == "text" for content in contents for block in _objects(content))


def _content_of(block: Mapping[str, Any]) -> object:
    """Return the content of a block that may hold further blocks. Raise NotComparable for one that cannot be counted."""
    kind, source = str(block.get("type")), block.get("source")
    if kind not in _BLOCKS:
        raise NotComparable("blocks that may not be counted as they are billed")
    if kind in {"image", "document"}:
        if not isinstance(source, dict) or str(source.get("type")) not in _SOURCES:
            raise NotComparable("files by URL or file id")
        return source.get("content")
    return block.get("content")


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def read_answer(message: object) -> tuple[str, int]:
    """Return the model of an answer and the input tokens that it was billed for, from the `message` of a success.

    These are `input_tokens` + `cache_creation_input_tokens` + `cache_read_input_tokens` (prompt caching page of the API's
    documentation). Raises NotComparable where they are not those of the prompt alone.
    """
    model = message.get("model") if isinstance(message, dict) else None
    usage = message.get("usage") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(usage, dict) or not isinstance(model, str):
        raise NotComparable("usage that cannot be read")
    # Not by classes: how long a cache lives changes no number of tokens.
    prompt = [usage.get(name) or 0 for name in _PROMPT]
    is_number = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in prompt)
    # What was used in several goes, as by compacting, is more than one prompt.
    if not is_number or usage.get("iterations"):
        raise NotComparable("usage that cannot be read")
    if str(message.get("stop_reason")) in _UNFINISHED:
        raise NotComparable("a paused turn")
    searched = usage.get("server_tool_use") or {}
    if not isinstance(searched, dict) or any(searched.values()):
        raise NotComparable("tools of the API")
    if not sum(prompt):
        # Every prompt has tokens: whatever was billed here, it was not the prompt.
        raise NotComparable("usage without input tokens")
    return model, sum(prompt)


def is_model_of(requested: str, answered: str, resolve: Resolve) -> bool | None:
    """Return whether an answer of the model `answered` is one of the model `requested`; None where nobody can tell.

    `resolve` gives the id that the API has for a name, or None; it is asked only where the names alone do not tell.
    """
    if _is_same_or_dated(answered, requested):
        return True
    if answered.endswith(f"/{requested}"):
        # As gateways write it.
        return True
    known = resolve(requested)
    if known is None or _is_same_or_dated(answered, known):
        return None if known is None else True
    # An alias may have meant another model of its line when the request ran: only an id is meant for good.
    is_of_line = bool(_line(answered) & (_line(requested) | _line(known)))
    return None if known != requested and is_of_line else False


def _line(name: str) -> frozenset[str]:
    """The words of a model's name that say its line, as `haiku`."""
    return frozenset(word for word in name.split("-") if word.isalpha()) - {"claude", "latest", "preview"}


def _is_same_or_dated(answered: str, name: str) -> bool:
    return answered == name or (answered.startswith(name) and bool(_DATE.fullmatch(answered, len(name))))


# ---------------------------------------------------------------- the conclusion


def judge(comparisons: Sequence[Comparison], resolve: Resolve, *, succeeded: int, why_not: str = "") -> Evidence:
    """Conclude from the comparisons of a batch whose size and custom_ids agree.

    `succeeded`: results that may hold an answer. `why_not`: why nothing could be compared, where nothing could. Raises
    what `resolve` raises.
    """
    if not succeeded:
        # Nothing was billed, and there is no answer that could be a wrong one.
        basis = "size and ids; no request succeeded, so there is nothing to compare"
        return Evidence(match=Match.OURS, basis=basis)
    if not comparisons:
        return Evidence(match=Match.UNDECIDED, basis="size and ids", problem=f"no answer can be counted: {why_not}")
    models = [is_model_of(one.requested, one.answered, resolve) for one in comparisons]
    basis = _basis(len(comparisons), sum(model is not None for model in models))
    differing = [one for one, model in zip(comparisons, models, strict=True) if model is False or not one.tokens_agree]
    if not differing:
        return Evidence(match=Match.OURS, basis=basis)
    # What the API adds to tools, formats and files by itself may be billed and not counted: that alone condemns nobody.
    if False not in models and is_systematic(comparisons):
        return Evidence(match=Match.UNDECIDED, basis=basis, problem=_difference(differing, len(comparisons)))
    telling = [one for one, model in zip(comparisons, models, strict=True) if model is False or one.is_other_text]
    match = Match.FOREIGN if 2 * len(telling) > len(comparisons) else Match.UNDECIDED
    return Evidence(match=match, basis=basis, problem=_difference(differing, len(comparisons)))


def is_systematic(comparisons: Sequence[Comparison]) -> bool:
    """Whether counts and bills differ in one way throughout, as another tokenizer or a gateway's own count makes them.

    Other prompts differ without a rule. Three kinds are known: a few tokens that are counted and not billed ("system-added
    tokens", token counting page), one ratio over prompts of different lengths, and one count for all prompts.
    """
    apart = {one.counted - one.billed for one in comparisons}
    if max(apart) - min(apart) <= 1 and -MOST_BILLED <= min(apart) <= MOST_ADDED:
        return True
    if len(comparisons) < LEAST_FOR_A_RULE:
        return False
    counted, billed = [one.counted for one in comparisons], [one.billed for one in comparisons]
    if min(counted) == max(counted):
        return max(billed) > min(billed) * (1 + RATIO_TOLERANCE)
    ratios = [one.billed / one.counted for one in comparisons]
    is_one_ratio = max(ratios) <= min(ratios) * (1 + RATIO_TOLERANCE)
    return is_one_ratio and max(counted) > min(counted) * 1.3 and 0.7 <= min(ratios) <= max(ratios) <= 1.5


def _basis(compared: int, models: int) -> str:
    answers = f"{compared} answers" if compared > 1 else "1 answer"
    if models == compared:
        return f"size, ids, model and token counts of {answers}"
    return f"size, ids and token counts of {answers}" + (f", model of {models}" if models else "")


def _difference(differing: Sequence[Comparison], compared: int) -> str:
    one = differing[0]
    tokens = f"{one.counted:,} tokens counted, {one.billed:,} billed"
    models = f"{one.requested} requested, {one.answered} answered"
    many = f" ({len(differing)} of {compared} answers differ)" if compared > 1 else ""
    return f"custom_id {one.custom_id}: {models if one.tokens_agree else tokens}{many}"


def describe_obstacles(obstacles: Mapping[str, int], succeeded: int) -> str:
    """Return, for people, why requests cannot be compared: how many have what, the most frequent first."""
    often = sorted(obstacles.items(), key=lambda item: -item[1])
    return ", ".join(f"{said} ({'all' if count == succeeded else f'{count:,}'})" for said, count in often)
