import json
from pathlib import Path
from types import ModuleType

import pytest
from cases import few
from program import Cli, ids

from batchctl.emulator.running import running

SAMPLES = Path(__file__).parents[2] / "samples"
BUILT = ("banking77.jsonl", "gsm8k.jsonl", "openai-batch.jsonl", "planted-faults.jsonl")
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.slow
def test_the_committed_samples_are_what_build_writes(build: ModuleType, tmp_path: Path) -> None:
    build.write(tmp_path)
    for name in BUILT:
        assert (tmp_path / name).read_bytes() == (SAMPLES / name).read_bytes(), f"{name}: run `make samples`"


@pytest.mark.parametrize(("name", "count"), [("banking77.jsonl", 500), ("gsm8k.jsonl", 200)])
def test_a_good_sample_is_found_clean(name: str, count: int, tmp_path: Path) -> None:
    ran = Cli(tmp_path, NOWHERE).run("submit", SAMPLES / name, "--dry-run", "--check", "full", "--json")
    assert ran.status == 0, ran.err
    checked = json.dumps(ran.json)
    assert f'"requests": {count}' in checked
    assert not list((tmp_path / ".batchctl" / "problems").glob("*"))


def test_every_planted_fault_is_named_and_nothing_else(build: ModuleType, tmp_path: Path) -> None:
    ran = Cli(tmp_path, NOWHERE).run("submit", SAMPLES / "planted-faults.jsonl", "--dry-run")
    assert ran.status == 5
    problems = tmp_path / ".batchctl" / "problems" / "planted-faults.jsonl"
    found = sorted(
        (problem["line"], problem["code"]) for problem in map(json.loads, problems.read_bytes().splitlines())
    )
    planted = enumerate(build.planted_faults(), 1)
    assert found == sorted((number, code) for number, line in planted for code in line.codes)
    assert all(f"line {number} " in ran.err or f"line {number}:" in ran.err for number, _ in found)


def test_the_sample_of_another_vendor_is_converted_and_then_found_clean(tmp_path: Path) -> None:
    cli = Cli(tmp_path, NOWHERE)
    sample = SAMPLES / "openai-batch.jsonl"
    ran = cli.run("convert", sample, "--model", "claude-haiku-4-5", "--drop", "reasoning_effort")
    assert ran.status == 5
    assert ("--drop seed" in ran.err, "--drop temperature" in ran.err) == (True, True)
    drop = ("--drop", "reasoning_effort", "--drop", "seed", "--drop", "temperature")
    ran = cli.run("convert", sample, "--model", "claude-haiku-4-5", *drop, "-o", "requests.jsonl")
    assert ran.status == 0, ran.err
    ran = cli.run("submit", "requests.jsonl", "--dry-run", "--check", "full", "--json")
    assert (ran.status, ran.json["requests"], ran.json["by_code"]) == (0, 9, {}), ran.err


@pytest.mark.parametrize("name", few(["banking77.jsonl", "gsm8k.jsonl"], 1))
def test_the_emulator_answers_every_request_of_a_good_sample(name: str, tmp_path: Path) -> None:
    with running({"batch_seconds": 0}) as emulator:
        cli = Cli(tmp_path, emulator.base_url)
        job = cli.run("submit", SAMPLES / name, "--max-requests", "150").job
        ran = cli.run("fetch", "--output", "answers.jsonl")
    assert (ran.status, ran.err.count("errored")) == (0, 0), ran.err
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_bytes().splitlines()]
    asked = [json.loads(line) for line in (SAMPLES / name).read_bytes().splitlines()]
    assert ids(answers) == ids(asked), job
