"""`estimate INPUT`: what an input would cost. It is checked as `submit` does it; nothing is recorded and nothing is sent."""

from typing import BinaryIO

from batchctl.engine.session import ApiSession, ReadSession
from batchctl.money.estimate import Estimate
from batchctl.verbs.check_input import Submission, check, estimated


def estimate(session: ReadSession, wanted: Submission, stdin: BinaryIO | None, *, sample: int) -> Estimate:
    """Return what sending the input may cost.

    The API counts the tokens of `sample` requests where the session reaches it; else the estimate is made of bytes alone.
    Raises UsageProblem for a wrong option or price file, and InputProblem for an input that cannot be sent.
    """
    message_batches = session.message_batches if isinstance(session, ApiSession) else None
    planner, given = check(session, wanted, stdin)
    try:
        return estimated(session, wanted, given, message_batches, sample=sample)
    finally:
        planner.discard(given)
