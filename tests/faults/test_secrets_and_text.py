"""What must stay secret stays so over a whole job; what comes from outside is shown and not obeyed, and is never a path."""

import base64
import json
import os
import socket
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cases import few
from faults.scenario import Scenario
from loopback import Answer, always, answering, as_json
from processes import Shell, at_a_terminal
from program import KEY, Ran, ids, request, requests

BATCHES = "/v1/messages/batches"
# A terminal would clear itself, turn red, set its title, ring, or read this from right to left; rich would make it bold.
EVIL = "\x1b[2J\x1b[31mred\x1b]0;title\x07\x9b1m[bold]loud[/bold]\u202egnp\u2028next\r\nerror: forged\ttab\x00"


def _cannot_move(text: str) -> list[str]:
    """Characters that a terminal would obey."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}]


# ---------------------------------------------------------------- the key, and the folder


@pytest.fixture
def no_umask() -> Iterator[None]:
    """A machine where new files are open to everybody unless one says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def a_whole_job(no_umask: None, here: Scenario) -> tuple[Scenario, list[Ran]]:
    """Everything that leaves something behind: bad lines left out, a download that was wrong, failures, an edit, a doubt,
    a retry, a cancel.
    """
    cli, emulator = here.cli, here.emulator
    here.scene({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    emulator.add_fault({"on": "results", "fault": "missing_line", "times": 6, "batch": 2})
    cli.write("in.jsonl", [*requests(12), b'{"custom_id": "no params"}'])
    said = [
        cli.run("submit", "in.jsonl", "--skip-bad", "--max-requests", "6", "--parallel", "1", "-v"),
        cli.run("fetch", "--parallel", "1", "-v"),
        cli.run("fetch", "--parallel", "1", "-v"),
        cli.run("retry", "--edit"),
        cli.run("status", "--watch", "--json"),
        cli.run("run", "in.jsonl", "--json"),
        cli.run("status", "@last", "--batches"),
    ]
    here.scene({"batch_seconds": 600})
    cli.write("other.jsonl", requests(3, prefix="other"))
    said += [cli.run("submit", "other.jsonl", "-v"), cli.run("cancel", "--yes", "-v"), cli.run("resolve")]
    assert [ran.status for ran in said] == [0, 1, 3, 0, 0, 3, 0, 0, 0, 0], [ran.err for ran in said]
    return here, said


def test_after_a_whole_job_every_file_is_its_owners_alone_and_the_key_stands_nowhere(
    a_whole_job: tuple[Scenario, list[Ran]],
) -> None:
    here, said = a_whole_job
    root = here.cli.folder / ".batchctl"
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (root, *root.rglob("*")) if p.name != ".gitignore"}
    assert len(modes) > 15
    assert {p: oct(mode) for p, mode in modes.items() if mode != (0o700 if p.is_dir() else 0o600)} == {}
    assert here.shows_the_key(*(text for ran in said for text in (ran.out, ran.err))) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_key_is_not_in_the_command_line_of_a_running_process_nor_of_its_children(here: Scenario) -> None:
    here.emulator.add_fault({"on": "create", "fault": "stall_after_accept", "seconds": 1.5})
    here.cli.write("in.jsonl", requests(2))
    with Shell(here.cli.folder, {**os.environ, **here.cli.variables}).start("submit", "in.jsonl") as process:
        here.wait_until_struck()
        found = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_of(process.pid, path.parent)]
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert found
    assert not any(KEY.encode() in line for line in found)


def _is_of(pid: int, folder: Path) -> bool:
    """Whether this is the process or a child of it; processes come and go while one looks."""
    try:
        words = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return folder.name == str(pid) or words[1] == str(pid)


# ---------------------------------------------------------------- where the key may go


@pytest.mark.slow
def test_results_that_lie_at_another_host_are_not_fetched_from_there(here: Scenario) -> None:
    with answering(always(as_json({}))) as elsewhere:
        # From here on every results_url that the API names leads to the other one.
        here.emulator._state.base_url = elsewhere.url
        here.cli.write("in.jsonl", requests(6))
        ran = here.cli.run("run", "in.jsonl", "--max-requests", "3")
        assert elsewhere.asked == []
    assert ran.status == 0, ran.err
    assert len(here.cli.results(here.job())) == 6


