"""The diagram in the module's docstring and the table beside it say the same."""

import pytest

from batchctl.domain.model import ProcessingStatus, State
from batchctl.domain.states import MAY_FOLLOW, STATE_OF_STATUS, may_follow

S = State
# a b c d e, refused, and what may stand between; then three: an adopted batch was somebody else's; the last: its files
# are gone from the disk
ARROWS = {
    (S.PLANNED, S.SUBMITTING),
    (S.SUBMITTING, S.PLANNED),
    (S.SUBMITTING, S.REFUSED),
    (S.SUBMITTING, S.IN_PROGRESS),
    (S.SUBMITTING, S.CANCELING),
    (S.SUBMITTING, S.ENDED),
    (S.IN_PROGRESS, S.CANCELING),
    (S.IN_PROGRESS, S.ENDED),
    (S.CANCELING, S.ENDED),
    (S.ENDED, S.FETCHED),
    (S.IN_PROGRESS, S.SUBMITTING),
    (S.CANCELING, S.SUBMITTING),
    (S.ENDED, S.SUBMITTING),
    (S.FETCHED, S.ENDED),
}


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_only_the_arrows_of_the_diagram_may_be_taken(before: State, after: State) -> None:
    assert may_follow(before, after) is ((before, after) in ARROWS)


def test_every_state_is_in_the_table_and_the_last_ones_lead_to_nothing_that_costs() -> None:
    assert set(MAY_FOLLOW) == set(State)
    assert MAY_FOLLOW[S.FETCHED] == {S.ENDED}, "what was downloaded may be downloaded again, and nothing else"
    assert not MAY_FOLLOW[S.REFUSED]


def test_what_was_paid_for_is_never_planned_again() -> None:
    """From a batch that the API named, only a doubt about the name itself leads back."""
    for state in (S.IN_PROGRESS, S.CANCELING, S.ENDED, S.FETCHED):
        assert not may_follow(state, S.PLANNED)


def test_every_processing_status_is_a_state() -> None:
    assert {status: state.value for status, state in STATE_OF_STATUS.items()} == {s: s.value for s in ProcessingStatus}
