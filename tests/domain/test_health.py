"""What is well, what is worth a warning and what is not, as cases."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from builders import HOUR, MINUTE, NOW

from batchctl.domain.errors import ApiFailure
from batchctl.domain.health import (
    Checkup,
    Finding,
    Health,
    LedgerFacts,
    Leftover,
    clock_finding,
    custom_headers,
    fail,
    ledger_findings,
    leftovers_finding,
    locks_finding,
    next_command,
    ok,
    open_files_finding,
    permissions_finding,
    reach_finding,
    redacted,
    room_finding,
    secrets,
    warn,
)

OK, WARN, FAIL = Health


@pytest.mark.parametrize(
    ("seconds", "health", "said"),
    [
        (None, OK, "did not send"),
        (0, OK, "within 5 s"),
        (5.4, OK, "within 5 s"),
        (-5, OK, "within 5 s"),
        (6, WARN, "6 s ahead of the server's"),
        (-86_400, WARN, "86,400 s behind the server's"),
    ],
)
def test_a_clock_may_be_a_little_off(seconds: float | None, health: Health, said: str) -> None:
    found = clock_finding(None if seconds is None else timedelta(seconds=seconds))
    assert found.health is health
    assert said in found.said


@pytest.mark.parametrize(
    ("free", "health", "said"),
    [
        (0, FAIL, "0 MB free"),
        (49_999_999, FAIL, "50 MB free"),
        (50_000_000, WARN, "50 MB free"),
        (999_999_999, WARN, "1000 MB free"),
        (1_000_000_000, OK, "1.0 GB free"),
    ],
)
def test_room_runs_out_by_degrees(free: int, health: Health, said: str) -> None:
    found = room_finding(free)
    assert (found.health, found.said) == (health, said)


@pytest.mark.parametrize(("limit", "health"), [(0, WARN), (255, WARN), (256, OK), (1_048_576, OK), (-1, OK)])
def test_few_open_files_are_worth_a_warning(limit: int, health: Health) -> None:
    assert open_files_finding(limit).health is health


@pytest.mark.parametrize(
    ("folder", "ledger", "advice"),
    [
        (0o700, 0o600, ""),
        (0o500, 0o400, ""),
        (0o750, 0o600, "chmod 0700 w"),
        (0o700, 0o640, "chmod 0600 w/l"),
        (0o777, 0o666, "chmod 0700 w && chmod 0600 w/l"),
    ],
)
def test_whatever_others_may_read_is_named_with_the_command(folder: int, ledger: int, advice: str) -> None:
    found = permissions_finding({"w": (folder, 0o700), "w/l": (ledger, 0o600)})
    assert (found.health, found.advice) == (WARN if advice else OK, advice)


def test_no_locks_are_worth_a_warning() -> None:
    assert (locks_finding(has_locks=True).health, locks_finding(has_locks=False).health) == (OK, WARN)


def left(minutes: int) -> Leftover:
    return Leftover(path=f"tmp/{minutes}", bytes=1_500_000, changed_at=NOW - minutes * MINUTE)


@pytest.mark.parametrize(
    ("found", "health", "said"),
    [
        ([], OK, "none"),
        ([left(0), left(59)], OK, "none (2 in use right now)"),
        ([left(61)], WARN, "tmp/61, 1.5 MB, left by stopped runs"),
        ([left(0), left(90), left(80)], WARN, "tmp/90 and 1 more, 3.0 MB, left by stopped runs"),
    ],
)
def test_what_is_old_was_left(found: list[Leftover], health: Health, said: str) -> None:
    assert (leftovers_finding(found, NOW).health, leftovers_finding(found, NOW).said) == (health, said)
    assert leftovers_finding(found, NOW - 2 * HOUR).health is OK


def facts(**more: Any) -> LedgerFacts:
    given: dict[str, Any] = {
        "bytes": 100_000,
        "damage": (),
        "revision": "0002",
        "journal": "delete",
        "jobs": 2,
        "by_state": {"ended": 3, "fetched": 1_000},
        "alive": 1,
        "dead": 0,
        "unknown": 0,
    }
    return LedgerFacts(**{**given, **more})


@pytest.mark.parametrize(
    ("more", "wanted", "odd"),
    [
        ({}, "PERSIST", {}),
        ({"journal": "wal"}, "WAL", {}),
        ({"journal": "delete"}, "WAL", {}),
        ({"journal": "wal"}, "PERSIST", {"journal": WARN}),
        ({"revision": "0001"}, "WAL", {}),
        ({"revision": "0003"}, "WAL", {"schema": FAIL}),
        ({"revision": None}, "WAL", {"schema": WARN}),
        ({"dead": 2, "unknown": 1}, "WAL", {}),
        ({"damage": ("row 1 missing",), "revision": "0003"}, "WAL", {"ledger": FAIL}),
    ],
)
def test_a_ledger_is_judged_by_what_it_says_of_itself(
    more: dict[str, Any], wanted: str, odd: dict[str, Health]
) -> None:
    found = ledger_findings(facts(**more), ("0001", "0002"), wanted)
    assert {one.subject: one.health for one in found if one.health is not OK} == odd


def test_jobs_and_owners_are_counted() -> None:
    said = {one.subject: one.said for one in ledger_findings(facts(dead=2, unknown=1), ("0002",), "WAL")}
    assert said["jobs"] == "2; batches: 3 ended, 1,000 fetched"
    assert said["owners"].startswith("1 running, 1 on another machine, or unknown, 2 dead with claims")


JOBS = ok("jobs", "1")


@pytest.mark.parametrize(
    ("findings", "command"),
    [
        ([], "batchctl submit INPUT.jsonl"),
        ([warn("room", "", "")], "batchctl submit INPUT.jsonl"),
        ([JOBS], "batchctl status"),
        ([JOBS, fail("reach", "", "")], "batchctl doctor"),
    ],
)
def test_the_next_command_is_doctor_again_until_nothing_fails(findings: Sequence[Finding], command: str) -> None:
    assert next_command(findings) == command


def test_an_account_is_at_fault_when_a_finding_of_it_fails() -> None:
    def at_fault(*findings: Finding) -> bool:
        return Checkup(findings=findings, next_command="").is_account_at_fault

    assert at_fault(JOBS, fail("credential", "", "", is_account=True))
    assert not at_fault(JOBS, fail("room", "", ""))


def test_secrets_are_found_wherever_they_stand() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "key-1\n",
        "ANTHROPIC_AUTH_TOKEN": "token-2",
        "ANTHROPIC_IDENTITY_TOKEN_FILE": "/path",
        "ANTHROPIC_BASE_URL": "https://me:word-3@gateway",
        "ANTHROPIC_CUSTOM_HEADERS": "X-Mine: mine-4\nAuthorization: Bearer bearer-5\nodd",
        "HOME": "/home/me",
    }
    found = secrets(environment, "http://you:word-6@h")
    assert found >= {"key-1", "token-2", "word-3", "mine-4", "bearer-5", "word-6"}
    assert not found & {"/path", "/home/me", "", "odd"}
    assert custom_headers(environment) == {"X-Mine": "mine-4", "Authorization": "Bearer bearer-5"}


def test_no_secret_stays_in_a_finding() -> None:
    said = redacted(fail("reach", "key-1-long and key-1", "not key-1"), {"key-1", "key-1-long", "no", ""})
    assert (said.said, said.advice) == ("... and ...", "not ...")


@pytest.mark.parametrize(
    ("failure", "said", "advice"),
    [
        (ApiFailure("no", status=404, has_envelope=True), "has no list", "base URL"),
        (ApiFailure("text/html instead", status=404), "refused", "base URL"),
        (ApiFailure("moved", status=301), "refused", "base URL"),
        (ApiFailure("not allowed", status=405, has_envelope=True), "refused", "base URL"),
        (ApiFailure("cannot be read (text/html)", status=200), "not the API's answer", "base URL"),
        (ApiFailure("Overloaded", status=529, has_envelope=True), "Overloaded", "this is usually temporary"),
        (
            ApiFailure("slow down", status=429, has_envelope=True, retry_after=5.0),
            "slow down",
            "this is usually temporary",
        ),
        (ApiFailure("cannot connect"), "cannot connect", "check the network"),
        (ApiFailure("API key is invalid.", status=401, has_envelope=True), "refused", "the key"),
    ],
)
def test_an_api_that_does_not_answer_is_told_by_what_may_help(failure: ApiFailure, said: str, advice: str) -> None:
    found = reach_finding(failure)
    assert found.health is Health.FAIL
    assert said in found.said
    assert advice in found.advice
    assert ("this is usually temporary" in found.advice) is (advice == "this is usually temporary")
