"""`convert`: a file of another vendor becomes a file of requests as a whole, or nothing is written and every reason is named."""

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from program import Cli, Ran, ids, request

from batchctl.emulator.running import Running

HAIKU = ("--model", "claude-haiku-4-5")


def chat(custom_id: str, text: str = "Hi", **body: Any) -> bytes:
    whole = {"model": "gpt-4o-mini", "max_tokens": 64, "messages": [{"role": "user", "content": text}], **body}
    record = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": whole}
    return json.dumps(record, ensure_ascii=False).encode()


def written(cli: Cli, name: str = "in.requests.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cli.folder / name).read_bytes().splitlines()]


def convert(cli: Cli, *words: str | Path) -> Ran:
    return cli.run("convert", "in.jsonl", *words)


def test_what_is_converted_is_run_to_its_answers(cli: Cli, emulator: Running) -> None:
    cli.write("in.jsonl", [chat(f"r-{n}", f"What is {n} + 1?") for n in range(20)])
    ran = convert(cli, *HAIKU)
    assert ran.status == 0, ran.err
    assert ran.out == ""
    assert ran.err.splitlines()[-2:] == [
        "20 requests in in.requests.jsonl",
        "next: batchctl estimate in.requests.jsonl",
    ]
    assert not emulator.requests()
    ran = cli.run("run", "in.requests.jsonl", "--poll", "50ms", "-o", "answers.jsonl")
    assert ran.status == 0, ran.err
    assert ids(written(cli, "answers.jsonl")) == [f"r-{n}" for n in range(20)]


def test_a_line_that_cannot_be_converted_is_named_and_nothing_is_written(cli: Cli) -> None:
    lines = [chat("a"), chat("b", seed=1), chat("c", seed=2), chat("d", messages="Hi"), b"{", request("e")]
    cli.write("in.jsonl", lines)
    ran = convert(cli, *HAIKU)
    assert ran.status == 5
    assert "2 lines, first 2 (b) body.seed: the Messages API has no seed; to leave it out, pass --drop seed" in ran.err
    assert 'line 4 (d) body.messages: must be a list, not "Hi"' in ran.err
    assert "line 5: a part of JSON that is spread over several lines" in ran.err
    assert "line 6 (e): a request of the Messages API already" in ran.err
    assert "error: in.jsonl: 5 of 6 lines cannot be converted; nothing was written" in ran.err
    assert [path.name for path in cli.folder.iterdir() if path.is_file()] == ["in.jsonl"]
    listed = (cli.folder / ".batchctl" / "problems" / "in.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["line"] for line in listed] == [2, 3, 4, 5, 6]


def test_such_lines_can_be_skipped_and_keys_dropped(cli: Cli) -> None:
    cli.write("in.jsonl", [chat("a"), chat("b", seed=1), chat("c", n=2)])
    ran = convert(cli, *HAIKU, "--skip-bad", "--drop", "seed", "--json")
    assert ran.status == 0
    assert ids(written(cli)) == ["a", "b"]
    assert (ran.json["requests"], ran.json["left_out"], ran.json["by_code"]) == (2, 1, {"cannot_convert": 1})
    assert ran.json["problem_kinds"][0]["path"] == "body.n"
    assert ran.json["next_command"] == "batchctl estimate in.requests.jsonl"
    assert Path(ran.json["problems_file"]).exists()


def test_nothing_is_left_where_every_line_is_skipped(cli: Cli) -> None:
    cli.write("in.jsonl", [chat("a", n=2)])
    ran = convert(cli, *HAIKU, "--skip-bad")
    assert (ran.status, "no line can be converted" in ran.err) == (5, True)
    assert not (cli.folder / "in.requests.jsonl").exists()


def test_models_are_named_for_all_or_one_by_one(cli: Cli) -> None:
    cli.write("in.jsonl", [chat("a"), chat("b", model="gpt-4o"), chat("c", model="claude-opus-4-6")])
    ran = convert(cli)
    assert ran.status == 5
    assert '"gpt-4o" is not a model of the Messages API: pass --model MODEL, or --model gpt-4o=MODEL' in ran.err
    ran = convert(cli, "--model", "gpt-4o=claude-opus-5-5", "--model", "gpt-4o-mini=claude-haiku-9")
    assert ran.status == 0, ran.err
    models = [each["params"]["model"] for each in written(cli)]
    assert models == ["claude-haiku-9", "claude-opus-5-5", "claude-opus-4-6"]
    assert 'line 1 (a) params.model: "claude-haiku-9" is not known to this version of batchctl' in ran.err


@pytest.mark.parametrize(
    "words", [("--model", "a", "--model", "b"), ("--model", "=a"), ("--model", "a="), ("--max-tokens", "0")]
)
def test_an_option_that_makes_no_sense_is_refused(cli: Cli, words: tuple[str, ...]) -> None:
    cli.write("in.jsonl", [chat("a")])
    ran = convert(cli, *words)
    assert (ran.status, words[0] in ran.err) == (2, True), ran.err


def test_a_file_that_is_there_is_replaced_only_by_force_and_as_a_whole(cli: Cli) -> None:
    cli.write("in.jsonl", [chat("a")])
    output = cli.write("in.requests.jsonl", [b"mine"])
    ran = convert(cli, *HAIKU)
    assert (ran.status, "exists; refusing to overwrite it" in ran.err, "--force" in ran.err) == (6, True, True)
    assert output.read_bytes() == b"mine\n"
    assert convert(cli, *HAIKU, "--force").status == 0
    assert ids(written(cli)) == ["a"]
    before = output.read_bytes()
    cli.write("in.jsonl", [chat("b"), chat("c", n=2)])
    assert convert(cli, *HAIKU, "--force").status == 5
    assert output.read_bytes() == before


@pytest.mark.parametrize("output", ["in.jsonl", "link.jsonl"])
def test_the_input_is_never_the_output(cli: Cli, output: str) -> None:
    path = cli.write("in.jsonl", [chat("a")])
    (cli.folder / "link.jsonl").symlink_to(path)
    before = path.read_bytes()
    ran = convert(cli, *HAIKU, "-o", output, "--force")
    assert (ran.status, "the input itself" in ran.err) == (2, True)
    assert path.read_bytes() == before


def test_it_does_not_write_into_a_workspace(cli: Cli) -> None:
    cli.write("in.jsonl", [chat("a")])
    (cli.folder / ".batchctl").mkdir()
    assert convert(cli, *HAIKU, "-o", ".batchctl/in.jsonl").status == 6


def test_from_stdin_to_stdout_nothing_comes_out_before_all_of_it_is_good(cli: Cli) -> None:
    lines = b"\n".join([chat("a"), chat("b", n=2)])
    ran = cli.run("convert", "-", *HAIKU, "-o", "-", stdin=lines)
    assert (ran.status, ran.out) == (5, "")
    ran = cli.run("convert", "-", *HAIKU, "-o", "-", "--skip-bad", "--json", stdin=lines)
    assert ran.status == 0
    assert json.loads(ran.out)["custom_id"] == "a"
    assert json.loads(ran.err)["requests"] == 1
    assert list((cli.folder / ".batchctl" / "tmp").iterdir()) == []


def test_a_packed_file_is_unpacked(cli: Cli) -> None:
    (cli.folder / "in.jsonl.gz").write_bytes(gzip.compress(chat("a") + b"\n"))
    assert cli.run("convert", "in.jsonl.gz", *HAIKU).status == 0
    assert ids(written(cli)) == ["a"]


def test_odd_lines_are_read_as_the_check_reads_them(cli: Cli) -> None:
    lines = [
        b"\xef\xbb\xbf" + chat("a", "é😀") + b"\r",
        b"",
        b" \r",
        chat("b")[:-1] + b"\xff}",
        b"\0\0\0\0",
        chat("c") + b"{}",
    ]
    (cli.folder / "in.jsonl").write_bytes(b"\n".join([*lines, chat("d")]))
    ran = convert(cli, *HAIKU, "--skip-bad")
    assert ran.status == 0, ran.err
    assert [(each["custom_id"], each["params"]["messages"][0]["content"]) for each in written(cli)] == [
        ("a", "é😀"),
        ("d", "Hi"),
    ]
    for words in ("line 4: not UTF-8", "line 5: only NUL bytes", "line 6: a second object", "2 blank lines skipped"):
        assert words in ran.err


def test_a_line_longer_than_a_batch_is_named_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchctl.requests.convert_file.CEILING_MAX_BYTES", 1_000)
    cli.write("in.jsonl", [chat("a"), chat("b", "x" * 10_000), chat("c")])
    ran = convert(cli, *HAIKU, "--skip-bad")
    assert ids(written(cli)) == ["a", "c"]
    assert ran.err.count("the limit of a batch") == 1
    assert "1 line with errors" in ran.err


def test_what_is_nested_too_deeply_to_be_written_is_a_fault(cli: Cli) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(300):
        schema = {"type": "object", "properties": {"a": schema}}
    tool = {"type": "function", "function": {"name": "deep", "parameters": schema}}
    cli.write("in.jsonl", [chat("a", tools=[tool])])
    ran = convert(cli, *HAIKU)
    assert (ran.status, "line 1 (a): nested more deeply" in ran.err) == (5, True), ran.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,text\n1,hello\n", "a CSV table"),
        (b'{"key":"a","request":{"contents":[]}}\n', "Gemini's batch format; write each as"),
        (b"", "the file holds no request"),
        (json.dumps([json.loads(chat("a"))]).encode(), "one JSON array"),
    ],
)
def test_a_file_that_cannot_be_converted_is_named_as_the_check_names_it(cli: Cli, content: bytes, words: str) -> None:
    (cli.folder / "in.jsonl").write_bytes(content)
    ran = convert(cli, *HAIKU)
    assert (ran.status, words in ran.err) == (5, True), ran.err
    assert not (cli.folder / "in.requests.jsonl").exists()


def test_a_file_that_is_not_there_is_named(cli: Cli) -> None:
    ran = convert(cli, *HAIKU)
    assert (ran.status, "in.jsonl: no such file" in ran.err) == (5, True)


def test_a_new_file_has_the_usual_mode(cli: Cli) -> None:
    cli.write("in.jsonl", [chat("a")])
    assert convert(cli, *HAIKU, "-o", "sub/out.jsonl").status == 1
    assert convert(cli, *HAIKU, "-o", "out.jsonl").status == 0
    plain = cli.folder / "plain"
    plain.touch()
    assert stat.S_IMODE((cli.folder / "out.jsonl").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
