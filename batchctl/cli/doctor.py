"""`doctor`: a course of its own. It opens nothing that must work before it can say what does not."""

import os
from pathlib import Path
from typing import NoReturn

import typer

from batchctl.cli import leave_quietly
from batchctl.cli.exit_status import DONE, INTERRUPTED, OF_PROBLEM
from batchctl.cli.wiring import repeated_options
from batchctl.clock import Clock
from batchctl.domain.errors import AccountProblem, DiskProblem
from batchctl.domain.health import Checkup, Health
from batchctl.render.writer import ReportWriter
from batchctl.verbs.doctor import Patient
from batchctl.verbs.doctor import doctor as look


def doctor(
    workspace: Path | None, base_url: str | None, *, insecure_http: bool, offline: bool, as_json: bool, quiet: bool
) -> NoReturn:
    clock = Clock()
    writer = ReportWriter(
        clock, as_json=as_json, quiet=quiet, options=repeated_options(workspace, base_url, insecure_http=insecure_http)
    )
    try:
        found = look(
            Patient(
                workspace=workspace,
                base_url=base_url,
                insecure_http=insecure_http,
                environment=os.environ,
                clock=clock,
                offline=offline,
            )
        )
        writer.write_checkup(found)
        status = _status(found)
    except KeyboardInterrupt:
        status = INTERRUPTED
        writer.note("stopped")
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        status = OF_PROBLEM[DiskProblem]
        writer.write_error(DiskProblem(f"stdout: {error.strerror or error}"), status)
    raise typer.Exit(status)


def _status(found: Checkup) -> int:
    """An account at fault speaks first: until it is mended, nothing else helps."""
    if found.is_account_at_fault:
        return OF_PROBLEM[AccountProblem]
    return OF_PROBLEM[DiskProblem] if found.count(Health.FAIL) else DONE
