"""`resolve`: what is in doubt, and a person's decision about it."""

from dataclasses import dataclass
from typing import NoReturn

from batchctl.cli.exit_status import DONE, OF_PROBLEM
from batchctl.cli.wiring import Common, ask, run
from batchctl.domain.errors import DoubtProblem, UsageProblem
from batchctl.engine.session import Equipment
from batchctl.render.screen import Screen
from batchctl.verbs import resolve as resolving
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import speak_as
from batchctl.verbs.resolve import Doubts


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided: one of the three, or nothing yet. `number`: which batch of its round."""

    adopt: str = ""
    resend: bool = False
    cancel: str = ""
    number: int | None = None
    yes: bool = False


def resolve(common: Common, word: str | None, decision: Decision) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        if bool(decision.adopt) + decision.resend + bool(decision.cancel) > 1:
            raise UsageProblem("--adopt, --resend and --cancel are three decisions: one at a time")
        job = speak_as(tools, find_job(tools.ledger, word))
        found = resolving.doubts_of(tools, job)
        if decision.adopt or decision.resend or decision.cancel:
            _carry_out(tools, screen, found, decision)
            found = resolving.doubts_of(tools, job)
        screen.doubts(found.job.name, found.doubts, found.surplus, found.suspects)
        return OF_PROBLEM[DoubtProblem] if found.doubts or found.surplus else DONE

    run(common, command)


def _carry_out(tools: Equipment, screen: Screen, found: Doubts, decision: Decision) -> None:
    if decision.adopt:
        resolving.adopt(tools, found, decision.adopt, decision.number)
    elif decision.resend:
        resolving.resend(tools, found, decision.number, lambda question: _confirm(screen, question, decision))
    else:
        resolving.cancel_surplus(tools, found, decision.cancel)


def _confirm(screen: Screen, question: str, decision: Decision) -> None:
    if not decision.yes:
        ask(screen, question, "--yes")
