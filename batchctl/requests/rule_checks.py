"""Checks that a rule of `rules.toml` names: each yields the places in `params` that the API refuses, and what is there.

What is not of the shape that a check expects is left to the check of the structure.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

from batchctl.domain.caching import LONG, MAX_BREAKPOINTS, SHORT
from batchctl.requests.image_size import image_size

Params = Mapping[str, Any]
# A place in `params`, and what is there as the message of the rule shows it.
Found = tuple[str, object]
# A check takes params and the `max_tokens` that the requests with these params have.
Check = Callable[[Params, Collection[int]], Iterator[Found]]

MIN_BUDGET_TOKENS = 1_024
MAX_STRICT_TOOLS = 20
MAX_OPTIONAL, MAX_UNIONS = 24, 16
# Levels of a schema or of blocks in blocks that are looked at: more than the API takes.
MAX_DEPTH = 64
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
# What base64 text of these begins with.
_MAGIC = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG",),
    "image/gif": (b"GIF8",),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF",),
}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
# Characters of base64, as the API counts an image.
MAX_IMAGE_CHARACTERS = 10_485_760
MAX_IMAGES = 600
# Pixels on a side, of any image and of one among more than a few.
MAX_PIXELS, FEW_IMAGES, MAX_PIXELS_OF_MANY = 8_000, 20, 2_000


# ---------------------------------------------------------------- what is read of params


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _blocks(content: object, path: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the blocks of content with their places, those within the result of a tool or a document, too."""
    for position, block in enumerate(content if isinstance(content, list) and depth < MAX_DEPTH else ()):
        if isinstance(block, dict):
            yield f"{path}.{position}", block
            yield from _blocks(block.get("content"), f"{path}.{position}.content", depth + 1)


def _message_blocks(params: Params) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, message in enumerate(_messages(params)):
        yield from _blocks(message.get("content"), f"messages.{number}.content")


def _messages(params: Params) -> list[dict[str, Any]]:
    """Return the messages, an empty object for each that is none, so that positions stay."""
    messages = params.get("messages")
    return [_object(each) for each in messages] if isinstance(messages, list) else []


# ---------------------------------------------------------------- thinking, tools


