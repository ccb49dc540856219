"""What a model would have said: Message bodies, derived from the request and a seed, never at random."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchctl.emulator.models import callable_model
from batchctl.emulator.tokens import CHARACTERS_PER_TOKEN, Weight, in_tokens

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_EXCERPT = 160
_WORDS = ("the", "answer", "follows", "from", "what", "was", "asked", "and", "says", "no", "more", "than", "that")


def digest(*parts: str) -> bytes:
    """32 bytes that the parts alone decide: the emulator's dice."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=32).digest()


def share(drawn: bytes) -> float:
    """A number from 0 to below 1 out of drawn bytes."""
    return int.from_bytes(drawn[:6], "big") / (1 << 48)


@dataclass(frozen=True)
class Author:
    """Writes answers as the scenario's `[answers]` table says."""

    style: Mapping[str, Any]

    def text(self, params: Mapping[str, Any], drawn: bytes) -> str:
        """Return the text of an answer, as the scenario has it."""
        if self.style["text"]:
            return str(self.style["text"])
        if choices := self.style["choices"]:
            return str(choices[int.from_bytes(drawn[8:12], "big") % len(choices)])
        asked = last_user_text(params)
        if self.style["echo"]:
            return asked
        start = f"Emulated answer {drawn[12:16].hex()}: {' '.join(asked[: 2 * _EXCERPT].split())[:_EXCERPT]}"
        padding = self.style["words"]
        return start if not padding else f"{start} {' '.join(_padding(padding, drawn))}"

    def content(self, params: Mapping[str, Any], drawn: bytes) -> tuple[list[dict[str, Any]], str, int]:
        """Content blocks, stop reason and output tokens of a request that goes well."""
        schema = _output_schema(params)
        if tool := _forced_tool(params):
            block = {"type": "tool_use", "id": f"toolu_01{drawn[16:27].hex()}", "name": tool.get("name")}
            used = {**block, "input": sample(tool.get("input_schema", {}))}
            return [used], "tool_use", in_tokens(len(encode(used)))
        text = encode(sample(schema)) if schema is not None else self._fitting(params, drawn)
        return [{"type": "text", "text": text}], "end_turn", max(1, in_tokens(len(text)))

    def _fitting(self, params: Mapping[str, Any], drawn: bytes) -> str:
        # A model that is given few tokens mostly answers briefly; being cut is an outcome of its own.
        return self.text(params, drawn)[: max(1, int(params["max_tokens"])) * CHARACTERS_PER_TOKEN]


def _padding(words: int, drawn: bytes) -> Iterator[str]:
    for number in range(words):
        yield _WORDS[(drawn[number % 32] + number) % len(_WORDS)]


def last_user_text(params: Mapping[str, Any]) -> str:
    """The text of the last user message; empty when it has none."""
    for message in reversed(params["messages"]):
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return " ".join(str(block["text"]) for block in content if block["type"] == "text" and "text" in block)
    return ""


def _forced_tool(params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choice, tools = params.get("tool_choice") or {}, params.get("tools") or []
    if choice.get("type") == "any" and tools:
        return dict(tools[0])
    if choice.get("type") != "tool":
        return None
    return next((dict(tool) for tool in tools if tool.get("name") == choice.get("name")), None)


def _output_schema(params: Mapping[str, Any]) -> Any:
    config = params.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    return form.get("schema", {}) if isinstance(form, dict) and form.get("type") == "json_schema" else None


_SAMPLES: Mapping[str, Any] = {"string": "emulated", "integer": 1, "number": 1.5, "boolean": True, "null": None}
_EITHER = ("enum", "anyOf", "oneOf", "allOf")


def sample(schema: Any) -> Any:
    """The plainest value a JSON schema allows, for the common keywords."""
    if not isinstance(schema, dict):
        return {}
    if "const" in schema:
        return schema["const"]
    for key in _EITHER:
        if schema.get(key):
            return schema[key][0] if key == "enum" else sample(schema[key][0])
    return _typed_sample(schema)


def _typed_sample(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [sample(schema.get("items", {"type": "string"}))]
    if kind == "object":
        return {name: sample(each) for name, each in schema.get("properties", {}).items()}
    return _SAMPLES.get(kind, {})


def usage(weight: Weight, output: int, *, tier: str, cached: str = "") -> dict[str, Any]:
    """Usage of one answer; `cached` is `written`, `read` or empty."""
    prefix = weight.prefix_tokens if cached else 0
    written = prefix if cached == "written" else 0
    hour = weight.ttl == "1h"
    return {
        "input_tokens": max(0, weight.tokens - prefix),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": prefix - written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if hour else written,
            "ephemeral_1h_input_tokens": written if hour else 0,
        },
        "output_tokens": output,
        "service_tier": tier,
        "inference_geo": "not_available",
    }


def message(params: Mapping[str, Any], drawn: bytes, parts: dict[str, Any]) -> dict[str, Any]:
    """A Message; `parts` brings content, stop_reason and usage."""
    model = callable_model(params["model"])
    return {
        "id": f"msg_01{drawn[20:31].hex()}",
        "type": "message",
        "role": "assistant",
        "model": model.id if model else params["model"],
        "stop_sequence": None,
        **parts,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {encode({'type': kind, **fields})}\n\n".encode("utf-8", "replace")


def events(whole: dict[str, Any]) -> Iterator[bytes]:
    """A Message as server-sent events, one by one, in the order the API sends them."""
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield _event("message_start", message=begun)
    yield _event("ping")
    for index, block in enumerate(whole["content"]):
        tool = block["type"] == "tool_use"
        empty = {**block, "input": {}} if tool else {"type": "text", "text": ""}
        yield _event("content_block_start", index=index, content_block=empty)
        said = encode(block["input"]) if tool else block["text"]
        for start in range(0, len(said), 24):
            piece = said[start : start + 24]
            delta = (
                {"type": "input_json_delta", "partial_json": piece} if tool else {"type": "text_delta", "text": piece}
            )
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", delta=stop, usage={"output_tokens": whole["usage"]["output_tokens"]})
    yield _event("message_stop")
