from collections.abc import Iterator

import pytest
from nursery import Nursery, nursery
from stops import hurried


@pytest.fixture(autouse=True)
def _hurried(clean_environment: None) -> Iterator[None]:
    with hurried():
        yield


@pytest.fixture(scope="module")
def cradle() -> Iterator[Nursery]:
    """Where processes come from that can be killed for real."""
    with nursery() as found:
        if found.unable:
            pytest.skip(found.unable)
        yield found
