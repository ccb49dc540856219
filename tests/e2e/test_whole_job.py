"""The promise of the first page: a file in, one answer for every line out, in order."""

import json

import pytest
from processes import Server, Shell
from program import request, wrong_request

LINES = 25_000


def _line(position: int) -> bytes:
    if position % 500 == 499:
        return wrong_request(f"row-{position:05d}")
    return request(f"row-{position:05d}", f"Question {position}")


@pytest.mark.slow
def test_25000_requests_with_failures_of_every_kind_end_as_one_answer_each(server: Server, shell: Shell) -> None:
    lines = [_line(n) for n in range(LINES)]
    (shell.folder / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    server.post("scenario", {"batch_seconds": 0, "outcomes": {"overloaded_error": 0.05, "expired": 0.01}})
    submitted = shell.run("submit", "in.jsonl", "--equal-sizes")
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    assert shell.run("fetch").returncode == 3
    retried = shell.run("retry")
    assert retried.returncode == 0, retried.stderr
    assert shell.run("fetch").returncode == 3

    results = [json.loads(line) for line in (shell.folder / f"{job}.results.jsonl").read_bytes().splitlines()]
    assert [r["custom_id"] for r in results] == [f"row-{n:05d}" for n in range(LINES)]
    invalid = [n for n in range(LINES) if n % 500 == 499]
    assert [n for n, r in enumerate(results) if r["result"]["type"] != "succeeded"] == invalid
    errors = [json.loads(line) for line in (shell.folder / f"{job}.errors.jsonl").read_bytes().splitlines()]
    assert [(e["line"], e["class"], e["round"]) for e in errors] == [(n + 1, "fix", 1) for n in invalid]

    batches = server.state()["batches"]
    assert sorted(b["request_count"] for b in batches[:3]) == [5_000, 10_000, 10_000]
    bodies = [server.body(b["id"])[13:-2] for b in batches]
    whole = b",".join(lines)
    assert all(body in whole for body in bodies[:3])
    resent = {json.loads(f"[{body.decode()}]")[0]["custom_id"] for body in bodies[3:]}
    assert not resent & {f"row-{n:05d}" for n in invalid}
    again = [r for body in bodies[3:] for r in json.loads(f"[{body.decode()}]")]
    assert all(json.dumps(r, ensure_ascii=False).encode() in set(lines) for r in again)
    assert len({r["custom_id"] for r in again} & {f"row-{n:05d}" for n in invalid}) == 0
