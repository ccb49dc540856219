"""What `--set` does to the params of a request."""

from typing import Any

import pytest

from batchctl.domain.errors import InputProblem, UsageProblem
from batchctl.requests.param_changes import NOTHING, NoPlace, ParamChange, changed, param_change_of, shown, with_changes

PARAMS: dict[str, Any] = {
    "model": "m",
    "max_tokens": 64,
    "system": [{"type": "text", "text": "s"}],
    "messages": [{"role": "user", "content": "q"}],
}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("max_tokens=4096", ("max_tokens",), 4096),
        (" max_tokens = 4096 ", ("max_tokens",), 4096),
        ("params.max_tokens=1", ("max_tokens",), 1),
        ("model=claude-haiku-4-5", ("model",), "claude-haiku-4-5"),
        ("thinking.budget_tokens=2000", ("thinking", "budget_tokens"), 2000),
        ('stop_sequences=["a=b"]', ("stop_sequences",), ["a=b"]),
        ("system=a=b", ("system",), "a=b"),
        ("temperature=0.2", ("temperature",), 0.2),
        ("temperature=", ("temperature",), NOTHING),
        ('metadata.user_id="7"', ("metadata", "user_id"), "7"),
        ("thinking=null", ("thinking",), None),
        ("temperature=NaN", ("temperature",), "NaN"),
        ("messages.0.content=x", ("messages", "0", "content"), "x"),
        ("seed=123456789012345678901234567890", ("seed",), 123456789012345678901234567890),
        (f"x={'[' * 100_000}", ("x",), "[" * 100_000),
    ],
)
def test_what_a_person_types_is_a_change(text: str, path: tuple[str, ...], value: Any) -> None:
    assert param_change_of(text) == ParamChange(path, value)


@pytest.mark.parametrize("text", ["", "max_tokens", "=1", "a..b=1", ".=1", "params.=1"])
def test_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="PATH=VALUE"):
        param_change_of(text)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["max_tokens=128"], {**PARAMS, "max_tokens": 128}),
        (["max_tokens=128", "max_tokens=256"], {**PARAMS, "max_tokens": 256}),
        (["top_k=5"], {**PARAMS, "top_k": 5}),
        (["thinking.type=enabled", "thinking.budget_tokens=9"], {**PARAMS, "thinking": {"type": "enabled", "budget_tokens": 9}}),
        (["system.0.text=t"], {**PARAMS, "system": [{"type": "text", "text": "t"}]}),
        (["system="], {k: v for k, v in PARAMS.items() if k != "system"}),
        (["system.0="], {**PARAMS, "system": []}),
        (["absent=", "absent.inner="], PARAMS),
    ],
)  # fmt: skip
def test_changes_are_made_one_after_the_other(texts: list[str], expected: dict[str, Any]) -> None:
    before = repr(PARAMS)
    assert changed(PARAMS, [param_change_of(text) for text in texts]) == expected
    assert repr(PARAMS) == before


@pytest.mark.parametrize(
    "text", ["max_tokens.x=1", "system.1.text=t", "system.x=1", "messages.0.content.type=1", "system.-1=1"]
)
def test_a_place_that_is_not_there_is_named(text: str) -> None:
    with pytest.raises(NoPlace) as raised:
        changed(PARAMS, [param_change_of(text)])
    assert str(raised.value) == text.partition("=")[0]


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        (b'{"custom_id": "a", "params": {"max_tokens": 1}}', "max_tokens=2", b'{"custom_id":"a","params":{"max_tokens":2}}'),
        (b'{"params":{"n":123456789012345678901},"custom_id":"a"}', "m=1", b'{"params":{"n":123456789012345678901,"m":1},"custom_id":"a"}'),
        ('{"custom_id":"a","params":{"t":"é"}}'.encode(), "m=1", '{"custom_id":"a","params":{"t":"é","m":1}}'.encode()),
        (b'{"custom_id":"a","params":{"t":"\\ud800"}}', "m=1", b'{"custom_id":"a","params":{"t":"\\ud800","m":1}}'),
    ],
)  # fmt: skip
def test_a_line_keeps_all_but_what_is_set(line: bytes, text: str, expected: bytes) -> None:
    assert with_changes(line, [param_change_of(text)]) == expected
    assert with_changes(line, []) is line


def test_a_line_without_a_place_for_it_is_named() -> None:
    with pytest.raises(InputProblem, match=r"custom_id 'a': its params have no place for model\.x"):
        with_changes(b'{"custom_id":"a","params":{"model":"m"}}', [param_change_of("model.x=1")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_tokens=4096", "max_tokens=4096"),
        ("temperature=0.5", "temperature=0.5"),
        ("temperature=", "temperature="),
        ("thinking=null", "thinking=null"),
        ("thinking.display=true", "thinking.display=true"),
        ("model=claude-haiku-4-5", 'model="claude-haiku-4-5"'),
        ("metadata.user_id=sk-ant-api03-secret", "metadata.user_id=(19 characters)"),
        ('mcp_servers=[{"token": "s3cret"}]', "mcp_servers=(21 characters)"),
    ],
)
def test_no_text_is_shown_but_a_models_name(text: str, said: str) -> None:
    assert shown([param_change_of(text)]) == [said]


def test_a_line_that_says_so_already_is_the_same() -> None:
    line = b'{"custom_id": "a",  "params": {"max_tokens": 16}}'
    assert with_changes(line, [param_change_of("max_tokens=16")]) is line
