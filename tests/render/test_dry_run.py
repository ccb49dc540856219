"""What would be sent, as lines and as a program reads it."""

from datetime import date

from builders import a_cut
from render.drawing import written

from batchctl.domain.check_report import Problem, Scan
from batchctl.domain.faults import Fault
from batchctl.money.estimate import estimated
from batchctl.render import dry_run


def test_a_batch_is_a_line_with_its_place() -> None:
    said = dry_run.lines([(2, 3, 1, 1_234), (3, 3, 1_000, 5)])
    assert said == "batch 2 of 3: 1 request, 1,234 bytes\nbatch 3 of 3: 1,000 requests, 5 bytes\n"


def test_a_check_is_json_with_what_it_found() -> None:
    scan = Scan(
        cuts=(a_cut(),),
        count=10,
        lines=11,
        blank=0,
        left_out=1,
        size=1000,
        sha256="0",
        deep_checked=10,
        is_clean=False,
        has_bom=False,
        errors=1,
        warnings=0,
        by_code={"not_json": 1},
        first_problems=(Problem(3, "", Fault("not_json", "no")),),
    )
    price = estimated((), {}, (), day=date(2026, 11, 21), why="")
    found = written(dry_run.to_json(scan, price))
    assert (found["estimate"]["batch_usd"], found["estimate"]["requests"]) == (None, 0)
    assert found["first_problems"][0] == {
        "line": 3,
        "custom_id": None,
        "severity": "error",
        "code": "not_json",
        "path": None,
        "message": "no",
    }
