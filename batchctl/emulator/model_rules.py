"""What the API refuses although its form is right: by model, by API version, and by what stands beside it in a request.

Messages are those that were seen, where one was. Each function gives the first of them, or None.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from batchctl.emulator.models import Model

VERSION_B = "2026-10-21"
_ALWAYS_THINKS = ("claude-opus-5-5", "claude-fable-", "claude-mythos-")
_NEVER_FORCED = (
    "claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-", "claude-mythos-5-", "claude-mythos-preview",
)  # fmt: skip
_BEFORE_4_6 = ("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")
_BEFORE_4_7 = (*_BEFORE_4_6, "claude-opus-4-6", "claude-sonnet-4-6")
_SAMPLING = ("temperature", "top_p", "top_k")
_HELP = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_BEGINS = {"image/jpeg": "/9j/", "image/png": "iVBOR", "image/gif": "R0lGOD", "image/webp": "UklGR"}


def refused(params: dict[str, Any], model: Model, version: str) -> str | None:
    """Why params of a right form are refused; None where they are not."""
    for rule in _RULES:
        if message := rule(params, model, version):
            return message
    return None


def _is(model: Model, names: tuple[str, ...]) -> bool:
    return model.id.startswith(names)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _content(params: dict[str, Any]) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    """Each message whose content is a list: its number, its role and its blocks."""
    for number, message in enumerate(_list(params.get("messages"))):
        blocks = _dict(message).get("content")
        if isinstance(blocks, list):
            yield number, message.get("role", ""), [_dict(block) for block in blocks]


def _tool_choice(params: dict[str, Any], model: Model, _version: str) -> str | None:
    kind = _dict(params.get("tool_choice")).get("type")
    if kind not in ("any", "tool"):
        return None
    if _is(model, _NEVER_FORCED):
        return 'tool_choice: type "tool" and "any" are not supported for this model.'
    if _dict(params.get("thinking")).get("type") == "enabled":
        return "Thinking may not be enabled when tool_choice forces tool use."
    return None if params.get("tools") else f"tool_choice.{kind} may only be specified while providing tools"


def _thinking(params: dict[str, Any], model: Model, _version: str) -> str | None:
    thinking = _dict(params.get("thinking"))
    kind = thinking.get("type")
    if kind == "disabled" and (_is(model, _ALWAYS_THINKS) or model.id == "claude-sonnet-5-5"):
        return f'"thinking.type.disabled" is not supported for this model. {_HELP}'
    if kind == "adaptive" and _is(model, _BEFORE_4_6):
        return "adaptive thinking is not supported on this model"
    effort = _dict(params.get("output_config")).get("effort")
    if kind == "disabled" and model.id in ("claude-opus-5", "claude-haiku-5-5") and effort in ("xhigh", "max"):
        return f"output_config.effort '{effort}' is not supported when thinking is disabled on this model."
    budget = thinking.get("budget_tokens")
    if kind != "enabled" or not isinstance(budget, int):
        return None
    if budget < 1024:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    limit = params.get("max_tokens")
    if isinstance(limit, int) and budget >= limit and not params.get("tools"):
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    return None


def _sampling(params: dict[str, Any], model: Model, version: str) -> str | None:
    given = {name: params[name] for name in _SAMPLING if params.get(name) is not None}
    if version >= VERSION_B or not given:
        # In the newer version they are no keys at all.
        return None
    if not _is(model, _BEFORE_4_7):
        changed = [name for name, value in given.items() if name == "top_k" or value not in (1, 0.99)]
        return f"`{changed[0]}` is deprecated for this model." if changed else None
    temperature = given.get("temperature", 1)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        return "temperature: Input should be a valid number"
    if not 0 <= temperature <= 1:
        return "temperature: range: 0..1"
    if {"temperature", "top_p"} <= given.keys():
        return "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    return None


def _last_message(params: dict[str, Any], model: Model, _version: str) -> str | None:
    last = _dict(_list(params.get("messages"))[-1])
    if last.get("role") != "assistant":
        return None
    blocks = last.get("content")
    if isinstance(blocks, list) and any(_dict(b).get("type") in ("server_tool_use", "mcp_tool_use") for b in blocks):
        return None
    if not _is(model, _BEFORE_4_6):
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    text = blocks if isinstance(blocks, str) else _dict(blocks[-1]).get("text", "") if blocks else ""
    return "messages: final assistant content cannot end with trailing whitespace" if text != text.rstrip() else None


def _texts(params: dict[str, Any], _model: Model, _version: str) -> str | None:
    messages = _list(params.get("messages"))
    for number, message in enumerate(messages):
        is_last_answer = number == len(messages) - 1 and message.get("role") == "assistant"
        if message.get("content") in ("", []) and not is_last_answer:
            return f"messages.{number}: user messages must have non-empty content"
    for _, _, blocks in _content(params):
        for block in blocks:
            if block.get("type") == "text" and block.get("text") == "":
                return "messages: text content blocks must be non-empty"
    return None


def _tool_results(params: dict[str, Any], _model: Model, _version: str) -> str | None:
    before: list[str] = []
    seen: set[str] = set()
    for number, message in enumerate(_list(params.get("messages"))):
        blocks = [_dict(block) for block in _list(_dict(message).get("content"))]
        results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
        kinds = [block.get("type") == "tool_result" for block in blocks]
        missing = [name for name in before if name not in results]
        if missing or kinds != sorted(kinds, reverse=True):
            about = ", ".join(missing)
            return f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: {about}"
        unasked = [name for name in results if name not in before]
        if unasked:
            return f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {unasked[0]}"
        before = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
        if len(set(before)) < len(before) or seen & set(before):
            return f"messages.{number}: `tool_use` ids must be unique"
        seen.update(before)
    return None


def _cache_control(params: dict[str, Any], _model: Model, _version: str) -> str | None:
    marked = [_dict(tool) for tool in _list(params.get("tools"))]
    marked += [_dict(block) for block in _list(params.get("system"))]
    marked += [block for _, _, blocks in _content(params) for block in blocks]
    controls = [block["cache_control"] for block in [*marked, params] if block.get("cache_control")]
    if len(controls) > 4:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {len(controls)}."
    ttls = [_dict(control).get("ttl", "5m") for control in controls]
    if "5m" in ttls and "1h" in ttls[ttls.index("5m") :]:
        return "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."
    if any(block.get("type") in ("thinking", "redacted_thinking") and block.get("cache_control") for block in marked):
        return "thinking.cache_control: Extra inputs are not permitted"
    return None


def _tools(params: dict[str, Any], _model: Model, _version: str) -> str | None:
    tools = [_dict(tool) for tool in _list(params.get("tools"))]
    names = [tool["name"] for tool in tools if isinstance(tool.get("name"), str)]
    if len(set(names)) < len(names):
        return "tools: Tool names must be unique."
    for number, tool in enumerate(tools):
        name = tool.get("name", "x")
        is_plain = isinstance(name, str) and name.replace("_", "a").replace("-", "a").isalnum() and name.isascii()
        if not is_plain or len(name) > 128:
            return f"tools.{number}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if {"oneOf", "allOf", "anyOf"} & _dict(tool.get("input_schema")).keys():
            return f"tools.{number}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
    return None


def _files(params: dict[str, Any], _model: Model, _version: str) -> str | None:
    for number, _, blocks in _content(params):
        for at, block in enumerate(blocks):
            source = _dict(block.get("source"))
            if block.get("type") != "image" or source.get("type") != "base64":
                continue
            where = f"messages.{number}.content.{at}.image.source.base64"
            kind, data = source.get("media_type"), str(source.get("data", ""))
            if kind not in _IMAGES:
                return f"{where}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
            if data.startswith("data:"):
                return f"{where}.data: The file format is invalid or unsupported"
            is_kind = next((name for name, begin in _BEGINS.items() if data.startswith(begin)), kind)
            if is_kind != kind:
                return f"The image was specified using the {kind} media type, but the image appears to be a {is_kind} image"
    return None


def _schemas(params: dict[str, Any], _model: Model, _version: str) -> str | None:
    wanted = _dict(_dict(_dict(params.get("output_config")).get("format")).get("schema"))
    if not wanted:
        return None
    parts: list[dict[str, Any]] = []
    _gather(wanted, parts)
    for part in parts:
        if (part.get("type") == "object" or "properties" in part) and part.get("additionalProperties") is not False:
            return (
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        bounds = [name for name in ("minimum", "maximum", "multipleOf", "minLength", "maxLength") if name in part]
        if bounds:
            return f"output_config.format.schema: For '{part.get('type')}' type, properties {', '.join(bounds)} are not supported"
        if part.get("minItems", 0) not in (0, 1):
            return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    text = json.dumps(wanted)
    if '"$ref": "#' not in text and '"$ref"' in text:
        return "output_config.format.schema: external references are not supported"
    optional = sum(len(_dict(p.get("properties")).keys() - set(_list(p.get("required")))) for p in parts)
    if optional > 24:
        return f"Schemas contains too many optional parameters ({optional}) (limit: 24)."
    return None


def _gather(schema: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    parts.append(schema)
    inner = [*_list(schema.get("anyOf")), schema.get("items")]
    inner += [*_dict(schema.get("properties")).values(), *_dict(schema.get("$defs")).values()]
    for part in inner:
        if isinstance(part, dict):
            _gather(part, parts)


def _effort(params: dict[str, Any], model: Model, _version: str) -> str | None:
    effort = _dict(params.get("output_config")).get("effort")
    if effort is None:
        return None
    if _is(model, ("claude-haiku-4-5", "claude-sonnet-4-5")):
        return "This model does not support the effort parameter."
    if effort == "xhigh" and _is(model, ("claude-opus-4-5", "claude-opus-4-6", "claude-sonnet-4-6")):
        return f"This model does not support effort level '{effort}'."
    return None


def _small_fields(params: dict[str, Any], model: Model, _version: str) -> str | None:
    for text in _list(params.get("stop_sequences")):
        if isinstance(text, str) and not text.strip():
            return "stop_sequences: each stop sequence must contain non-whitespace"
    if params.get("inference_geo") and _is(model, _BEFORE_4_6):
        return "inference_geo is not supported for this model"
    if params.get("inference_geo") not in (None, "us", "global"):
        return "inference_geo: this value is not allowed in this workspace"
    _, at, domain = str(_dict(params.get("metadata")).get("user_id", "")).rpartition("@")
    if at and "." in domain:
        return "metadata.user_id: user_id appears to contain an email address."
    return None


_RULES: tuple[Callable[[dict[str, Any], Model, str], str | None], ...] = (
    _tool_choice, _thinking, _sampling, _last_message, _texts, _tool_results, _cache_control, _tools, _files, _schemas,
    _effort, _small_fields,
)  # fmt: skip
