"""What is looked at when something does not work; nothing that is broken hides the rest, and no secret is ever shown."""

import contextlib
import os
import re
import resource
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import KEY, Cli, requests

from batchctl.emulator.running import Running, running
from batchctl.ledger.liveness import Owner
from batchctl.ledger.schema import HEAD

WITHOUT_A_WORKSPACE = [
    "versions",
    "platform",
    "sqlite",
    "proxies",
    "credential",
    "base URL",
    "reach",
    "clock",
    "open files",
    "workspace",
    "room",
]
OF_A_WORKSPACE = [
    *WITHOUT_A_WORKSPACE[:-1],
    "permissions",
    "writes",
    "locks",
    "room",
    "leftovers",
    "ledger",
    "schema",
    "journal",
    "jobs",
    "owners",
]


def examined(cli: Cli, *words: str, status: int) -> dict[str, Any]:
    """The findings by subject."""
    ran = cli.run("doctor", *words, "--json")
    assert ran.status == status, ran.out + ran.err
    assert ran.err == ""
    shape = ran.json
    assert shape["type"] == "doctor"
    assert shape["ok"] + shape["warn"] + shape["fail"] == len(shape["findings"])
    return {finding["subject"]: finding for finding in shape["findings"]}


def unwell(findings: dict[str, Any]) -> dict[str, str]:
    return {subject: one["health"] for subject, one in findings.items() if one["health"] != "ok"}


def workspace_of(cli: Cli) -> Path:
    return cli.folder / ".batchctl"


@pytest.fixture
def job(cli: Cli) -> str:
    name = cli.submitted("in.jsonl", requests(6), "--max-requests", "2")
    assert cli.run("fetch").status == 0
    return name


# ---------------------------------------------------------------- well


def test_where_all_is_well_every_line_says_so(cli: Cli, emulator: Running, job: str) -> None:
    findings = examined(cli, status=0)
    assert unwell(findings) == {}
    assert list(findings) == OF_A_WORKSPACE
    assert findings["credential"]["said"] == "ANTHROPIC_API_KEY"
    assert findings["base URL"]["said"] == f"{emulator.base_url} (ANTHROPIC_BASE_URL), without a proxy"
    assert "answered in" in findings["reach"]["said"]
    assert findings["workspace"]["said"] == str(workspace_of(cli))
    assert findings["jobs"]["said"] == "1; batches: 3 fetched"
    assert findings["schema"]["said"] == HEAD


def test_what_is_well_is_one_line_and_in_detail_a_line_each(cli: Cli, job: str) -> None:
    ran = cli.run("doctor")
    assert (ran.status, ran.err) == (0, "next: batchctl status\n")
    assert ran.out == f"ok  {', '.join(OF_A_WORKSPACE)} (--verbose: in detail)\n"
    ran = cli.run("doctor", "--verbose")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["ok"] * len(OF_A_WORKSPACE)
    assert f"batchctl {__import__('batchctl').__version__}, Python 3." in ran.out


def test_nothing_is_left_behind_and_one_small_page_is_asked_for(cli: Cli, emulator: Running, job: str) -> None:
    before = sorted(cli.folder.rglob("*"))
    asked = emulator.requests()
    examined(cli, status=0)
    assert sorted(cli.folder.rglob("*")) == before
    after = emulator.requests()
    assert after.pop("GET /v1/messages/batches") == asked.pop("GET /v1/messages/batches") + 1
    assert after == asked


def test_offline_asks_nobody(cli: Cli, emulator: Running, job: str) -> None:
    asked = emulator.requests()
    findings = examined(cli, "--offline", status=0)
    assert findings["reach"]["said"] == "not asked (--offline)"
    assert "clock" not in findings
    assert emulator.requests() == asked


def test_without_a_workspace_it_says_so_and_looks_at_the_rest(cli: Cli) -> None:
    findings = examined(cli, status=0)
    assert list(findings) == WITHOUT_A_WORKSPACE
    assert "it will be created in" in findings["workspace"]["said"]
    assert not workspace_of(cli).exists()
    assert cli.run("doctor").err == "next: batchctl submit INPUT.jsonl\n"


# ---------------------------------------------------------------- the credential and the API


