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


def test_what_is_wrong_has_a_line_each_and_what_is_well_one_for_all() -> None:
    lines = [line.rstrip() for line in drawn(checkup.draw(CHECKUP), 200).splitlines()]
    assert lines[:2] == ["warn  room  60 MB free", "            try: free some disk space"]
    assert lines[-1] == "ok    clock (--verbose: in detail)"
    assert "".join(lines).isprintable()


def test_where_nothing_is_wrong_there_is_one_line() -> None:
    well = Checkup(findings=(ok("clock", "right"), ok("room", "5 GB")), next_command="")
    assert drawn(checkup.draw(well)).rstrip() == "ok  clock, room (--verbose: in detail)"


def test_all_of_it_is_a_line_for_each_finding() -> None:
    lines = [line.rstrip() for line in drawn(checkup.draw(CHECKUP, all_of_it=True), 200).splitlines()]
    assert lines[:3] == [
        "ok    clock  within 5 s of the server's",
        "warn  room   60 MB free",
        "             try: free some disk space",
    ]


def test_a_checkup_is_json_with_every_key() -> None:
    found = written(checkup.to_json(CHECKUP))
    assert list(found) == ["schema_version", "type", "ok", "warn", "fail", "findings", "next_command"]
    assert found["findings"][:2] == [
        {"subject": "clock", "health": "ok", "said": "within 5 s of the server's", "advice": None},
        {"subject": "room", "health": "warn", "said": "60 MB free", "advice": "free some disk space"},
    ]
    assert found["findings"][2]["said"] == EVIL
