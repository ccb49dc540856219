"""Every scripted fault fires, and does on the wire what it says."""

import http.client
import json
import socket
import time
from datetime import datetime

import orjson
import pytest
from cases import few

from batchctl.emulator.clock import DAY, next_month
from batchctl.emulator.faults import AFTER, BEFORE, DOWNLOAD, KINDS

BATCHES = "/v1/messages/batches"
DEAD = (ConnectionError, http.client.RemoteDisconnected, http.client.IncompleteRead, TimeoutError)


@pytest.fixture
def struck(emulate, asking):
    """An emulator with one scripted fault, and how to ask it."""

    def start(scenario=None, **fault):
        emulator = emulate({**(scenario or {}), "faults": [fault]})
        return emulator, asking(emulator)

    return start


def _fired(emulator):
    return [fault["fired"] for fault in emulator.faults()]


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"fault": "status"}, 500, "api_error"),
        ({"fault": "status", "status": 401}, 401, "authentication_error"),
        ({"fault": "status", "status": 402}, 402, "billing_error"),
        ({"fault": "status", "status": 403}, 403, "permission_error"),
        ({"fault": "status", "status": 413}, 413, "request_too_large"),
        ({"fault": "status", "status": 429}, 429, "rate_limit_error"),
        ({"fault": "status", "status": 529}, 529, "overloaded_error"),
        ({"fault": "status", "status": 400, "type": "odd_error"}, 400, "odd_error"),
        ({"fault": "queue_full"}, 429, "rate_limit_error"),
        ({"fault": "spend_limit_429"}, 429, "rate_limit_error"),
        ({"fault": "spend_limit_400"}, 400, "invalid_request_error"),
        ({"fault": "on_hold"}, 400, "invalid_request_error"),
        ({"fault": "invalid_json_400"}, 400, "invalid_request_error"),
    ],
)
def test_a_refusal_creates_nothing_and_the_next_create_passes(struck, fault, status, kind):
    emulator, ask = struck(on="create", **fault)
    refused = ask.create()
    assert (refused.status, refused.json()["error"]["type"]) == (status, kind)
    assert emulator.batches() == []
    assert ask.create().status == 200
    assert _fired(emulator) == [1]


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2027-01-31T23:59:59Z", "2027-02-01"),
        ("2027-12-01T00:00:00Z", "2028-01-01"),
        ("2028-02-29T12:00:00Z", "2028-03-01"),
    ],
)
def test_the_next_month_begins_with_its_first_day(now, then):
    assert next_month(datetime.fromisoformat(now).timestamp()) == then


@pytest.mark.parametrize("fault", ["spend_limit_429", "spend_limit_400"])
def test_a_spend_limit_is_lifted_with_the_next_virtual_month(struck, fault):
    emulator, ask = struck(on="create", fault=fault)
    emulator.advance(400 * DAY)
    assert f"regain access on {next_month(emulator.now())} " in ask.create().message


def test_a_refusal_says_when_to_come_back_only_if_scripted(struck):
    _, ask = struck(on="create", fault="status", status=429, retry_after=7)
    assert ask.create().headers["retry-after"] == "7"
    _, ask = struck(on="create", fault="status", status=429)
    assert ask.create().headers["retry-after"] is None


@pytest.mark.parametrize(("fault", "status"), [("html_413", 413), ("html_status", 520)])
def test_the_edge_answers_with_a_page(struck, fault, status):
    emulator, ask = struck(on="create", fault=fault)
    reply = ask.create()
    assert (reply.status, reply.headers["content-type"].split(";")[0]) == (status, "text/html")
    assert emulator.batches() == []


@pytest.mark.parametrize("on", ["retrieve", "results", "cancel", "delete"])
def test_a_batch_may_not_be_found_at_first(struck, on):
    emulator, ask = struck(on=on, fault="not_found", times=2)
    path = f"{BATCHES}/{ask.create().json()['id']}"
    method, more = {
        "retrieve": ("GET", ""),
        "results": ("GET", "/results"),
        "cancel": ("POST", "/cancel"),
        "delete": ("DELETE", ""),
    }[on]
    assert [ask(method, path + more).status for _ in range(3)] == [404, 404, 200]
    assert _fired(emulator) == [2]


