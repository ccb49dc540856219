"""`attach`: batches that were made elsewhere become a job."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options
from batchctl.domain.limits import API_VERSION

if TYPE_CHECKING:
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter


@with_global_options()
def attach(
    options: GlobalOptions,
    batches: o.MessageBatches,
    input_: o.InputOfBatches = "",
    name: o.Name = "",
    label: o.Labels = None,
    beta: o.Betas = None,
    api_version: o.VersionOfBatches = None,
    parallel: o.Parallel = 4,
    timeout: o.Timeout = None,
) -> None:
    """Make a job of batches that another program created. With their input, `batchctl retry` works on it, too.

    Examples:
        batchctl attach msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d --name reviews
        batchctl attach msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d --input requests.jsonl
        batchctl attach - < ids.txt
    """
    from batchctl.cli.exit_status import DONE, SOME_FAILED
    from batchctl.cli.run_verb import run, stdin
    from batchctl.verbs.attach import Attachment
    from batchctl.verbs.attach import attach as verb
    from batchctl.verbs.open_session import open_session

    wanted = Attachment(
        words=tuple(batches),
        path=input_,
        name=name,
        api_version=api_version,
        betas=tuple(beta or ()),
        labels=o.labels_of(label or []),
    )

    def course(session: "Session", writer: "ReportWriter") -> int:
        report = verb(session, wanted, stdin())
        writer.write_submitted(report)
        # Not all of the input was sent, and nothing sends the rest by itself.
        return SOME_FAILED if report.in_no_batch else DONE

    options = replace(
        options, parallel=parallel, timeout=timeout, makes_workspace=True, api_version=api_version or API_VERSION
    )
    run(options, course, open_session)
