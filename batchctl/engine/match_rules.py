"""The rules of evidence (pure): do the results of a batch answer our requests? `engine.match_results` reads and counts for them.

The API gives a batch no name of ours, and two jobs may use the same custom_ids for different prompts. So the input tokens of
some requests are compared with those that their answers were billed for, and the models that were requested with those that
answered.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import gcd
from typing import Any

# Answers that are compared, spread over the batch.
ENOUGH_COMPARISONS = 20
# Counts agree within so many tokens and one part in so many: "The token count is an estimate" and "might differ by a small
# amount" (token counting page of the API's documentation).
SPARE_TOKENS, SPARE_SHARE = 2, 50

# Params that are no part of the prompt, which count_tokens does not take (MessageCreateParams of SDK 2.11).
NOT_COUNTED = frozenset({
    "max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_p", "top_k", "service_tier", "speed",
    "inference_geo", "diagnostics", "user_profile_id", "workspace_id", "billing_policy", "fallback_credit_token",
})  # fmt: skip
# Params with which the API reads more than the request, less than all of it, or asks another model.
_READ_ELSEWHERE: Mapping[str, str] = {
    "mcp_servers": "MCP servers",
    "container": "a container",
    "context_management": "context management",
    "compaction": "compaction",
    "thread": "a thread",
    "fallbacks": "fallback models",
}
# Blocks whose tokens are known from the request, at any place in it.
_BLOCKS = frozenset({
    "text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result",
})  # fmt: skip
_SOURCES = frozenset({"base64", "text", "content"})
_PROMPT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_UNFINISHED = frozenset({"pause_turn", "compaction"})

# For `is_systematic`: tokens that may be counted and not billed, tokens that may be billed and not counted, how much ratios may
# differ, and the number of comparisons that a ratio needs.
MAX_ADDED, MAX_BILLED, RATIO_TOLERANCE, MIN_FOR_A_RULE = 10, 4, 0.05, 3

_DATE = re.compile(r"-[0-9]{8}")
# The multiples of this number, modulo 1, are spread evenly, however many are taken.
_GOLDEN_RATIO = 0.618_034

Resolve = Callable[[str], str | None]


class Match(Enum):
    """What the comparison says about a batch."""

    OURS = "its results match our requests"
    FOREIGN = "its results match the requests of another job"
    UNDECIDED = "a person must decide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A conclusion and what it rests on.

    Attributes:
        match: The conclusion.
        basis: What was compared, in one line for people.
        problem: What differs, or why nothing can be compared, in one line for people; empty for OURS.
    """

    match: Match
    basis: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A request and its answer.

    Attributes:
        custom_id: The id of the request.
        counted: Its input tokens, as the API counts them.
        billed: The input tokens that the answer was billed for.
        requested: The model in the request.
        answered: The model in the answer.
        is_text: Whether the prompt is only text, so that the API adds no tokens that are billed and not counted.
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
        """Whether the answer was billed for another text than that of the request."""
        return self.is_text and not self.tokens_agree


class NotComparable(Exception):
    """The tokens that an answer was billed for do not depend on its prompt alone. The text is a noun phrase that says why."""


def spread(count: int) -> Iterator[int]:
    """Yield the numbers from 0 to below `count`, each once, in an order whose beginning is spread evenly over all."""
    step = max(1, round(count * _GOLDEN_RATIO))
    while gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


# ---------------------------------------------------------------- what can be compared


def check_request(params: Mapping[str, Any]) -> None:
    """Raise NotComparable where a request may be billed for more, or for fewer, tokens than its `params` hold."""
    for name, obstacle in _READ_ELSEWHERE.items():
        if params.get(name):
            raise NotComparable(obstacle)
    for tool in _objects(params.get("tools")):
        if tool.get("type") not in (None, "custom"):
            raise NotComparable("tools of the API")
        if tool.get("defer_loading"):
            raise NotComparable("tools that are loaded later")
    contents = [params.get("system"), *(message.get("content") for message in _objects(params.get("messages")))]
    # Not recursive: a request may nest blocks to any depth.
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
        raise NotComparable("blocks whose token count may differ from the bill")
    if kind in {"image", "document"}:
        if not isinstance(source, dict) or str(source.get("type")) not in _SOURCES:
            raise NotComparable("files by URL or file id")
        return source.get("content")
    return block.get("content")


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def read_answer(message: object) -> tuple[str, int]:
    """Return the model of an answer and the input tokens that it was billed for, from the `message` of a success.

    These are `input_tokens` + `cache_creation_input_tokens` + `cache_read_input_tokens` (prompt caching page of the API's
    documentation). Raises NotComparable where they are not those of the prompt alone.
    """
    model = message.get("model") if isinstance(message, dict) else None
    usage = message.get("usage") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(usage, dict) or not isinstance(model, str):
        raise NotComparable("usage that cannot be read")
    # Not divided by the lifetime of a cache, which does not change the number of tokens.
    prompt = [usage.get(name) or 0 for name in _PROMPT]
    is_number = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in prompt)
    # Usage of several iterations, as with compaction, is that of more than one prompt.
    if not is_number or usage.get("iterations"):
        raise NotComparable("usage that cannot be read")
    if str(message.get("stop_reason")) in _UNFINISHED:
        raise NotComparable("a paused turn")
    searched = usage.get("server_tool_use") or {}
    if not isinstance(searched, dict) or any(searched.values()):
        raise NotComparable("tools of the API")
    if not sum(prompt):
        # Every prompt has tokens, so these numbers are not those of the prompt.
        raise NotComparable("usage without input tokens")
    return model, sum(prompt)


