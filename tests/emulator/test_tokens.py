"""A prompt is billed for the tokens that count_tokens says it has, however it is cached and whatever it is made of."""

import itertools

import pytest
from cases import few

COUNT = "/v1/messages/count_tokens"
# What a client that follows the API's reference sends to be counted.
COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
LONG = "A sentence of some length, said again and again. " * 400
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
BY_URL = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
TOOL = {"name": "look_up", "description": "Wörter", "input_schema": {"type": "object", "properties": {"n": {}}}}
MARK, MARK_1H = {"cache_control": {"type": "ephemeral"}}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def text(said, **more):
    return {"type": "text", "text": said, **more}


def user(content):
    return {"messages": [{"role": "user", "content": content}]}


SCHEMA = {"type": "object", "additionalProperties": False}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("a"), PICTURE]}
KINDS = {
    "text": user("What is this? 日本語"),
    "blocks": user([text("What"), text("is this?")]),
    "picture": user([text("What is this?"), PICTURE]),
    "document": user([BY_URL]),
    "turns": {"messages": [{"role": r, "content": r * 9} for r in ("user", "assistant", "user")]},
    "system": {"system": LONG},
    "system of blocks": {"system": [text(LONG), text("x")]},
    "cached": {"system": [text(LONG, **MARK)]},
    "cached for an hour": {"system": [text(LONG, **MARK_1H), text("x")]},
    "cached, too short": {"system": [text("x", **MARK)]},
    "cached in messages": {**user([text(LONG, **MARK), text("And?")]), "system": LONG},
    "cached by itself": {"system": LONG, **MARK},
    "tools": {"tools": [TOOL, TOOL | {"name": "other"}], "tool_choice": {"type": "any"}},
    "cached tools": {"tools": [TOOL | {"description": LONG} | MARK]},
    "search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "result of a tool": {"messages": [*user("Look.")["messages"], CALL, *user([RESULT])["messages"]]},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "knobs": {"stop_sequences": ["x" * 99], "metadata": {"user_id": "u" * 99}, "service_tier": "auto"},
}
OUTCOMES = [{}, {"refusal": 1.0}, {"max_tokens": 1.0}, {"pause_turn": 1.0}]


def _billed(usage):
    return usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("outcomes", few(OUTCOMES, 0), ids=lambda shares: next(iter(shares), "succeeded"))
def test_every_answer_is_billed_for_what_its_prompt_counts(emulate, asking, request_of, outcomes):
    ask = asking(emulate({"outcomes": outcomes, "cache": {"cold_hit_rate": 0.5}}))
    models = ("claude-haiku-4-5", "claude-opus-4-6")
    sent = {
        f"r-{number}": request_of(f"r-{number}", **params, model=model)
        for number, (model, params) in enumerate(itertools.product(models, [*KINDS.values()] * 3))
    }
    lines = ask.results(ask.create({"requests": [*sent.values()]}).json()["id"])
    assert len(lines) == len(sent)
    usages = {line["custom_id"]: line["result"]["message"]["usage"] for line in lines}
    for custom_id, usage in usages.items():
        params = sent[custom_id]["params"]
        whole = ask("POST", COUNT, params).json()["input_tokens"]
        alone = ask("POST", COUNT, {name: params[name] for name in COUNTED if name in params}).json()["input_tokens"]
        assert _billed(usage) == whole == alone, custom_id
    kept = {name for usage in usages.values() for name, tokens in usage.items() if name.startswith("cache_") and tokens}
    assert kept >= {"cache_creation_input_tokens", "cache_read_input_tokens"}, "some of them went through the cache"
