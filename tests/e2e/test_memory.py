"""Memory does not grow with the number of requests: the imports cost most of it."""

import subprocess
import sys

import pytest
from processes import BATCHCTL, Server, Shell

# What the whole program may take at its peak; the imports alone take about 100 MB, the SDK's most of them. A fetch of 300,000
# results takes 142 to 150 MB, from run to run.
CEILING_MB = 165

MEASURED = "import resource, subprocess, sys; status = subprocess.call(sys.argv[1:]); "
MEASURED += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr); sys.exit(status)"


def _peak_mb(shell: Shell, *words: str) -> tuple[int, int]:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *BATCHCTL, *words, "-q"],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return ran.returncode, int(ran.stderr.split()[-1])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [30_000, 300_000])
def test_the_peak_is_the_same_for_ten_times_the_requests(server: Server, shell: Shell, count: int) -> None:
    text = "x" * 380
    with (shell.folder / "in.jsonl").open("w") as file:
        for n in range(count):
            file.write(
                f'{{"custom_id":"doc-{n * 7919 % 1_000_003:08d}","params":{{"model":"claude-haiku-4-5","max_tokens":64,'
                f'"messages":[{{"role":"user","content":"Summarise {n}: {text}"}}]}}}}\n'
            )
    server.post("scenario", {"batch_seconds": 0, "outcomes": {"overloaded_error": 0.03, "expired": 0.005}})
    peaks = {}
    for words, expected in (
        ("submit in.jsonl --yes", 0),
        ("fetch", 3),
        ("retry --yes", 0),
        ("fetch", 0),
        ("verify", 0),
    ):
        status, peaks[words] = _peak_mb(shell, *words.split())
        assert status == expected, words
    assert max(peaks.values()) < CEILING_MB, peaks


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [10_000, 100_000])
def test_the_peak_of_a_conversion_is_the_same_for_ten_times_the_lines(shell: Shell, count: int) -> None:
    text = "x" * 380
    with (shell.folder / "openai.jsonl").open("w") as file:
        for n in range(count):
            file.write(
                f'{{"custom_id":"doc-{n:08d}","url":"/v1/chat/completions","body":{{"model":"gpt-4o","max_tokens":64,'
                f'"seed":{n % 2 or "null"},"messages":[{{"role":"user","content":"Summarise {n}: {text}"}}]}}}}\n'
            )
    status, peak = _peak_mb(shell, "convert", "openai.jsonl", "--model", "claude-haiku-4-5", "--skip-bad")
    assert (status, peak < CEILING_MB) == (0, True), peak
