"""The shipped schema is the installed SDK's, and holds nothing the walk through it does not understand."""

import json
import subprocess
import sys
from importlib import resources

import pytest

from batchctl.api import params_schema

SHIPPED = resources.files("batchctl.requests").joinpath("params.schema.json").read_text(encoding="utf-8")
SCHEMA = json.loads(SHIPPED)
KINDS = {"string", "integer", "number", "boolean", "array", "object", "null"}


def schemas(schema, path="params"):
    """Every schema inside a schema, with the way to it."""
    yield path, schema
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            yield from schemas(inner, f"{path}/{name}")
    for position, inner in enumerate(schema.get("anyOf", ())):
        yield from schemas(inner, f"{path}/{position}")
    if isinstance(schema.get("items"), dict):
        yield from schemas(schema["items"], f"{path}/items")


ALL = dict(schemas(SCHEMA))


@pytest.mark.slow
def test_the_shipped_schema_is_what_the_installed_sdk_gives():
    """Behind? python -m batchctl.api.params_schema > batchctl/requests/params.schema.json"""
    # In a process of its own: typing keeps one Literal for all orders of the same words, and which order that is
    # depends on what was imported first.
    made = subprocess.run([sys.executable, "-m", params_schema.__name__], capture_output=True, text=True, check=True)
    assert made.stdout == SHIPPED


def test_it_names_the_sdk_it_came_from():
    import anthropic

    assert f"anthropic {anthropic.__version__}" in SCHEMA["$comment"]


def test_every_schema_is_a_reference_a_union_or_a_type():
    top = {"$schema", "$comment", "$defs", "betaProperties"}
    for path, schema in ALL.items():
        keywords = schema.keys() - top if path == "params" else schema.keys()
        if "$ref" in schema or "anyOf" in schema:
            assert len(keywords) == 1, path
        else:
            assert schema["type"] in KINDS, path
            assert keywords <= {"type", "const", "enum", "items", "properties", "required", "additionalProperties"}, (
                path
            )


def test_only_texts_are_chosen_from_a_list():
    closed = {path for path, schema in ALL.items() if "const" in schema or "enum" in schema}
    assert {path for path in closed if ALL[path]["type"] != "string"} == {"params/stream"}


def test_every_object_with_named_keys_is_closed_but_a_tools_own_schema():
    opened = [
        path for path, schema in ALL.items() if "properties" in schema and schema["additionalProperties"] is not False
    ]
    assert opened == ["params/InputSchemaTyped"]


def test_every_reference_leads_somewhere_and_every_definition_is_referred_to():
    targets = {schema["$ref"].removeprefix("#/$defs/") for schema in ALL.values() if "$ref" in schema}
    assert targets == SCHEMA["$defs"].keys()


def test_nothing_but_rules_is_left_and_properties_of_those_names_are_kept():
    assert {"title", "context"} <= SCHEMA["$defs"]["DocumentBlockParam"]["properties"].keys()
    assert "description" in SCHEMA["$defs"]["ToolParam"]["properties"]
    assert not any({"title", "description", "default", "format"} & schema.keys() for schema in ALL.values())


@pytest.mark.parametrize("name", ["mcp_servers", "context_management"])
def test_the_keys_of_the_beta_api_are_listed(name):
    assert name in SCHEMA["betaProperties"]
