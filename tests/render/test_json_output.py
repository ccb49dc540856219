"""JSON on a line, and errors as it has them."""

import io
import json

import pytest
from render.drawing import drawn, written

from batchctl.domain.errors import UsageProblem
from batchctl.render import error, json_output
from batchctl.render.text import is_harmless


@pytest.mark.parametrize("text", ["\x9b31m", "\x7f", "\u202egnp", "a\u2028b", "\U000e0041", "half \ud800", "日本 é 😀"])
def test_json_on_a_terminal_moves_nothing_and_says_the_same(text: str) -> None:
    stream = io.StringIO()
    json_output.write(stream, {"type": "error", "message": text})
    said = stream.getvalue().rstrip("\n")
    assert all(is_harmless(c) for c in said)
    assert json.loads(said)["message"] == text


def test_an_error_is_two_lines_or_an_object() -> None:
    assert drawn(error.draw(UsageProblem("no such job"))) == "error: no such job\n"
    assert drawn(error.draw(UsageProblem("no\x1b", hint="a\x1b"))) == "error: no\\x1b\n  try: a\\x1b\n"
    assert written(error.to_json(UsageProblem("no such job"), 2)) == {
        "schema_version": 1,
        "type": "error",
        "code": "usage",
        "message": "no such job",
        "hint": None,
        "exit_status": 2,
    }
