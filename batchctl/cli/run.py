"""`run`: a job from wherever it stands to its end."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from batchctl.cli import submit as submitting
from batchctl.cli.fetch import shown
from batchctl.cli.outputs import Named, held_output
from batchctl.cli.wiring import Common, continued_by
from batchctl.cli.wiring import run as run_command
from batchctl.domain.errors import Stopped
from batchctl.domain.model import Job
from batchctl.engine.reports import report_of
from batchctl.engine.session import Equipment
from batchctl.render.screen import Screen
from batchctl.requests.inputs import STDIN
from batchctl.verbs import run as running
from batchctl.verbs.finding import find_job
from batchctl.verbs.submission import Submission
from batchctl.verbs.submit import tell_what_is_left


def run(common: Common, wanted: Submission, *, files: Named, max_rounds: int) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        job, is_new = _job(tools, screen, wanted)
        again = f"batchctl run {job.name}"
        # The same words with --again would send, and pay for, the input once more.
        with continued_by(again if wanted.again else ""):
            job = submitting.resumed(tools, screen, job, wanted, is_new=is_new)
            if not is_new:
                tell_what_is_left(tools, job)
            output = held_output(tools, job, files)
            screen.watch(report_of(tools, job), output.results, has_looked=False)
            try:
                fetched = running.run(tools, job, output, max_rounds=max_rounds, yes=wanted.budget.yes)
            except Stopped:
                if not wanted.again:
                    screen.come_back(again)
                raise
        return shown(fetched, screen)

    run_command(common, command)


def _job(tools: Equipment, screen: Screen, wanted: Submission) -> tuple[Job, bool]:
    """The job that a path or a word means, and whether it is new."""
    if wanted.path != STDIN and not Path(wanted.path).exists() and tools.ledger.jobs():
        return find_job(tools.ledger, wanted.path, may_be_file=True), False
    return submitting.job_to_send(tools, screen, replace(wanted, goes_on=True))
