"""What `next:`, `try:` and warnings name works as it is printed, from another folder."""

import os
import re
import shlex
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import Cli, Ran, request, requests, wrong_request

from batchctl.emulator.running import Running

DAY = 24 * 3600.0
# Words of a sentence that goes on behind a command, and of those that stand for what a person knows.
_ENDS = re.compile(r"[;,]|, then |, or first | (?:says|shows|gives|sends|makes)\b")
_TOLD = re.compile(r"^(?: *next: | *try: |! )(.*)$", re.MULTILINE)
PLACEHOLDERS = {"JOB", "FILE", "USD", "ID", "INPUT.jsonl", "PATH"}


def commands(ran: Ran) -> list[list[str]]:
    """The commands that a person is told to type, as a shell reads them."""
    found = []
    for told in _TOLD.findall(f"{ran.err}\n{ran.out}"):
        for part in told.split("batchctl ")[1:]:
            words = shlex.split(_ENDS.split(part)[0])
            if not PLACEHOLDERS & set(words):
                found.append(words)
    return found


class Elsewhere:
    """A person who names workspace and URL in one folder, and types what they are told in another, with neither at hand."""

    def __init__(self, cli: Cli, tmp_path: Path, emulator: Running) -> None:
        self.emulator = emulator
        self.cli = cli
        self.workspace = tmp_path / "it's a place"
        self.other = Cli(tmp_path / "other", emulator.base_url)
        self.other.folder.mkdir()
        # Only what is printed can lead back.
        self.other.variables = {**cli.variables, "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
        cli.variables["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"

    def run(self, verb: str, *words: str | Path) -> Ran:
        return self.cli.run(verb, *words, "--workspace", self.workspace, "--base-url", self.emulator.base_url)

    def follow(self, ran: Ran, *, most: int) -> list[str]:
        """Types what is told, and what that tells, so many times; gives the verbs."""
        verbs: list[str] = []
        left = commands(ran)
        while left and len(verbs) < most:
            words = left.pop(0)
            then = self.other.run(*words)
            # Not understood, or refused: neither is what a person is to be sent to.
            assert then.status not in {2, 6}, (words, then.err)
            assert "nothing to send again" not in then.err, words
            assert "Traceback" not in then.err
            verbs.append(words[0])
            left = left or commands(then)
        return verbs


@pytest.fixture
def elsewhere(cli: Cli, tmp_path: Path, emulator: Running) -> Elsewhere:
    return Elsewhere(cli, tmp_path, emulator)


def _sent(here: Elsewhere, lines: list[bytes], *options: str) -> Ran:
    return here.run("submit", here.cli.write("in put.jsonl", lines), *options)


def _of_removed(here: Elsewhere) -> Ran:
    _sent(here, requests(3))
    here.emulator.advance(30 * DAY)
    return here.run("fetch")


def _of_canceled(here: Elsewhere) -> Ran:
    here.emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0.1})
    _sent(here, requests(3))
    ran = here.run("cancel", "--yes", "--poll", "50ms")
    here.emulator.set_scenario({"batch_seconds": 0})
    return ran


def _of_a_cancel_under_way(here: Elsewhere) -> Ran:
    here.emulator.set_scenario({"batch_seconds": 6000, "cancel_seconds": 600})
    _sent(here, requests(3))
    ran = here.run("cancel", "--yes", "--no-wait")
    here.emulator.advance(600)
    return ran


def _of_unsent(here: Elsewhere) -> Ran:
    fault = {"on": "create", "fault": "queue_full", "nth": 2, "times": 1, "retry_after": 1}
    here.emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0.1, "faults": [fault]})
    _sent(here, requests(4), "--max-requests", "2", "--parallel", "1", "--no-wait")
    ran = here.run("cancel", "--yes", "--poll", "50ms")
    here.emulator.set_scenario({"batch_seconds": 0})
    return ran


def _of_a_canceled_round(here: Elsewhere) -> Ran:
    _of_unsent(here)
    return here.run("retry", "--include-canceled", "--yes")


def _of_an_unknown_type(here: Elsewhere) -> Ran:
    here.emulator.add_fault({"on": "results", "fault": "unknown_result_type"})
    _sent(here, requests(3))
    return here.run("fetch")


def _of_a_wrong_request(here: Elsewhere) -> Ran:
    _sent(here, [*requests(2), wrong_request("w-1")])
    return here.run("fetch")


def _of_an_account(here: Elsewhere) -> Ran:
    here.emulator.add_fault({"on": "create", "fault": "status", "status": 400, "message": "Your organization is off."})
    return _sent(here, requests(3))


def _of_a_refused_batch(here: Elsewhere) -> Ran:
    here.emulator.add_fault({"on": "create", "fault": "status", "status": 400, "message": "requests.0.custom_id: no"})
    return _sent(here, requests(4), "--max-requests", "2", "--parallel", "1")


def _of_a_header(here: Elsewhere) -> Ran:
    return _sent(here, requests(2), "--beta", "gone-2025-01-01")


def _of_a_missing_file(here: Elsewhere) -> Ran:
    _sent(here, requests(2))
    return here.run("run", "nowhere.jsonl")


def _of_a_second_cancel(here: Elsewhere) -> Ran:
    _sent(here, requests(2))
    assert here.run("fetch").status == 0
    return here.run("cancel", "--yes")


