"""The structure of `params` checked against a JSON Schema of the SDK's own types.

A compiled validator passes good params. Where it fails, a walk through the same schema finds the message: a validator explains
a union by "matches none of 28", the walk goes into the branch that `type` or `role` names.

The API may be newer than the schema shipped here. So an unknown key or an unknown `type` is a warning; a known one in a wrong
shape is an error.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from batchctl.domain.faults import (
    JUDGED_PARAMS,
    Fault,
    Severity,
    did_you_mean,
    did_you_mean_one_of,
    shown,
    shown_key,
)
from batchctl.domain.model_catalog import is_form_of

MAX_FAULTS = 5

# Limits of the API reference that types cannot express: definition, property, most characters.
MAX_CHARACTERS = (("MetadataParam", "user_id", 512), ("ToolParam", "name", 128))

# How a union tells its branches apart, and how many of their names a message lists.
TAGS = ("type", "role")
LISTED = 8

# Types of OpenAI's API, left over where requests were moved from there: wrong, not merely unknown.
OPENAI_TYPES = frozenset(
    {"function", "image_url", "input_audio", "input_file", "input_image", "input_text", "output_text"}
)

Schema = dict[str, Any]


def are_structures_good(many: Sequence[Any]) -> bool:
    """Return whether `structure_faults` finds nothing in many params, each an object with a model that is text."""
    return all(map(_validator().is_valid, many)) and not any(
        map(model_name_faults, {params["model"] for params in many})
    )


def structure_faults(params: object) -> list[Fault]:
    """Return at most MAX_FAULTS faults, errors first, without what `envelope_faults` finds: params that are no object, too."""
    if not isinstance(params, dict):
        return []
    odd_model = model_name_faults(str(params.get("model", "")))
    if _is_valid(params):
        return odd_model
    # No warning may push an error out, so the errors come first.
    faults = list(_explain(_schema(), params, "params"))
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    warnings = odd_model + [fault for fault in faults if fault.severity is Severity.WARNING]
    return list(islice((*errors, *warnings), MAX_FAULTS))


@cache
def beta_places() -> frozenset[str]:
    """Return the places of the params that only the SDK's types of betas have."""
    return frozenset(f"params.{name}" for name in _schema()["betaProperties"])


def is_known_model(model: str) -> bool:
    """Return whether the SDK's types name a model, or one of which it is a dated form."""
    return any(is_form_of(model, known) for known in _schema()["models"])


def _is_valid(params: object) -> bool:
    try:
        return _validator().is_valid(params)
    except ValueError:
        # Nested deeper than the validator goes. Only free-form parts can be, and the walk does not enter those.
        return False


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema(), validate_formats=False)


@cache
def _schema() -> Schema:
    """Return the shipped schema, in which the params that `envelope_faults` judges may have any shape."""
    schema: Schema = orjson.loads(resources.files("batchctl.requests").joinpath("params.schema.json").read_bytes())
    schema["models"] = schema["properties"]["model"]["anyOf"][0]["enum"]
    schema["properties"] |= {name: {} for name in JUDGED_PARAMS}
    schema["required"] = []
    del schema["properties"]["messages"]["type"]
    for definition, name, most in MAX_CHARACTERS:
        limited = schema["$defs"][definition]["properties"][name]
        limited.get("anyOf", [limited])[0]["maxLength"] = most
    return schema


# ---------------------------------------------------------------- the walk

# What the schema calls a type: Python's types for it, and what a person calls it.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "text"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list"),
    "object": ((dict,), "an object"),
    "null": ((type(None),), "null"),
}


def _explain(schema: Schema, value: Any, path: str) -> Iterator[Fault]:
    """Yield the faults of a value. Every schema is a reference, a union, a type or {}: a test holds the shipped file to that."""
    schema = _resolved(schema)
    if "anyOf" in schema:
        yield from _explain_union(_branches(schema), value, path)
    elif not _fits(schema, value):
        yield _wrong_type([schema], value, path)
    elif isinstance(value, dict):
        yield from _explain_object(schema, value, path)
    elif isinstance(value, list):
        for position, element in enumerate(value):
            yield from _explain(schema.get("items", {}), element, f"{path}.{position}")
    elif isinstance(value, str):
        yield from _explain_text(schema, value, path)


