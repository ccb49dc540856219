"""Every option of `submit`, `run` and `retry`, met by a job that is there: it takes effect, or it is refused. None is ignored.

A new option has no verdict here, and that fails a test.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import COMMAND, Cli, Ran, request, requests, sent_lines, wrong_request

from batchctl.emulator.running import Running
from batchctl.engine.process_executor import ProcessExecutor

VERBS = ("submit", "run", "retry")
BETA = "known-2026-01-01"
PLANNED = ("--name", "first", "--label", "team=a", "--max-requests", "3", "--max-bytes", "50KB", "--check", "envelope")


class Here:
    """A job of eight requests, partly sent: the key was refused in between, and is good again. Or, for `retry`, with failures."""

    def __init__(self, cli: Cli, emulator: Running, patch: pytest.MonkeyPatch) -> None:
        self.cli = cli
        self.patch = patch
        self.emulator = emulator
        self.lines = requests(8)
        self.path = cli.write("in.jsonl", self.lines)
        self.process_executors = 0

    def partly_sent(self, *options: str) -> None:
        self.scenario()
        self.emulator.add_fault({"on": "create", "nth": 2, "fault": "status", "status": 401, "message": "no"})
        ran = self.cli.run("submit", self.path, *(options or PLANNED), "--parallel", "1", "--max-cost", "100")
        assert ran.status == 4, ran.err
        assert self.emulator.unfired() == []

    def is_partly_sent(self) -> bool:
        return 0 < len(self.sent()) < len(self.lines)

    def failed(self) -> None:
        """Some overloaded, one wrong."""
        self.scenario(outcomes={"overloaded_error": 0.5})
        self.path = self.cli.write("in.jsonl", [*self.lines, wrong_request("w-1")])
        self.cli.submitted("in.jsonl", [*self.lines, wrong_request("w-1")], "--name", "first")
        assert self.cli.run("fetch").status == 3
        self.scenario()

    def scenario(self, **more: Any) -> None:
        self.emulator.set_scenario({"batch_seconds": 0, "betas": [BETA], **more})

    def run(self, verb: str, *words: str | Path) -> Ran:
        return self.cli.run(verb, *words)

    def has(self, name: str) -> bool:
        return (self.cli.folder / name).exists()

    @property
    def newest(self) -> dict[str, Any]:
        return self.emulator.batches()[-1]

    @property
    def shape(self) -> Any:
        return self.cli.run("status", "first", "--offline", "--json").json

    def sent(self) -> list[bytes]:
        return [line for batch in sent_lines(self.emulator) for line in batch]

    def round_two(self) -> list[str]:
        """The ids of what was sent again."""
        first, *again = sent_lines(self.emulator)
        return [json.loads(line)["custom_id"] for batch in again for line in batch] if first else []


@pytest.fixture
def here(cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    yield Here(cli, emulator, monkeypatch)
    # A scene may leave without having met all of it.
    emulator.set_scenario({"batch_seconds": 0})


@dataclass(frozen=True)
class Effect:
    """`words`: the option as it is typed, `{name}` filled in; `seen`: whether it did what it says; `before`: sets the scene."""

    words: tuple[str, ...]
    seen: Callable[[Here, Ran], object]
    before: Callable[[Here], object] = lambda _: None


@dataclass(frozen=True)
class Refusal:
    """`other`: what the job was not planned with, and what is `said` of it; `same`: the same option as it was planned."""

    other: tuple[str, ...]
    said: str
    same: tuple[str, ...] | None = None
    status: int = 6


def of(ran: Ran, status: int, said: str) -> bool:
    assert said in ran.err, ran.err
    return ran.status == status


def at_once(here: Here) -> None:
    here.emulator.add_fault({"on": "create", "fault": "queue_full", "retry_after": 600})


def moved(here: Here) -> None:
    here.cli.write("other.jsonl", requests(8, "x"))


def canceled(here: Here) -> None:
    assert here.cli.run("cancel", "first", "--yes").status in {0, 3}


def in_the_way(here: Here) -> None:
    (here.cli.folder / "first.results.jsonl").write_text("mine")


def paid_dearly(here: Here) -> None:
    here.cli.run("fetch", "first")
    here.cli.write("dear.toml", [b'[models."claude-haiku-4-5"]', b"input = 90000", b"output = 90000"])


def canceled_again(here: Here) -> None:
    here.scenario(batch_seconds=3600, cancel_seconds=0)
    assert here.cli.run("retry", "first").status == 0
    canceled(here)
    here.scenario()


def to_retry(here: Here) -> None:
    here.scenario(outcomes={"overloaded_error": 0.7})


def counting_executors(here: Here) -> None:
    enters = ProcessExecutor.__enter__

    def enter(executor: ProcessExecutor) -> ProcessExecutor:
        here.process_executors += 1
        return enters(executor)

    here.patch.setattr(ProcessExecutor, "__enter__", enter)


PLAN: dict[str, Refusal | Effect] = {
    "--name": Refusal(("--name", "second"), "was planned with --name first", ("--name", "first")),
    "--label": Refusal(("--label", "team=b"), "was planned with --label team=a", ("--label", "team=a")),
    "--max-requests": Refusal(("--max-requests", "4"), "planned with --max-requests 3", ("--max-requests", "3")),
    "--max-bytes": Refusal(("--max-bytes", "60KB"), "planned with --max-bytes 50000", ("--max-bytes", "50KB")),
    "--equal-sizes": Refusal(("--equal-sizes",), "was planned without --equal-sizes"),
    "--check": Refusal(("--check", "full"), "was planned with --check envelope", ("--check", "envelope")),
    "--canary": Refusal(("--canary",), "was planned without --canary"),
    "--prime": Refusal(("--prime",), "was planned without --prime"),
    "--prime-min-hit": Refusal(("--prime-min-hit", "9%"), "was planned without --prime"),
    "--cache-system": Refusal(("--cache-system", "1h"), "was planned without --cache-system"),
    # What was planned has no bad line left in it.
    "--skip-bad": Effect(
        ("--skip-bad",), lambda here, ran: ran.status == 0 and sorted(here.sent()) == sorted(here.lines)
    ),
    "--strict": Effect(("--strict",), lambda here, ran: ran.status == 0 and sorted(here.sent()) == sorted(here.lines)),
}
HEADERS: dict[str, Refusal | Effect] = {
    "--beta": Effect(("--beta", BETA), lambda here, _: here.newest["betas"] == [BETA]),
    "--no-beta": Refusal(("--no-beta", "never-1"), "does not send it", status=2),
    "--api-version": Effect(
        ("--api-version", "2023-06-01"), lambda here, _: here.newest["api_version"] == "2023-06-01"
    ),
}
COMMON: dict[str, Refusal | Effect] = {
    "--timeout": Effect(("--timeout", "1ms"), lambda _, ran: of(ran, 8, "--timeout")),
    "--max-cost": Effect(("--max-cost", "0"), lambda _, ran: of(ran, 6, "--max-cost")),
    # What was paid is held against the limit at these prices.
    "--prices": Effect(
        ("--prices", "dear.toml", "--max-cost", "1"), lambda _, ran: of(ran, 6, "more than the limit"), paid_dearly
    ),
    "--workspace": Effect(("--workspace", "other"), lambda _, ran: ran.status in {2, 5}),
    "--base-url": Effect(
        ("--base-url", "http://127.0.0.1:9", "--timeout", "300ms"), lambda _, ran: ran.status in {1, 8}
    ),
    "--insecure-http": Effect(
        ("--base-url", "http://0.0.0.0:{port}", "--insecure-http"),
        lambda here, ran: ran.status == 0 and len(here.emulator.batches()) > 1,
    ),
    "--json": Effect(("--json",), lambda _, ran: [json.loads(line)["schema_version"] for line in ran.out.splitlines()]),
    "--quiet": Effect(("--quiet",), lambda _, ran: ran.status == 0 and ran.err == ""),
    # Every wait in a line of its own, where there is one.
    "--verbose": Effect(("--verbose",), lambda _, ran: ran.status == 0),
    "--input": Effect(("--input", "other.jsonl"), lambda _, ran: of(ran, 5, "is not the input of first"), moved),
    # One after the other, they come in the order of the input.
    "--parallel": Effect(("--parallel", "1"), lambda here, ran: ran.status == 0 and in_order(here.sent(), here.lines)),
    "--yes": Effect(("--yes",), lambda _, ran: ran.status == 0, canceled),
}
NO_WAIT = Effect(("--no-wait",), lambda _, ran: ran.status == 8, at_once)


# The emulator knows no such path.
HOOK = ("--notify", "http://127.0.0.1:{port}/hook")


def in_order(sent: list[bytes], lines: list[bytes]) -> bool:
    return sent == [line for line in lines if line in sent] and len(sent) == len(lines)


TABLE: dict[str, dict[str, Refusal | Effect]] = {
    "submit": {
        **PLAN,
        **HEADERS,
        **COMMON,
        "--no-wait": NO_WAIT,
        # Where the queue is full, the next batch is sent once another has ended.
        "--poll": Effect(
            ("--poll", "50ms", "--timeout", "8s"),
            lambda _, ran: ran.status == 0,
            lambda here: here.scenario(batch_seconds=0.5, limits={"queue": 3}),
        ),
        # What is left to send was checked before.
        "--engine": Effect(
            ("--engine", "processes"), lambda here, ran: ran.status == 0 and len(here.sent()) == len(here.lines)
        ),
        "--again": Refusal(("--again",), "--again works only with an input", status=2),
        # Remembered: whoever sees the end tells.
        "--on-done": Effect(
            ("--on-done", "touch told"), lambda here, _: here.cli.run("fetch", "first").status == 0 and here.has("told")
        ),
        "--notify": Effect(HOOK, lambda here, _: "HTTP 404" in here.cli.run("fetch", "first").err),
        "--dry-run": Effect(("--dry-run",), lambda here, ran: "nothing was sent" in ran.err and here.is_partly_sent()),
        "--show": Effect(
            ("--show", "1"), lambda here, ran: ran.out.startswith('{"requests":[') and here.is_partly_sent()
        ),
    },
    "run": {
        **PLAN,
        **HEADERS,
        **COMMON,
        "--again": Refusal(("--again",), "--again works only with an input", status=2),
        "--max-rounds": Effect(
            ("--max-rounds", "1"), lambda here, ran: ran.status == 3 and len(here.shape["rounds"]) == 1, to_retry
        ),
        "--on-done": Effect(("--on-done", "touch told"), lambda here, _: here.has("told")),
        "--notify": Effect(HOOK, lambda _, ran: "HTTP 404" in ran.err and ran.status == 0),
        "--output": Effect(("--output", "there.jsonl"), lambda here, _: (here.cli.folder / "there.jsonl").exists()),
        "--output-dir": Effect(
            ("--output-dir", "."), lambda here, _: (here.cli.folder / "first.results.jsonl").exists()
        ),
        "--force": Effect(("--force",), lambda here, ran: ran.status == 0 and here.cli.results("first"), in_the_way),
        "--engine": Effect(
            ("--engine", "processes"), lambda here, ran: ran.status == 0 and here.process_executors, counting_executors
        ),
        # The second look would else come after 10 seconds.
        "--poll": Effect(
            ("--poll", "50ms", "--timeout", "8s"),
            lambda _, ran: ran.status == 0,
            lambda here: here.scenario(batch_seconds=0.5),
        ),
    },
    "retry": {
        **HEADERS,
        **{option: verdict for option, verdict in COMMON.items() if option not in {"--yes", "--parallel"}},
        "--no-wait": NO_WAIT,
        "--yes": Effect(("--yes",), lambda here, ran: ran.status == 0 and here.round_two()),
        "--parallel": Effect(("--parallel", "1"), lambda here, ran: ran.status == 0 and here.round_two()),
        "--only": Effect(("--only", "fix"), lambda here, _: here.round_two() == ["w-1"]),
        "--include-invalid": Effect(("--include-invalid",), lambda here, _: "w-1" in here.round_two()),
        "--include-canceled": Effect(
            ("--include-canceled",), lambda here, _: len(here.shape["rounds"]) == 3, canceled_again
        ),
        "--set": Effect(
            ("--set", "max_tokens=77"), lambda here, _: here.shape["rounds"][1]["changes"] == ["max_tokens=77"]
        ),
        "--edit": Effect(("--edit",), lambda here, _: (here.cli.folder / ROUND_FILE).exists()),
        "--dry-run": Effect(("--dry-run",), lambda here, _: not here.round_two()),
        "--from": Effect(
            ("--from", "mended.jsonl"),
            lambda here, _: here.round_two() == ["w-1"],
            lambda here: here.cli.write("mended.jsonl", [request("w-1")]),
        ),
        "--output-dir": Refusal(("--output-dir", "."), "--output-dir needs --dry-run or --edit", status=2),
    },
}
ROUND_FILE = "first.round-2.requests.jsonl"
EFFECTS = [
    (v, option) for v, table in TABLE.items() for option, verdict in table.items() if isinstance(verdict, Effect)
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_verdict(verb: str) -> None:
    group: Any = COMMAND
    options = {name for param in group.commands[verb].params for name in param.opts if name.startswith("--")}
    assert options == set(TABLE[verb]), "an option without a verdict is one that may be ignored"


@pytest.mark.parametrize("verb", few(VERBS, 0))
def test_what_would_be_ignored_is_refused_and_the_same_again_is_not(here: Here, verb: str) -> None:
    here.failed() if verb == "retry" else here.partly_sent()
    before = (here.shape, len(here.emulator.batches()))
    refusals = {option: verdict for option, verdict in TABLE[verb].items() if isinstance(verdict, Refusal)}
    words = ["first"] if verb != "submit" else ["first", "in.jsonl"]
    for option, verdict in refusals.items():
        for word in words:
            if word != "first" and option == "--again":
                # Of an input it says what is to be done with it.
                continue
            ran = here.run(verb, word, *verdict.other)
            assert (ran.status, verdict.said in ran.err) == (verdict.status, True), (option, ran.err)
            assert "Traceback" not in ran.err
    now = here.shape
    assert {**now, "elapsed_seconds": 0} == {**before[0], "elapsed_seconds": 0}
    assert len(here.emulator.batches()) == before[1]
    same = [word for verdict in refusals.values() for word in verdict.same or ()]
    ran = here.run(verb, "first", *same)
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("word", ["first", "in.jsonl"])
def test_the_very_same_command_continues(here: Here, word: str) -> None:
    options = (*PLANNED, "--equal-sizes", "--cache-system", "1h", "--beta", BETA, "--api-version", "2023-06-01")
    here.partly_sent(*options)
    ran = here.run("submit", word, *options, "--parallel", "1", "--max-cost", "100")
    assert ran.status == 0, ran.err
    assert len(here.sent()) == len(here.lines)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "option"), EFFECTS)
def test_what_is_taken_has_its_effect(here: Here, verb: str, option: str) -> None:
    verdict = TABLE[verb][option]
    assert isinstance(verdict, Effect)
    here.failed() if verb == "retry" else here.partly_sent()
    verdict.before(here)
    port = here.emulator.base_url.rsplit(":", 1)[1]
    ran = here.run(verb, "first", *(word.format(port=port) for word in verdict.words))
    assert "Traceback" not in ran.err
    assert verdict.seen(here, ran), (ran.status, ran.out, ran.err)
