"""Results of an adopted batch held against the requests: by what the emulator counts, and what its answers were billed for."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import few
from loopback import Loopback, always, answering, as_json
from program import KEY, Cli, request, requests, session_of

from batchctl.api.client import SdkMessageBatches
from batchctl.domain.errors import AccountProblem, ApiFailure, InputProblem, Stopped
from batchctl.domain.model import Batch, Job
from batchctl.emulator.running import Running
from batchctl.engine.match_results import gather_evidence
from batchctl.engine.match_rules import Evidence, Match
from batchctl.engine.session import Session
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.downloaded import Answers
from batchctl.results.receive import receive
from batchctl.store.workspace import Workspace

COUNT, MODEL = "POST /v1/messages/count_tokens", "GET /v1/models/{id}"
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]


@pytest.fixture
def other(emulator: Running, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A second workspace of the same key."""
    return Cli(tmp_path_factory.mktemp("other"), emulator.base_url)


@pytest.fixture
def session(cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Those of the person's workspace, connected before a run takes the key out of the environment again."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    root = cli.folder / ".batchctl"
    Workspace(root).make()
    with session_of(root, emulator.base_url) as session:
        session.message_batches.credential()
        yield session


def received(session: Session, job: Job, batch: Batch, name: str) -> tuple[Batch, Answers]:
    """Download the results of the Message Batch `name` as those of an adopted batch, as far as they are verified."""
    counts = session.message_batches.retrieve(name).batch.counts
    assert counts is not None
    adopted = replace(batch, message_batch_id=name, counts=counts, provisional=True)
    positions = ids_of_range(request_file(session.workspace, job, batch.round), batch)
    raw, index = session.workspace.raw(job, batch), session.workspace.index(job, batch)
    with session.message_batches.results(name) as pieces:
        verified = receive(pieces, positions, adopted, raw, index)
    return adopted, Answers(raw, index, replace(adopted, results_sha256=verified.sha256))


def held(
    session: Session, name: str, message_batch: str = "", number: int = 0, asks: Session | None = None
) -> Evidence:
    """Hold the results of `message_batch`, or of the batch's own, against the requests of a batch of a job."""
    job = session.ledger.job(name)
    batch = session.ledger.batches(job)[number]
    adopted, answers = received(session, job, batch, message_batch or str(batch.message_batch_id))
    with closing(answers):
        return gather_evidence(asks or session, job, adopted, answers)


def rows(texts: Sequence[str], **params: Any) -> list[bytes]:
    return [request(f"row-{n}", text, **params) for n, text in enumerate(texts)]


OURS = rows([f"What is {n} + 1?" for n in range(5)])


# ---------------------------------------------------------------- ours


@pytest.mark.parametrize(("count", "asked"), few([(1, 1), (5, 5), (20, 20), (300, 20)], 1, 3))
def test_answers_to_our_requests_are_ours_by_twenty_counts_at_most(
    cli: Cli, emulator: Running, session: Session, count: int, asked: int
) -> None:
    job = cli.submitted("in.jsonl", requests(count))
    before = emulator.requests()
    evidence = held(session, job)
    answers = f"{asked} answers" if asked > 1 else "1 answer"
    assert evidence == Evidence(match=Match.OURS, basis=f"size, ids, model and token counts of {answers}")
    assert emulator.requests()[COUNT] - before.get(COUNT, 0) == asked
    assert emulator.requests().get(MODEL) == before.get(MODEL), "a dated id explains itself"


@pytest.mark.slow
def test_every_batch_of_every_round_is_held_against_its_own_lines(
    cli: Cli, emulator: Running, session: Session
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    texts = ["short", "a longer question " * 9, "Wörter, 日本語 " * 20]
    lines = [request(f"r-{n}", texts[n % 3] + "x" * n) for n in range(23)]
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    job = cli.submitted("in.jsonl", lines, "--max-requests", "9")
    assert cli.run("fetch").status == 3
    assert cli.run("retry").status == 0
    batches = session.ledger.batches(session.ledger.job(job))
    assert {batch.round for batch in batches} == {1, 2}
    assert [held(session, job, number=n).match for n in range(len(batches))] == [Match.OURS] * len(batches)


def test_what_was_written_to_a_cache_and_read_from_it_is_part_of_the_prompt(cli: Cli, session: Session) -> None:
    system = [{"type": "text", "text": "Answer briefly. " * 400, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    job = cli.submitted("in.jsonl", rows(["a", "b", "c", "d"], system=system, model="claude-haiku-5-5"))
    evidence = held(session, job)
    assert evidence.match is Match.OURS
    raw = next((cli.folder / ".batchctl/jobs" / job / "raw").glob("*.jsonl"))
    usages = [json.loads(line)["result"]["message"]["usage"] for line in raw.read_bytes().splitlines()]
    assert all(usage["input_tokens"] < 100 for usage in usages), "most of it went through the cache"


@pytest.mark.parametrize("kind", ["refusal", "max_tokens"])
def test_an_answer_that_ended_early_was_billed_for_its_whole_prompt(
    cli: Cli, emulator: Running, session: Session, kind: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {kind: 1.0}})
    assert held(session, cli.submitted("in.jsonl", OURS)).match is Match.OURS


def test_where_no_request_succeeded_nothing_is_asked(cli: Cli, emulator: Running, session: Session) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"invalid_request_error": 0.6, "expired": 0.4}})
    job = cli.submitted("in.jsonl", OURS)
    before = emulator.requests().get(COUNT)
    evidence = held(session, job)
    assert evidence.match is Match.OURS
    assert evidence.basis == "size and ids (no request succeeded, so that there is nothing to compare)"
    assert emulator.requests().get(COUNT) == before


