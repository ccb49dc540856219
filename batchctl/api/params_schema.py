"""A developer's tool that derives the JSON schema of `params` from the SDK's own types.

    python -m batchctl.api.params_schema > batchctl/requests/params.schema.json

The result is checked in, so that checking a request does not import the SDK, which takes a second. It adds two things to
the types: objects are closed, so that a misspelt key is noticed, and the keys that only the beta API has are listed.
"""

import json
import sys
from typing import Any

JsonObject = dict[str, Any]

# Keywords that do not decide whether a request is valid: prose, names of Python classes, hints to libraries.
NOT_RULES = ("default", "description", "format", "title")


def generate() -> JsonObject:
    """Return the schema of `params` for the installed version of the SDK."""
    # Imported here, so that importing this module stays cheap.
    from anthropic import __version__  # noqa: PLC0415
    from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as BetaParams  # noqa: PLC0415
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming  # noqa: PLC0415
    from pydantic import TypeAdapter  # noqa: PLC0415

    raw = TypeAdapter(MessageCreateParamsNonStreaming).json_schema()
    definitions = raw.pop("$defs")
    schema: JsonObject = _rules(raw, _answer_types(definitions))
    schema["$defs"] = _reachable(
        schema, {name: _rules(raw, _answer_types(definitions)) for name, raw in definitions.items()}
    )
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$comment"] = f"params of a request, from the types of anthropic {__version__}; see api/params_schema.py"
    schema["betaProperties"] = sorted(BetaParams.__annotations__.keys() - schema["properties"].keys())
    return schema


def _answer_types(definitions: JsonObject) -> set[str]:
    """References to types of answers, which the SDK accepts as objects; on the wire their `…Param` twin has the same form."""
    return {f"#/$defs/{name}" for name in definitions if f"{name}Param" in definitions}


def _rules(schema: Any, answers: set[str]) -> Any:
    """The schema with its rules alone, and with its objects closed."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: _keyword(key, value, answers) for key, value in schema.items() if key not in NOT_RULES}
    if len(kept.get("anyOf", ())) == 1:
        return kept["anyOf"][0]
    if "properties" in kept:
        kept.setdefault("additionalProperties", False)
    return kept


def _keyword(key: str, value: Any, answers: set[str]) -> Any:
    match key:
        case "properties":
            return {name: _rules(schema, answers) for name, schema in value.items()}
        case "anyOf":
            branches = [_rules(branch, answers) for branch in value if branch.get("$ref") not in answers]
            return [branch for position, branch in enumerate(branches) if branch not in branches[:position]]
        case "items" | "additionalProperties":
            return _rules(value, answers)
        case _:
            return value


def _reachable(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    """The definitions that the schema refers to, directly or through others."""
    wanted, reached = _references(schema), set[str]()
    while wanted:
        name = wanted.pop()
        reached.add(name)
        wanted |= _references(definitions[name]) - reached
    return {name: definitions[name] for name in reached}


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_references, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].removeprefix("#/$defs/")} if "$ref" in schema else set[str]()
    return own.union(*map(_references, schema.values()))


def as_text(schema: JsonObject) -> str:
    """Return the schema as it is checked in."""
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_text(generate()))