def test_a_connection_dropped_before_accept_leaves_nothing(struck, batch_of):
    emulator, ask = struck(on="create", fault="drop_before_accept", bytes=100)
    with pytest.raises(DEAD):
        ask.create(batch_of(2000))
    assert emulator.batches() == []


@pytest.mark.parametrize("fault", ["drop_after_accept", "truncated_answer"])
def test_a_connection_lost_after_accept_leaves_a_batch(struck, fault):
    emulator, ask = struck(on="create", fault=fault)
    with pytest.raises(DEAD):
        ask.create()
    assert len(emulator.batches()) == 1


def test_half_an_answer_may_look_whole(struck):
    emulator, ask = struck(on="create", fault="truncated_answer", framing="close")
    reply = ask.create()
    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert len(emulator.batches()) == 1


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("status", [500, 502, 504, 529])
def test_an_error_after_accept_leaves_a_batch(struck, status, html):
    emulator, ask = struck(on="create", fault="error_after_accept", status=status, html=html)
    assert ask.create().status == status
    assert len(emulator.batches()) == 1


@pytest.mark.parametrize(
    ("fault", "kind"), [("garbage_answer", "application/json"), ("html_answer", "text/html; charset=utf-8")]
)
def test_an_unreadable_200_leaves_a_batch(struck, fault, kind):
    emulator, ask = struck(on="create", fault=fault)
    reply = ask.create()
    assert (reply.status, reply.headers["content-type"]) == (200, kind)
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert len(emulator.batches()) == 1


def test_a_stall_after_accept_outlasts_a_patient_caller(struck):
    emulator, ask = struck(on="create", fault="stall_after_accept", seconds=0.2)
    began = time.monotonic()
    assert ask.create().status == 200
    assert time.monotonic() - began >= 0.2
    assert len(emulator.batches()) == 1


def test_a_new_batch_may_be_missing_from_the_first_lists(struck):
    _, ask = struck(on="create", fault="hide_from_list", nth=2, lists=2)
    old, new = (ask.create().json()["id"] for _ in range(2))
    seen = [[batch["id"] for batch in ask("GET", BATCHES).json()["data"]] for _ in range(3)]
    assert seen == [[old], [old], [new, old]]


def test_the_newest_batch_may_be_missing_from_a_list(struck):
    _, ask = struck(on="list", fault="hide_from_list", times=2)
    ask.create()
    assert [len(ask("GET", BATCHES).json()["data"]) for _ in range(3)] == [0, 0, 1]


def test_counts_may_disagree_with_the_batch(struck):
    _, ask = struck(on="retrieve", fault="wrong_counts")
    path = f"{BATCHES}/{ask.create().json()['id']}"
    assert [sum(ask("GET", path).json()["request_counts"].values()) for _ in range(2)] == [3, 2]


# ---- results


@pytest.fixture
def download(struck, batch_of):
    """The reply to the first and the second download of a batch of 20, the first one struck."""

    def get(scenario=None, count=20, **fault):
        emulator, ask = struck(scenario, on="results", **fault)
        path = f"{BATCHES}/{ask.create(batch_of(count)).json()['id']}/results"
        first = ask("GET", path)
        assert _fired(emulator) == [1]
        return first, ask("GET", path)

    return get


@pytest.mark.parametrize(
    ("fault", "error"), [("reset", ConnectionResetError), ("short_content_length", http.client.IncompleteRead)]
)
def test_a_download_breaks_off_loudly(struck, batch_of, fault, error):
    emulator, ask = struck(on="results", fault=fault, bytes=3000)
    path = f"{BATCHES}/{ask.create(batch_of(20)).json()['id']}/results"
    with pytest.raises(error):
        ask("GET", path)
    assert _fired(emulator) == [1]
    assert ask("GET", path).body.count(b"\n") == 20


