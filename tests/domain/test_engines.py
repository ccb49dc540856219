import pytest

from batchctl.domain.engines import MIN_REQUESTS, Engine, core_limit, engine_for

THREADS, PROCESSES = Engine.THREADS, Engine.PROCESSES


@pytest.mark.parametrize(
    ("requests", "wanted", "cores", "engine"),
    [
        (0, None, 8, THREADS),
        (MIN_REQUESTS - 1, None, 8, THREADS),
        (MIN_REQUESTS, None, 1, THREADS),
        (MIN_REQUESTS, None, 2, PROCESSES),
        (100 * MIN_REQUESTS, None, 64, PROCESSES),
        # Whatever a person names is taken.
        (1, PROCESSES, 1, PROCESSES),
        (MIN_REQUESTS, THREADS, 64, THREADS),
    ],
)
def test_processes_are_for_many_requests_and_cores(
    requests: int, wanted: Engine | None, cores: int, engine: Engine
) -> None:
    assert engine_for(requests, wanted, cores) is engine


def test_many_requests_are_a_hundred_thousand() -> None:
    assert MIN_REQUESTS == 200_000


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("400000 200000", 2),
        ("100000 0", None),
        ("100000", None),
        ("", None),
        ("-1 100000", None),
        ("something else entirely", None),
    ],
)
def test_a_quota_of_a_control_group_is_in_whole_cores(text: str, cores: int | None) -> None:
    assert core_limit(text) == cores
