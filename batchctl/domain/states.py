"""The life of a batch: which state may follow which.

::

            a              b                c           d
    planned ─▶ submitting ───▶ in_progress ───▶ ended ───▶ fetched
        ▲          │  │           (canceling may stand between)
        └──── e ───┘  └──▶ refused

a: the intent to create is committed. b: the API named the batch. c: the API says that it has ended. d: its results are
whole on disk. e: the API provably does not have it, so that it is sent again. `domain.model.State` says what each state
means; the ledger moves no batch along an arrow that is not here.
"""

from batchctl.domain.model import ProcessingStatus, State

MAY_FOLLOW: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.SUBMITTING}),
    State.SUBMITTING: frozenset(
        {State.PLANNED, State.IN_PROGRESS, State.CANCELING, State.ENDED, State.REFUSED},
    ),
    # Back to submitting: a batch that was found in the API's list turned out to be another job's.
    State.IN_PROGRESS: frozenset({State.CANCELING, State.ENDED, State.SUBMITTING}),
    State.CANCELING: frozenset({State.ENDED, State.SUBMITTING}),
    State.ENDED: frozenset({State.FETCHED, State.SUBMITTING}),
    # Back to ended: its files are no longer on disk as they were verified, and the API may still have them.
    State.FETCHED: frozenset({State.ENDED}),
    State.REFUSED: frozenset(),
    # A later round sends its lines; this row stays as their place in round 1.
    State.IN_NO_BATCH: frozenset(),
}

STATE_OF_STATUS = {
    ProcessingStatus.IN_PROGRESS: State.IN_PROGRESS,
    ProcessingStatus.CANCELING: State.CANCELING,
    ProcessingStatus.ENDED: State.ENDED,
}

# Batches that are not known to be at the API: not sent, or sent with an outcome that is unconfirmed.
OPEN_STATES = frozenset({State.PLANNED, State.SUBMITTING})


def may_follow(before: State, after: State) -> bool:
    """Return whether a batch may go from one state directly to another."""
    return after in MAY_FOLLOW[before]
