"""What a success says it used: its `usage`, read without guessing."""

from typing import Any

from batchctl.domain.money import OF_GEO

# No answer uses that many tokens; and the sums of as many as a batch can hold are numbers that the ledger can keep.
MOST_TOKENS = 1 << 40
MODEL_CHARACTERS = 128

# Those that tokens are written to a cache for.
TIMES = frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"})

# As `money.Usage` names them, in its order: a million times over, one of those would take longer than the reading.
Classes = tuple[int, ...]


def used_by(message: object) -> tuple[str, str, Classes] | None:
    """Of a success, by its `message`: the model, where it ran if that has a price, and what it used.

    None where it does not say in whole numbers what it used, or names no model.
    """
    if not isinstance(message, dict):
        return None
    model, usage = message.get("model"), message.get("usage")
    if not isinstance(model, str) or not isinstance(usage, dict) or not is_model(model):
        return None
    classes = classes_of(usage)
    return None if classes is None else (model, priced_geo(usage), classes)


def is_model(name: str) -> bool:
    return 0 < len(name) <= MODEL_CHARACTERS and name.isprintable()


def priced_geo(usage: dict[str, Any]) -> str:
    geo = usage.get("inference_geo")
    return geo if isinstance(geo, str) and geo in OF_GEO else ""


def classes_of(usage: dict[str, Any]) -> Classes | None:
    """`input_tokens` and `output_tokens` are always there, all else may be missing or null (API reference).

    None, too, where something was used beside them, such as by compacting: an entry of `iterations` that is no `message` is
    not in the sums (the SDK's own description of it).
    """
    try:
        _refuse_what_stands_beside(usage.get("iterations"))
        return (
            _whole(usage.get("input_tokens")),
            *_written(usage),
            _whole(usage.get("cache_read_input_tokens"), absent=0),
            _whole(usage.get("output_tokens")),
            _whole(_part(usage, "server_tool_use").get("web_search_requests"), absent=0),
        )
    except ValueError:
        return None


def _refuse_what_stands_beside(iterations: object) -> None:
    parts = [] if iterations is None else iterations
    if not isinstance(parts, list) or any(not isinstance(one, dict) or one.get("type") != "message" for one in parts):
        raise ValueError("tokens of something else than the message")


def _written(usage: dict[str, Any]) -> tuple[int, int]:
    """Tokens written for 5 minutes and for 1 hour. Without the split all are for 5 minutes: the API's default."""
    split = _part(usage, "cache_creation")
    written = usage.get("cache_creation_input_tokens")
    if not split:
        return _whole(written, absent=0), 0
    write_5m = _whole(split.get("ephemeral_5m_input_tokens"), absent=0)
    write_1h = _whole(split.get("ephemeral_1h_input_tokens"), absent=0)
    is_other = any(tokens for name, tokens in split.items() if name not in TIMES)
    if is_other or (written is not None and _whole(written) != write_5m + write_1h):
        raise ValueError("written for a time that is not known")
    return write_5m, write_1h


def _part(usage: dict[str, Any], name: str) -> dict[str, Any]:
    found = usage.get(name)
    if found is not None and not isinstance(found, dict):
        raise ValueError(name)
    return found or {}


def _whole(value: object, absent: int | None = None) -> int:
    """Raises ValueError where it is none, or is missing and must not be."""
    if value is None and absent is not None:
        return absent
    if type(value) is not int or not 0 <= value <= MOST_TOKENS:
        raise ValueError(value)
    return value
