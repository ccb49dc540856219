"""A job's headers: what a person changes of them holds for what is still to be sent, and nothing that was sent is touched."""

import shlex
from typing import Any

import pytest
from cases import few
from program import Cli, Ran, request, requests, sent_lines, session_of

from batchctl.domain.errors import Refused
from batchctl.domain.model import Headers
from batchctl.emulator.running import Running
from batchctl.verbs.headers import record_headers

GONE, KEPT = "gone-2025-01-01", "kept-2025-01-01"
REFUSAL = f"Unexpected value(s) `{GONE}` for the `anthropic-beta` header."


def betas_of(emulator: Running) -> list[list[str]]:
    """Of every batch, in the order of creation."""
    return [batch["betas"] for batch in emulator.batches()]


def knows(emulator: Running, *betas: str) -> None:
    emulator.set_scenario({"batch_seconds": 0, "betas": list(betas)})


def typed(told: str) -> list[str]:
    """The last command that was told, as a shell reads it."""
    return shlex.split(told.rsplit("batchctl ", 1)[1].splitlines()[0])


def status(cli: Cli, *more: str) -> Any:
    return cli.run("status", "@last", "--batches", "--json", *more).json


@pytest.fixture
def partly_sent(cli: Cli, emulator: Running) -> Ran:
    """One of three batches is sent when the API retires a beta of the job."""
    knows(emulator, GONE, KEPT)
    emulator.add_fault({"on": "create", "nth": 2, "fault": "status", "status": 400, "message": REFUSAL})
    path = cli.write("in.jsonl", requests(6))
    cut = ("--max-requests", "2", "--equal-sizes", "--parallel", "1")
    ran = cli.run("submit", path, "--beta", GONE, "--beta", KEPT, *cut)
    assert emulator.unfired() == []
    knows(emulator, KEPT)
    return ran


@pytest.mark.slow
def test_a_retired_beta_is_taken_off_by_the_command_that_is_told(cli: Cli, emulator: Running, partly_sent: Ran) -> None:
    assert partly_sent.status == 4
    assert "the API rejects a header" in partly_sent.err
    (hint,) = [line for line in partly_sent.err.splitlines() if line.startswith("  try: ")]
    assert typed(hint) == ["submit", status(cli)["job"], "--no-beta", GONE]
    assert "edit" not in hint
    paused = status(cli)
    assert typed(paused["next_command"]) == typed(hint)
    ran = cli.run(*typed(hint))
    assert ran.status == 0, ran.err
    assert f"betas from here on: {KEPT}" in ran.err
    assert betas_of(emulator) == [[GONE, KEPT], [KEPT], [KEPT]]
    assert sorted(line for batch in sent_lines(emulator) for line in batch) == requests(6), "nothing was sent twice"
    assert cli.run("fetch").status == 0


def test_a_round_tells_with_which_headers_its_batches_were_sent(cli: Cli, partly_sent: Ran) -> None:
    assert partly_sent.status == 4
    cli.run("submit", "in.jsonl", "--no-beta", GONE)
    shape = status(cli)
    assert shape["betas"] == [KEPT]
    of_round = shape["rounds"][0]["headers"]
    assert [(one["betas"], one["batches"]) for one in of_round] == [([GONE, KEPT], 1), ([KEPT], 2)]
    assert [one["betas"] for one in shape["message_batches"]] == [[GONE, KEPT], [KEPT], [KEPT]]


@pytest.mark.parametrize("verb", few(["submit", "run"], 1))
def test_a_beta_on_the_second_command_is_sent_with_the_rest(cli: Cli, emulator: Running, verb: str) -> None:
    knows(emulator, KEPT)
    emulator.add_fault({"on": "create", "nth": 2, "fault": "status", "status": 401, "message": "no"})
    path = cli.write("in.jsonl", requests(6))
    assert cli.run("submit", path, "--max-requests", "2", "--parallel", "1").status == 4
    job = status(cli)["job"]
    ran = cli.run(verb, path if verb == "submit" else job, "--beta", KEPT)
    assert ran.status == 0, ran.err
    assert betas_of(emulator)[0] == []
    assert betas_of(emulator)[1:] == [[KEPT]] * (len(betas_of(emulator)) - 1)
    assert len(betas_of(emulator)) > 1
    assert f"betas from here on: {KEPT}" in ran.err
    assert "1 batch keep" in ran.err


