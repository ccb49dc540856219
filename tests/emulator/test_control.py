"""The endpoints for tests, and the same from Python."""

import hashlib
import json
import threading
import warnings
from datetime import datetime, timedelta

import pytest

from batchctl.emulator.running import running
from batchctl.emulator.scenario import ScenarioError

BATCHES = "/v1/messages/batches"


def test_the_state_accounts_for_batches_calls_and_faults(emulate, asking, batch_of):
    emulator = emulate({"faults": [{"on": "results", "fault": "reset"}]})
    ask = asking(emulator)
    body = json.dumps(batch_of(3), indent=1).encode()
    batch_id = ask.create(body, anthropic_beta="oauth-2025-04-20").json()["id"]
    ask("GET", f"{BATCHES}/{batch_id}")
    state = ask("GET", "/_emulator/state", headers=None).json()
    (batch,) = state["batches"]
    assert batch["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert (batch["body_bytes"], batch["request_count"], batch["deleted"]) == (len(body), 3, False)
    assert (batch["api_version"], batch["betas"]) == ("2026-10-21", ["oauth-2025-04-20"])
    assert state["requests"] == {f"POST {BATCHES}": 1, f"GET {BATCHES}/{{id}}": 1}
    assert state["faults"] == [
        {"on": "results", "fault": "reset", "nth": 1, "times": 1, "bytes": -1, "seen": 0, "fired": 0}
    ]
    assert ask("GET", f"/_emulator/batches/{batch_id}/body", headers=None).body == body == emulator.body(batch_id)
    assert ask("GET", "/_emulator/batches/nope/body").status == 404


def test_time_scenario_and_script_change_over_http(ask):
    now = ask("GET", "/_emulator/state").json()["now"]
    assert ask("POST", "/_emulator/advance", {"seconds": 90000}).json()["now"] > now
    assert ask("POST", "/_emulator/faults", {"on": "list", "fault": "status"}).json()["fired"] == 0
    assert ask("GET", BATCHES).status == 500
    assert ask("POST", "/_emulator/scenario", {"limits": {"requests": 1}}).json()["faults"] == []
    assert ask.create().status == 400
    assert ask("POST", "/_emulator/reset").json()["requests"] == {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("advance", {"seconds": -1}),
        ("advance", {"seconds": float("nan")}),
        ("advance", []),
        ("faults", {"fault": "nope"}),
        ("scenario", {"nope": 1}),
        ("scenario", b"{"),
    ],
)
def test_a_wrong_control_call_is_told_why(ask, path, body):
    reply = ask("POST", f"/_emulator/{path}", body)
    assert reply.status == 400
    assert reply.json()["error"]


def test_python_sees_and_steers_the_same(emulator, ask):
    ask.create()
    assert emulator.requests() == {f"POST {BATCHES}": 1}
    emulator.set_scenario({"outcomes": {"expired": 1.0}})
    emulator.add_fault({"on": "list", "fault": "status"})
    assert len(emulator.unfired()) == 1
    emulator.reset()
    assert (emulator.batches(), emulator.requests()) == ([], {})


def test_a_wrong_scenario_or_fault_is_refused_before_anything_runs(emulator):
    with pytest.raises(ScenarioError), running({"nope": 1}):
        pass
    with pytest.raises(ScenarioError):
        emulator.set_scenario({"nope": 1})
    with pytest.raises(ValueError, match="unknown"):
        emulator.add_fault({"fault": "nope", "on": "list"})


def test_an_emulator_leaves_no_thread_and_no_file_behind(tmp_path, asking):
    before = threading.active_count()
    with warnings.catch_warnings(), running() as emulator:
        warnings.simplefilter("error")
        asking(emulator).create()
        folder = emulator._state.folder
        assert list(folder.iterdir())
    assert threading.active_count() == before
    assert not folder.exists()
    with running(data_dir=tmp_path / "kept") as emulator:
        asking(emulator).create()
    assert [path.suffix for path in sorted((tmp_path / "kept").iterdir())] == [".body", ".lines", ".order"]


def test_a_refused_create_leaves_no_file(emulate, asking, tmp_path):
    ask = asking(emulate({"limits": {"queue": 1}}, data_dir=tmp_path))
    assert ask.create().status == 429
    assert ask.create(b"{").status == 400
    assert list(tmp_path.iterdir()) == []


def test_two_emulators_run_side_by_side(emulate, asking):
    one, two = emulate(), emulate()
    asking(one).create()
    assert (len(one.batches()), len(two.batches())) == (1, 0)


def test_many_callers_at_once_are_all_served(emulator, asking, batch_of):
    callers = [threading.Thread(target=lambda: asking(emulator).create(batch_of(200))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len({batch["id"] for batch in emulator.batches()}) == 8


HERE = ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8000"]
NOT_HERE = [
    "example.com",
    "127.0.0.1.example.com",
    "localhost.example.com:80",
    "127.0.0.1:80@example.com",
    "10.0.0.1",
    "",
    "::1",
]
CONTROL = [
    ("GET", "state", None),
    ("GET", "batches/nope/body", None),
    ("POST", "advance", {"seconds": 90000}),
    ("POST", "faults", {"on": "list", "fault": "status"}),
    ("POST", "scenario", {}),
    ("POST", "reset", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), CONTROL)
def test_no_web_page_gives_orders(ask, method, path, body):
    netloc = ask.netloc
    origins = [
        "https://example.com",
        "null",
        "",
        f"https://{netloc}",
        f"http://{netloc}.example.com",
        "http://127.0.0.1:1",
    ]
    for headers in [*({"origin": each} for each in origins), *({"host": each} for each in NOT_HERE)]:
        before = ask("GET", "/_emulator/state").json()
        reply = ask(method, f"/_emulator/{path}", body, headers=headers)
        assert reply.status == 403, headers
        assert reply.body.count(b"\n") == 0
        assert reply.json()["error"]
        after = ask("GET", "/_emulator/state").json()
        assert (after["faults"], after["requests"]) == ([], before["requests"])
        assert datetime.fromisoformat(after["now"]) - datetime.fromisoformat(before["now"]) < timedelta(hours=1)


@pytest.mark.parametrize("host", HERE)
def test_whoever_names_this_machine_is_answered(ask, host):
    assert ask("GET", "/_emulator/state", headers={"host": host}).status == 200
    assert ask("GET", "/_emulator/state", headers={"host": host, "origin": f"http://{host}"}).status == 200