# ---------------------------------------------------------------- foreign


def test_another_job_with_our_ids_and_other_prompts_is_foreign(
    cli: Cli, other: Cli, emulator: Running, session: Session
) -> None:
    job = cli.submitted("in.jsonl", OURS)
    other.submitted("in.jsonl", rows([f"Write {n} lines about the sea, and do not hurry." for n in range(5)]))
    evidence = held(session, job, emulator.batches()[1]["id"])
    assert evidence.match is Match.FOREIGN
    assert evidence.basis == "size, ids, model and token counts of 5 answers"
    assert evidence.problem == "custom_id row-0: 11 tokens counted, 19 billed (5 of 5 answers differ)"


def test_answers_of_another_model_are_foreign_and_a_name_is_asked_for_once(
    cli: Cli, other: Cli, emulator: Running, session: Session
) -> None:
    job = cli.submitted("in.jsonl", OURS)
    other.submitted("in.jsonl", rows([f"What is {n} + 1?" for n in range(5)], model="claude-opus-5-5"))
    before = emulator.requests().get(MODEL, 0)
    evidence = held(session, job, emulator.batches()[1]["id"])
    assert evidence.match is Match.FOREIGN
    said = "custom_id row-0: claude-haiku-4-5 requested, claude-opus-5-5 answered (5 of 5 answers differ)"
    assert evidence.problem == said
    assert emulator.requests()[MODEL] - before == 1


def test_where_the_api_does_not_know_the_name_the_tokens_alone_are_compared(
    cli: Cli, other: Cli, emulator: Running, session: Session
) -> None:
    job = cli.submitted("in.jsonl", OURS)
    other.submitted("in.jsonl", rows([f"What is {n} + 1?" for n in range(5)], model="claude-opus-5-5"))
    emulator.add_fault({"on": "models", "fault": "html_status", "status": 404})
    evidence = held(session, job, emulator.batches()[1]["id"])
    assert evidence == Evidence(match=Match.OURS, basis="size, ids and token counts of 5 answers")


