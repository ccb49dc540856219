"""What the successes of a batch used, summed up while their lines come."""

from collections import defaultdict
from collections.abc import Iterable
from operator import add
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, ValidationError, convert

from batchctl.domain.prices import GEO_FACTOR, TIER_STARTS, Usage, UsageTotals, tier_of

# No answer uses that many tokens; and the sums of as many as a batch can hold are numbers that the ledger can keep.
MAX_TOKENS = 1 << 40
MAX_MODEL_CHARACTERS = 128
# Sums by model, place and length of prompt; what would need more is not read. No account has so many models.
MAX_SUMS = 100

Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
# The numbers of a Usage in the order of its fields: an object for each of a million lines would take longer than reading it.
Classes = tuple[int, int, int, int, int, int]


class CacheCreation(Struct, gc=False, forbid_unknown_fields=True):
    """The tokens of `cache_creation_input_tokens` by their times to live. Another time has a price that is not known."""

    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class ServerToolUse(Struct, gc=False):
    """The `server_tool_use` of a usage."""

    web_search_requests: Tokens | None = None


class Iteration(Struct, gc=False):
    """An entry of the `iterations` of a usage. An entry of any other type is billed beside the usage (the SDK's description)."""

    type: Literal["message"]


class MessageUsage(Struct, gc=False):
    """The `usage` of a message: `input_tokens` and `output_tokens` are always there, all else may be missing or null.

    The source is the API reference.
    """

    input_tokens: Tokens
    output_tokens: Tokens
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    inference_geo: Any = None
    iterations: list[Iteration] | None = None


class Message(Struct, gc=False):
    """What is read of the `message` of a success."""

    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
    usage: MessageUsage
    stop_reason: str | None = None


def readable_message(message: Any) -> Message | None:
    """Return a parsed `message`; None where it does not say in whole numbers what it used, or names no model."""
    try:
        return convert(_without_empty_times(message), Message)
    except ValidationError:
        return None


def _without_empty_times(message: Any) -> Any:
    """Leave out times to live that are not known and for which nothing was written."""
    match message:
        case {"usage": {"cache_creation": dict(by_time)}}:
            known = {n: tokens for n, tokens in by_time.items() if tokens or n in CacheCreation.__struct_fields__}
            return message | {"usage": message["usage"] | {"cache_creation": known}}
        case _:
            return message


def classes_of(usage: MessageUsage) -> Classes | None:
    """Return the tokens of a usage, each in one class, and its web searches; None where the tokens by time are not all.

    Without a division by times to live, all were written for 5 minutes: the API's default.
    """
    written, by_time, tools = usage.cache_creation_input_tokens, usage.cache_creation, usage.server_tool_use
    write_5m, write_1h = written or 0, 0
    if by_time is not None:
        of_5m, of_1h = by_time.ephemeral_5m_input_tokens, by_time.ephemeral_1h_input_tokens
        if of_5m is not None or of_1h is not None:
            write_5m, write_1h = of_5m or 0, of_1h or 0
            if written is not None and written != write_5m + write_1h:
                return None
    searches = (tools.web_search_requests or 0) if tools else 0
    return usage.input_tokens, write_5m, write_1h, usage.cache_read_input_tokens or 0, usage.output_tokens, searches


class UsageMeter:
    """Takes the messages of successes and sums up what they used.

    Attributes:
        unread: How many of them do not say what they used, or would need more than MAX_SUMS sums.
    """

    def __init__(self) -> None:
        self.unread = 0
        # By model, least length of the prompt's price tier, and place: the number of messages, then the sum of each class.
        self._sums: dict[tuple[str, int, str], tuple[int, ...]] = {}

    @property
    def usage_totals(self) -> tuple[UsageTotals, ...]:
        """Return the sums by model, price tier and place."""
        return tuple(
            UsageTotals(
                model=model,
                prompt_over=prompt_over,
                inference_geo=geo,
                requests=requests,
                usage=Usage(
                    input_tokens=classes[0],
                    write_5m_tokens=classes[1],
                    write_1h_tokens=classes[2],
                    read_tokens=classes[3],
                    output_tokens=classes[4],
                    web_searches=classes[5],
                ),
            )
            for (model, prompt_over, geo), (requests, *classes) in self._sums.items()
        )

    def take(self, messages: Iterable[Message | None]) -> None:
        """Take messages; None stands for one that cannot be read."""
        priced_alike: defaultdict[tuple[str, str], list[Classes]] = defaultdict(list)
        for message in messages:
            classes = classes_of(message.usage) if message else None
            if message is None or classes is None:
                self.unread += 1
                continue
            geo = message.usage.inference_geo
            priced_alike[message.model, geo if isinstance(geo, str) and geo in GEO_FACTOR else ""].append(classes)
        for (model, geo), rows in priced_alike.items():
            columns = list(zip(*rows, strict=True))
            # No prompt is longer than the greatest numbers together, and few are long enough for prices of their own.
            if sum(map(max, columns[:4])) <= TIER_STARTS[1]:
                self._add((model, 0, geo), (len(rows), *map(sum, columns)))
            else:
                for row in rows:
                    self._add((model, tier_of(sum(row[:4])), geo), (1, *row))

    def _add(self, key: tuple[str, int, str], sums: tuple[int, ...]) -> None:
        known = self._sums.get(key)
        if known is not None:
            self._sums[key] = tuple(map(add, known, sums))
        elif len(self._sums) < MAX_SUMS and key[0].isprintable():
            self._sums[key] = sums
        else:
            self.unread += sums[0]