@pytest.mark.parametrize("status", few([301, 302, 307, 308], 1, 2))
@pytest.mark.parametrize("only", ["POST", "GET"])
def test_a_redirect_to_another_host_takes_neither_key_nor_requests_there(
    here: Scenario, only: str, status: int
) -> None:
    with answering(always(as_json({}))) as elsewhere:

        def redirecting(method: str, path: str) -> Answer:
            if method == only:
                return status, {"location": f"{elsewhere.url}{path}"}, b""
            return as_json({"data": [], "has_more": False, "first_id": None, "last_id": None})

        with answering(redirecting) as server:
            here.cli.variables["ANTHROPIC_BASE_URL"] = server.url
            here.cli.write("in.jsonl", requests(2))
            ran = here.cli.run("submit", "in.jsonl", "--timeout", "5m")
        assert elsewhere.asked == []
    # A redirected create may have been carried out for all we know: after two, a person decides.
    assert ran.status == (7 if only == "POST" else 1), ran.err
    assert f"HTTP {status}" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.7:8080", "http://user:secret-word@example.com"])
@pytest.mark.parametrize("verb", [["submit", "in.jsonl"], ["run", "in.jsonl"], ["status", "@last"], ["fetch"]])
@pytest.mark.parametrize("by", ["variable", "option"])
def test_no_command_sends_a_key_over_plain_http_to_another_machine(
    here: Scenario, monkeypatch: pytest.MonkeyPatch, url: str, verb: list[str], by: str
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("somebody was called")

    monkeypatch.setattr(socket, "create_connection", connect)
    here.cli.write("in.jsonl", requests(2))
    if by == "variable":
        here.cli.variables["ANTHROPIC_BASE_URL"] = url
    ran = here.cli.run(*verb, *(["--base-url", url] if by == "option" else []))
    assert ran.status == 2, ran.err
    assert "sent over plain http only to this machine" in ran.err
    assert "secret-word" not in ran.err
    assert not (here.cli.folder / ".batchctl").exists()


def test_a_password_within_the_url_is_neither_remembered_nor_shown(here: Scenario) -> None:
    accounts = iter(["org_1"] * 2 + ["org_2"] * 50)

    def busy(method: str, path: str) -> Answer:
        if path.startswith("/v1/models"):
            return 404, {}, b""
        if method == "POST":
            return 529, {}, b""
        status, headers, body = as_json({"data": [], "has_more": False, "first_id": None, "last_id": None})
        return status, {**headers, "anthropic-organization-id": next(accounts)}, body

    here.cli.write("in.jsonl", requests(2))
    with answering(busy) as server:
        here.cli.variables["ANTHROPIC_BASE_URL"] = server.url.replace("//", "//ann:secret-word@")
        # In doubt, then asked for with another account: the message names where the batch was sent.
        said = [here.cli.run("submit", "in.jsonl", "--no-wait", "-v"), here.cli.run("submit", "in.jsonl", "-v")]
        said.append(here.cli.run("submit", "in.jsonl", "-v"))
    assert [ran.status for ran in said] == [8, 7, 7], [ran.err for ran in said]
    assert "unconfirmed at http://127.0.0.1" in said[-1].err
    assert not any("secret-word" in ran.err + ran.out for ran in said)
    files = [p for p in here.cli.folder.rglob("*") if p.is_file()]
    assert not [p for p in files if b"secret-word" in p.read_bytes()]


# ---------------------------------------------------------------- a server that says what it was told

CORPORATE = "corp+Key/7f3=aQ=="
GATEWAY = "gateway-password-1"
SPELLED = {
    "as it is": CORPORATE,
    "in a URL": quote(CORPORATE, safe=""),
    "in base64": base64.b64encode(f"x:{CORPORATE}".encode()).decode(),
    "in JSON": "".join(f"\\u{ord(c):04x}" for c in CORPORATE),
    "in upper case": CORPORATE.upper(),
    "another header": GATEWAY,
}


def _echoing(spelled: str, at: str) -> Callable[[str, str], Answer]:
    """Two answers, ended at once. `at`: the endpoint that fails with the key in whatever an error consists of."""

    def answer(method: str, path: str) -> Answer:
        path = path.partition("?")[0]
        endpoint = {"/v1/models": "models", BATCHES: "create" if method == "POST" else "list"}.get(path, "retrieve")
        endpoint = "results" if path.endswith("/results") else endpoint
        if endpoint == at:
            error = {"type": f"type {spelled}", "message": f"bad key {spelled}, 100 % sure", "code": spelled}
            body = {"type": "error", "error": error, "request_id": f"req {spelled}"}
            status, headers, page = as_json(body)
            return 400, {**headers, "request-id": f"req {spelled}"}, page
        if at == "a page":
            return 200, {"content-type": f"text/{spelled}"}, b"<html>"
        if endpoint == "results":
            return 200, {"content-type": "application/x-jsonl"}, _lines(spelled)
        if endpoint in {"models", "list"}:
            status, headers, page = as_json({"data": [], "has_more": False, "first_id": None, "last_id": None})
            return status, {**headers, "anthropic-organization-id": f"org {spelled}"}, page
        return as_json(_batch_of_two())

    return answer


def _lines(spelled: str) -> bytes:
    """A failure that shows the key, and an answer of a model of that name."""
    error = {"type": "error", "error": {"type": f"type {spelled}", "message": f"bad key {spelled}"}}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "model": f"m-{spelled}", "stop_reason": "end_turn", "usage": usage}
    results = [{"type": "errored", "error": error}, {"type": "succeeded", "message": {**message, "content": []}}]
    shapes = [{"custom_id": f"r-{n:05d}", "result": result} for n, result in enumerate(results)]
    return b"".join(json.dumps(shape).encode() + b"\n" for shape in shapes)


