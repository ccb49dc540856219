"""One answer per request over all rounds, whatever each of them brought."""

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from builders import (
    API,
    CANCELED,
    EXPIRED,
    NOW,
    a_job,
    a_message_batch,
    a_round,
    cuts_of,
    errored,
    request_id,
    request_line,
    result_line,
    succeeded,
    written,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import session_of

from batchctl.domain.model import Batch, Job, Outcome, RequestCounts, Round
from batchctl.engine.merge import Output, merge
from batchctl.engine.session import Session
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.receive import receive
from batchctl.store.line_maps import pack
from batchctl.store.workspace import Workspace

NUMBERS = count(1)
RESULTS: list[dict[str, Any]] = [
    succeeded(),
    succeeded("max_tokens"),
    succeeded("refusal"),
    errored("overloaded_error"),
    errored("invalid_request_error"),
    errored("billing_error"),
    EXPIRED,
    CANCELED,
    {"type": "newer than this program"},
]


@dataclass(frozen=True)
class Sending:
    """A round: which requests of the input it sent, so many to a batch, what came back, and which batches were fetched."""

    origins: list[int]
    each: int
    results: list[dict[str, Any]]
    fetched: set[int]

    def answers(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, (origin, result) in enumerate(zip(self.origins, self.results, strict=True)):
            if place // self.each in self.fetched:
                yield origin, result


@st.composite
def jobs(draw: st.DrawFn) -> list[Sending]:
    """One to four rounds; the first sends everything, and each later one whatever was chosen for it."""
    size = draw(st.integers(1, 6))
    some = st.sets(st.integers(0, size - 1), min_size=1)
    rounds: list[Sending] = []
    for number in range(draw(st.integers(1, 4))):
        origins = sorted(draw(some)) if number else list(range(size))
        results = [{**draw(st.sampled_from(RESULTS)), "round": number + 1} for _ in origins]
        rounds.append(Sending(origins, draw(st.integers(1, 4)), results, draw(st.sets(st.integers(0, 5)))))
    return rounds


@pytest.fixture
def session(memory: Path) -> Iterator[Session]:
    workspace = Workspace(memory / ".batchctl")
    workspace.make()
    with session_of(workspace.root, "https://api.example") as session:
        yield session


def a_recorded(session: Session, rounds: list[Sending]) -> Job:
    name = f"job-{next(NUMBERS)}"
    for number, sending in enumerate(rounds, 1):
        data = b"".join(request_line(request_id(origin)) + b"\n" for origin in sending.origins)
        path = written(session.workspace.requests(name, number), data)
        planned = a_round(
            number, len(sending.origins), request_file=session.workspace.stored_path(path), size=len(data)
        )
        cuts = cuts_of(data, sending.each)
        if number == 1:
            session.ledger.record_job(a_job(name, [planned], line_count=len(sending.origins)), cuts)
        else:
            written(session.workspace.origins(path), pack(array("Q", sending.origins)))
            assert session.ledger.record_round(session.ledger.job(name), planned, cuts)
        _fetch(session, session.ledger.job(name), planned, sending)
    return session.ledger.job(name)


def _fetch(session: Session, job: Job, planned: Round, sending: Sending) -> None:
    batches = [b for b in session.ledger.batches(job) if b.round == planned.number]
    for number in sending.fetched & set(range(len(batches))):
        batch = batches[number]
        results = sending.results[batch.cut.first : batch.cut.first + batch.count]
        seen = a_message_batch(f"msgbatch_{job.name}_{batch.id}", counts=_counts(results), ended_at=NOW)
        sent = session.ledger.claim_send(batch, session.owner, NOW, created_after=None, api=API)
        assert sent is not None
        assert session.ledger.record_created(sent, seen, NOW)
        ended = next(b for b in session.ledger.batches(job) if b.id == batch.id)
        assert session.ledger.claim(ended, session.owner, NOW)
        assert session.ledger.record_fetched(ended, session.owner, _received(session, job, ended, results), NOW)


def _counts(results: list[dict[str, Any]]) -> RequestCounts:
    """A type that this program does not know counts as one of the API's five."""
    kinds = [r["type"] if r["type"] in list(Outcome) else "succeeded" for r in results]
    return RequestCounts(**{kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")})


def _received(session: Session, job: Job, batch: Batch, results: list[dict[str, Any]]) -> Any:
    positions = ids_of_range(request_file(session.workspace, job, batch.round), batch)
    lines = [result_line(name.decode(), r) + b"\n" for name, r in zip(positions, results, strict=True)]
    raw, index = session.workspace.raw(job, batch), session.workspace.index(job, batch)
    return receive(reversed(lines), positions, batch, raw, index)


def the_answer(rounds: list[Sending], origin: int) -> dict[str, Any] | None:
    """The newest success, else the newest of all."""
    answers = [result for sending in rounds for place, result in sending.answers() if place == origin]
    successes = [result for result in answers if result["type"] == "succeeded"]
    return next(reversed(successes or answers), None)


# A job of its own each time; the ledger they all stand in is opened once.
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs())
@pytest.mark.slow
def test_whatever_the_rounds_brought_each_request_has_its_newest_success_else_its_newest_outcome(
    session: Session, rounds: list[Sending]
) -> None:
    job = a_recorded(session, rounds)
    folder = session.workspace.root.parent
    merged = merge(session, job, Output(results=str(folder / "results"), errors=folder / "errors", force=True))
    answers = {request_id(origin): the_answer(rounds, origin) for origin in rounds[0].origins}
    lines = [result_line(name, answer) for name, answer in answers.items() if answer]
    assert (folder / "results").read_bytes().splitlines() == lines
    outcomes = {name: outcome_of(answer) for name, answer in answers.items()}
    failed = [json.loads(line) for line in (folder / "errors").read_bytes().splitlines()]
    assert [(f["line"], f["custom_id"], f["outcome"]) for f in failed] == [
        (line, name, outcome) for line, (name, outcome) in enumerate(outcomes.items(), 1) if outcome != "succeeded"
    ]
    counted = {outcome.value: getattr(merged, outcome.value) for outcome in Outcome}
    assert counted == {**dict.fromkeys(counted, 0), **Counter(outcomes.values())}
    assert sum(counted.values()) == len(rounds[0].origins)
    assert sum(f.count for f in merged.failures) == len(failed)
    assert merged == session.ledger.job(job.name).merged


def outcome_of(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return "unanswered"
    return str(answer["type"]) if answer["type"] in list(Outcome) else "unknown"
