from collections.abc import Iterator

import pytest
from fork_server import ForkServer, started
from stops import hurried


@pytest.fixture(autouse=True)
def _hurried(clean_environment: None) -> Iterator[None]:
    with hurried():
        yield


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    """Where processes come from that can be killed for real."""
    with started() as found:
        if found.unable:
            pytest.skip(found.unable)
        yield found
