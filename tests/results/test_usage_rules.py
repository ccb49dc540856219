"""What a success says it used, and what is too little to go by."""

from dataclasses import astuple
from typing import Any

import pytest

from batchctl.results.usage import MAX_TOKENS, UsageMeter, readable_message

FULL_SPLIT = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}
FULL = {
    "input_tokens": 1,
    "cache_creation_input_tokens": 5,
    "cache_creation": FULL_SPLIT,
    "cache_read_input_tokens": 4,
    "output_tokens": 6,
    "server_tool_use": {"web_search_requests": 7, "web_fetch_requests": 9},
}


def used_by(message: object) -> tuple[str, str, tuple[int, ...]] | None:
    """Return the model, the place and the classes that are summed up of one message; None where it is not read."""
    meter = UsageMeter()
    meter.take([readable_message(message)])
    assert len(meter.usage_totals) + meter.unread == 1
    for totals in meter.usage_totals:
        return totals.model, totals.inference_geo, astuple(totals.usage)
    return None


def read(usage: Any, **more: Any) -> Any:
    return used_by({"model": "claude-haiku-4-5", "usage": usage, **more})


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        ({}, (1, 2, 3, 4, 6, 7)),
        (
            {"service_tier": "batch", "new_tokens": 99, "iterations": [{"type": "message", "input_tokens": 8}]},
            (1, 2, 3, 4, 6, 7),
        ),
        ({"iterations": None}, (1, 2, 3, 4, 6, 7)),
        ({"cache_creation": {**FULL_SPLIT, "ephemeral_24h_input_tokens": 0}}, (1, 2, 3, 4, 6, 7)),
        ({"cache_creation": None}, (1, 5, 0, 4, 6, 7)),
        ({"cache_creation": {}}, (1, 5, 0, 4, 6, 7)),
        ({"cache_creation_input_tokens": None}, (1, 2, 3, 4, 6, 7)),
        ({"cache_creation": None, "cache_creation_input_tokens": None}, (1, 0, 0, 4, 6, 7)),
        ({"cache_read_input_tokens": None}, (1, 2, 3, 0, 6, 7)),
        ({"server_tool_use": None}, (1, 2, 3, 4, 6, 0)),
        ({"server_tool_use": {"web_fetch_requests": 2}}, (1, 2, 3, 4, 6, 0)),
        ({"input_tokens": 0, "output_tokens": MAX_TOKENS}, (0, 2, 3, 4, MAX_TOKENS, 7)),
    ],
)
def test_each_token_stands_in_one_class(change: dict[str, Any], classes: tuple[int, ...]) -> None:
    assert read({**FULL, **change}) == ("claude-haiku-4-5", "", classes)


def test_input_and_output_are_enough() -> None:
    assert read({"input_tokens": 8, "output_tokens": 3}) == ("claude-haiku-4-5", "", (8, 0, 0, 0, 3, 0))


@pytest.mark.parametrize(
    ("geo", "kept"), [("us", "us"), ("US", ""), ("global", ""), ("not_available", ""), (None, ""), (5, ""), ([], "")]
)
def test_a_place_is_kept_where_it_has_a_price(geo: Any, kept: str) -> None:
    assert read({**FULL, "inference_geo": geo})[1] == kept


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_without_input_or_output_nothing_is_guessed(name: str) -> None:
    assert read({key: value for key, value in FULL.items() if key != name}) is None
    assert read({**FULL, name: None}) is None


@pytest.mark.parametrize("value", [-1, 1.0, 1.5, True, "7", [], {}, 10**30, MAX_TOKENS + 1, float("nan")])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_what_is_no_whole_number_of_tokens_is_not_read(name: str, value: Any) -> None:
    assert read({**FULL, name: value}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"cache_creation": 5},
        {"cache_creation": []},
        {"server_tool_use": 2},
        {"server_tool_use": {"web_search_requests": -1}},
        # A time nobody heard of: what it costs is not known.
        {"cache_creation_input_tokens": 6},
        {"cache_creation": {"ephemeral_24h_input_tokens": 5}},
        {"cache_creation": {"ephemeral_24h_input_tokens": 5}, "cache_creation_input_tokens": None},
        # Billed, and in no sum: what the API compacted, what another model advised.
        {"iterations": [{"type": "message"}, {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500}]},
        {"iterations": [{"type": "advisor_message", "input_tokens": 1, "output_tokens": 2}]},
        {"iterations": [{"input_tokens": 8}]},
        {"iterations": {"type": "message"}},
        {"cache_creation": {"ephemeral_5m_input_tokens": -2, "ephemeral_1h_input_tokens": 7}},
    ],
)
def test_parts_that_make_no_sense_are_not_read(change: dict[str, Any]) -> None:
    assert read({**FULL, **change}) is None


@pytest.mark.parametrize("model", [None, "", 5, [], "x" * 129, "a\nb", "half a \ud83d pair"])
def test_a_model_that_cannot_be_named_has_no_price(model: Any) -> None:
    assert used_by({"model": model, "usage": FULL}) is None


@pytest.mark.parametrize("message", [None, [], "text", {}, {"usage": FULL}, {"model": "claude-haiku-4-5"}])
def test_what_is_no_message_used_nothing_that_is_known(message: Any) -> None:
    assert used_by(message) is None


@pytest.mark.parametrize("usage", [None, [], 5, "usage", {}])
def test_what_is_no_usage_is_not_read(usage: Any) -> None:
    assert read(usage) is None
