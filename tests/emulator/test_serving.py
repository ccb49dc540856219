"""The emulator as a program of its own: what it prints, when it stops, how much memory it takes."""

import gc
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cases import few

from batchctl.emulator.running import running

HEADERS = {"x-api-key": "sk-ant-a", "anthropic-version": "2026-10-21"}
LINUX_ONLY = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@contextmanager
def program(*options):
    command = [sys.executable, "-m", "batchctl.emulator", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def _netloc(child):
    return child.stdout.readline().strip().removeprefix("http://")


@pytest.mark.slow
def test_a_connection_of_the_last_instant_is_closed_with_all_others(tmp_path):
    for number in range(4):
        with running(data_dir=tmp_path / str(number)) as emulator:
            host, port = emulator.base_url.removeprefix("http://").split(":")
            links = [socket.create_connection((host, int(port)), timeout=5) for _ in range(3)]
        # What nobody closed would warn of itself now, and a warning is an error.
        gc.collect()
        for link in links:
            link.close()


@pytest.mark.parametrize("number", few([signal.SIGINT, signal.SIGTERM], 0))
def test_it_prints_its_url_alone_and_stops_cleanly_while_an_answer_is_open(tmp_path, request_of, number):
    scenario = tmp_path / "s.toml"
    scenario.write_text('batch_seconds = 0\n[[faults]]\non = "results"\nfault = "stall"\nseconds = 60\n')
    with program("--scenario", scenario, "--seed", 3, "--speed", 2) as child:
        netloc = _netloc(child)
        assert netloc.startswith("127.0.0.1:")
        with closing(http.client.HTTPConnection(netloc, timeout=10)) as link:
            link.request("POST", "/v1/messages/batches", json.dumps({"requests": [request_of()]}), HEADERS)
            batch_id = json.loads(link.getresponse().read())["id"]
            link.request("GET", f"/v1/messages/batches/{batch_id}/results", headers=HEADERS)
            assert link.getresponse().status == 200
            began = time.monotonic()
            child.send_signal(number)
            out, err = child.communicate(timeout=5)
        assert (child.returncode, out, err) == (0, "", "")
        assert time.monotonic() - began < 1


@pytest.mark.slow
def test_a_wrong_scenario_is_one_line_on_stderr_and_status_2(tmp_path):
    scenario = tmp_path / "s.toml"
    scenario.write_text("[outcomes]\napi_error = 7\n")
    with program("--scenario", scenario) as child:
        out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (2, "")
    assert err == f"batchctl emulator: {scenario}: [outcomes] api_error = 7: must be a number from 0 to 1\n"


@pytest.mark.slow
def test_a_port_that_is_taken_is_said_so():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken, program("--port", taken.getsockname()[1]) as child:
        out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (2, "")
    assert err.startswith("batchctl emulator: cannot listen on 127.0.0.1:")


@pytest.mark.slow
def test_a_speed_that_stands_still_is_refused():
    with program("--speed", 0) as child:
        _, err = child.communicate(timeout=10)
    assert (child.returncode, err) == (2, "batchctl emulator: --speed 0: must be above 0\n")


def test_importing_the_room_imports_no_server():
    told = "import batchctl.emulator, sys; print([name for name in ('uvicorn', 'starlette', 'h11') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _megabytes(child, what):
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) / 1024


def _pieces(count, size):
    yield b'{"requests":['
    text = "x" * size
    for number in range(count):
        said = '{"custom_id":"r-%d","params":{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"%s"}]}}'
        yield (b"," if number else b"") + (said % (number, text)).encode()
    yield b"]}"


@pytest.mark.slow
def test_it_stops_within_a_second_while_a_large_body_is_read():
    with program() as child:
        with closing(http.client.HTTPConnection(_netloc(child), timeout=60)) as link:
            link.request("POST", "/v1/messages/batches", b"".join(_pieces(100_000, 450)), HEADERS)
            time.sleep(0.3)  # noqa: TID251 - until it is in the middle of it
            began = time.monotonic()
            child.terminate()
            assert child.wait(5) == 0
        assert time.monotonic() - began < 1
        assert child.stderr.read() == ""


@LINUX_ONLY
@pytest.mark.slow
@pytest.mark.parametrize(("count", "size"), [(100_000, 450), (6_000, 10_000), (20, 3_000_000)])
def test_a_large_body_and_its_results_cost_no_memory(tmp_path, count, size):
    scenario = tmp_path / "s.toml"
    scenario.write_text("batch_seconds = 0\n")
    length = str(sum(map(len, _pieces(count, size))))
    with program("--scenario", scenario) as child:
        with closing(http.client.HTTPConnection(_netloc(child), timeout=60)) as link:
            before = _megabytes(child, "VmRSS")
            link.request("POST", "/v1/messages/batches", _pieces(count, size), {**HEADERS, "content-length": length})
            batch_id = json.loads(link.getresponse().read())["id"]
            link.request("GET", f"/v1/messages/batches/{batch_id}/results", headers=HEADERS)
            answer = link.getresponse()
            lines = sum(piece.count(b"\n") for piece in iter(lambda: answer.read(1 << 20), b""))
        assert lines == count
        assert _megabytes(child, "VmHWM") - before < 40


@pytest.mark.slow
def test_other_callers_are_answered_while_a_large_body_is_read(request_of):
    with program() as child:
        netloc = _netloc(child)
        body = b"".join(_pieces(60_000, 450))
        with (
            closing(http.client.HTTPConnection(netloc, timeout=60)) as large,
            closing(http.client.HTTPConnection(netloc)) as small,
        ):
            large.request("POST", "/v1/messages/batches", body, HEADERS)
            waits = []
            for _ in range(10):
                began = time.monotonic()
                small.request("GET", "/v1/messages/batches", headers=HEADERS)
                small.getresponse().read()
                waits.append(time.monotonic() - began)
            assert large.getresponse().status == 200
        assert max(waits) < 1


@pytest.mark.parametrize("below", ["", "folder"])
@pytest.mark.slow
def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path, below):
    taken = tmp_path / "file"
    taken.write_text("mine")
    with program("--data-dir", taken / below) as child:
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (2, "")
    assert err.startswith(f"batchctl emulator: --data-dir {taken / below}: ")
    assert err.count("\n") == 1
    assert taken.read_text() == "mine"