def test_some_answers_that_differ_are_for_a_person(cli: Cli, other: Cli, emulator: Running, session: Session) -> None:
    job = cli.submitted("in.jsonl", OURS)
    other.submitted("in.jsonl", [*OURS[:3], *rows(["Write about the sea, and do not hurry."] * 5)[3:]])
    evidence = held(session, job, emulator.batches()[1]["id"])
    assert evidence.match is Match.UNDECIDED
    assert evidence.problem.endswith("billed (2 of 5 answers differ)")


# ---------------------------------------------------------------- undecided


@pytest.mark.parametrize(
    ("fault", "calls"),
    few(
        [
            ({"fault": "status", "status": 404, "type": "not_found_error", "message": "Not Found"}, 1),
            ({"fault": "html_status", "status": 404}, 1),
            ({"fault": "html_status", "status": 405}, 1),
            ({"fault": "html_status", "status": 501}, 1),
            ({"fault": "status", "status": 404, "type": "not_found_error", "message": "model: claude-haiku-4-5"}, 40),
            ({"fault": "status", "status": 400, "message": "this is not counted"}, 40),
            ({"fault": "garbage_answer"}, 40),
        ],
        1,
        4,
    ),
    ids=str,
)
def test_where_nothing_can_be_counted_a_person_decides(
    cli: Cli, emulator: Running, session: Session, fault: dict[str, Any], calls: int
) -> None:
    job = cli.submitted("in.jsonl", requests(60))
    emulator.add_fault({"on": "count_tokens", "times": 0, **fault})
    before = emulator.requests().get(COUNT, 0)
    evidence = held(session, job)
    assert (evidence.match, evidence.basis) == (Match.UNDECIDED, "size and ids")
    assert evidence.problem.startswith("no answer can be compared: ")
    assert ("this API does not count tokens: HTTP" in evidence.problem) == (calls == 1)
    assert emulator.requests()[COUNT] - before == calls


def test_requests_that_the_api_refuses_to_count_are_replaced_by_others(
    cli: Cli, emulator: Running, session: Session
) -> None:
    job = cli.submitted("in.jsonl", requests(60))
    emulator.add_fault({"on": "count_tokens", "fault": "status", "status": 400, "times": 3, "nth": 2})
    emulator.add_fault({"on": "count_tokens", "fault": "garbage_answer", "times": 2, "nth": 5})
    before = emulator.requests().get(COUNT, 0)
    assert held(session, job).basis == "size, ids, model and token counts of 20 answers"
    assert emulator.requests()[COUNT] - before == 25


def test_requests_that_the_api_answers_with_tools_of_its_own_are_not_counted(
    cli: Cli, emulator: Running, session: Session
) -> None:
    job = cli.submitted("in.jsonl", rows(["a", "b"], tools=SEARCH), "--yes")
    before = emulator.requests().get(COUNT)
    evidence = held(session, job)
    assert evidence.match is Match.UNDECIDED
    assert evidence.problem == "no answer can be compared: tools of the API (all)"
    assert emulator.requests().get(COUNT) == before


def test_the_few_that_can_be_compared_are_found_among_many(cli: Cli, session: Session) -> None:
    many = [request(f"r-{n}", "z" * (n + 1), **({} if n % 50 == 7 else {"tools": SEARCH})) for n in range(400)]
    evidence = held(session, cli.submitted("in.jsonl", many, "--yes"))
    assert evidence == Evidence(match=Match.OURS, basis="size, ids, model and token counts of 8 answers")


def test_they_are_not_looked_for_without_end(cli: Cli, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchctl.engine.match_results.MAX_READ", 30)
    job = cli.submitted("in.jsonl", rows(["a"] * 40, tools=SEARCH), "--yes")
    assert held(session, job).problem == "no answer can be compared: tools of the API (30)"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("pause_turn", "a paused turn (all)"), ("unknown_type", "results of an unknown type (all)")],
)
def test_answers_whose_bill_tells_nothing_are_for_a_person(
    cli: Cli, emulator: Running, session: Session, kind: str, said: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {kind: 1.0}})
    evidence = held(session, cli.submitted("in.jsonl", OURS))
    assert (evidence.match, evidence.problem) == (Match.UNDECIDED, f"no answer can be compared: {said}")