def test_a_short_body_holds_as_many_bytes_as_scripted(struck, batch_of):
    _, ask = struck(on="results", fault="short_content_length", bytes=3000)
    path = f"{BATCHES}/{ask.create(batch_of(20)).json()['id']}/results"
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask("GET", path)
    assert len(caught.value.partial) == 3000


def test_an_early_end_at_a_line_looks_like_a_clean_one(download):
    cut, whole = download(fault="early_end_at_line", lines=7)
    assert (cut.status, cut.headers["content-length"], cut.headers["transfer-encoding"]) == (200, None, None)
    assert cut.body == b"".join(whole.body.splitlines(keepends=True)[:7])


def test_an_early_end_within_a_line_leaves_half_of_it(download):
    cut, whole = download(fault="early_end_mid_line")
    assert cut.body.count(b"\n") == 10
    assert whole.body.startswith(cut.body)
    assert not cut.body.endswith(b"\n")


def test_a_stall_pauses_and_then_goes_on(download):
    began = time.monotonic()
    slow, whole = download(fault="stall", bytes=1000, seconds=0.2)
    assert time.monotonic() - began >= 0.2
    assert slow.body == whole.body


def test_a_line_may_come_twice_or_not_at_all(download):
    twice, whole = download(fault="duplicate_line")
    lines = whole.body.splitlines(keepends=True)
    assert twice.body.splitlines(keepends=True) == [lines[0], *lines]
    changed, whole = download(fault="changed_twin")
    first, second, *rest = changed.body.splitlines(keepends=True)
    assert [first, *rest] == whole.body.splitlines(keepends=True)
    assert json.loads(second) == {**json.loads(first), "again": True}
    missing, whole = download(fault="missing_line")
    assert missing.body == b"".join(whole.body.splitlines(keepends=True)[:-1])


def test_a_line_may_carry_what_nobody_sent(download):
    foreign, _ = download(fault="foreign_id", custom_id="stranger")
    assert json.loads(foreign.body.split(b"\n")[0])["custom_id"] == "stranger"
    unknown, _ = download(fault="unknown_result_type")
    assert json.loads(unknown.body.split(b"\n")[0])["result"]["type"] == "postponed"
    extra, _ = download(fault="extra_keys")
    assert {"trace", "billed"} < set(json.loads(extra.body.split(b"\n")[3]))


@pytest.mark.parametrize("outcomes", [{}, {"expired": 1.0}])
def test_a_line_may_hold_separators_that_are_no_line_ends(download, outcomes):
    odd, _ = download({"outcomes": outcomes}, fault="line_separator")
    assert odd.body.count(b"\n") == 20 < len(odd.body.decode().splitlines())
    assert all(json.loads(line) for line in odd.body.split(b"\n")[:-1])


@pytest.mark.parametrize("outcomes", [{}, {"expired": 1.0}])
@pytest.mark.parametrize("fault", ["not_utf8", "nul_byte", "no_head", "deep_line"])
def test_a_line_may_be_one_that_parsers_refuse(download, outcomes, fault):
    odd, whole = download({"outcomes": outcomes}, fault=fault)
    first, *rest = odd.body.split(b"\n")
    assert rest == whole.body.split(b"\n")[1:]
    with pytest.raises(ValueError):
        orjson.loads(first)


def test_a_line_may_be_huge(download):
    huge, whole = download(fault="huge_line")
    lines = huge.body.split(b"\n")
    assert len(lines[0]) + 1 == 10_000_000
    assert json.loads(lines[0])["custom_id"]
    assert lines[1:] == whole.body.split(b"\n")[1:]


def test_line_ends_may_be_odd(download):
    crlf, whole = download(fault="crlf")
    assert crlf.body == whole.body.replace(b"\n", b"\r\n")
    blank, whole = download(fault="blank_line")
    assert blank.body == whole.body + b"\n"
    bare, whole = download(fault="no_final_newline")
    assert bare.body + b"\n" == whole.body