def _resolved(schema: Schema) -> Schema:
    definition: Schema = _schema()["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return definition


def _branches(schema: Schema) -> list[Schema]:
    """Return the branches of a schema, those of nested unions, too."""
    schema = _resolved(schema)
    return [leaf for branch in schema["anyOf"] for leaf in _branches(branch)] if "anyOf" in schema else [schema]


def _fits(schema: Schema, value: object) -> bool:
    if "type" not in schema:
        return True
    # To Python true is the number 1; to JSON Schema 1.0 is an integer.
    if isinstance(value, bool):
        return bool(schema["type"] == "boolean")
    if schema["type"] == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[schema["type"]][0])


def _wrong_type(schemas: list[Schema], value: object, path: str) -> Fault:
    kinds = dict.fromkeys(KINDS[schema["type"]][1] for schema in schemas)
    blocks = "a list of blocks" if path.endswith((".content", ".system")) else "a list"
    names = [blocks if kind == "a list" else kind for kind in kinds if kind != "null" or len(kinds) == 1]
    return Fault("wrong_type", f"must be {' or '.join(names)}, not {shown(value)}", path=path)


def _explain_text(schema: Schema, text: str, path: str) -> Iterator[Fault]:
    choices = _choices(schema)
    if len(text) > schema.get("maxLength", len(text)):
        yield Fault("too_long", f"has {len(text)} characters; at most {schema['maxLength']} are allowed", path=path)
    elif choices and text not in choices:
        yield _not_a_choice(text, choices, path)


def _choices(schema: Schema) -> list[str]:
    """Return the texts that a schema allows; [] where it allows any."""
    return [text for leaf in _branches(schema) for text in leaf.get("enum", [leaf["const"]] if "const" in leaf else [])]


def _not_a_choice(text: str, choices: list[str], path: str) -> Fault:
    near = did_you_mean(text, choices)
    if path.endswith(".type") and text in OPENAI_TYPES:
        return Fault(
            "openai_type", f"{shown(text)} belongs to OpenAI's API; the Messages API has {_listed(choices)}", path=path
        )
    if path.endswith(".type") and text not in _known_types():
        message = f"unknown type {shown(text)} (sent as it is){near}"
        return Fault("unknown_type", message, Severity.WARNING, path)
    message = f"{shown(text)} is {'none of' if len(choices) > 1 else 'not'} {_listed(choices)}{near}"
    return Fault("not_a_choice", message, path=path)


def _listed(choices: list[str]) -> str:
    return ", ".join(map(shown, choices[:LISTED])) + (", …" if len(choices) > LISTED else "")


@cache
def _known_types() -> frozenset[str]:
    """Return every value of every `type`, to tell a known type in the wrong place from an unknown one."""
    properties = [definition["properties"] for definition in _schema()["$defs"].values()]
    return frozenset(text for each in properties if "type" in each for text in _choices(each["type"]))


# ---------------------------------------------------------------- objects, and which branch of a union was meant


def _explain_object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[Fault]:
    properties = schema.get("properties", {})
    for tag in TAGS:
        if tag in properties and isinstance(value.get(tag), str) and value[tag] not in _choices(properties[tag]):
            # An object of another type: against this schema, every key of it would be wrong.
            yield _not_a_choice(value[tag], _choices(properties[tag]), f"{path}.{tag}")
            return
    yield from _missing_keys(schema, value, path)
    for name, inner in value.items():
        if name in properties:
            yield from _explain(properties[name], inner, f"{path}.{name}")
        elif not schema.get("additionalProperties", True):
            yield _unknown_key(name, properties, path)


def _missing_keys(schema: Schema, value: dict[str, Any], path: str) -> Iterator[Fault]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name in value:
            continue
        near = did_you_mean_one_of(name, [key for key in value if key not in properties])
        message = f"{_owner(value, path)} needs {shown(name)}{near}"
        # A key that may be null is often left out instead, and whether the API minds is not known.
        may_be_null = any(_fits(branch, None) for branch in _branches(properties[name]))
        yield Fault("key_missing", message, Severity.WARNING if may_be_null else Severity.ERROR, path)