def test_the_same_command_again_changes_nothing_and_tells_nothing(cli: Cli, emulator: Running) -> None:
    knows(emulator, GONE, KEPT)
    path = cli.write("in.jsonl", requests(2))
    emulator.add_fault({"on": "create", "fault": "status", "status": 401, "message": "no"})
    words = ("submit", path, "--beta", KEPT, "--api-version", "2023-06-01")
    assert cli.run(*words).status == 4
    again = cli.run(*words)
    assert again.status == 0, again.err
    assert "from here on" not in again.err
    assert [(b["betas"], b["api_version"]) for b in emulator.batches()] == [([KEPT], "2023-06-01")]


def test_a_beta_that_is_off_already_may_be_taken_off_again(cli: Cli, emulator: Running, partly_sent: Ran) -> None:
    assert partly_sent.status == 4
    emulator.add_fault({"on": "create", "fault": "status", "status": 401, "message": "no"})
    assert cli.run("submit", "in.jsonl", "--no-beta", GONE).status == 4
    assert cli.run("submit", "in.jsonl", "--no-beta", GONE).status == 0


@pytest.mark.parametrize("verb", few(["submit", "run", "retry"], 0, 2))
def test_a_beta_that_the_job_never_had_is_refused_with_those_it_has(cli: Cli, partly_sent: Ran, verb: str) -> None:
    assert partly_sent.status == 4
    ran = cli.run(verb, status(cli)["job"], "--no-beta", "never-1")
    assert ran.status == 2
    assert "--no-beta never-1" in ran.err
    assert f"--beta {GONE}, {KEPT}" in ran.err
    assert status(cli)["betas"] == [GONE, KEPT]


def test_a_new_job_has_none_to_take_off(cli: Cli, emulator: Running) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", requests(1)), "--no-beta", KEPT)
    assert (ran.status, emulator.batches()) == (2, [])
    assert "this is a new job, which uses no --beta" in ran.err


@pytest.mark.parametrize("verb", few(["submit", "retry"], 1))
@pytest.mark.parametrize(
    ("options", "said"), [(["--beta", "a-1", "--no-beta", "a-1"], "exclude each other"), (["--beta", "a b"], "letters")]
)
def test_what_cannot_be_meant_is_usage(cli: Cli, partly_sent: Ran, verb: str, options: list[str], said: str) -> None:
    assert partly_sent.status == 4
    ran = cli.run(verb, status(cli)["job"], *options)
    assert ran.status == 2
    assert said in ran.err


# ---------------------------------------------------------------- rounds


