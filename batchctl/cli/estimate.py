"""`estimate`: what an input would cost. It is checked as `submit` does it; nothing is recorded and nothing is sent."""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import NoReturn

from batchctl.api.client import Transport
from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, opened_light, run_light, run_with, stdin
from batchctl.clock import Clock, StopSign
from batchctl.engine.server import Server
from batchctl.engine.session import AskingEquipment, LightEquipment
from batchctl.ledger.questions import Questions
from batchctl.render.screen import Screen
from batchctl.verbs.submission import Submission, check, estimated


def estimate(common: Common, wanted: Submission, *, sample: int, offline: bool) -> NoReturn:
    def command(tools: LightEquipment, screen: Screen) -> int:
        transport = tools.transport if isinstance(tools, AskingEquipment) else None
        planner, given = check(tools, wanted, stdin())
        try:
            found = estimated(tools, wanted, given, transport, sample=sample)
        finally:
            planner.discard(given)
        screen.estimated(found, wanted.path)
        return DONE

    if offline:
        # As a dry run: the ledger of a new folder need not be made.
        run_light(common, command, Questions)
    run_with(common, command, _opened)


@contextlib.contextmanager
def _opened(common: Common, clock: Clock, screen: Screen, stop: StopSign) -> Iterator[AskingEquipment]:
    # A URL that cannot be used is said before a large input is read.
    transport = Transport(
        common.base_url,
        is_stopped=stop.is_set,
        api_version=common.api_version,
        insecure_http=common.insecure_http,
    )
    with contextlib.closing(transport), opened_light(Questions, common, clock, screen, stop) as light:
        plain = {one.name: getattr(light, one.name) for one in fields(light)}
        yield AskingEquipment(**plain, transport=transport, server=Server(transport, clock))
