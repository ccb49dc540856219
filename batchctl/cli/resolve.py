"""`resolve`: what is in doubt, and a person's decision about it."""

from dataclasses import dataclass
from typing import NoReturn

from batchctl.cli.exit_status import DONE, OF_PROBLEM
from batchctl.cli.wiring import GlobalOptions, ask, run
from batchctl.domain.errors import UnconfirmedProblem, UsageProblem
from batchctl.engine.session import Session
from batchctl.render.writer import ReportWriter
from batchctl.verbs import resolve as resolving
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import speak_as
from batchctl.verbs.resolve import UnconfirmedBatches


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided: one of the three, or nothing yet. `number`: which batch of its round."""

    adopt: str = ""
    resend: bool = False
    cancel: str = ""
    number: int | None = None
    yes: bool = False


def resolve(global_options: GlobalOptions, word: str | None, decision: Decision) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        if bool(decision.adopt) + decision.resend + bool(decision.cancel) > 1:
            raise UsageProblem("--adopt, --resend and --cancel are three decisions: one at a time")
        job = speak_as(session, find_job(session.ledger, word))
        found = resolving.unconfirmed_batches_of(session, job)
        if decision.adopt or decision.resend or decision.cancel:
            _carry_out(session, writer, found, decision)
            found = resolving.unconfirmed_batches_of(session, job)
        writer.write_unconfirmed(found.job.name, found.unconfirmed_batches, found.surplus, found.suspects)
        return OF_PROBLEM[UnconfirmedProblem] if found.unconfirmed_batches or found.surplus else DONE

    run(global_options, command)


def _carry_out(session: Session, writer: ReportWriter, found: UnconfirmedBatches, decision: Decision) -> None:
    if decision.adopt:
        resolving.adopt(session, found, decision.adopt, decision.number)
    elif decision.resend:
        resolving.resend(session, found, decision.number, lambda question: _confirm(writer, question, decision))
    else:
        resolving.cancel_duplicate(session, found, decision.cancel)


def _confirm(writer: ReportWriter, question: str, decision: Decision) -> None:
    if not decision.yes:
        ask(writer, question, "--yes")
