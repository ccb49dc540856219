"""What a retry sends again, as it is drawn and as a program reads it."""

from pathlib import Path

from render.drawing import drawn, written

from batchctl.engine.retry_choice import Chosen
from batchctl.render import retry


def test_a_retry_shows_what_goes_again_and_why_the_rest_stays() -> None:
    found = Chosen(
        sent={("overloaded_error", "retry"): 1_234},
        left={("invalid_request_error", "fix", "the request is wrong"): 5},
        requests=1_234,
        bytes=9,
    )
    assert [line.split() for line in drawn(retry.draw(found)).splitlines()] == [
        ["again", "overloaded_error", "retry", "1,234"],
        ["left", "invalid_request_error", "fix", "5", "the", "request", "is", "wrong"],
    ]


def test_a_retry_that_sends_nothing_is_json() -> None:
    chosen = Chosen(sent={("api_error", "retry"): 3}, left={("x", "fix", "why"): 2}, requests=3, bytes=300)
    found = written(retry.to_json("j", 2, chosen, Path("r.jsonl")))
    assert found["sent"] == [{"type": "api_error", "class": "retry", "requests": 3}]
    assert found["left"] == [{"type": "x", "class": "fix", "why": "why", "requests": 2}]
