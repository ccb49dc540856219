"""`estimate`: what an input would cost. It is checked as `submit` does it; nothing is recorded and nothing is sent."""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import NoReturn

from batchctl.api.client import SdkMessageBatches
from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import GlobalOptions, opened_light, run_light, run_with, stdin
from batchctl.clock import Clock, StopSignal
from batchctl.engine.server import Server
from batchctl.engine.session import ApiSession, ReadSession
from batchctl.ledger.reading import SqlReadLedger
from batchctl.render.writer import ReportWriter
from batchctl.verbs.submission import Submission, check, estimated


def estimate(global_options: GlobalOptions, wanted: Submission, *, sample: int, offline: bool) -> NoReturn:
    def command(session: ReadSession, writer: ReportWriter) -> int:
        message_batches = session.message_batches if isinstance(session, ApiSession) else None
        planner, given = check(session, wanted, stdin())
        try:
            found = estimated(session, wanted, given, message_batches, sample=sample)
        finally:
            planner.discard(given)
        writer.write_estimate(found, wanted.path)
        return DONE

    if offline:
        # As a dry run: the ledger of a new folder need not be made.
        run_light(global_options, command, SqlReadLedger)
    run_with(global_options, command, _opened)


@contextlib.contextmanager
def _opened(
    global_options: GlobalOptions, clock: Clock, writer: ReportWriter, stop: StopSignal
) -> Iterator[ApiSession]:
    # A URL that cannot be used is said before a large input is read.
    message_batches = SdkMessageBatches(
        global_options.base_url,
        is_stopped=stop.is_set,
        api_version=global_options.api_version,
        insecure_http=global_options.insecure_http,
    )
    with contextlib.closing(message_batches), opened_light(SqlReadLedger, global_options, clock, writer, stop) as light:
        plain = {one.name: getattr(light, one.name) for one in fields(light)}
        yield ApiSession(**plain, message_batches=message_batches, server=Server(message_batches, clock))
