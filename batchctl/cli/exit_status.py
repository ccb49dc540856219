"""The exit statuses. A test compares them with the table in docs/reference/exit-statuses.md."""

from batchctl.domain.errors import (
    AccountProblem,
    BatchctlError,
    CertificateProblem,
    DiskProblem,
    InputProblem,
    LedgerProblem,
    Refused,
    ServiceProblem,
    TimedOut,
    UnconfirmedProblem,
    UsageProblem,
)
from batchctl.domain.job_report import JobReport, Stage
from batchctl.domain.model import State

DONE = 0
SOME_FAILED = 3
NOT_FINISHED = 8
INTERRUPTED = 130

MEANINGS = {
    0: "done, and every request succeeded",
    1: "the service, the disk or the ledger failed; or a bug, with its traceback",
    2: "usage: an unknown job or option, or a value out of range",
    3: "finished, but some requests failed or stopped with pause_turn; or `verify` found a fault",
    4: "key, permission, billing, credit; a certificate",
    5: "the input has faults; nothing was sent",
    6: "refused: a limit, a duplicate, or a missing confirmation",
    7: "unconfirmed: a batch may or may not exist, and a person must decide",
    8: "not finished yet",
    130: "interrupted: nothing was canceled; the same command, or the one that is shown, continues",
    141: "the reader of stdout closed the pipe",
}

OF_PROBLEM: dict[type[BatchctlError], int] = {
    UsageProblem: 2,
    InputProblem: 5,
    Refused: 6,
    AccountProblem: 4,
    CertificateProblem: 4,
    UnconfirmedProblem: 7,
    TimedOut: 8,
    ServiceProblem: 1,
    DiskProblem: 1,
    LedgerProblem: 1,
}

OF_STAGE = {
    Stage.DONE: 0,
    Stage.INCOMPLETE: 3,
    Stage.CANCELED: 3,
    Stage.PAUSED: 4,
    Stage.UNCONFIRMED: 7,
    Stage.LOST: 7,
    Stage.SENDING: 8,
    Stage.RUNNING: 8,
    Stage.TO_FETCH: 8,
}


def status_of_sending(report: JobReport) -> int:
    """Return the exit status of a verb that sends: it is done once all is sent. What the API refused is not sent."""
    states = {b.state for b in report.batches if b.round == report.job.rounds[-1].number}
    if states & {State.PLANNED, State.SUBMITTING} or report.job.awaits_first_batch:
        return NOT_FINISHED
    is_withheld = bool(report.job.withheld and report.in_no_batch)
    return SOME_FAILED if State.REFUSED in states or is_withheld else DONE
