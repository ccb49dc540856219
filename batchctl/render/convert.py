"""What became of a batch file of another vendor. `convert` alone."""

from pathlib import Path
from typing import Any

from batchctl.domain.check_report import Conversion, ProblemKind
from batchctl.domain.wording import plural
from batchctl.render.dry_run import problem_to_json


def line(conversion: Conversion, output: str) -> str:
    """Return where the requests are."""
    return f"{plural(conversion.requests, 'request')} in {output}"


def to_json(conversion: Conversion, path: str, output: str, problems: Path, next_command: str) -> dict[str, Any]:
    """Return what was converted; the list of problems is null where there are none."""
    return {
        "type": "convert",
        "input": path,
        "output": output,
        "requests": conversion.requests,
        "lines": conversion.lines,
        "blank_lines": conversion.blank,
        "left_out": conversion.left_out,
        "errors": conversion.errors,
        "warnings": conversion.warnings,
        "by_code": conversion.by_code,
        "problem_kinds": [_kind_to_json(kind) for kind in conversion.problem_kinds],
        "problems_file": str(problems) if conversion.by_code else None,
        "next_command": next_command or None,
    }


def _kind_to_json(kind: ProblemKind) -> dict[str, Any]:
    return {**problem_to_json(kind.first), "lines": kind.lines}
