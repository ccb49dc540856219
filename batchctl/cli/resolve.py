"""`resolve`: what is unconfirmed, and a person's decision about it."""

from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter


@with_global_options()
def resolve(
    options: GlobalOptions,
    job: o.JobWord = None,
    adopt: o.Adopt = "",
    resend: o.Resend = False,
    cancel_: o.CancelDuplicate = "",
    batch: o.BatchNumber = None,
    yes: o.YesToResend = False,
) -> None:
    """Review the batches whose creation is unconfirmed, and decide what to do about them.

    Examples:
        batchctl resolve
        batchctl resolve @last --resend
        batchctl resolve @last --adopt msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d --batch 2
    """
    from batchctl.cli.exit_status import DONE, OF_PROBLEM
    from batchctl.cli.run_verb import TerminalConfirm, run
    from batchctl.domain.errors import UnconfirmedProblem
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.resolve import Decision
    from batchctl.verbs.resolve import resolve as verb

    decision = Decision(adopt=adopt, resend=resend, cancel=cancel_, number=batch)

    def course(session: "Session", writer: "ReportWriter") -> int:
        left = verb(session, job, decision, TerminalConfirm(writer, yes))
        writer.write_unconfirmed(left.job.name, left.unconfirmed_batches, left.duplicates, left.suspects)
        return OF_PROBLEM[UnconfirmedProblem] if left.unconfirmed_batches or left.duplicates else DONE

    run(options, course, open_session)
