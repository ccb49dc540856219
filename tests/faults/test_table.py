"""Every row of the failure table, with every verb and every fault that it names."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from faults.conftest import TRIED
from faults.scenario import DONE_ALREADY, Scenario
from faults.table import REACHES, Case, Fault, cases

from batchctl.emulator.faults import KINDS

MADE = {"submit": 2, "retry": 2, "run": 2}


def _marked(case: Case) -> object:
    return pytest.param(case, id=str(case), marks=() if case.is_first else pytest.mark.slow)


@pytest.mark.parametrize("case", [_marked(case) for case in cases()])
def test_what_goes_wrong_ends_as_the_table_says_and_the_job_is_finished_all_the_same(
    here: Scenario, case: Case, record_property: Callable[[str, object], None]
) -> None:
    record_property(TRIED, f"cases of {case.row.group.lower()}")
    row, verb = case.row, case.verb
    command = here.prepare(verb, row)
    before, sent_before = here.held(), here.received()
    here.trouble(case)
    ran = here.run(command, case)
    here.mend_machine()

    # What a person sees.
    assert ran.status == row.status, ran.err
    for words in row.says:
        assert _stands(words, ran.err + ran.out), (words, ran.err)
    for words in row.never_says:
        assert not _stands(words, ran.err + ran.out), (words, ran.err)
    assert "Traceback" not in ran.err + ran.out
    assert here.shows_the_key(ran.err, ran.out) == []
    assert here.all_struck(), here.emulator.unfired()

    # What the API has: whole lines as they were written, none of them twice in a round.
    made = here.held() - before
    assert made == _by_verb(row.made, verb, MADE.get(verb, 0))
    rounds = 2 if verb == "retry" else 1
    assert set(here.received()) <= set(here.lines)
    assert max((here.received() - sent_before).values(), default=0) <= 1

    # The cause is gone, and the same command is typed once more; then `run` until it is finished.
    here.fix()
    here.leap(timedelta(hours=row.hours))
    again = here.cli.run(*_without_timeout(command))
    assert "Traceback" not in again.err
    usual = DONE_ALREADY.get(verb, 0) if row.status == 0 else 0
    assert again.status == _by_verb(row.again, verb, usual), again.err
    finished = here.finish(verb, row)
    # What was canceled is without success, if it had not ended by itself.
    assert finished.status in ({0, 3} if verb == "cancel" else {row.final}), finished.err
    assert here.received() == dict.fromkeys(here.lines, rounds)
    job = here.job()
    results, errors = here.cli.results(job), here.cli.errors(job)
    asked = [_asked(line) for line in here.lines]
    unreadable = {error["custom_id"] for error in errors if error["type"] == "unreadable"}
    assert len(unreadable) == row.unreadable
    assert [result["custom_id"] for result in results] == [each for each, _ in asked if each not in unreadable]
    if not _changes_a_text(case):
        assert {_answered(r) for r in results if r["result"]["type"] == "succeeded"} <= set(asked)
    succeeded = sum(r["result"]["type"] == "succeeded" for r in results)
    assert len(results) - (len(errors) - len(unreadable)) == succeeded
    assert here.ledger_check() == "ok"
    assert here.shows_the_key() == []


def _changes_a_text(case: Case) -> bool:
    faults = [trouble.shape["fault"] for trouble in case.troubles if isinstance(trouble, Fault)]
    return any(fault in {"line_separator", "huge_line"} for fault in faults)


def _by_verb(said: int | Mapping[str, int] | None, verb: str, usual: int) -> int:
    return said if isinstance(said, int) else usual if said is None else said.get(verb, usual)


def _stands(words: str, said: str) -> bool:
    return re.search(words, said) is not None


def _asked(line: bytes) -> tuple[str, str]:
    found = json.loads(line)
    return found["custom_id"], found["params"]["messages"][0]["content"][:100]


def _answered(result: dict[str, Any]) -> tuple[str, str]:
    return result["custom_id"], result["result"]["message"]["content"][0]["text"][:100]


def _without_timeout(command: Sequence[str]) -> list[str]:
    if "--timeout" not in command:
        return list(command)
    at = command.index("--timeout")
    return [*command[:at], *command[at + 2 :]]


@pytest.mark.slow
def test_a_cancel_that_gets_no_answer_is_asked_for_less_and_less_often(here: Scenario) -> None:
    here.scene({"batch_seconds": 7200})
    here.cli.submitted("in.jsonl", here.lines)
    here.emulator.add_fault({"on": "cancel", "fault": "status", "status": 529, "times": 0})
    ran = here.cli.run("cancel", "--yes", "--poll", "1h", "--timeout", "1h")
    assert ran.status == 8
    assert re.search(r"\(3 times; again in [345] s\)", ran.err)
    assert here.emulator.requests()["POST /v1/messages/batches/{id}/cancel"] < 150


def test_every_fault_of_the_emulator_stands_in_the_table_for_every_verb_it_can_hit() -> None:
    possible = {
        (verb, endpoint, fault)
        for verb, endpoints in REACHES.items()
        for endpoint in endpoints
        for fault, kind in KINDS.items()
        if endpoint in kind.on
    }
    tried = {
        (case.verb, str(trouble.shape["on"]), str(trouble.shape["fault"]))
        for case in cases()
        for trouble in case.troubles
        if isinstance(trouble, Fault)
    }
    assert sorted(possible - tried) == []
