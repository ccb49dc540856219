"""A batch file of another vendor as an input: one error that names the format and what to type next."""

import json
from typing import Any

import pytest
from program import Cli, requests

from batchctl.emulator.running import Running


def chat(custom_id: str, **body: Any) -> bytes:
    whole = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": whole}).encode()


GEMINI = json.dumps({"key": "a", "request": {"contents": [{"parts": [{"text": "Hi"}]}]}}).encode()


@pytest.mark.parametrize("verb", ["submit", "estimate"])
def test_a_foreign_file_is_one_error_with_the_next_command(cli: Cli, emulator: Running, verb: str) -> None:
    ran = cli.run(verb, cli.write("in put.jsonl", [chat(f"r-{n}") for n in range(50)]))
    assert ran.status == 5
    assert ran.err.splitlines()[-2:] == [
        f"error: {cli.folder}/in put.jsonl: this file is in OpenAI's batch format (chat completions)",
        f"  try: batchctl convert '{cli.folder}/in put.jsonl'",
    ]
    assert "unknown key" not in ran.err
    assert "POST /v1/messages/batches" not in emulator.requests()


def test_from_stdin_the_next_command_names_stdin(cli: Cli) -> None:
    ran = cli.run("submit", "-", stdin=chat("a"))
    assert (ran.status, ran.err.splitlines()[-1]) == (5, "  try: batchctl convert -")


def test_what_cannot_be_converted_says_what_to_write(cli: Cli) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", [GEMINI] * 3))
    assert ran.status == 5
    assert "this file is in Gemini's batch format; write each as" in ran.err
    assert "batchctl convert" not in ran.err


def test_a_foreign_line_in_a_good_file_is_a_fault_of_that_line(cli: Cli) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", [*requests(3), chat("odd"), GEMINI, *requests(2, "s")]))
    assert ran.status == 5
    assert "line 4 (odd): a line in OpenAI's batch format (chat completions): convert the file first" in ran.err
    assert "line 5: a line in Gemini's batch format: write each as" in ran.err
    assert "2 of 7 lines cannot be sent" in ran.err


def test_a_long_first_line_hides_the_format_from_nobody(cli: Cli) -> None:
    picture = chat("a", messages=[{"role": "user", "content": "x" * 100_000}])
    ran = cli.run("submit", cli.write("in.jsonl", [picture, chat("b")]))
    assert ran.status == 5
    assert "2 lines, first 1 (a): a line in OpenAI's batch format" in ran.err
