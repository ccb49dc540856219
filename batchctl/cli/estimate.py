"""`estimate`: what an input would cost."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options
from batchctl.domain.limits import API_VERSION, CEILING_MAX_BYTES, DEFAULT_MAX_REQUESTS, DEFAULT_SAMPLE

if TYPE_CHECKING:
    from batchctl.engine.session import ReadSession
    from batchctl.render.writer import ReportWriter


@with_global_options()
def estimate(
    options: GlobalOptions,
    input_: o.InputToEstimate,
    sample: o.Sample = DEFAULT_SAMPLE,
    offline: o.CountNothing = False,
    check: o.Check = "auto",
    skip_bad: o.SkipBad = False,
    strict: o.Strict = False,
    beta: o.Betas = None,
    api_version: o.ApiVersion = API_VERSION,
    timeout: o.Timeout = None,
    prices_file: o.Prices = None,
) -> None:
    """Check an input and estimate its cost: in a batch and in real time, with and without a cache. Nothing is sent.

    Examples:
        batchctl estimate requests.jsonl
        batchctl estimate requests.jsonl --offline --json
    """
    from batchctl.cli.exit_status import DONE
    from batchctl.cli.run_verb import run, stdin
    from batchctl.verbs.check_input import Submission
    from batchctl.verbs.estimate import estimate as verb
    from batchctl.verbs.open_read_session import open_read_session

    settings = o.settings_of(
        api_version, beta, DEFAULT_MAX_REQUESTS, CEILING_MAX_BYTES, None, "", equal_sizes=True, check=check
    )
    wanted = Submission(path=input_, settings=settings, skip_bad=skip_bad, strict=strict)

    def course(session: "ReadSession", writer: "ReportWriter") -> int:
        writer.write_estimate(verb(session, wanted, stdin(), sample=sample), wanted.path)
        return DONE

    options = replace(options, timeout=timeout, makes_workspace=True, prices=prices_file, api_version=api_version)
    if offline:
        # As a dry run: the ledger of a new folder need not be made.
        run(options, course, partial(open_read_session, needs_ledger=False))
    from batchctl.verbs.open_session import open_api_session

    run(options, course, open_api_session)
