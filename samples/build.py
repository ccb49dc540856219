"""Builds the samples beside it from their sources in raw/: `python samples/build.py [FOLDER]`.

The sources are data of others, unchanged; samples/README.md names them. A test holds what is committed against what this
writes.
"""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RAW = HERE / "raw"

CLASSIFIER = "claude-haiku-5-5"
SOLVER = "claude-sonnet-5-5"

SORTING = """\
You sort messages from the customers of a bank. Answer with the one label that fits the message best, and nothing else.

How to choose:
- Sort by what the customer wants to happen or to know, not by the words that happen to be used.
- Where a message names two matters, take the one that it asks about; what is only told leads up to it.
- A thing that is late but under way is pending; a thing that was tried and came back has failed, or was declined or reverted.
- A charge is money taken for a service; a wrong amount is money that should have been another sum.
- A card that was never there is about its arrival or delivery; one that was there and is gone is lost or stolen.
- Cash withdrawals, card payments, transfers and top-ups have labels of their own: first see which of them it is.
- Write the label exactly as it stands below, in lower case with its underscores, without quotes and without a full stop."""

Request = dict[str, Any]


# ---------------------------------------------------------------- classification


def banking77() -> Iterator[bytes]:
    """One request for each message; all of them share one system prompt, long enough to be cached."""
    labels = json.loads((RAW / "banking77_categories.json").read_text("utf-8"))
    system = f"{SORTING}\n\nThe labels:\n" + "\n".join(labels)
    with (RAW / "banking77_train_first500.csv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            params = {
                "model": CLASSIFIER,
                "max_tokens": 32,
                "system": system,
                "messages": [{"role": "user", "content": row["text"]}],
            }
            yield _line({"custom_id": f"b77-{number:05d}", "params": params})


# ---------------------------------------------------------------- problems to solve


def gsm8k() -> Iterator[bytes]:
    for number in range(1, len(_problems()) + 1):
        yield _line(_problem(number))


def _problem(number: int) -> Request:
    question = _problems()[number - 1]["question"]
    asked = f"{question}\n\nThink step by step, then end with a line of its own: #### and the number alone."
    params = {"model": SOLVER, "max_tokens": 1024, "messages": [{"role": "user", "content": asked}]}
    return {"custom_id": f"gsm8k-{number:03d}", "params": params}