@pytest.mark.slow
@pytest.mark.parametrize("is_folder_named", [True, False])
def test_without_a_key_it_ends_with_4_and_looks_at_the_rest(
    cli: Cli, job: str, monkeypatch: pytest.MonkeyPatch, *, is_folder_named: bool
) -> None:
    """The SDK says it at once where a folder of profiles was named, else at the first request."""
    if not is_folder_named:
        monkeypatch.delenv("ANTHROPIC_CONFIG_DIR")
    del cli.variables["ANTHROPIC_API_KEY"]
    findings = examined(cli, status=4)
    assert unwell(findings) == {"credential": "fail", "reach": "warn"}
    assert "ANTHROPIC_API_KEY" in findings["credential"]["advice"]
    assert findings["ledger"]["health"] == "ok"
    assert examined(cli, "--offline", status=4)["credential"]["health"] == "fail"


def test_a_key_that_is_refused_ends_with_4(cli: Cli, emulator: Running, job: str) -> None:
    emulator.set_scenario({"keys": {"sk-ant-another": "wrkspc_1"}})
    findings = examined(cli, status=4)
    assert unwell(findings) == {"reach": "fail"}
    assert "HTTP 401 authentication_error" in findings["reach"]["said"]


def test_a_key_with_a_newline_is_named_as_the_cause(cli: Cli) -> None:
    cli.variables["ANTHROPIC_API_KEY"] = f"{KEY}\n"
    findings = examined(cli, status=4)
    assert findings["credential"]["said"] == "ANTHROPIC_API_KEY begins or ends with white space"


@pytest.mark.slow
def test_a_broken_profile_is_a_line_of_the_report(cli: Cli, tmp_path: Path) -> None:
    del cli.variables["ANTHROPIC_API_KEY"]
    cli.variables |= {"ANTHROPIC_PROFILE": "work", "ANTHROPIC_CONFIG_DIR": str(tmp_path / "none")}
    findings = examined(cli, status=4)
    assert findings["credential"]["health"] == "fail"
    assert "room" in findings


def test_a_wrong_url_is_not_called_passing(cli: Cli, emulator: Running) -> None:
    cli.variables["ANTHROPIC_BASE_URL"] = f"{emulator.base_url}/elsewhere"
    reach = examined(cli, status=1)["reach"]
    assert "HTTP 404" in reach["said"]
    assert "passes" not in reach["advice"]
    assert "ANTHROPIC_BASE_URL" in reach["advice"]