def _batch_of_two() -> dict[str, object]:
    counts = {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0}
    times = {"created_at": "2026-11-21T12:00:00Z", "expires_at": "2026-11-22T12:00:00Z"}
    shape = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended", "request_counts": counts}
    return {**shape, **times, "ended_at": "2026-11-21T12:00:01Z", "archived_at": None, "results_url": None}


@pytest.mark.parametrize("spelled", few(SPELLED.values(), 2), ids=SPELLED.keys())
@pytest.mark.parametrize("at", few(["create", "list", "results", "a page", "within results"], 0))
def test_a_key_that_a_server_echoes_is_neither_shown_nor_remembered(here: Scenario, spelled: str, at: str) -> None:
    here.cli.variables |= {
        "ANTHROPIC_API_KEY": CORPORATE,
        "ANTHROPIC_CUSTOM_HEADERS": f"X-Gateway: {GATEWAY}\nX-Short: on",
    }
    here.cli.write("in.jsonl", requests(2))
    with answering(_echoing(spelled, at)) as server:
        here.cli.variables["ANTHROPIC_BASE_URL"] = server.url
        words = ("in.jsonl", "--timeout", "2m", "--max-rounds", "1", "-v")
        said = [here.cli.run("run", *words), here.cli.run("run", *words, "--json")]
        said += [
            here.cli.run("status", "@last", "--batches"),
            here.cli.run("cost", "@last"),
            here.cli.run("verify"),
        ]
        assert server.asked[0].headers["x-gateway"] == GATEWAY
    assert not [ran.err for ran in said if "Traceback" in ran.err]
    # The answers are the person's own, byte for byte; an error is told in our words around theirs.
    files = [p for p in here.cli.folder.rglob("*") if p.is_file() and "raw" not in p.parts]
    texts = [text for ran in said for text in (ran.out, ran.err)]
    texts += [p.read_bytes().decode("latin-1") for p in files if not p.name.endswith(".results.jsonl")]
    for part in {spelled, json.dumps(spelled)[1:-1], CORPORATE, GATEWAY}:
        assert not [text for text in texts if part.lower() in text.lower()]
    assert (said[0].status == 3) == (at == "within results"), said[0].err


