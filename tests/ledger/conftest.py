import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import a_cut, a_job, a_round

from batchctl.domain.model import Batch, Job
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import Owner

COUNTS = (10, 10, 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger as it is made, once: its tables take longer to make than most tests take."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    SqlLedger(path).close()
    return path


@pytest.fixture
def ledger(path: Path, empty: Path) -> Iterator[SqlLedger]:
    shutil.copy(empty, path)
    made = SqlLedger(path)
    yield made
    made.close()


@pytest.fixture
def job(ledger: SqlLedger) -> Job:
    """A job of three planned batches: 10, 10 and 7 requests."""
    cuts = [a_cut(count, sum(COUNTS[:n])) for n, count in enumerate(COUNTS)]
    return ledger.record_job(a_job(rounds=[a_round(count=sum(COUNTS))]), cuts)


@pytest.fixture
def batches(ledger: SqlLedger, job: Job) -> tuple[Batch, ...]:
    return ledger.batches(job)


@pytest.fixture
def me(tmp_path: Path) -> Iterator[str]:
    with Owner(tmp_path / "owners") as owner:
        yield owner.name
