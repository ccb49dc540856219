"""`doctor`: opens nothing that must work before it can say what does not, so that its course is its own."""

from typing import Annotated

import typer

from batchctl.cli.global_options import GlobalOptions, with_global_options


@with_global_options()
def doctor(
    options: GlobalOptions, offline: Annotated[bool, typer.Option("--offline", help="Do not ask the API")] = False
) -> None:
    """Check your setup: versions, key, API, workspace and ledger. The report shows no secret, so that it can be shared.

    Examples:
        batchctl doctor
        batchctl doctor --offline
        batchctl doctor --json
    """
    import os

    from batchctl.cli import leave_quietly
    from batchctl.cli.exit_status import DONE, INTERRUPTED, OF_PROBLEM
    from batchctl.cli.run_verb import repeated_options
    from batchctl.clock import Clock
    from batchctl.domain.errors import AccountProblem, DiskProblem
    from batchctl.domain.health import Health
    from batchctl.render.writer import ReportWriter
    from batchctl.verbs.doctor import Examined
    from batchctl.verbs.doctor import doctor as verb

    clock = Clock()
    named = repeated_options(options.workspace, options.base_url, insecure_http=options.insecure_http)
    writer = ReportWriter(clock, as_json=options.as_json, quiet=options.quiet, verbose=options.verbose, options=named)
    examined = Examined(
        workspace=options.workspace,
        base_url=options.base_url,
        insecure_http=options.insecure_http,
        environment=os.environ,
        clock=clock,
        offline=offline,
    )
    try:
        checkup = verb(examined)
        writer.write_checkup(checkup)
        status = OF_PROBLEM[DiskProblem] if checkup.count(Health.FAIL) else DONE
        if checkup.is_account_at_fault:
            # It goes first: until it is fixed, nothing else helps.
            status = OF_PROBLEM[AccountProblem]
    except KeyboardInterrupt:
        status = INTERRUPTED
        writer.note("stopped")
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        status = OF_PROBLEM[DiskProblem]
        writer.write_error(DiskProblem(f"stdout: {error.strerror or error}"), status)
    raise typer.Exit(status)