# ---------------------------------------------------------------- text from outside


@pytest.mark.parametrize(
    ("on", "verb", "status"),
    few(
        [
            ("create", ["submit", "in.jsonl"], 4),
            ("create", ["run", "in.jsonl", "-v"], 4),
            ("list", ["submit", "in.jsonl", "-v"], 1),
            ("retrieve", ["run", "in.jsonl"], 1),
            ("results", ["run", "in.jsonl", "-v"], 1),
        ],
        0,
    ),
)
def test_what_the_api_says_stays_on_its_line(here: Scenario, on: str, verb: list[str], status: int) -> None:
    here.scene({})
    here.emulator.add_fault({"on": on, "fault": "status", "status": 400, "message": EVIL, "times": 1})
    here.cli.write("in.jsonl", requests(2))
    ran = here.cli.run(*verb)
    assert ran.status == status, ran.err
    assert _cannot_move(ran.err + ran.out) == []
    assert "[bold]loud[/bold]" in ran.err
    assert not any(line.startswith("error: forged") for line in ran.err.splitlines())
    shown = here.cli.run("status", "@last", "--offline", "--batches")
    assert _cannot_move(shown.out + shown.err) == []


def test_ids_and_types_in_results_that_nobody_sent_stay_on_their_line(here: Scenario) -> None:
    here.scene({"batch_seconds": 0})
    here.emulator.add_fault({"on": "results", "fault": "foreign_id", "custom_id": EVIL, "times": 0})
    here.cli.write("in.jsonl", requests(3))
    ran = here.cli.run("run", "in.jsonl", "-v")
    # An id that can be none stands for the one request without a result.
    assert ran.status == 3, ran.err
    assert _cannot_move(ran.err + ran.out) == []


@pytest.mark.parametrize(
    "line",
    few(
        [
            request(EVIL),
            request("../../../escaped"),
            json.dumps({"custom_id": "a", EVIL: 1, "params": {}}).encode(),
            request("a", model=EVIL),
            json.dumps({"custom_id": "a", "params": {EVIL: 1}}).encode(),
            b'{"custom_id": "' + EVIL.replace("\n", "").encode(),
        ],
        0,
    ),
    ids=["custom_id", "path", "key", "model", "param", "not-json"],
)
def test_what_an_input_holds_stays_on_its_line_and_in_its_folder(here: Scenario, line: bytes) -> None:
    here.cli.write("in.jsonl", [*requests(2), line])
    said = [
        here.cli.run("submit", "in.jsonl", "--dry-run"),
        here.cli.run("submit", "in.jsonl", "--skip-bad", "-v"),
    ]
    said.append(here.cli.run("run", "in.jsonl"))
    for ran in said:
        assert _cannot_move(ran.err + ran.out) == []
        assert not any(told.startswith("error: forged") for told in ran.err.splitlines())
    assert not list(here.cli.folder.parent.rglob("escaped*"))


@pytest.mark.parametrize("name", [EVIL.replace("\x00", "").replace("/", "") + ".jsonl", "[bold]x[bold].jsonl"])
def test_the_name_of_an_input_stays_on_its_line_and_makes_a_harmless_job(here: Scenario, name: str) -> None:
    here.scene({"batch_seconds": 0})
    here.cli.write(name, requests(2))
    ran = here.cli.run("run", name)
    assert ran.status == 0, ran.err
    shown = [here.cli.run(*words) for words in (("status",), ("status", "@last"), ("status", "@last", "--json"))]
    for one in (ran, *shown):
        assert _cannot_move(one.err + one.out) == []
    missing = here.cli.run("submit", f"not-{name}")
    assert missing.status == 5
    assert _cannot_move(missing.err) == []


