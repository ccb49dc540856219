"""A check-up as it is drawn, and as a program reads it."""

from render.drawing import drawn, written

from batchctl.domain.health import Checkup, fail, ok, warn
from batchctl.render import checkup

EVIL = "[red]\x1b[31m[/]\u202e [/nothing]"
CHECKUP = Checkup(
    findings=(
        ok("clock", "within 5 s of the server's"),
        warn("room", "60 MB free", "free some disk space"),
        fail("api", EVIL, EVIL),
    ),
    next_command="batchctl doctor",
)


def test_a_checkup_is_a_line_for_each_finding_and_what_to_try() -> None:
    lines = [line.rstrip() for line in drawn(checkup.draw(CHECKUP), 200).splitlines()]
    assert lines[:3] == [
        "ok    clock  within 5 s of the server's",
        "warn  room   60 MB free",
        "             try: free some disk space",
    ]
    assert lines[-1] == "1 ok, 1 warn, 1 fail"
    assert "".join(lines).isprintable()


def test_a_checkup_is_json_with_every_key() -> None:
    found = written(checkup.to_json(CHECKUP))
    assert list(found) == ["schema_version", "type", "ok", "warn", "fail", "findings", "next_command"]
    assert found["findings"][:2] == [
        {"subject": "clock", "health": "ok", "said": "within 5 s of the server's", "advice": None},
        {"subject": "room", "health": "warn", "said": "60 MB free", "advice": "free some disk space"},
    ]
    assert found["findings"][2]["said"] == EVIL