@pytest.fixture
def to_retry(cli: Cli, emulator: Running) -> str:
    """A job of which a part can be sent again."""
    emulator.set_scenario({"batch_seconds": 0, "betas": [GONE], "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(40), "--beta", GONE)
    assert cli.run("fetch").status == 3
    knows(emulator, KEPT)
    return job


@pytest.mark.slow
def test_a_retry_sends_its_round_with_other_headers(cli: Cli, emulator: Running, to_retry: str) -> None:
    ran = cli.run("retry", to_retry, "--no-beta", GONE, "--beta", KEPT, "--api-version", "2023-06-01")
    assert ran.status == 0, ran.err
    assert [(b["betas"], b["api_version"]) for b in emulator.batches()] == [
        ([GONE], "2026-10-21"),
        ([KEPT], "2023-06-01"),
    ]
    rounds = status(cli)["rounds"]
    assert [[one["betas"] for one in r["headers"]] for r in rounds] == [[[GONE]], [[KEPT]]]
    assert cli.run("fetch").status == 0


def test_a_round_that_is_open_goes_on_with_other_headers(cli: Cli, emulator: Running, to_retry: str) -> None:
    refused = cli.run("retry", to_retry)
    assert refused.status == 4
    assert typed(refused.err) == ["submit", to_retry, "--no-beta", GONE]
    assert cli.run("retry", to_retry, "--no-beta", GONE).status == 0
    assert betas_of(emulator) == [[GONE], []]


@pytest.mark.parametrize("option", ["--dry-run", "--edit"])
def test_what_sends_nothing_changes_no_header(cli: Cli, to_retry: str, option: str) -> None:
    ran = cli.run("retry", to_retry, option, "--no-beta", GONE)
    assert ran.status == 2
    assert f"--no-beta {GONE}" in ran.err
    assert status(cli)["betas"] == [GONE]


def test_a_price_that_nobody_agrees_to_leaves_the_headers(cli: Cli, to_retry: str) -> None:
    assert cli.run("retry", to_retry, "--no-beta", GONE, "--max-cost", "0").status == 6
    assert status(cli)["betas"] == [GONE]


def test_where_nothing_is_left_to_send_later_rounds_have_the_new_ones(cli: Cli, emulator: Running) -> None:
    knows(emulator, GONE)
    job = cli.submitted("in.jsonl", requests(2), "--beta", GONE)
    assert cli.run("fetch").status == 0
    ran = cli.run("retry", job, "--no-beta", GONE)
    assert (ran.status, status(cli)["betas"]) == (0, [])
    assert "nothing to send again" in ran.err


def test_a_run_sends_what_failed_with_the_headers_of_then(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "betas": [GONE], "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(40), "--beta", GONE)
    knows(emulator)
    assert cli.run("run", job, "--no-beta", GONE).status == 0
    assert betas_of(emulator)[:2] == [[GONE], []]


# ---------------------------------------------------------------- what was sent keeps its own


@pytest.mark.parametrize("has_made", [True, False])
def test_a_batch_in_doubt_keeps_its_headers_until_its_outcome_is_known(
    cli: Cli, emulator: Running, *, has_made: bool
) -> None:
    knows(emulator, GONE, KEPT)
    # Both after the whole body, so that nobody can know.
    fault = {"fault": "drop_after_accept"} if has_made else {"fault": "html_status", "status": 520}
    emulator.add_fault({"on": "create", **fault})
    path = cli.write("in.jsonl", requests(4))
    cli.left_in_doubt(path, "--beta", GONE)
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"
    (unconfirmed_batch,) = status(cli, "--offline")["message_batches"]
    assert (unconfirmed_batch["state"], unconfirmed_batch["betas"]) == ("submitting", [GONE])
    ran = cli.run("submit", path, "--no-beta", GONE, "--beta", KEPT)
    assert ran.status == 0, ran.err
    (batch,) = status(cli)["message_batches"]
    assert betas_of(emulator) == [[GONE] if has_made else [KEPT]]
    assert batch["betas"] == betas_of(emulator)[0]


def test_headers_that_another_process_changed_meanwhile_are_not_written_over(
    cli: Cli, emulator: Running, partly_sent: Ran
) -> None:
    assert partly_sent.status == 4
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        seen = session.ledger.jobs()[-1]
        assert session.ledger.record_headers(seen, Headers(betas=("other-1",)))
        with pytest.raises(Refused, match="changed by another process"):
            record_headers(session, seen, Headers(betas=(KEPT,)))
        assert session.ledger.job(seen.name).settings.betas == ("other-1",)


def test_an_answer_is_one_to_the_headers_that_were_recorded_with_the_intent(
    cli: Cli, emulator: Running, partly_sent: Ran
) -> None:
    """Another process changes them between the look at the job and the create: what is sent is what is recorded."""
    assert partly_sent.status == 4
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        seen = session.ledger.jobs()[-1]
        planned = next(b for b in session.ledger.batches(seen) if b.state.value == "planned")
        assert session.ledger.record_headers(seen, Headers(betas=(KEPT,)))
        claimed = session.ledger.claim_send(planned, session.owner, session.now(), created_after=None, api="")
        assert claimed is not None
        assert claimed.headers == Headers(betas=(KEPT,))


# ---------------------------------------------------------------- headers that take less


OLDER, NEWER = ("--api-version", "2023-06-01"), ("--api-version", "2026-10-21")
LONG = "output-300k-2026-03-24"
STRICTER = [
    ([request(f"r-{n}", temperature=0.5) for n in range(6)], OLDER, NEWER, "temperature"),
    (
        [request(f"r-{n}", model="claude-opus-5-5", max_tokens=300_000) for n in range(6)],
        ("--beta", LONG),
        ("--no-beta", LONG),
        "max_tokens",
    ),
]


@pytest.mark.parametrize(("lines", "planned", "changed", "what"), few(STRICTER, 0))
def test_what_is_left_is_checked_with_the_headers_it_is_sent_with(
    cli: Cli, emulator: Running, lines: list[bytes], planned: tuple[str, ...], changed: tuple[str, ...], what: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "betas": [LONG]})
    emulator.add_fault({"on": "create", "nth": 2, "fault": "status", "status": 401, "message": "no"})
    path = cli.write("in.jsonl", lines)
    cut = ("--max-requests", "2", "--equal-sizes", "--parallel", "1")
    assert cli.run("submit", path, *planned, *cut).status == 4
    job = status(cli)["job"]
    before = status(cli, "--offline")
    for verb in ("submit", "run", "retry"):
        ran = cli.run(verb, job, *changed)
        assert ran.status == 5, ran.err
        assert f"with these headers: {job}-rest: 4 of 4 lines cannot be sent" in ran.err
        assert what in ran.err
        assert "Traceback" not in ran.err
    now = status(cli, "--offline")
    assert {**now, "elapsed_seconds": 0} == {**before, "elapsed_seconds": 0}, "nothing was changed"
    assert len(emulator.batches()) == 1
    assert cli.run("submit", job).status == 0
    assert not list((cli.folder / ".batchctl" / "tmp").iterdir())


@pytest.mark.parametrize(("lines", "planned", "changed", "what"), few(STRICTER, 1))
def test_what_goes_again_is_checked_with_the_headers_it_is_sent_with(
    cli: Cli, emulator: Running, lines: list[bytes], planned: tuple[str, ...], changed: tuple[str, ...], what: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "betas": [LONG], "outcomes": {"overloaded_error": 1.0}})
    job = cli.submitted("in.jsonl", lines, *planned)
    assert cli.run("fetch", job).status == 3
    emulator.set_scenario({"batch_seconds": 0, "betas": [LONG]})
    ran = cli.run("retry", job, *changed)
    assert ran.status == 5, ran.err
    assert what in ran.err
    assert f"batchctl retry {job} --edit" in ran.err
    assert len(emulator.batches()) == 1
    assert not list((cli.folder / ".batchctl" / "jobs" / job).glob("round-2*")), "nothing is left of it"
    assert cli.run("retry", job).status == 0


def test_a_limit_of_a_model_that_is_only_warned_of_is_no_obstacle(cli: Cli, emulator: Running) -> None:
    lines, planned, changed, _ = STRICTER[1]
    emulator.set_scenario({"batch_seconds": 0, "betas": [LONG]})
    emulator.add_fault({"on": "create", "fault": "status", "status": 401, "message": "no"})
    assert cli.run("submit", cli.write("in.jsonl", lines), *planned).status == 4
    ran = cli.run("submit", "in.jsonl", *changed, "--check", "envelope")
    assert ran.status == 0, ran.err
    assert len(emulator.batches()) == 1


@pytest.mark.slow
def test_what_the_headers_of_a_job_take_no_more_can_be_edited(cli: Cli, emulator: Running) -> None:
    """They became others when nothing that was left minded; what failed before does."""
    lines, older, newer, _ = STRICTER[0]
    plain = requests(2)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    emulator.add_fault({"on": "create", "nth": 2, "fault": "status", "status": 401, "message": "no"})
    path = cli.write("in.jsonl", [*lines[:2], *(line.replace(b"r-0", b"s-0") for line in plain)])
    assert cli.run("submit", path, *older, "--max-requests", "2", "--equal-sizes", "--parallel", "1").status == 4
    job = status(cli)["job"]
    assert cli.run("submit", job, *newer).status == 0
    emulator.set_scenario({"batch_seconds": 0})
    ran = cli.run("run", job, "--poll", "50ms")
    assert ran.status == 5, ran.err
    assert len(cli.errors(job)) == 4, "what is known is on the disk"
    assert cli.run("retry", job).status == 5
    assert cli.run("retry", job, "--edit").status == 0
    edited = cli.folder / f"{job}.round-2.requests.jsonl"
    edited.write_bytes(edited.read_bytes().replace(b', "temperature": 0.5', b""))
    assert cli.run("retry", "--from", edited.name).status == 0
    assert cli.run("fetch", job).status == 0