# ---- the script


def test_a_fault_strikes_from_its_nth_call_as_often_as_scripted(struck):
    emulator, ask = struck(on="list", fault="status", nth=2, times=2)
    assert [ask("GET", BATCHES).status for _ in range(5)] == [200, 500, 500, 200, 200]
    assert (emulator.faults()[0]["seen"], emulator.unfired()) == (5, [])


def test_a_fault_without_end_strikes_every_call(struck):
    _, ask = struck(on="list", fault="status", times=0)
    assert {ask("GET", BATCHES).status for _ in range(5)} == {500}


def test_a_fault_may_strike_by_chance_the_same_for_a_seed(emulate, asking):
    scenario = {"faults": [{"on": "list", "fault": "status", "times": 0, "probability": 0.5}]}
    runs = []
    for _ in range(2):
        ask = asking(emulate(scenario, seed=3))
        runs.append([ask("GET", BATCHES).status for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_a_fault_may_be_about_one_batch(struck):
    _, ask = struck(on="retrieve", fault="status", batch=2, times=0)
    ids = [ask.create().json()["id"] for _ in range(3)]
    assert [ask("GET", f"{BATCHES}/{batch_id}").status for batch_id in ids] == [200, 500, 200]


def test_a_fault_added_while_running_strikes(emulator, ask):
    emulator.add_fault({"on": "models", "fault": "status", "status": 503})
    assert len(emulator.unfired()) == 1
    assert [ask("GET", "/v1/models").status for _ in range(2)] == [503, 200]
    assert emulator.unfired() == []


CLAIMED = [(name, on) for name in sorted(KINDS) for on in KINDS[name].on]


@pytest.mark.parametrize(
    ("name", "on"), few(CLAIMED, *(n for n, (name, on) in enumerate(CLAIMED) if on == min(KINDS[name].on)))
)
def test_every_fault_fires_on_every_endpoint_it_claims(struck, request_of, name, on):
    emulator, ask = struck(on=on, fault=name, **({"seconds": 0.01} if "seconds" in KINDS[name].keys else {}))
    batch_id = "" if on == "create" else ask.create().json()["id"]
    method, path = {
        "create": ("POST", BATCHES),
        "list": ("GET", BATCHES),
        "retrieve": ("GET", f"{BATCHES}/{batch_id}"),
        "cancel": ("POST", f"{BATCHES}/{batch_id}/cancel"),
        "delete": ("DELETE", f"{BATCHES}/{batch_id}"),
        "results": ("GET", f"{BATCHES}/{batch_id}/results"),
        "models": ("GET", "/v1/models"),
        "count_tokens": ("POST", "/v1/messages/count_tokens"),
        "messages": ("POST", "/v1/messages"),
    }[on]
    body = {"requests": [request_of()]} if on == "create" else request_of(stream=on == "messages")["params"]
    sent = body if method == "POST" and on != "cancel" else None
    try:
        reply = ask(method, path, sent)
    except DEAD:
        reply = None
    assert _fired(emulator) == [1]
    assert reply is None or reply.status != 500 or "status" in KINDS[name].keys
    assert ask("GET", BATCHES).status == 200


def test_the_kinds_are_told_apart():
    assert not set(BEFORE) & set(AFTER)
    assert set(BEFORE) | set(AFTER) | set(DOWNLOAD) == set(KINDS)


def test_a_body_is_read_to_its_end_before_a_refusal(struck):
    emulator, _ = struck(on="create", fault="status", status=429)
    host, port = emulator.base_url.removeprefix("http://").split(":")
    head = "POST /v1/messages/batches HTTP/1.1\r\nhost: x\r\nx-api-key: sk-ant-a\r\nanthropic-version: 2026-10-21\r\ncontent-length: 6\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=0.1) as link:
        link.sendall(head.encode() + b"123")
        with pytest.raises(TimeoutError):
            link.recv(100)
        link.sendall(b"456")
        assert link.recv(100).startswith(b"HTTP/1.1 429")