def test_an_api_that_cannot_be_reached_ends_with_1(cli: Cli, job: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        cli.variables["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
        findings = examined(cli, status=1)
    assert unwell(findings) == {"reach": "fail"}
    assert "cannot connect" in findings["reach"]["said"]
    assert "jobs" in findings


@pytest.mark.slow
def test_trouble_of_the_api_ends_with_1(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "list", "fault": "status", "status": 529, "type": "overloaded_error", "message": "busy"})
    assert "overloaded_error" in examined(cli, status=1)["reach"]["said"]


@pytest.mark.slow
@pytest.mark.parametrize("url", ["http://example.org", "nonsense", "http://me:hunter22@example.org"])
def test_a_url_that_cannot_be_used_is_a_line_of_the_report(cli: Cli, url: str) -> None:
    findings = examined(cli, "--base-url", url, status=1)
    assert findings["api"]["health"] == "fail"
    assert "hunter22" not in str(findings)
    assert findings["room"]["health"] == "ok"


@pytest.mark.parametrize(("ahead", "said"), [(300, "behind"), (-300, "ahead of")])
def test_a_clock_that_is_off_is_a_warning(cli: Cli, emulator: Running, ahead: int, said: str) -> None:
    emulator.set_scenario({"clock": {"skew_seconds": ahead}})
    findings = examined(cli, status=0)
    assert unwell(findings) == {"clock": "warn"}
    assert f" s {said} the server's" in findings["clock"]["said"]
    assert "nothing is sent twice" in findings["clock"]["advice"]


def test_proxies_are_told_without_their_passwords(cli: Cli) -> None:
    cli.variables |= {"https_proxy": "http://me:hunter22@proxy.example:8080/?x=hunter22"}
    findings = examined(cli, "--offline", status=0)
    assert findings["proxies"]["said"].startswith("HTTPS_PROXY=http://proxy.example:8080")
    assert "hunter22" not in str(findings)


# ---------------------------------------------------------------- the workspace


def test_permissions_that_are_too_wide_are_a_warning_with_the_command(cli: Cli, job: str) -> None:
    ledger = workspace_of(cli) / "ledger.db"
    workspace_of(cli).chmod(0o755)
    ledger.chmod(0o644)
    findings = examined(cli, status=0)
    assert unwell(findings) == {"permissions": "warn"}
    advice = findings["permissions"]["advice"]
    assert advice == f"chmod 0700 {workspace_of(cli)} && chmod 0600 {ledger}"
    subprocess.run(["sh", "-c", advice], check=True)
    assert unwell(examined(cli, status=0)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["no database", "cut", "page", "empty", "gone", "a folder"])
def test_a_ledger_that_is_damaged_hides_nothing_else(cli: Cli, job: str, harm: str) -> None:
    ledger = workspace_of(cli) / "ledger.db"
    whole = ledger.read_bytes()
    ledger.unlink()
    match harm:
        case "no database":
            ledger.write_bytes(b"this is no database, and long enough to be looked at" * 50)
        case "cut":
            ledger.write_bytes(whole[:9000])
        case "page":
            ledger.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
        case "empty":
            ledger.write_bytes(b"")
        case "a folder":
            ledger.mkdir()
        case _:
            pass
    findings = examined(cli, status=0 if harm == "empty" else 1)
    assert unwell({k: v for k, v in findings.items() if k in {"ledger", "schema"}})
    assert {"reach", "writes", "locks", "room", "leftovers"} <= set(findings)
    assert findings["ledger" if harm != "empty" else "schema"]["advice"]


def test_a_ledger_of_a_newer_batchctl_is_named_and_not_touched(cli: Cli, job: str) -> None:
    ledger = workspace_of(cli) / "ledger.db"
    with contextlib.closing(sqlite3.connect(ledger)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    before = ledger.read_bytes()
    findings = examined(cli, status=1)
    assert unwell(findings) == {"schema": "fail"}
    assert findings["schema"]["advice"] == "upgrade batchctl"
    assert ledger.read_bytes() == before


@pytest.mark.slow
def test_a_ledger_that_somebody_keeps_locked_is_a_line_of_the_report(
    cli: Cli, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchctl.ledger.checkup.WAIT_SECONDS", 0.1)
    other = sqlite3.connect(workspace_of(cli) / "ledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    findings = examined(cli, status=1)
    other.execute("ROLLBACK")
    other.close()
    assert "locked" in findings["ledger"]["said"]
    assert "another process" in findings["ledger"]["advice"]


@pytest.mark.slow
def test_the_living_and_the_dead_are_counted(cli: Cli, job: str) -> None:
    owners = workspace_of(cli) / "owners"
    with Owner(owners) as living:
        host = living.name.rsplit("-", 2)[0]
        with contextlib.closing(sqlite3.connect(workspace_of(cli) / "ledger.db")) as db, db:
            db.execute(f"UPDATE batch SET owner = '{host}-99999-dead' WHERE first = 0")
            db.execute("UPDATE batch SET owner = 'elsewhere-1-aa' WHERE first = 2")
        db.close()
        said = examined(cli, status=0)["owners"]["said"]
    assert said.startswith("1 running, 1 on another machine")
    assert "1 dead with claims" in said


def test_what_a_stopped_run_left_is_a_warning_once_it_is_old(cli: Cli, job: str) -> None:
    left = workspace_of(cli) / "jobs" / job / "raw" / "round-1.000000000.jsonl.arriving.part"
    left.write_bytes(b"x" * 1000)
    assert examined(cli, status=0)["leftovers"]["said"] == "none (1 in use right now)"
    os.utime(left, (1, 1))
    findings = examined(cli, status=0)
    assert unwell(findings) == {"leftovers": "warn"}
    assert str(left.relative_to(workspace_of(cli))) in findings["leftovers"]["said"]


@contextmanager
def _few_files(most: int) -> Iterator[None]:
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)


@pytest.mark.slow
def test_few_open_files_are_a_warning(cli: Cli) -> None:
    with _few_files(200):
        findings = examined(cli, "--offline", status=0)
    assert findings["open files"]["advice"] == "raise it: ulimit -n 1024"


def _in_a_shell(cli: Cli, script: str, *within: str) -> "subprocess.CompletedProcess[str]":
    """`within`: the command that runs the shell, if not the shell alone."""
    environment = {**os.environ, **cli.variables, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [*within, "sh", "-c", script],
        cwd=cli.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _on_a_disk(cli: Cli, script: str) -> "subprocess.CompletedProcess[str]":
    """In a mount namespace of its own; the test is skipped where none can be had."""
    try:
        ran = _in_a_shell(cli, script, "unshare", "--mount", "--map-root-user")
    except OSError:
        pytest.skip("no unshare here")
    if "unshare:" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"no mount of our own here: {ran.stderr.strip()}")
    return ran


@pytest.mark.slow
def test_a_workspace_that_cannot_be_written_is_a_line_of_the_report(cli: Cli, job: str) -> None:
    folder = cli.folder
    mounted = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && cd {folder}"
    ran = _on_a_disk(cli, f"{mounted} && {sys.executable} -m batchctl doctor --verbose")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    rows = [re.split(r"  +", line) for line in ran.stdout.splitlines() if not line.startswith(" ")]
    health = {subject: verdict for verdict, subject, _ in rows}
    assert (health["writes"], health["ledger"], health["reach"]) == ("fail", "ok", "ok")
    assert "Read-only file system" in ran.stdout


@pytest.mark.slow
def test_a_disk_without_room_is_a_line_of_the_report(cli: Cli) -> None:
    ran = _on_a_disk(
        cli,
        f"mkdir small && mount -t tmpfs -o size=1m none small && {sys.executable} -m batchctl doctor --workspace small",
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "free some space" in ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("named", ["~nosuchuser/x", "in.jsonl"])
def test_a_workspace_that_cannot_be_one_is_a_line_of_the_report(cli: Cli, named: str) -> None:
    cli.write("in.jsonl", requests(1))
    findings = examined(cli, "--offline", "--workspace", named, status=1)
    assert "fail" in {one["health"] for one in findings.values()}
    assert findings["credential"]["health"] == "ok"


@pytest.mark.slow
def test_a_folder_that_was_deleted_under_us_is_a_line_of_the_report(cli: Cli) -> None:
    ran = _in_a_shell(cli, f"mkdir d && cd d && rmdir ../d && {sys.executable} -m batchctl doctor --offline")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "No such file" in ran.stdout


def test_a_bug_of_ours_is_a_line_of_the_report(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise ZeroDivisionError(f"with {KEY}")

    monkeypatch.setattr("batchctl.store.probing.open_files", broken)
    findings = examined(cli, status=1)
    assert findings["open files"]["said"] == "ZeroDivisionError: with ..."
    assert findings["room"]["health"] == "ok"


# ---------------------------------------------------------------- secrets


SECRETS = {
    "ANTHROPIC_AUTH_TOKEN": "zebra-quagga-2",
    "ANTHROPIC_IDENTITY_TOKEN": "zebra-quagga-3",
    "ANTHROPIC_WEBHOOK_SIGNING_KEY": "zebra-quagga-4",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Mine: zebra-quagga-5\nX-Other: Bearer zebra-quagga-6",
    "HTTPS_PROXY": "http://user:zebra-quagga-7@proxy.example:1",
}


def _quoting(key: str) -> dict[str, Any]:
    """An API that says back what it was sent."""
    said = f"you sent {key!r} and {key.strip()} and {', '.join(SECRETS.values())}"
    return {
        "on": "list",
        "fault": "status",
        "status": 400,
        "type": "invalid_request_error",
        "message": said,
        "times": 0,
    }


@pytest.mark.parametrize(
    "key",
    few(
        [
            "zebra-quagga-1",
            "zebra-quagga-1\n",
            "zebra\nzebra-quagga-1",
            "zebra-quagga-\u00e9",
            "",
            "sk-ant-zebra-quagga-1",
        ],
        1,
        3,
    ),
)
@pytest.mark.parametrize("api", ["answers", "refuses", "quotes"])
def test_no_secret_is_ever_shown(tmp_path: Path, key: str, api: str) -> None:
    scenarios: dict[str, dict[str, Any]] = {
        "answers": {},
        "refuses": {"keys": {"other": "wrkspc_1"}},
        "quotes": {"faults": [_quoting(key)]},
    }
    with running(scenarios[api]) as emulator:
        cli = Cli(tmp_path, emulator.base_url)
        cli.variables |= {**SECRETS, "ANTHROPIC_API_KEY": key}
        for words in ([], ["--json"], ["--offline"], ["--offline", "--json"]):
            ran = cli.run("doctor", *words)
            assert ran.status in {0, 1, 4}
            assert "quagga" not in ran.out + ran.err
            assert "zebra" not in ran.out + ran.err


@pytest.mark.slow
def test_a_stdout_that_is_full_is_one_message(cli: Cli) -> None:
    ran = _in_a_shell(cli, f"{sys.executable} -m batchctl doctor --offline >/dev/full")
    assert ran.returncode == 1
    assert "No space left" in ran.stderr
    assert "Traceback" not in ran.stderr
