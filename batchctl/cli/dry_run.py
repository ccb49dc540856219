"""`submit --dry-run`: what would be sent, from the input alone."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, run_light, stdin
from batchctl.commands.equipment import LightEquipment
from batchctl.commands.submission import Submission, check, estimated
from batchctl.domain.errors import UsageProblem
from batchctl.files.splice import single_request_body
from batchctl.ledger.questions import Questions
from batchctl.render.screen import Screen


def dry_run(common: Common, wanted: Submission, *, show: int | None) -> NoReturn:
    def command(tools: LightEquipment, screen: Screen) -> int:
        planner, given = check(tools, wanted, stdin())
        if show is not None and show > given.scan.count:
            raise UsageProblem(f"--show {show:,}: the input has {given.scan.count:,} requests")
        try:
            with planner.rehearsed(given) as (plain, cuts):
                if show is None:
                    told = estimated(tools, wanted, given)
                    screen.dry_run(given.scan, [(cut.count, cut.body_bytes) for cut in cuts], told, wanted.path)
                    wanted.budget.rehearse(tools, told)
                else:
                    screen.payload(single_request_body(plain, cuts, show - 1))
        finally:
            planner.discard(given)
        return DONE

    # Nothing is asked of the ledger, so that a new one need not be made; one of a newer program is refused all the same.
    run_light(common, command, Questions)
