"""Batches that the API may or may not have: whatever comes between, each request is paid for once and answered as asked."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from program import Cli, Ran, request, requests, sent_lines

from batchctl.clock import Clock, StopSignal
from batchctl.emulator.running import Running, running

# Some hundred jobs, one after the other: test_weather holds the same promises in a few.
pytestmark = pytest.mark.slow

CREATE = "POST /v1/messages/batches"
LOST = {"on": "create", "fault": "drop_after_accept"}
NEVER_MADE = {"on": "create", "fault": "status", "status": 529}
# How long the emulator's batches take: they have ended, or still run, when they are looked for.
WHEN = pytest.mark.parametrize("seconds", [pytest.param(0, id="ended"), pytest.param(60, id="running")])


@pytest.fixture(autouse=True)
def _soon(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause as short as a test needs it; a longer one is a hang."""
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"
    monkeypatch.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=0.02))
    monkeypatch.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
    monkeypatch.setattr("batchctl.engine.next_steps.OTHERS_PAUSE", timedelta(seconds=0.1))
    monkeypatch.setattr("batchctl.engine.reconciler.backoff", lambda *_: 0.02)
    monkeypatch.setattr("batchctl.engine.download.backoff", lambda *_: 0.02)
    waits = Clock.wait_until

    def wait_until(self: Clock, at: datetime, stop: StopSignal) -> bool:
        assert at - self.now() < timedelta(seconds=5), "a person would sit and wait"
        return waits(self, at, stop)

    monkeypatch.setattr(Clock, "wait_until", wait_until)


