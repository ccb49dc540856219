"""What programs read: the keys of every object that `--json` writes, with the types of their values.

`json_shapes.json` holds them as real runs against the emulator wrote them. A key that is gone and a value of another type
fail here. A new key fails until the file is written anew: `python tests/render/test_json_shapes.py`.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

if __name__ == "__main__":
    sys.path += [str(Path(__file__).parents[n]) for n in (1, 2)]

from program import Cli, request, requests, wrong_request

from batchctl.emulator.running import Running, running

FILE = Path(__file__).with_name("json_shapes.json")
# Objects whose keys are data.
MAPS = {"states", "by_code", "labels", "input_usd_by_hit_rate"}
MODEL = "claude-haiku-4-5"

Objects = Iterator[tuple[str, Any]]


def shape_digest(values: list[Any], name: str = "") -> Any:
    """Return the tree of the keys of some values with the types of what they hold.

    An object is a mapping, and an array a list with the shape of all its items. Of several types all are named.
    """
    mappings = [value for value in values if isinstance(value, dict)]
    if mappings:
        keys = list(dict.fromkeys(key for mapping in mappings for key in mapping))
        shapes = {key: shape_digest([mapping[key] for mapping in mappings if key in mapping], key) for key in keys}
        if name in MAPS:
            shapes = {"*": shape_digest([value for mapping in mappings for value in mapping.values()])}
        return {"or null": True, **shapes} if None in values else shapes
    if arrays := [value for value in values if isinstance(value, list)]:
        return [shape_digest([item for array in arrays for item in array])]
    return " or ".join(sorted({"null" if value is None else type(value).__name__ for value in values}))


def converting(cli: Cli) -> Objects:
    """`convert`: a file with a line that cannot be converted, and one without."""
    good, bad = ({"custom_id": "c", "body": {"max_tokens": 5, "messages": [], "n": n}} for n in (1, 2))
    for lines in ([good, bad], [good]):
        path = cli.write("openai.jsonl", [json.dumps(line).encode() for line in lines])
        yield "convert", cli.run("convert", path, "--model", MODEL, "--skip-bad", "--force", "--json").json


def submitting(cli: Cli) -> Objects:
    """`submit`: what was checked, and the job."""
    system = [{"type": "text", "text": "word " * 9000, "cache_control": {"type": "ephemeral"}}]
    cli.write("cached.jsonl", [request(f"c-{n}", system=system) for n in range(4)])
    cli.write("many.jsonl", [request(f"m-{n}", "word " * 99, model="claude-unheard-of") for n in range(4)])
    cli.write("refused.jsonl", [request("u-0", system="Refuse me."), request("u-1")])
    same = request("same")
    path = cli.write("in.jsonl", [*requests(8), request("s", system="Hi"), wrong_request("wrong"), same, same])
    options = ("--skip-bad", "--max-requests", "3", "--json")
    yield "submit --dry-run", cli.run("submit", path, *options, "--dry-run").json
    yield "submit --dry-run", cli.run("submit", path, *options, "--cache-system", "1h", "--dry-run").json
    yield "submit", cli.run("submit", path, *options, "--label", "a=b").json


def reading(cli: Cli) -> Objects:
    """Every verb that shows something, of a job with requests that failed."""
    for line in cli.run("status", "@last", "--watch", "--poll", "50ms", "--json").out.splitlines():
        yield "status --watch", json.loads(line)
    for command in ("status", "status @last", "status @last --batches", "cost @last --batches", "verify @last"):
        yield command, cli.run(*command.split(), "--json").json
    (raw, *_) = (cli.folder / ".batchctl" / "jobs").glob("*/raw/*.jsonl")
    kept = raw.read_bytes()
    raw.write_bytes(kept.replace(b"succeeded", b"exceeded!", 1))
    yield "verify @last", cli.run("verify", "@last", "--json").json
    raw.write_bytes(kept)
    for name in ("cached.jsonl", "many.jsonl"):
        yield "estimate", cli.run("estimate", name, "--offline", "--json").json
    yield "estimate", cli.run("estimate", "refused.jsonl", "--json").json
    yield "prices", cli.run("prices", MODEL, "--json").json
    yield "doctor", cli.run("doctor", "--json").json


def canceling(cli: Cli, emulator: Running) -> Objects:
    """What is left to send of a job that a full queue stopped, and its end."""
    path = cli.write("in.jsonl", requests(4))
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "times": 1, "retry_after": 1})
    assert cli.run("submit", path, "--max-requests", "2", "--parallel", "1", "--no-wait").status == 8
    yield "submit @last --dry-run", cli.run("submit", "@last", "--dry-run", "--json").json
    yield "cancel", cli.run("cancel", "--yes", "--json").json
    yield "error", json.loads(cli.run("status", "nobody", "--json").err)
    yield "error", json.loads(cli.run("status", "--nothing", "--json").err)


def unconfirmed(cli: Cli, other: Cli, emulator: Running) -> Objects:
    """`resolve`: a batch whose create got no answer beside one of the same size, then sent a second time."""
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    path = cli.write("in.jsonl", requests(4))
    cli.left_in_doubt(path)
    other.submitted("in.jsonl", requests(4, "other"))
    told = cli.folder / "told"
    assert cli.run("submit", path, "--on-done", f"cat > {told}").status == 7
    yield "submit --on-done", json.loads(told.read_text())
    yield "resolve", cli.run("resolve", "--json").json
    yield "resolve", cli.run("resolve", "--resend", "--yes", "--json").json
    assert cli.run("submit", path).status == 0
    yield "status @last --batches", cli.run("status", "@last", "--batches", "--json").json
    yield "cost @last --batches", cli.run("cost", "@last", "--batches", "--json").json
    yield "verify @last", cli.run("verify", "@last", "--json").json
    yield "resolve", cli.run("resolve", "--json").json
    emulator.advance(600)
    assert cli.run("fetch").status == 0
    yield "resolve", cli.run("resolve", "--json").json


def written(folder: Path, emulator: Running) -> Objects:
    """Return every object that a verb wrote, with the name of its shape."""
    names = ("one", "two", "three", "four")
    for name in names:
        (folder / name).mkdir()
    cli, other, stopped, lost = (Cli(folder / name, emulator.base_url) for name in names)
    yield from converting(cli)
    yield from submitting(cli)
    yield "fetch", cli.run("fetch", "--json").json
    yield from reading(cli)
    yield "retry --dry-run", cli.run("retry", "--dry-run", "--json").json
    yield "retry", cli.run("retry", "--json").json
    yield "fetch", cli.run("fetch", "--json").json
    path = cli.write("run.jsonl", requests(2))
    told = cli.folder / "told"
    for line in cli.run("run", path, "--poll", "50ms", "--json", "--on-done", f"cat > {told}").out.splitlines():
        yield "run", json.loads(line)
    yield "run --on-done", json.loads(told.read_text())
    yield "delete", cli.run("delete", "--yes", "--json").json
    yield "attach", other.run("attach", emulator.batches()[0]["id"], "--json").json
    yield from canceling(stopped, emulator)
    lost.variables["BATCHCTL_DOUBT_GRACE"] = "0.3"
    yield from unconfirmed(lost, other, emulator)


def shapes(folder: Path) -> dict[str, Any]:
    """Run the program in a folder, and return the shape of what each verb wrote, by verb and `type`."""
    values: dict[str, list[Any]] = {}
    refused = {"path": "system", "equals": "Refuse me.", "message": "system: refused"}
    scenario = {"batch_seconds": 0, "outcomes": {"overloaded_error": 0.3}, "refuse": [refused]}
    with running(scenario) as emulator, pytest.MonkeyPatch.context() as waits:
        waits.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
        for name, value in written(folder, emulator):
            values.setdefault(f"{name}: {value['type']}", []).append(value)
    return {name: shape_digest(several) for name, several in sorted(values.items())}


def differences(before: Any, after: Any, where: str) -> Iterator[str]:
    """Return the place of every key that is gone, is new, or has a value of another type."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from differences(before.get(key, "no key"), after.get(key, "no key"), f"{where} > {key}")
    elif isinstance(before, list) and isinstance(after, list):
        yield from differences(before[0], after[0], where)
    elif before != after:
        yield f"{where}: {before} became {after}"


@pytest.mark.slow
def test_what_programs_read_only_grows(tmp_path: Path) -> None:
    recorded = json.loads(FILE.read_text("utf-8"))
    found = shapes(tmp_path)
    assert list(recorded) == list(found)
    assert [line for name in recorded for line in differences(recorded[name], found[name], name)] == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": "str"}, {}, "x > a: str became no key"),
        ({"a": "str"}, {"a": "int"}, "x > a: str became int"),
        ({"a": "str"}, {"a": "null or str"}, "x > a: str became null or str"),
        ([{"a": "str"}], [{"a": "str", "b": "int"}], "x > b: no key became int"),
        ({"a": ["str"]}, {"a": "str"}, "x > a: ['str'] became str"),
    ],
)
def test_a_shape_that_differs_is_named(before: Any, after: Any, said: str) -> None:
    assert list(differences(before, before, "x")) == []
    assert list(differences(before, after, "x")) == [said]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        FILE.write_text(json.dumps(shapes(Path(made)), indent=1) + "\n", "utf-8")