def small_budget(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a thinking budget below the least."""
    budget = _budget(params)
    if budget is not None and budget < MIN_BUDGET_TOKENS:
        yield "thinking.budget_tokens", budget


def budget_above_max_tokens(params: Params, max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a thinking budget that is not below `max_tokens`."""
    budget = _budget(params)
    # With tools the budget may be that of several answers (interleaved thinking).
    if budget is not None and max_tokens and budget >= min(max_tokens) and not params.get("tools"):
        yield "thinking.budget_tokens", f"{budget}, and max_tokens is {min(max_tokens)}"


def _budget(params: Params) -> int | None:
    thinking = _object(params.get("thinking"))
    budget = thinking.get("budget_tokens")
    return budget if thinking.get("type") == "enabled" and type(budget) is int else None


def forced_tool_with_budget(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a forced tool beside a thinking budget."""
    kind = _object(params.get("tool_choice")).get("type")
    if kind in {"any", "tool"} and _object(params.get("thinking")).get("type") == "enabled":
        yield "tool_choice.type", kind


def disabled_at_high_effort(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find an effort above high beside disabled thinking."""
    effort = _object(params.get("output_config")).get("effort")
    is_off = _object(params.get("thinking")).get("type") == "disabled"
    if is_off and isinstance(effort, str) and effort in {"xhigh", "max"}:
        yield "output_config.effort", effort


def bad_tool_name(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find names of tools that do not match the pattern."""
    for number, tool in enumerate(_objects(params.get("tools"))):
        name = tool.get("name")
        if isinstance(name, str) and tool.get("type", "custom") == "custom" and not _TOOL_NAME.fullmatch(name):
            yield f"tools.{number}.name", name


def repeated_tool_name(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find names of tools that an earlier tool has."""
    seen: set[str] = set()
    for number, tool in enumerate(_objects(params.get("tools"))):
        name = tool.get("name")
        if isinstance(name, str):
            if name in seen:
                yield f"tools.{number}.name", name
            seen.add(name)


def missing_tool(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a forced tool that is not among the tools."""
    choice, tools = _object(params.get("tool_choice")), _objects(params.get("tools"))
    # A set of tools of a server has no name of its own.
    if choice.get("type") == "tool" and all("name" in tool for tool in tools):
        name = choice.get("name")
        if isinstance(name, str) and name not in {tool["name"] for tool in tools if isinstance(tool["name"], str)}:
            yield "tool_choice.name", name


def choice_without_tools(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a choice where there are no tools."""
    kind = _object(params.get("tool_choice")).get("type")
    if kind in {"any", "auto", "tool"} and not params.get("tools") and not params.get("mcp_servers"):
        yield "tool_choice", kind


def union_at_top(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find schemas of tools with a union at the top level."""
    for number, tool in enumerate(_objects(params.get("tools"))):
        schema = _object(tool.get("input_schema"))
        yield from ((f"tools.{number}.input_schema.{key}", key) for key in ("oneOf", "allOf", "anyOf") if key in schema)


# ---------------------------------------------------------------- sampling, and small fields

# The values that are the same as none. The documentation says it of Haiku 5.5 and not of the other models.
_DEFAULTS: Mapping[str, frozenset[float]] = {
    "temperature": frozenset({1.0}),
    "top_p": frozenset({0.99, 1.0}),
    "top_k": frozenset(),
}


def any_sampling(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find sampling parameters."""
    yield from ((name, params[name]) for name in _DEFAULTS if params.get(name) is not None)


def changed_sampling(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find sampling parameters with another value than the default."""
    for name, value in any_sampling(params, _max_tokens):
        is_default = isinstance(value, int | float) and float(value) in _DEFAULTS[name]
        if not is_default:
            yield name, value


def both_samplings(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a temperature and a `top_p` together."""
    if params.get("temperature") is not None and params.get("top_p") is not None:
        yield "top_p", params["top_p"]


def temperature_out_of_range(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a temperature that is not a number from 0 to 1."""
    value = params.get("temperature")
    if value is not None and (type(value) not in {int, float} or not 0 <= value <= 1):
        yield "temperature", value


def blank_stop_sequence(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find stop sequences without a visible character."""
    texts = params.get("stop_sequences")
    for number, text in enumerate(texts if isinstance(texts, list) else ()):
        if isinstance(text, str) and not text.strip():
            yield f"stop_sequences.{number}", text


def user_id_with_email(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a `user_id` that holds an email address."""
    user_id = _object(params.get("metadata")).get("user_id")
    if isinstance(user_id, str) and _EMAIL.search(user_id):
        yield "metadata.user_id", user_id


_OF_OTHERS = (
    "n", "logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "function_call",
    "parallel_tool_calls",
)  # fmt: skip


def other_vendors_key(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find keys of another API for which there is nothing here."""
    yield from ((name, params[name]) for name in _OF_OTHERS if name in params)


# ---------------------------------------------------------------- cache_control


def too_many_breakpoints(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find the first breakpoint above the most, and how many there are."""
    places = [path for path, _ in _breakpoints(params)]
    if len(places) > MAX_BREAKPOINTS:
        yield f"{places[MAX_BREAKPOINTS]}.cache_control".lstrip("."), len(places)


def long_after_short(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find breakpoints for 1 h behind one for 5 min."""
    for (_, before), (path, ttl) in pairwise(_breakpoints(params)):
        if before == SHORT and ttl == LONG:
            yield f"{path}.cache_control.ttl".lstrip("."), ttl


def _breakpoints(params: Params) -> list[tuple[str, str]]:
    """Return the place and the ttl of each breakpoint, in the order in which the API reads them."""
    parts = chain(
        ((f"tools.{number}", tool) for number, tool in enumerate(_objects(params.get("tools")))),
        _blocks(params.get("system"), "system"),
        _message_blocks(params),
    )
    found = [(path, _ttl(block["cache_control"])) for path, block in parts if block.get("cache_control")]
    # One for the whole request counts as the last; the API chooses its place.
    return [*found, ("", _ttl(params["cache_control"]))] if params.get("cache_control") else found


def _ttl(control: object) -> str:
    return str(_object(control).get("ttl") or SHORT)


def cached_thinking(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find `cache_control` on blocks of thinking."""
    for path, block in _message_blocks(params):
        if block.get("type") in {"thinking", "redacted_thinking"} and block.get("cache_control"):
            yield f"{path}.cache_control", block["type"]


def cached_empty_text(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find `cache_control` on empty texts."""
    for path, block in chain(_blocks(params.get("system"), "system"), _message_blocks(params)):
        if block.get("type") == "text" and block.get("text") == "" and block.get("cache_control"):
            yield f"{path}.cache_control", ""


# ---------------------------------------------------------------- messages


def empty_content(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find messages without content; that of a last answer, which is continued, may be empty."""
    messages = _messages(params)
    for number, message in enumerate(messages):
        is_last_of_assistant = number == len(messages) - 1 and message.get("role") == "assistant"
        if message.get("content") in ("", []) and not is_last_of_assistant:
            yield f"messages.{number}.content", message.get("role")


def empty_text(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find blocks of empty text."""
    yield from ((path, text) for path, text in _texts(params) if not text)


def blank_text(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find texts that are white space alone."""
    yield from ((path, text) for path, text in _texts(params) if text.isspace())
    for number, message in enumerate(_messages(params)):
        content = message.get("content")
        if isinstance(content, str) and content.isspace():
            yield f"messages.{number}.content", content


def _texts(params: Params) -> Iterator[tuple[str, str]]:
    """Yield the text of each block, but not of those within others: the result of a tool may be empty."""
    system = params.get("system")
    lists = [
        ("system", system),
        *((f"messages.{n}.content", m.get("content")) for n, m in enumerate(_messages(params))),
    ]
    for path, blocks in lists:
        for position, block in enumerate(blocks if isinstance(blocks, list) else ()):
            if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
                yield f"{path}.{position}.text", block["text"]


def ends_with_assistant(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find a last message of the assistant, but for an answer that paused."""
    messages = _messages(params)
    if messages and messages[-1].get("role") == "assistant" and not _is_paused(messages[-1].get("content")):
        yield f"messages.{len(messages) - 1}.role", "assistant"


def _is_paused(content: object) -> bool:
    """Return whether an answer may have stopped with `pause_turn`: it has a tool that the API runs."""
    return any(str(block.get("type")).startswith(("server_tool_use", "mcp_tool_use")) for block in _objects(content))


def ends_with_assistant_and_thinks(params: Params, max_tokens: Collection[int]) -> Iterator[Found]:
    """Find one beside a thinking budget or a format of answers."""
    thinks = _object(params.get("thinking")).get("type") == "enabled"
    if thinks or _object(params.get("output_config")).get("format"):
        yield from ends_with_assistant(params, max_tokens)


def blank_end(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find an answer to be continued that ends with white space."""
    messages = _messages(params)
    if not messages or messages[-1].get("role") != "assistant":
        return
    content = messages[-1].get("content")
    blocks = _objects(content)
    text = content if isinstance(content, str) else blocks[-1].get("text") if blocks else None
    if isinstance(text, str) and text.strip() and text != text.rstrip():
        yield f"messages.{len(messages) - 1}.content", "assistant"


def tool_use_without_result(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find calls of tools without a result in the next message."""
    messages = _messages(params)
    for number, message in enumerate(messages):
        used = _ids(message, "assistant", "tool_use", "id")
        if number + 1 < len(messages):
            answered = set(_ids(messages[number + 1], "user", "tool_result", "tool_use_id").values())
            yield from ((f"messages.{number}.content.{at}", each) for at, each in used.items() if each not in answered)


def result_without_tool_use(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find results of tools that the message before does not call."""
    messages = _messages(params)
    for number, message in enumerate(messages):
        before = set(_ids(messages[number - 1], "assistant", "tool_use", "id").values()) if number else set()
        results = _ids(message, "user", "tool_result", "tool_use_id")
        yield from ((f"messages.{number}.content.{at}", each) for at, each in results.items() if each not in before)


def result_not_first(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find results of tools behind other blocks."""
    for number, message in enumerate(_messages(params)):
        content = message.get("content")
        is_result = (
            [_object(block).get("type") == "tool_result" for block in content] if isinstance(content, list) else []
        )
        if True in is_result and False in is_result[: len(is_result) - is_result[::-1].index(True)]:
            yield f"messages.{number}.content", "tool_result"


def document_of_assistant(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find documents in messages of the assistant."""
    for number, message in enumerate(_messages(params)):
        content = message.get("content")
        for at, block in enumerate(content if isinstance(content, list) and message.get("role") == "assistant" else ()):
            if _object(block).get("type") == "document":
                yield f"messages.{number}.content.{at}", "document"


def repeated_tool_use_id(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find calls of tools with the id of an earlier call."""
    found = [
        (f"messages.{number}.content.{at}.id", each)
        for number, message in enumerate(_messages(params))
        for at, each in _ids(message, "assistant", "tool_use", "id").items()
    ]
    count = Counter(each for _, each in found)
    seen: set[str] = set()
    for path, each in found:
        if count[each] > 1 and each in seen:
            yield path, each
        seen.add(each)


def _ids(message: Mapping[str, Any], role: str, kind: str, key: str) -> dict[int, str]:
    """Return the ids in blocks of one kind, by the position of the block."""
    content = message.get("content")
    if message.get("role") != role or not isinstance(content, list):
        return {}
    return {
        at: block[key]
        for at, block in enumerate(content)
        if isinstance(block, dict) and block.get("type") == kind and isinstance(block.get(key), str)
    }


# ---------------------------------------------------------------- files within a request


def _sources(params: Params) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each source of kind base64 with its place."""
    for path, block in _message_blocks(params):
        source = _object(block.get("source"))
        if source.get("type") == "base64" and isinstance(source.get("data"), str):
            yield f"{path}.source", source


def unknown_media_type(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find types of images and documents that the API does not take."""
    for path, block in _message_blocks(params):
        source = _object(block.get("source"))
        known = {"image": IMAGE_TYPES, "document": frozenset({"application/pdf"})}.get(str(block.get("type")))
        media_type = source.get("media_type")
        if known and source.get("type") == "base64" and isinstance(media_type, str) and media_type not in known:
            yield f"{path}.source.media_type", media_type


def large_image(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find images above the most characters."""
    for path, source in _sources(params):
        if source.get("media_type") in IMAGE_TYPES and len(source["data"]) > MAX_IMAGE_CHARACTERS:
            yield f"{path}.data", len(source["data"])


def wide_image(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find images with more pixels on a side than any image may have."""
    yield from _images_above(params, MAX_PIXELS)


def wide_image_of_many(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find images with more pixels on a side than one of many images may have."""
    if _image_count(params) > FEW_IMAGES:
        yield from ((path, size) for path, size in _images_above(params, MAX_PIXELS_OF_MANY))


def _images_above(params: Params, most: int) -> Iterator[Found]:
    for path, source in _sources(params):
        size = image_size(source["data"]) if source.get("media_type") in IMAGE_TYPES else None
        if size is not None and max(size) > most:
            yield f"{path}.data", f"{size[0]}x{size[1]}"


def _image_count(params: Params) -> int:
    return sum(block.get("type") == "image" for _, block in _message_blocks(params))


def many_images(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find more images than a request may have."""
    if (images := _image_count(params)) > MAX_IMAGES:
        yield "messages", images


def data_url(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find data that begins as a URL."""
    for path, source in _sources(params):
        if source["data"].lstrip()[:5].lower() == "data:":
            yield f"{path}.data", source["data"][:32]


def wrong_media_type(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Compare the first bytes with what `media_type` says; what is not known here passes."""
    for path, source in _sources(params):
        begin = _first_bytes(source["data"])
        is_type = next((kind for kind, magic in _MAGIC.items() if begin.startswith(magic)), "")
        if is_type and source.get("media_type") in _MAGIC and source["media_type"] != is_type:
            yield f"{path}.media_type", f"{source['media_type']}, and the data is {is_type}"


def _first_bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data[:16], validate=True)
    except ValueError:
        return b""


# ---------------------------------------------------------------- schemas: a format of answers, and strict tools


def _schemas(params: Params) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema that the API turns into a grammar, with its place."""
    output_format = _object(_object(params.get("output_config")).get("format"))
    if isinstance(output_format.get("schema"), dict):
        yield "output_config.format.schema", output_format["schema"]
    for number, tool in enumerate(_objects(params.get("tools"))):
        if tool.get("strict") is True and isinstance(tool.get("input_schema"), dict):
            yield f"tools.{number}.input_schema", tool["input_schema"]


# Keys under which a schema has further schemas: one, several, or one for each name.
_ONE, _SEVERAL, _NAMED = ("items", "not"), ("anyOf", "allOf", "oneOf"), ("properties", "$defs", "definitions")


def _parts(schema: dict[str, Any], path: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a schema and all schemas in it, with their places; a reference is not followed."""
    yield path, schema
    if depth == MAX_DEPTH:
        return
    inner = [(f"{path}.{key}", schema.get(key)) for key in _ONE]
    inner += [(f"{path}.{key}.{n}", each) for key in _SEVERAL for n, each in enumerate(_objects(schema.get(key)))]
    inner += [(f"{path}.{key}.{name}", each) for key in _NAMED for name, each in _object(schema.get(key)).items()]
    for place, each in inner:
        if isinstance(each, dict):
            yield from _parts(each, place, depth + 1)


def external_reference(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find references out of a schema."""
    for root, schema in _schemas(params):
        for path, part in _parts(schema, root):
            if isinstance(part.get("$ref"), str) and not part["$ref"].startswith("#"):
                yield f"{path}.$ref", part["$ref"]


def recursive_schema(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find schemas with a reference that leads back to itself."""
    for root, schema in _schemas(params):
        names = {f"#/{key}/{name}": each for key in _NAMED[1:] for name, each in _object(schema.get(key)).items()}
        names["#"] = {key: value for key, value in schema.items() if key not in _NAMED[1:]}
        leads_to = {name: _references(part) for name, part in names.items() if isinstance(part, dict)}
        for name in sorted(leads_to):
            if name in _reached(name, leads_to):
                yield root, name
                break


def _references(schema: dict[str, Any]) -> set[str]:
    return {part["$ref"] for _, part in _parts(schema, "") if isinstance(part.get("$ref"), str)}


def _reached(start: str, leads_to: Mapping[str, set[str]]) -> set[str]:
    """Return all names that references from `start` lead to, over others, too."""
    reached: set[str] = set()
    coming = list(leads_to.get(start, ()))
    while coming:
        name = coming.pop()
        if name not in reached:
            reached.add(name)
            coming += leads_to.get(name, ())
    return reached


def open_object(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find objects of a schema that allow further properties."""
    for root, schema in _schemas(params):
        for path, part in _parts(schema, root):
            if (part.get("type") == "object" or "properties" in part) and part.get("additionalProperties") is not False:
                yield path, part.get("additionalProperties")


def too_many_optional(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find more optional properties than all schemas may have together."""
    total, place = 0, ""
    for root, schema in _schemas(params):
        place = place or root
        for _, part in _parts(schema, root):
            required = part.get("required")
            total += len(_object(part.get("properties")).keys() - {*(required if isinstance(required, list) else ())})
    if total > MAX_OPTIONAL:
        yield place, total


def too_many_unions(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find more unions than all schemas may have together."""
    parts = [(root, part) for root, schema in _schemas(params) for _, part in _parts(schema, root)]
    unions = [root for root, part in parts if "anyOf" in part or isinstance(part.get("type"), list)]
    if len(unions) > MAX_UNIONS:
        yield unions[0], len(unions)


# Bounds that no grammar holds. `minItems` of 0 and 1 is taken.
_BOUNDS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
    "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


def unsupported_bound(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find bounds that the API does not take in a schema."""
    for root, schema in _schemas(params):
        for path, part in _parts(schema, root):
            yield from ((f"{path}.{key}", key) for key in _BOUNDS if key in part)
            if type(part.get("minItems")) is int and part["minItems"] > 1:
                yield f"{path}.minItems", part["minItems"]


def one_of(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find `oneOf` in schemas."""
    for root, schema in _schemas(params):
        yield from ((f"{path}.oneOf", "oneOf") for path, part in _parts(schema, root) if "oneOf" in part)


def format_with_citations(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find citations beside a format of answers."""
    if _object(params.get("output_config")).get("format"):
        for path, block in _message_blocks(params):
            if _object(block.get("citations")).get("enabled") is True:
                yield f"{path}.citations", True
                return


def too_many_strict_tools(params: Params, _max_tokens: Collection[int]) -> Iterator[Found]:
    """Find the first strict tool above the most, and how many there are."""
    strict = [number for number, tool in enumerate(_objects(params.get("tools"))) if tool.get("strict") is True]
    if len(strict) > MAX_STRICT_TOOLS:
        yield f"tools.{strict[MAX_STRICT_TOOLS]}", len(strict)


# ---------------------------------------------------------------- by name, as the table knows them

SHAPE_CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        small_budget, budget_above_max_tokens, forced_tool_with_budget, disabled_at_high_effort, any_sampling,
        changed_sampling, both_samplings, temperature_out_of_range, blank_stop_sequence,
        other_vendors_key, bad_tool_name, repeated_tool_name, missing_tool, choice_without_tools, union_at_top,
        external_reference, recursive_schema, open_object, too_many_optional, too_many_unions, unsupported_bound, one_of,
        too_many_strict_tools,
    )
}  # fmt: skip
# These look at what differs within a group, and so at every request.
REQUEST_CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        too_many_breakpoints, long_after_short, cached_thinking, cached_empty_text, empty_content, empty_text, blank_text,
        ends_with_assistant, ends_with_assistant_and_thinks, blank_end, tool_use_without_result, result_without_tool_use,
        result_not_first, repeated_tool_use_id, document_of_assistant, unknown_media_type, large_image, wide_image, wide_image_of_many, many_images, data_url,
        wrong_media_type, format_with_citations, user_id_with_email,
    )
}  # fmt: skip