# ---------------------------------------------------------------- what is asked, and what stops it


@pytest.fixture
def gateway(session: Session) -> Iterator[tuple[Loopback, Session]]:
    """A server that counts 11 tokens whatever it is asked, and the equipment to ask it."""
    with ExitStack() as stack:
        server = stack.enter_context(answering(always(as_json({"input_tokens": 11}))))
        message_batches = stack.enter_context(closing(SdkMessageBatches(server.url)))
        message_batches.credential()
        yield server, replace(session, message_batches=message_batches)


def test_the_headers_of_the_job_govern_the_count(
    cli: Cli, emulator: Running, session: Session, gateway: tuple[Loopback, Session]
) -> None:
    server, asks = gateway
    emulator.set_scenario({"batch_seconds": 0, "betas": ["made-up-2026-01-01"]})
    job = cli.submitted(
        "in.jsonl", rows(["What is 0 + 1?"]), "--api-version", "2023-06-01", "--beta", "made-up-2026-01-01"
    )
    assert held(session, job, asks=asks).match is Match.OURS
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/messages/count_tokens")
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.headers["anthropic-beta"] == "made-up-2026-01-01"


@pytest.mark.parametrize(
    ("on", "fault", "status"),
    few(
        [
            ("count_tokens", {"fault": "status", "status": 429, "retry_after": 7}, 429),
            ("count_tokens", {"fault": "status", "status": 529}, 529),
            ("count_tokens", {"fault": "html_status", "status": 502}, 502),
            ("count_tokens", {"fault": "drop_before_accept"}, None),
            ("count_tokens", {"fault": "status", "status": 401}, 401),
            ("count_tokens", {"fault": "spend_limit_400"}, 400),
            ("models", {"fault": "status", "status": 429}, 429),
            ("models", {"fault": "status", "status": 401}, 401),
        ],
        0,
        3,
    ),
    ids=str,
)
def test_what_passes_or_is_about_the_account_is_left_to_the_caller(
    cli: Cli,
    other: Cli,
    emulator: Running,
    session: Session,
    on: str,
    fault: dict[str, Any],
    status: int | None,
) -> None:
    job = cli.submitted("in.jsonl", OURS)
    other.submitted("in.jsonl", rows([f"What is {n} + 1?" for n in range(5)], model="claude-opus-5-5"))
    emulator.add_fault({"on": on, "nth": 1, **fault})
    with pytest.raises(ApiFailure) as raised:
        held(session, job, emulator.batches()[1]["id"])
    assert raised.value.status == status
    assert raised.value.retry_after == fault.get("retry_after")


def test_without_a_key_nothing_is_concluded(cli: Cli, emulator: Running, session: Session) -> None:
    job = cli.submitted("in.jsonl", OURS)
    with closing(SdkMessageBatches(emulator.base_url)) as message_batches, pytest.raises(AccountProblem):
        held(session, job, asks=replace(session, message_batches=message_batches))


def test_requests_that_are_no_longer_those_that_were_sent_are_not_compared(cli: Cli, session: Session) -> None:
    name = cli.submitted("in.jsonl", OURS)
    job = session.ledger.job(name)
    batch = session.ledger.batches(job)[0]
    adopted, answers = received(session, job, batch, str(batch.message_batch_id))
    path: Path = request_file(session.workspace, job, 1)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"What is 3", b"What is 4"))
    with closing(answers), pytest.raises(InputProblem, match="changed since it was planned"):
        gather_evidence(session, job, adopted, answers)


def test_a_stop_ends_it(cli: Cli, emulator: Running, session: Session) -> None:
    job = cli.submitted("in.jsonl", OURS)
    before = emulator.requests().get(COUNT)
    session.stop.set()
    with pytest.raises(Stopped):
        held(session, job)
    assert emulator.requests().get(COUNT) == before