def is_model_of(requested: str, answered: str, resolve: Resolve) -> bool | None:
    """Return whether a request for the model `requested` may be answered by the model `answered`; None where it is unknown.

    `resolve` returns the id that the API has for a name, or None. It is called only where the names alone do not decide.
    """
    if _is_same_or_dated(answered, requested):
        return True
    if answered.endswith(f"/{requested}"):
        # As gateways write it.
        return True
    model_id = resolve(requested)
    if model_id is None or _is_same_or_dated(answered, model_id):
        return None if model_id is None else True
    # An alias may have named another model of its family when the request ran. Only an id always names the same model.
    is_of_family = bool(_family(answered) & (_family(requested) | _family(model_id)))
    return None if model_id != requested and is_of_family else False


def _family(name: str) -> frozenset[str]:
    """Return the words of a model's name that say its family, such as `haiku`."""
    return frozenset(word for word in name.split("-") if word.isalpha()) - {"claude", "latest", "preview"}


def _is_same_or_dated(answered: str, name: str) -> bool:
    return answered == name or (answered.startswith(name) and bool(_DATE.fullmatch(answered, len(name))))


# ---------------------------------------------------------------- the conclusion


def judge(comparisons: Sequence[Comparison], resolve: Resolve, *, succeeded: int, why_not: str = "") -> Evidence:
    """Return the evidence about a batch whose size and custom_ids agree with our requests.

    Args:
        comparisons: The requests and answers that could be compared.
        resolve: As in `is_model_of`. What it raises is raised.
        succeeded: How many results may hold an answer.
        why_not: Why nothing could be compared, where nothing could.
    """
    if not succeeded:
        # Nothing was billed, and there is no answer that could be another job's.
        basis = "size and ids (no request succeeded, so that there is nothing to compare)"
        return Evidence(match=Match.OURS, basis=basis)
    if not comparisons:
        return Evidence(match=Match.UNDECIDED, basis="size and ids", problem=f"no answer can be compared: {why_not}")
    are_models = [is_model_of(c.requested, c.answered, resolve) for c in comparisons]
    basis = _basis(len(comparisons), sum(is_model is not None for is_model in are_models))
    judged = list(zip(comparisons, are_models, strict=True))
    differing = [c for c, is_model in judged if is_model is False or not c.tokens_agree]
    if not differing:
        return Evidence(match=Match.OURS, basis=basis)
    # The API adds tokens to tools, formats and files that may be billed and not counted: that alone proves no foreign batch.
    if False not in are_models and is_systematic(comparisons):
        return Evidence(match=Match.UNDECIDED, basis=basis, problem=_difference(differing, len(comparisons)))
    contradicting = [c for c, is_model in judged if is_model is False or c.is_other_text]
    match = Match.FOREIGN if 2 * len(contradicting) > len(comparisons) else Match.UNDECIDED
    return Evidence(match=match, basis=basis, problem=_difference(differing, len(comparisons)))


def is_systematic(comparisons: Sequence[Comparison]) -> bool:
    """Return whether counted and billed tokens differ by one rule, as with another tokenizer or the counts of a gateway.

    Between different prompts they differ without a rule. Three rules are known: a few tokens that are counted and not billed
    ("system-added tokens", token counting page), one ratio over prompts of different lengths, and one count for all prompts.
    """
    differences = {c.counted - c.billed for c in comparisons}
    if max(differences) - min(differences) <= 1 and -MAX_BILLED <= min(differences) <= MAX_ADDED:
        return True
    if len(comparisons) < MIN_FOR_A_RULE:
        return False
    counted, billed = [c.counted for c in comparisons], [c.billed for c in comparisons]
    if min(counted) == max(counted):
        return max(billed) > min(billed) * (1 + RATIO_TOLERANCE)
    ratios = [c.billed / c.counted for c in comparisons]
    is_one_ratio = max(ratios) <= min(ratios) * (1 + RATIO_TOLERANCE)
    return is_one_ratio and max(counted) > min(counted) * 1.3 and 0.7 <= min(ratios) <= max(ratios) <= 1.5


def _basis(compared: int, models: int) -> str:
    answers = f"{compared} answers" if compared > 1 else "1 answer"
    if models == compared:
        return f"size, ids, model and token counts of {answers}"
    return f"size, ids and token counts of {answers}" + (f", model of {models}" if models else "")


def _difference(differing: Sequence[Comparison], compared: int) -> str:
    example = differing[0]
    tokens = f"{example.counted:,} tokens counted, {example.billed:,} billed"
    models = f"{example.requested} requested, {example.answered} answered"
    number = f" ({len(differing)} of {compared} answers differ)" if compared > 1 else ""
    return f"custom_id {example.custom_id}: {models if example.tokens_agree else tokens}{number}"


def describe_obstacles(obstacles: Mapping[str, int], succeeded: int) -> str:
    """Return, for people, why requests cannot be compared: each obstacle with its number of requests, the most frequent first."""
    by_frequency = sorted(obstacles.items(), key=lambda item: -item[1])
    return ", ".join(f"{what} ({'all' if count == succeeded else f'{count:,}'})" for what, count in by_frequency)