def _problems() -> list[dict[str, str]]:
    lines = (RAW / "gsm8k_test_first200.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


# ---------------------------------------------------------------- faults, planted


@dataclass(frozen=True)
class Planted:
    """A line and the codes of the problems that it must be found to have."""

    line: bytes
    codes: tuple[str, ...] = ()


def planted_faults() -> tuple[Planted, ...]:
    """One request on each line, by number; what is wrong with it is what people do."""
    return (
        Planted(_line(_problem(1))),
        Planted(_line(_problem(2) | {"custom_id": "gsm8k 002"}), ("custom_id_pattern",)),
        Planted(_line(_problem(3))),
        Planted(_line(_problem(4) | {"custom_id": "gsm8k-003"}), ("custom_id_repeated",)),
        Planted(_line(_problem(5) | {"custom_id": 5}), ("custom_id_not_text",)),
        Planted(_changed(6, stream=True), ("stream_not_supported",)),
        Planted(_said(7, {"role": "usr", "content": "How many are left?"}), ("not_a_choice",)),
        Planted(_changed(8, max_tokens="1024"), ("max_tokens_not_an_integer",)),
        Planted(_renamed(9, max_tokens="max_token"), ("param_missing", "unknown_key")),
        Planted(_line({"custom_id": "gsm8k-010"}), ("params_missing",)),
        Planted(_line(_problem(11) | {"model": SOLVER}), ("unknown_envelope_key",)),
        Planted(_changed(12, temperature=0), ("sampling_not_supported",)),
        Planted(_changed(13, top_p=float("nan")), ("not_a_number",)),
        Planted(_changed(14, extra_body={"effort": "low"}), ("client_param",)),
        Planted(_changed(15, metdata={"user_id": "pupil-15"}), ("unknown_key",)),
        Planted(_changed(16, model="claude-sonet-5-5"), ("model_name_odd",)),
        Planted(b"\n"),
        Planted(_joined(17, 18), ("two_on_one_line",)),
        Planted(_in_windows_1252(19), ("not_utf8",)),
        Planted(_line(_problem(20))[:120] + b"\n", ("cut_short",)),
        Planted(_said(21, {"role": "user", "content": [_openai_image()]}), ("openai_type",)),
        Planted(_said(22, {"role": "user", "content": [{"type": "text"}]}), ("key_missing",)),
        Planted(_line(_problem(23))),
    )


def _changed(number: int, **params: Any) -> bytes:
    request = _problem(number)
    return _line(request | {"params": request["params"] | params})


def _said(number: int, message: Request) -> bytes:
    return _changed(number, messages=[message])


def _renamed(number: int, **names: str) -> bytes:
    request = _problem(number)
    params = {names.get(name, name): value for name, value in request["params"].items()}
    return _line(request | {"params": params})


def _joined(first: int, second: int) -> bytes:
    return _line(_problem(first)).rstrip(b"\n") + b" " + _line(_problem(second))


def _in_windows_1252(number: int) -> bytes:
    """With the apostrophe that an old editor writes: one byte that UTF-8 does not know."""
    return _line(_problem(number)).replace(b"#### and the number alone", b"#### and the problem\x92s number alone")


def _openai_image() -> Request:
    return {"type": "image_url", "image_url": {"url": "https://example.com/abacus.png"}}


# ---------------------------------------------------------------- a batch file of another vendor

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
_CALCULATOR: Request = {
    "name": "calculate",
    "description": "Calculates an expression",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}
_ANSWER: Request = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def openai_batch() -> Iterator[bytes]:
    """A line for each thing that `batchctl convert` converts, then two with keys that have no counterpart."""
    call = {"name": "calculate", "arguments": '{"expression": "16 - 3 - 4"}'}
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}}
    answer = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": _ANSWER}}
    yield _chat(1, [_asked(1)], temperature=0, n=1, stream=False, user="pupil-1")
    yield _chat(2, [{"role": "system", "content": "Answer with the number alone."}, _asked(2)], stop=["END"])
    yield _chat(3, [{"role": "user", "content": [{"type": "text", "text": "Which color is this?"}, picture]}])
    yield _chat(4, [_asked(4)], tools=[{"type": "function", "function": _CALCULATOR}], parallel_tool_calls=False)
    yield _chat(
        5,
        [
            _asked(1),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "9"},
        ],
        tools=[{"type": "function", "function": _CALCULATOR}],
    )
    yield _chat(6, [_asked(6)], response_format=answer, reasoning_effort="low", store=True)
    yield _openai(7, "/v1/responses", model="gpt-5", input=_asked(7)["content"], max_output_tokens=256)
    yield _chat(8, [_asked(8)], seed=8)
    yield _chat(9, [_asked(9)], temperature=1.3)


def _asked(number: int) -> Request:
    return {"role": "user", "content": _problems()[number - 1]["question"]}


def _chat(number: int, messages: list[Request], **body: Any) -> bytes:
    return _openai(
        number, "/v1/chat/completions", model="gpt-4o-mini", messages=messages, max_completion_tokens=256, **body
    )


def _openai(number: int, url: str, **body: Any) -> bytes:
    return _line({"custom_id": f"gsm8k-{number:03d}", "method": "POST", "url": url, "body": body})


# ---------------------------------------------------------------- writing


def _line(request: Request) -> bytes:
    return json.dumps(request, ensure_ascii=False).encode() + b"\n"


def write(folder: Path) -> None:
    (folder / "banking77.jsonl").write_bytes(b"".join(banking77()))
    (folder / "gsm8k.jsonl").write_bytes(b"".join(gsm8k()))
    (folder / "openai-batch.jsonl").write_bytes(b"".join(openai_batch()))
    (folder / "planted-faults.jsonl").write_bytes(b"".join(planted.line for planted in planted_faults()))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
