"""The life of a batch: which state may follow which.

        a              b                c           d
planned ─▶ submitting ───▶ in_progress ───▶ ended ───▶ fetched
    ▲          │  │           (canceling may stand between)
    └──── e ───┘  └──▶ refused
"""

from batchctl.domain.model import ProcessingStatus, State

MAY_FOLLOW: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.SUBMITTING}),
    State.SUBMITTING: frozenset(
        {State.PLANNED, State.IN_PROGRESS, State.CANCELING, State.ENDED, State.REFUSED},
    ),
    State.IN_PROGRESS: frozenset({State.CANCELING, State.ENDED, State.SUBMITTING}),
    State.CANCELING: frozenset({State.ENDED, State.SUBMITTING}),
    # Back to submitting: the ids in the results say that an adopted batch was somebody else's.
    State.ENDED: frozenset({State.FETCHED, State.SUBMITTING}),
    # Back to ended: its files are gone from the disk, and the API may still have them.
    State.FETCHED: frozenset({State.ENDED}),
    State.REFUSED: frozenset(),
    # What is sent of it is sent by a later round: this row stays as the place of its lines.
    State.IN_NO_BATCH: frozenset(),
}

STATE_OF_STATUS = {
    ProcessingStatus.IN_PROGRESS: State.IN_PROGRESS,
    ProcessingStatus.CANCELING: State.CANCELING,
    ProcessingStatus.ENDED: State.ENDED,
}

# Not sent, or not known to be: a doubt may be settled either way.
OPEN_STATES = frozenset({State.PLANNED, State.SUBMITTING})


def may_follow(before: State, after: State) -> bool:
    return after in MAY_FOLLOW[before]