@pytest.mark.parametrize("option", [["--name", EVIL[:-1]], ["--label", f"team={EVIL[:-1]}"], ["--beta", EVIL[:-1]]])
def test_what_is_typed_with_codes_in_it_is_refused_or_shown_as_it_is(here: Scenario, option: list[str]) -> None:
    here.scene({"batch_seconds": 0})
    here.cli.write("in.jsonl", requests(2))
    ran = here.cli.run("submit", "in.jsonl", *option)
    assert ran.status in {0, 2}, ran.err
    shown = [here.cli.run(*words) for words in (("status",), ("status", "@last"), ("status", "@last", "--json"))]
    for one in (ran, *shown):
        assert _cannot_move(one.err + one.out) == []


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "..", ".hidden/../../escaped"])
def test_a_name_that_looks_like_a_path_is_no_name(here: Scenario, name: str) -> None:
    here.cli.write("in.jsonl", requests(2))
    ran = here.cli.run("submit", "in.jsonl", "--name", name)
    assert ran.status == 2, ran.err
    assert here.held() == 0
    assert not list(here.cli.folder.parent.rglob("escaped*"))


@pytest.mark.slow
def test_on_a_terminal_what_the_api_says_is_shown_and_not_obeyed(here: Scenario) -> None:
    here.emulator.add_fault({"on": "create", "fault": "status", "status": 400, "message": EVIL})
    here.cli.write("in.jsonl", requests(2))
    surroundings = {**os.environ, **here.cli.variables, "TERM": "xterm-256color", "COLUMNS": "200"}
    _, shown = at_a_terminal(here.cli.folder, surroundings, "submit", "in.jsonl", "--yes")
    assert "loud" in shown
    for sequence in ("\x1b[2J", "\x1b]0;", "\x9b", "\x07", "\u202e", "\u2028", "\x1b[31mred"):
        assert sequence not in shown, repr(shown)
    assert "[bold]" in shown


# ---------------------------------------------------------------- what looks like a path

NAMED = "../../../escaped"


def _api_with_odd_names(method: str, path: str) -> Answer:
    """One batch of two requests, ended, whose id and answers look like paths."""
    shape = {
        "id": NAMED,
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0},
        "created_at": "2026-11-21T12:00:00Z",
        "expires_at": "2026-11-22T12:00:00Z",
        "ended_at": "2026-11-21T12:00:01Z",
        "archived_at": None,
        "results_url": "file:///etc/passwd",
    }
    if path.endswith("/results"):
        message = {"id": NAMED, "type": "message", "stop_reason": "end_turn", "content": []}
        lines = [{"custom_id": f"r-{n:05d}", "result": {"type": "succeeded", "message": message}} for n in range(2)]
        return 200, {"content-type": "application/x-jsonl"}, b"".join(json.dumps(x).encode() + b"\n" for x in lines)
    if method == "GET" and path.partition("?")[0] == BATCHES:
        return as_json({"data": [], "has_more": False, "first_id": None, "last_id": None})
    return as_json(shape)


def test_an_id_of_the_api_that_looks_like_a_path_is_none(here: Scenario) -> None:
    here.cli.write("in.jsonl", requests(2))
    before = {p for p in here.cli.folder.parent.rglob("*") if not p.is_relative_to(here.cli.folder)}
    with answering(_api_with_odd_names) as server:
        here.cli.variables["ANTHROPIC_BASE_URL"] = server.url
        ran = here.cli.run("run", "in.jsonl")
        paths = {path.split("?")[0] for _, path, _ in server.asked}
    assert ran.status == 0, ran.err
    assert ids(here.cli.results(here.job())) == ["r-00000", "r-00001"]
    # It stays one part of a path, too, where the API is asked for it.
    assert paths == {"/v1/models", BATCHES, f"{BATCHES}/..%2F..%2F..%2Fescaped/results"}
    assert {p for p in here.cli.folder.parent.rglob("*") if not p.is_relative_to(here.cli.folder)} == before
    assert not [p for p in here.cli.folder.rglob("*") if "escaped" in p.name]