@pytest.fixture
def stranger(emulator: Running, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Somebody else with the same key, in a folder that is not within ours: a workspace is looked for upwards."""
    return Cli(tmp_path_factory.mktemp("stranger"), emulator.base_url)


@pytest.fixture
def other_api() -> Iterator[Running]:
    with running({"batch_seconds": 0}) as other:
        yield other


def _scene(emulator: Running, seconds: float = 0, **more: Any) -> None:
    """Answers repeat the question whole, so that a wrong one shows. Before the faults: it replaces the script."""
    emulator.set_scenario({"batch_seconds": seconds, "answers": {"echo": True}, **more})


def _in_doubt(cli: Cli, lines: Sequence[bytes], name: str = "in.jsonl", *options: str, is_due: bool = True) -> Path:
    """A job whose creates all happened, or did not, as the faults say; nobody has looked for them so far."""
    path = cli.write(name, lines)
    with pytest.MonkeyPatch.context() as later:
        later.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=3))
        ran = cli.run("submit", path, "--no-wait", *options)
    assert ran.status == 8, ran.err
    assert "unconfirmed" in ran.err
    if is_due:
        _ledger(cli, "update batch set not_before = null where state = 'submitting'")
    return path


def _asked(line: bytes) -> tuple[str, str]:
    found = json.loads(line)
    return found["custom_id"], found["params"]["messages"][0]["content"]


def _answered(results: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(r["custom_id"], r["result"]["message"]["content"][0]["text"]) for r in results]


def _is_each_sent_once(emulator: Running, lines: Sequence[bytes]) -> bool:
    counts = Counter(line for batch in sent_lines(emulator) for line in batch)
    return all(counts[line] == 1 for line in lines)


def _finish(cli: Cli, emulator: Running, path: Path) -> None:
    """Submits and fetches again, as a person does who is told to, until all of it is there. Bounded."""
    ran = cli.run("submit", path)
    for _ in range(8):
        assert "Traceback" not in ran.err, ran.err
        # Batches that ran when they were looked for have ended now.
        emulator.advance(60)
        if ran.status in {0, 6}:
            fetched = cli.run("fetch", _job(cli, path))
            assert "Traceback" not in fetched.err, fetched.err
            if fetched.status == 0:
                return
        _pause(0.12)
        ran = cli.run("submit", path)
    raise AssertionError(ran.err)


def _job(cli: Cli, path: Path) -> str:
    jobs = cli.run("status", "--json", "--offline").json["jobs"]
    return next(str(job["job"]) for job in jobs if job["job"].startswith(path.stem))


def _pause(seconds: float) -> None:
    clock = Clock()
    clock.wait_until(clock.now() + timedelta(seconds=seconds), StopSignal())


def _assert_all_is_right(cli: Cli, emulator: Running, path: Path, lines: Sequence[bytes]) -> None:
    assert _answered(cli.results(_job(cli, path))) == [_asked(line) for line in lines]
    assert _is_each_sent_once(emulator, lines)


def _ledger(cli: Cli, change: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute(change, values)


# ---------------------------------------------------------------- 1. What identifies a batch may not be readable


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "early_end_at_line", "lines": 0},
        {"fault": "early_end_mid_line", "lines": 0},
        {"fault": "html_answer"},
        {"fault": "garbage_answer"},
        {"fault": "reset", "bytes": 0},
        {"fault": "status", "status": 500},
        {"fault": "not_found"},
    ],
    ids=lambda f: f["fault"],
)
def test_a_batch_whose_results_cannot_be_read_at_first_is_not_disowned(
    cli: Cli, emulator: Running, fault: dict[str, Any]
) -> None:
    _scene(emulator)
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "results", "times": 2, **fault})
    lines = requests(5)
    path = cli.write("in.jsonl", lines)
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(n, t) for n in (1, 2, 5) for t in (0, 60)],
)
def test_a_foreign_id_among_our_results_does_not_make_our_batch_a_strangers(
    cli: Cli, emulator: Running, count: int, seconds: float
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "results", "fault": "foreign_id"})
    lines = requests(count)
    path = cli.write("in.jsonl", lines)
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


def test_a_batch_whose_results_never_can_be_read_stays_in_doubt_and_is_not_sent_again(
    cli: Cli, emulator: Running
) -> None:
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "results", "fault": "html_answer", "times": 0})
    ran = cli.run("submit", cli.write("in.jsonl", requests(5)))
    assert ran.status in {1, 7}
    assert "nothing is sent twice" in ran.err
    assert emulator.requests()[CREATE] == 1


# ---------------------------------------------------------------- 2. Several doubts of one size


def _swapped(cli: Cli) -> None:
    """The intents in the reverse of the order in which the API got the creates, as side by side uploads may end."""
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        rows = db.execute("select id, intent_at from batch where state = 'submitting' order by intent_at").fetchall()
        for (batch, _), (_, intent_at) in zip(rows, reversed(rows), strict=True):
            db.execute("update batch set intent_at = ? where id = ?", (intent_at, batch))


@pytest.mark.parametrize("breaks", [{}, {"fault": "reset", "bytes": 10}], ids=["whole", "broken-once"])
@WHEN
@pytest.mark.parametrize("count", [2, 3])
def test_doubts_of_one_size_get_their_own_answers_whatever_order_they_were_created_in(
    cli: Cli, emulator: Running, count: int, seconds: float, breaks: dict[str, Any]
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault({**LOST, "times": count})
    if breaks:
        emulator.add_fault({"on": "results", **breaks})
    lines = requests(2 * count)
    # Three side by side, so that all of them are lost before any is looked for.
    path = _in_doubt(cli, lines, "in.jsonl", "--max-requests", "2", "--parallel", "3")
    _swapped(cli)
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == count
    _assert_all_is_right(cli, emulator, path, lines)


@pytest.mark.parametrize("parallel", ["1", "3"])
@WHEN
def test_uploads_side_by_side_that_all_lose_their_answers_are_sent_once(
    cli: Cli, emulator: Running, seconds: float, parallel: str
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault({**LOST, "times": 3})
    emulator.add_fault({"on": "results", "fault": "reset", "bytes": 10, "nth": 2})
    lines = requests(6)
    path = cli.write("in.jsonl", lines)
    cli.run("submit", path, "--max-requests", "2", "--parallel", parallel)
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 3
    _assert_all_is_right(cli, emulator, path, lines)


@WHEN
@pytest.mark.parametrize("faults", [[LOST, NEVER_MADE], [NEVER_MADE, LOST]], ids=["first-lost", "second-lost"])
def test_of_two_doubts_only_the_one_that_was_never_created_is_sent_again(
    cli: Cli, emulator: Running, faults: list[dict[str, Any]], seconds: float
) -> None:
    _scene(emulator, seconds)
    for number, fault in enumerate(faults, 1):
        emulator.add_fault({**fault, "nth": number})
    lines = requests(4)
    path = _in_doubt(cli, lines, "in.jsonl", "--max-requests", "2", "--parallel", "2")
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 3
    _assert_all_is_right(cli, emulator, path, lines)


# ---------------------------------------------------------------- 3. Another account or API in between


def _assert_refused_as_elsewhere(ran: Ran) -> None:
    assert ran.status == 7, ran.err
    assert "Traceback" not in ran.err
    assert "run the same command again with the key and the --base-url" in ran.err


@pytest.mark.parametrize("verb", ["submit", "retry"])
def test_with_another_key_a_doubt_is_not_settled_and_nothing_is_sent(cli: Cli, emulator: Running, verb: str) -> None:
    _scene(emulator)
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "list", "fault": "status", "status": 401, "nth": 2})
    lines = requests(5)
    path = cli.write("in.jsonl", lines)
    assert cli.run("submit", path).status == 4
    ours = cli.variables["ANTHROPIC_API_KEY"]
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-other"
    for _ in range(5):
        _assert_refused_as_elsewhere(cli.run(verb, _job(cli, path)))
    assert emulator.requests()[CREATE] == 1
    cli.variables["ANTHROPIC_API_KEY"] = ours
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


def test_with_another_base_url_a_doubt_is_not_settled_and_nothing_is_sent(
    cli: Cli, emulator: Running, other_api: Running
) -> None:
    _scene(emulator)
    emulator.add_fault(LOST)
    lines = requests(5)
    path = _in_doubt(cli, lines)
    for _ in range(3):
        _assert_refused_as_elsewhere(cli.run("submit", path, "--base-url", other_api.base_url))
    assert other_api.batches() == []
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


@pytest.mark.parametrize("is_due", [pytest.param(True, id="due"), pytest.param(False, id="not-due")])
def test_with_another_key_the_rest_of_a_job_in_doubt_is_not_sent_either(
    cli: Cli, emulator: Running, *, is_due: bool
) -> None:
    _scene(emulator)
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    lines = requests(4)
    path = _in_doubt(cli, lines, "in.jsonl", "--max-requests", "2", "--parallel", "1", is_due=is_due)
    _ledger(cli, "update job set hold_until = null")
    _ledger(cli, "update batch set not_before = null where state = 'planned'")
    creates = emulator.requests()[CREATE]
    ours = cli.variables["ANTHROPIC_API_KEY"]
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-other"
    _assert_refused_as_elsewhere(cli.run("submit", path))
    assert emulator.requests()[CREATE] == creates
    cli.variables["ANTHROPIC_API_KEY"] = ours
    _finish(cli, emulator, path)
    _assert_all_is_right(cli, emulator, path, lines)


def test_a_new_key_of_the_same_workspace_settles_a_doubt(cli: Cli, emulator: Running) -> None:
    _scene(emulator, keys={"sk-ant-tests": "evals", "sk-ant-newer": "evals"})
    emulator.add_fault(LOST)
    lines = requests(5)
    path = _in_doubt(cli, lines)
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-newer"
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


# ---------------------------------------------------------------- 4. Clocks


CLOCK_CHANGES = [
    # A stop before anything was noted, and a doubt that was noted to be looked for in a moment.
    pytest.param(-1, True, id="back-after-a-stop"),
    pytest.param(-1, False, id="back"),
    pytest.param(1, True, id="ahead-after-a-stop"),
    pytest.param(1, False, id="ahead"),
]


@WHEN
@pytest.mark.parametrize(("hours", "is_due"), CLOCK_CHANGES)
def test_a_batch_in_doubt_is_found_although_our_clock_was_set(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, hours: int, seconds: float, *, is_due: bool
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault(LOST)
    lines = requests(5)
    path = _in_doubt(cli, lines, is_due=is_due)
    right = Clock.now
    monkeypatch.setattr(Clock, "now", lambda self: right(self) + timedelta(hours=hours))
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


@WHEN
@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("fault", [LOST, NEVER_MADE], ids=lambda f: f["fault"])
def test_a_server_whose_clock_is_not_ours_is_asked_by_its_own(
    cli: Cli, emulator: Running, fault: dict[str, Any], skew: int, seconds: float
) -> None:
    _scene(emulator, seconds, clock={"skew_seconds": skew})
    emulator.add_fault(fault)
    lines = requests(5)
    path = cli.write("in.jsonl", lines)
    _finish(cli, emulator, path)
    assert len(emulator.batches()) == 1
    _assert_all_is_right(cli, emulator, path, lines)


# ---------------------------------------------------------------- 5. Two jobs of one workspace


def _of(numbers: Iterable[int], asks: str) -> list[bytes]:
    """The same ids whatever they ask."""
    return [request(f"r-{n}", f"{asks} {n}") for n in numbers]


V1, V2 = "v1.jsonl", "v2.jsonl"
ORDERS = pytest.mark.parametrize("order", [(V1, V2), (V2, V1)], ids=["v1-looks-first", "v2-looks-first"])


def _alternately(cli: Cli, emulator: Running, names: Sequence[str]) -> None:
    """Two people at one workspace, each with a job: until both are done, or several times."""
    # The grace is over by the server's clock, which tells whole seconds.
    emulator.advance(2)
    paths = [cli.folder / name for name in names]
    ran: list[Ran] = []
    for _ in range(3):
        ran = [cli.run("submit", path) for path in paths]
        emulator.advance(60)
        ran += [cli.run("fetch", _job(cli, path)) for path in paths]
        assert not any("Traceback" in each.err for each in ran), ran
        if all(each.status in {0, 6} for each in ran):
            return
        _pause(0.12)
    assert {each.status for each in ran} <= {0, 6, 7, 8}, ran


@WHEN
@ORDERS
def test_two_jobs_of_one_size_both_in_doubt_get_their_own_batches(
    cli: Cli, emulator: Running, seconds: float, order: tuple[str, str]
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault({**LOST, "times": 2})
    jobs = {V1: requests(3, "a"), V2: requests(3, "b")}
    for name, lines in jobs.items():
        _in_doubt(cli, lines, name)
    _alternately(cli, emulator, order)
    assert emulator.requests()[CREATE] == 2
    for name, lines in jobs.items():
        _assert_all_is_right(cli, emulator, cli.folder / name, lines)


def _assert_nobody_has_the_others_answers(cli: Cli, emulator: Running, jobs: dict[str, list[bytes]]) -> None:
    counts = Counter(line for batch in sent_lines(emulator) for line in batch)
    for name, lines in jobs.items():
        path = cli.folder / f"{_job(cli, cli.folder / name)}.results.jsonl"
        answered = _answered(_objects(path))
        assert set(answered) <= {_asked(line) for line in lines}, "these are the other job's answers"
        assert all(counts[line] <= 1 for line in lines)


def _objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@WHEN
@ORDERS
def test_two_jobs_of_the_same_ids_sent_one_after_the_other_never_get_each_others_answers(
    cli: Cli, emulator: Running, seconds: float, order: tuple[str, str]
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault({**LOST, "times": 2})
    jobs = {V1: _of(range(3), "one"), V2: _of(range(3), "two")}
    for name, lines in jobs.items():
        _in_doubt(cli, lines, name)
        emulator.advance(3)
    _alternately(cli, emulator, order)
    _assert_nobody_has_the_others_answers(cli, emulator, jobs)


@WHEN
@ORDERS
def test_two_jobs_of_the_same_ids_sent_side_by_side_never_get_each_others_answers(
    cli: Cli, emulator: Running, seconds: float, order: tuple[str, str]
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault({**LOST, "times": 2})
    jobs = {V2: _of(range(3), "two"), V1: _of(range(3), "one")}
    for name, lines in jobs.items():
        _in_doubt(cli, lines, name)
    # Two terminals: v1 was begun a little before v2, and its slower upload reached the API after that of v2.
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        ((began,),) = db.execute("select intent_at from batch order by id limit 1").fetchall()
        before = datetime.fromisoformat(began) - timedelta(seconds=0.5)
        db.execute(
            "update batch set intent_at = ? where id = (select max(id) from batch)",
            (before.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),),
        )
    _alternately(cli, emulator, order)
    _assert_nobody_has_the_others_answers(cli, emulator, jobs)


@WHEN
@pytest.mark.parametrize("created", [V1, V2])
def test_of_two_jobs_of_the_same_ids_the_one_that_was_created_finds_its_batch_when_it_looks_first(
    cli: Cli, emulator: Running, seconds: float, created: str
) -> None:
    _one_of_two_was_created(cli, emulator, seconds, created, looks_first=created)


@pytest.mark.parametrize("seconds", [pytest.param(0, id="ended"), pytest.param(60, id="running")])
@pytest.mark.parametrize("created", [V1, V2])
def test_of_two_jobs_of_the_same_ids_the_one_that_was_not_created_does_not_get_the_others_answers(
    cli: Cli, emulator: Running, seconds: float, created: str
) -> None:
    _one_of_two_was_created(cli, emulator, seconds, created, looks_first=V1 if created == V2 else V2)


def _one_of_two_was_created(cli: Cli, emulator: Running, seconds: float, created: str, *, looks_first: str) -> None:
    _scene(emulator, seconds)
    jobs = {V1: _of(range(3), "one"), V2: _of(range(3), "two")}
    for number, name in enumerate(jobs, 1):
        emulator.add_fault({**(LOST if name == created else NEVER_MADE), "nth": number})
    for name, lines in jobs.items():
        _in_doubt(cli, lines, name)
    _alternately(cli, emulator, sorted(jobs, key=lambda name: name != looks_first))
    _assert_nobody_has_the_others_answers(cli, emulator, jobs)


# ---------------------------------------------------------------- 6, 7. Other people's batches


@WHEN
@pytest.mark.parametrize("is_before", [True, False], ids=["before-ours", "after-ours"])
def test_somebody_elses_batch_is_not_taken_for_ours_when_none_was_created(
    cli: Cli, stranger: Cli, emulator: Running, seconds: float, *, is_before: bool
) -> None:
    _scene(emulator, seconds)
    theirs, lines = requests(3, "theirs"), requests(3)
    if is_before:
        stranger.submitted("theirs.jsonl", theirs)
    emulator.add_fault(NEVER_MADE)
    path = _in_doubt(cli, lines)
    if not is_before:
        stranger.submitted("theirs.jsonl", theirs)
    _finish(cli, emulator, path)
    assert len(emulator.batches()) == 2
    _assert_all_is_right(cli, emulator, path, lines)


@WHEN
@pytest.mark.parametrize("is_before", [True, False], ids=["before-ours", "after-ours"])
def test_ours_is_found_among_other_peoples_batches_of_its_size(
    cli: Cli, stranger: Cli, emulator: Running, seconds: float, *, is_before: bool
) -> None:
    _scene(emulator, seconds)
    theirs, lines = requests(3, "theirs"), requests(3)
    if is_before:
        stranger.submitted("theirs.jsonl", theirs)
    emulator.add_fault(LOST)
    path = _in_doubt(cli, lines)
    if not is_before:
        stranger.submitted("theirs.jsonl", theirs)
    _finish(cli, emulator, path)
    assert len(emulator.batches()) == 2
    _assert_all_is_right(cli, emulator, path, lines)


OVERLAPS = [
    pytest.param(3, [0, 7, 8], id="1-of-3"),
    pytest.param(3, [0, 1, 7], id="2-of-3"),
    pytest.param(30, [*range(29), 99], id="29-of-30"),
]


@WHEN
@pytest.mark.parametrize("is_before", [True, False], ids=["before-ours", "after-ours"])
@pytest.mark.parametrize(("count", "shared"), OVERLAPS)
def test_a_strangers_batch_with_some_of_our_ids_is_not_ours_and_ours_is_not_lost(
    cli: Cli,
    stranger: Cli,
    emulator: Running,
    count: int,
    shared: list[int],
    seconds: float,
    *,
    is_before: bool,
) -> None:
    _scene(emulator, seconds)
    theirs, lines = _of(shared, "theirs"), _of(range(count), "ours")
    if is_before:
        stranger.submitted("theirs.jsonl", theirs)
    emulator.add_fault(LOST)
    path = _in_doubt(cli, lines)
    if not is_before:
        stranger.submitted("theirs.jsonl", theirs)
    _finish(cli, emulator, path)
    assert len(emulator.batches()) == 2
    _assert_all_is_right(cli, emulator, path, lines)


@pytest.mark.parametrize(
    ("count", "shared", "seconds"),
    [
        pytest.param(3, [0, 7, 8], 0, id="1-of-3-ended"),
        pytest.param(3, [0, 7, 8], 60, id="1-of-3-running"),
        pytest.param(3, [0, 1, 7], 0, id="2-of-3-ended"),
        pytest.param(3, [0, 1, 7], 60, id="2-of-3-running"),
        pytest.param(30, [*range(29), 99], 60, id="29-of-30-running"),
    ],
)
def test_a_strangers_batch_with_some_of_our_ids_is_not_adopted_when_none_of_ours_was_created(
    cli: Cli, stranger: Cli, emulator: Running, count: int, shared: list[int], seconds: float
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault(NEVER_MADE)
    lines = _of(range(count), "ours")
    path = _in_doubt(cli, lines)
    stranger.submitted("theirs.jsonl", _of(shared, "theirs"))
    emulator.advance(2)
    ran: list[Ran] = []
    for _ in range(3):
        ran = [cli.run("submit", path)]
        emulator.advance(60)
        ran.append(cli.run("fetch"))
        assert not any("Traceback" in each.err for each in ran), ran
        _pause(0.12)
    counts = Counter(line for batch in sent_lines(emulator) for line in batch)
    assert max(counts[line] for line in lines) <= 1
    if counts[lines[0]]:
        _assert_all_is_right(cli, emulator, path, lines)
    else:
        # Ours for certain it is not, nor a stranger's: nobody guesses.
        assert [each.status for each in ran] == [7, 7], ran


# ---------------------------------------------------------------- 8. A list that lags


@WHEN
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_batch_that_the_list_leaves_out_for_some_looks_is_not_sent_again(
    cli: Cli, emulator: Running, looks: int, seconds: float
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault(LOST)
    # The first list is asked before anything is sent.
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": looks})
    lines = requests(5)
    path = cli.write("in.jsonl", lines)
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    assert emulator.faults()[1]["fired"] == looks
    _assert_all_is_right(cli, emulator, path, lines)


@WHEN
def test_looks_of_several_runs_do_not_make_a_lagging_list_believed_before_the_grace_is_over(
    cli: Cli, emulator: Running, seconds: float
) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "3"
    _scene(emulator, seconds)
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": 5})
    lines = requests(5)
    path = _in_doubt(cli, lines)
    for _ in range(6):
        _ledger(cli, "update batch set not_before = null")
        assert cli.run("submit", path, "--no-wait").status in {0, 6, 7, 8}
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 1
    _assert_all_is_right(cli, emulator, path, lines)


@WHEN
def test_two_doubts_of_which_the_list_shows_one_late_are_both_found(
    cli: Cli, emulator: Running, seconds: float
) -> None:
    _scene(emulator, seconds)
    emulator.add_fault({**LOST, "times": 2})
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": 2})
    lines = requests(4)
    path = _in_doubt(cli, lines, "in.jsonl", "--max-requests", "2", "--parallel", "2")
    _finish(cli, emulator, path)
    assert emulator.requests()[CREATE] == 2
    _assert_all_is_right(cli, emulator, path, lines)


# ---------------------------------------------------------------- 10. A retry while a round is not all sent


@pytest.mark.parametrize(
    "options",
    [
        ["--dry-run"],
        ["--edit"],
        ["--from", "edited.jsonl"],
        ["--from", "edited.jsonl", "--dry-run"],
        ["--only", "overloaded_error"],
        ["--include-invalid"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("is_doubt", [False, True], ids=["held", "in-doubt"])
def test_a_particular_retry_while_batches_are_still_to_send_sends_nothing_and_says_what_to_do(
    cli: Cli, emulator: Running, options: list[str], *, is_doubt: bool
) -> None:
    _scene(emulator, outcomes={"overloaded_error": 1.0})
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    if is_doubt:
        emulator.add_fault({**LOST, "nth": 1})
    lines = requests(4)
    cli.write("edited.jsonl", lines[:2])
    path = cli.write("in.jsonl", lines)
    with pytest.MonkeyPatch.context() as later:
        later.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=1))
        assert cli.run("submit", path, "--no-wait", "--max-requests", "2", "--parallel", "1").status == 8
    # The wait that the queue asked for is over.
    _ledger(cli, "update job set hold_until = null")
    _ledger(cli, "update batch set not_before = null")
    cli.run("fetch")
    creates, files = emulator.requests()[CREATE], {p.name for p in cli.folder.glob("*requests.jsonl")}
    ran = cli.run("retry", *options)
    assert ran.status in {6, 7}, ran.err
    assert "still has batches to send" in ran.err
    assert f"batchctl retry {_job(cli, path)}" in ran.err
    assert emulator.requests()[CREATE] == creates
    assert {p.name for p in cli.folder.glob("*requests.jsonl")} == files
    assert cli.run("retry").status == 0
    assert _is_each_sent_once(emulator, lines)
