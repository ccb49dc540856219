"""Scenarios: what the file may say, and how what it may not say is refused."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from batchctl.emulator.faults import ENDPOINTS, KINDS, SCRIPT
from batchctl.emulator.refuse_rules import KEYS
from batchctl.emulator.scenario import TABLES, TOP, ScenarioError, read_scenario, scenario_from

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "reference" / "emulator.md").read_text("utf-8")

REFUSE = {"path": "tools.0.name", "equals": "lookup", "message": "reserved"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"batch_second": 1}, "batch_second: unknown key or table; allowed are batch_seconds,"),
        ({"batch_seconds": -1}, "batch_seconds = -1: must be a number of seconds, 0 or more"),
        ({"batch_seconds": True}, "batch_seconds = True: must be a number of seconds"),
        ({"outcome": {}}, "outcome: unknown key or table"),
        ({"outcomes": {"overloaded": 0.1}}, "[outcomes] overloaded: unknown key; allowed are"),
        ({"outcomes": {"api_error": 1.1}}, "[outcomes] api_error = 1.1: must be a number from 0 to 1"),
        (
            {"outcomes": {"api_error": 0.6, "expired": 0.5}},
            "[outcomes]: the shares sum to 1.1; they must sum to at most 1",
        ),
        ({"limits": {"too_large": "xml"}}, "[limits] too_large = 'xml': must be one of 'json', 'html', 'reset'"),
        ({"limits": {"bytes": 300_000_000}}, "[limits] bytes = 300000000: must be a whole number from 0 to 256000000"),
        ({"answers": {"choices": [1]}}, "[answers] choices = [1]: must be a list of strings"),
        ({"answers": 3}, "answers: must be a table"),
        ({"keys": {"sk-ant-a": 1}}, "[keys]: must map each key to the name of a workspace"),
        ({"retry_after": True}, "retry_after = True: must be a whole number of seconds, or false for no header"),
        ({"faults": {}}, "[[faults]]: must be a list of tables"),
        (
            {"faults": [{"on": "list", "fault": "status"}, {"fault": "x"}]},
            "[[faults]] number 2: fault = 'x': unknown; allowed are",
        ),
        (
            {"faults": [{"fault": "reset", "on": "create"}]},
            "[[faults]] number 1: on = 'create': reset strikes on results",
        ),
        ({"faults": [{"fault": "status", "on": "list", "seconds": 1}]}, "seconds: unknown key of status; allowed are"),
        ({"faults": [{"fault": "status", "on": "list", "status": "x"}]}, "status = 'x': must be like 500"),
        ({"faults": [{"fault": "status", "on": "list", "nth": 0}]}, "nth = 0: must be a whole number, 1 or more"),
        (
            {"faults": [{"fault": "status", "on": "list", "probability": 2}]},
            "probability = 2: must be a number from 0 to 1",
        ),
        ({"faults": [{"fault": "status", "on": "list", "batch": 1.5}]}, "batch = 1.5: must be an id or a number"),
        ({"faults": ["x"]}, "must be a table"),
        ({"refuse": {}}, "[[refuse]]: must be a list of tables"),
        ({"refuse": [1]}, "[[refuse]] number 1: must be a table"),
        ({"refuse": [{**REFUSE, "where": 1}]}, "where: unknown key; allowed are path, equals, contains, message, on"),
        ({"refuse": [{**REFUSE, "path": ""}]}, "path = '': must be a text that is not empty"),
        ({"refuse": [{**REFUSE, "message": 1}]}, "message = 1: must be a text that is not empty"),
        ({"refuse": [{**REFUSE, "contains": "b"}]}, "must have either equals or contains"),
        ({"refuse": [{"path": "a", "message": "b"}]}, "must have either equals or contains"),
        ({"refuse": [{"path": "a", "message": "b", "contains": 1}]}, "contains = 1: must be a text"),
        ({"refuse": [{**REFUSE, "on": []}]}, "on = []: must be a list of some of count_tokens, batch, messages"),
        ({"refuse": [{**REFUSE, "on": ["create"]}]}, "on = ['create']: must be a list of some of count_tokens"),
    ],
)
def test_a_wrong_scenario_is_refused_by_name_with_what_is_allowed(given, told):
    with pytest.raises(ScenarioError, match=re.escape(told)):
        scenario_from(given)


def test_a_file_that_cannot_be_followed_is_named(tmp_path):
    path = tmp_path / "s.toml"
    for text in ("x = [", "speed = 3", None):
        path.write_text(text) if text else path.unlink()
        with pytest.raises(ScenarioError, match=re.escape(str(path))):
            read_scenario(path)


@pytest.mark.parametrize("path", sorted((ROOT / "samples" / "scenarios").glob("*.toml")), ids=lambda path: path.name)
def test_every_sample_can_be_followed_and_says_what_it_is(path):
    read_scenario(path)
    assert path.read_text("utf-8").startswith("# ")


def _table_in_guide(heading):
    part = GUIDE.split(f"\n### {heading}\n")[1].split("\n#")[0]
    return dict(re.findall(r"^\| `([a-z0-9_]+)` \|(.*)\|$", part, re.MULTILINE))


@pytest.mark.parametrize("name", ["", *TABLES])
def test_the_guide_names_every_key_with_its_default(name):
    keys = TABLES[name] if name else TOP
    told = _table_in_guide(f"`[{name}]`" if name else "Top level")
    assert set(told) == set(keys)
    for key, about in keys.items():
        default = "left out" if about.default is None else f"`{json.dumps(about.default)}`"
        assert told[key] == f" {default} | {about.allowed} | {about.meaning} "


def test_the_guide_names_every_fault_where_it_strikes_and_its_keys():
    part = GUIDE.split("\n## Faults\n")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `([a-z0-9_]+)` \|(.*)\|$", part, re.MULTILINE))
    assert set(told) == {*KINDS, *SCRIPT}
    for name, kind in KINDS.items():
        assert kind.meaning in told[name]
        assert all(f"`{key}` ({json.dumps(default)})" in told[name] for key, default in kind.keys.items())
        assert " any |" in told[name] if kind.on == ENDPOINTS else all(f"`{on}`" in told[name] for on in kind.on)


def test_the_guide_names_every_key_of_a_refusal():
    assert set(_table_in_guide("`[[refuse]]`")) == set(KEYS)
    (sample,) = re.findall(r"```toml\n(\[\[refuse\]\].*?)```", GUIDE, re.DOTALL)
    scenario_from(tomllib.loads(sample))