def _owner(value: dict[str, Any], path: str) -> str:
    """Return what a person calls the object at `path`: `a "text" block`, `this message`, `type "enabled"`."""
    place = re.sub(r"\.\d+$", "", path).rpartition(".")[2]
    noun = {"content": "block", "system": "block", "messages": "message", "tools": "tool"}.get(place, "")
    tag = next((value[key] for key in TAGS if isinstance(value.get(key), str)), "")
    if not noun:
        return f"type {shown(tag)}" if tag else "this"
    return f"{'an' if tag[0] in 'aeio' else 'a'} {shown(tag)} {noun}" if tag else f"this {noun}"


def _unknown_key(name: str, properties: Schema, path: str) -> Fault:
    message = f"unknown key (sent as it is){did_you_mean(name, properties)}"
    if path == "params" and name in _schema()["betaProperties"]:
        message = "a beta's key (sent as it is); it needs --beta NAME"
    return Fault("unknown_key", message, Severity.WARNING, f"{path}.{shown_key(name)}")


def _explain_union(branches: list[Schema], value: Any, path: str) -> Iterator[Fault]:
    fitting = [branch for branch in branches if _fits(branch, value)]
    if not fitting:
        yield _wrong_type(branches, value, path)
    elif len(fitting) > 1 and isinstance(value, dict):
        yield from _explain_tagged(fitting, value, path)
    else:
        yield from _fewest(fitting, value, path)


def _explain_tagged(branches: list[Schema], value: dict[str, Any], path: str) -> Iterator[Fault]:
    """Yield the faults of an object against objects that differ in their `type` or `role`, if in anything."""
    tag = next((key for key in TAGS if any(_is_tagged(branch, key) for branch in branches)), None)
    if tag is None:
        yield from _fewest(branches, value, path)
    elif value.get(tag) is None:
        untagged = [branch for branch in branches if tag not in branch.get("required", ())]
        if untagged:
            yield from _fewest(untagged, value, path)
        else:
            yield Fault("key_missing", f"{_owner(value, path)} needs {shown(tag)}", path=path)
    else:
        yield from _explain_branch_of(tag, branches, value, path)


def _explain_branch_of(tag: str, branches: list[Schema], value: dict[str, Any], path: str) -> Iterator[Fault]:
    named = {id(branch): _choices(branch["properties"][tag]) for branch in branches if _is_tagged(branch, tag)}
    if meant := [branch for branch in branches if value[tag] in named.get(id(branch), ())]:
        yield from _fewest(meant, value, path)
    elif isinstance(value[tag], str):
        yield _not_a_choice(value[tag], [text for texts in named.values() for text in texts], f"{path}.{tag}")
    else:
        yield Fault("wrong_type", f"must be text, not {shown(value[tag])}", path=f"{path}.{tag}")


def _is_tagged(branch: Schema, tag: str) -> bool:
    return tag in branch.get("properties", ())


def _fewest(branches: list[Schema], value: Any, path: str) -> list[Fault]:
    """Return the faults against the branch with the fewest."""
    return min((list(_explain(branch, value, path)) for branch in branches), key=len)


# ---------------------------------------------------------------- the name of the model


@lru_cache(maxsize=256)
def model_name_faults(model: str) -> list[Fault]:
    """Return a warning for the name of a model that is surely a slip. An unknown name is none: models come and go faster than this list."""
    known = _schema()["models"]
    if not model or model in known:
        return []
    if not re.fullmatch(r"claude-[a-z0-9-]+", model):
        example = (
            did_you_mean(re.sub("[^a-z0-9]+", "-", model.strip().lower()), known) or f"; they look like {known[0]}"
        )
        return [_odd_model(f"{shown(model)} does not look like a model id of the API{example}")]
    words = {word for name in known for word in name.split("-")}
    unknown = (word for word in model.split("-") if word.isalpha() and word not in words)
    return [
        _odd_model(f"{shown(model)} names no known model family{near}")
        for word in unknown
        if (near := did_you_mean(word, words))
    ]


def _odd_model(message: str) -> Fault:
    return Fault("model_name_odd", message, Severity.WARNING, "params.model")