def _of_a_checkup(here: Elsewhere) -> Ran:
    _sent(here, requests(2))
    return here.run("doctor")


def _of_what_failed_twice(here: Elsewhere) -> Ran:
    here.emulator.set_scenario({"batch_seconds": 0, "outcomes": {"invalid_request_error": 1.0}})
    _sent(here, requests(2))
    for step in ("fetch", "retry"):
        assert here.run(step, *(["--include-invalid"] if step == "retry" else [])).status in {0, 3}
    return here.run("fetch")


def _of_credit(here: Elsewhere) -> Ran:
    here.emulator.set_scenario({"batch_seconds": 0, "outcomes": {"out_of_credit": 0.5, "overloaded_error": 0.3}})
    _sent(here, requests(20))
    ran = here.run("fetch")
    here.emulator.set_scenario({"batch_seconds": 0})
    return ran


def _wait_no_longer(here: Elsewhere) -> None:
    """The wait that the API asked for is over."""
    with closing(sqlite3.connect(here.workspace / "ledger.db")) as db, db:
        db.execute("update job set hold_until = null")
        db.execute("update batch set not_before = null")


def _of_a_stopped_retry(here: Elsewhere) -> Ran:
    here.emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    _sent(here, requests(2))
    assert here.run("fetch").status == 3
    here.emulator.add_fault({"on": "create", "fault": "queue_full", "retry_after": 600})
    ran = _interrupted(here, lambda: here.run("retry", "--set", "max_tokens=99", "--yes"))
    _wait_no_longer(here)
    return ran


def _of_a_stopped_second_run(here: Elsewhere) -> Ran:
    _sent(here, requests(2))
    here.emulator.add_fault({"on": "create", "fault": "queue_full", "retry_after": 600})
    path = here.cli.folder / "in put.jsonl"
    ran = _interrupted(here, lambda: here.run("run", path, "--again", "--poll", "50ms"))
    assert "the same command" not in ran.err
    _wait_no_longer(here)
    return ran


def _interrupted(here: Elsewhere, command: Callable[[], Ran]) -> Ran:
    """By Ctrl-C, once the API has refused a batch for now."""

    waiting = threading.Event()

    def interrupt() -> None:
        while here.emulator.unfired():
            waiting.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=interrupt, daemon=True)
    pressing.start()
    ran = command()
    pressing.join()
    assert ran.status == 130, ran.err
    return ran


def _of_a_stopped_second_sending(here: Elsewhere) -> Ran:
    _sent(here, requests(2))
    here.emulator.add_fault({"on": "create", "fault": "queue_full", "retry_after": 600})
    ran = _sent(here, requests(2), "--again", "--timeout", "2s")
    assert ran.status == 8
    _wait_no_longer(here)
    return ran


def _of_what_runs(here: Elsewhere) -> Ran:
    here.emulator.set_scenario({"batch_seconds": 0.05})
    return _sent(here, requests(3))


def _of_an_estimate(here: Elsewhere) -> Ran:
    return here.run("estimate", here.cli.write("in put.jsonl", [request("r-1")]), "--offline")


SCENES: list[tuple[Callable[[Elsewhere], Ran], list[str]]] = [
    (_of_removed, ["retry"]),
    (_of_canceled, ["retry"]),
    (_of_a_cancel_under_way, ["cancel"]),
    (_of_unsent, ["submit"]),
    (_of_an_unknown_type, ["retry", "retry"]),
    (_of_a_wrong_request, ["retry", "retry"]),
    (_of_an_account, ["submit", "status"]),
    (_of_a_refused_batch, ["run", "retry"]),
    (_of_a_header, ["submit", "status"]),
    (_of_a_missing_file, ["status"]),
    (_of_a_second_cancel, ["fetch"]),
    (_of_a_checkup, ["status"]),
    (_of_what_failed_twice, ["retry", "retry"]),
    (_of_credit, ["retry"]),
    (_of_what_runs, ["status", "fetch"]),
    (_of_an_estimate, ["submit"]),
    (_of_a_canceled_round, ["submit"]),
    (_of_a_stopped_retry, ["retry"]),
    (_of_a_stopped_second_sending, ["submit"]),
    (_of_a_stopped_second_run, ["run"]),
]


@pytest.mark.parametrize(
    ("scene", "verbs"), few(SCENES, 6, 14), ids=[scene.__name__.removeprefix("_of_") for scene, _ in SCENES]
)
def test_what_is_told_works_as_it_is_printed_from_another_folder(
    elsewhere: Elsewhere, scene: Callable[[Elsewhere], Ran], verbs: list[str]
) -> None:
    ran = scene(elsewhere)
    assert commands(ran), ran.err
    assert elsewhere.follow(ran, most=len(verbs)) == verbs


def test_json_names_them_in_full_as_well(elsewhere: Elsewhere) -> None:
    _sent(elsewhere, requests(2))
    shape: Any = elsewhere.run("status", "@last", "--json").json
    words = shlex.split(shape["next_command"])
    assert words[:2] == ["batchctl", "fetch"]
    assert elsewhere.other.run(*words[1:]).status == 0


def test_without_options_none_are_repeated(cli: Cli, emulator: Running) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", requests(2)))
    assert emulator.batches()
    assert "--workspace" not in ran.err
    assert "--base-url" not in ran.err
