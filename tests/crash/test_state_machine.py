"""The ledger and the steps against a model of the API: whatever comes between, each request is paid for once and answered.

Commands run as in life, but one call at a time: between any two calls to the ledger and to the API another command may
come, time may pass, the network may go, the API may be late, or the command may be killed.
"""

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import a_job, a_round, cuts_of, request_line
from crash.far_end import ANSWER, CREATE, LIST, PIECE, RESULTS, SECOND, Api, End, Fate
from crash.stepping import Command, Scene
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batchctl.domain.model import Batch, Job, State
from batchctl.domain.states import may_follow
from batchctl.engine.merge import Output
from batchctl.engine.resend_rules import needs_person
from batchctl.engine.session import Session
from batchctl.ledger.ledger import SqlLedger
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.downloaded import is_on_disk
from batchctl.store.workspace import Workspace
from batchctl.verbs.cancel import cancel_job
from batchctl.verbs.fetch import fetch_job
from batchctl.verbs.resolve import unconfirmed_batches_of
from batchctl.verbs.run import run_job
from batchctl.verbs.status import watch
from batchctl.verbs.submit import send_rest

MAX_COMMANDS = 3
# A command that makes so many calls without waiting for anything spins.
SPINS_AFTER = 600
# The job is at its end after so many turns of commands that nobody disturbs, and so many new ones.
MAX_TURNS, MAX_STARTS = 400, 20
BATCH_SECONDS = 90 * SECOND
# Shorter than the grace: what the API hides for longer may be paid twice.
LONGEST_LAG = 45

# Jobs of one workspace: the name of each, its requests, and how many of them make a batch.
Jobs = tuple[tuple[str, int, int], ...]
JOBS: list[Jobs] = [
    (("a", 1, 1),),
    (("a", 4, 2),),
    (("a", 6, 2),),
    (("a", 5, 2),),
    (("a", 2, 2), ("b", 4, 2)),
    (("a", 3, 2), ("b", 3, 3)),
]
COUNTED: Counter[str] = Counter()


def _output(session: Session, job: Job) -> Output:
    folder = session.workspace.root.parent
    return Output(results=str(folder / f"{job.name}.results"), errors=folder / f"{job.name}.errors")


VERBS: dict[str, Callable[[Session, Job], object]] = {
    "submit": lambda session, job: send_rest(session, job, is_new=False, waits=True),
    "submit --no-wait": lambda session, job: send_rest(session, job, is_new=False, waits=False),
    "run": lambda session, job: run_job(session, job, _output(session, job), max_rounds=2, yes=False),
    "fetch": lambda session, job: fetch_job(session, job, _output(session, job)),
    "status --watch": watch,
    "resolve": unconfirmed_batches_of,
    "cancel": lambda session, job: cancel_job(session, job, _output(session, job), waits=True),
}
OFTEN = ["submit", "submit", "submit --no-wait", "run", "run", "fetch", "status --watch", "resolve"]
ANY = st.integers(0, 5)
# Doubts above all.
FATES = st.sampled_from([Fate.FINE, Fate.LOST, Fate.NEVER] * 2 + list(Fate))
HAPPENINGS = [
    "the list lags behind",
    "the list is up to date",
    "no batch is known by its id for seconds",
    "no batch is known by its id for minutes",
    "the network goes or comes",
    "our clock is put back",
    "our clock is put ahead",
    "downloads end too early",
    "Ctrl-C",
]
# How far a command goes: so many calls, or to before one of these.
CALLED: dict[int | str, tuple[str, ...]] = {
    "create": (CREATE,),
    "answer": (ANSWER,),
    "list": (LIST,),
    "results": (RESULTS, PIECE),
    "claim": ("claim", "claim_all", "claim_send"),
    "settle": (
        "record_adopted",
        "record_presumed_not_created",
        "record_wrong_adoption",
        "record_foreign_batch",
        "record_identified",
    ),
    "result of a create": ("record_created", "record_doubt", "record_not_created", "record_split"),
    "look": ("record_polled", "record_missing"),
    "download": ("record_fetched", "record_download_failed"),
    "merge": ("record_round", "record_merged"),
}
Stop = int | str
STOPS: st.SearchStrategy[Stop] = st.sampled_from([*map(str, CALLED), "create", "claim", 1, 2, 3])


class Machine(RuleBasedStateMachine):
    """Some jobs in a workspace, and everything that can happen to them."""

    base: Path

    def __init__(self) -> None:
        super().__init__()
        self._commands: list[Command] = []
        self._named: set[str] = set()
        self._ids: dict[tuple[int, str], tuple[str, ...]] = {}
        self._is_whole: set[tuple[int, str | None]] = set()

    @initialize(
        jobs=st.sampled_from(JOBS),
        fates=st.lists(FATES, max_size=12),
        lag=st.sampled_from([0, 10, LONGEST_LAG]),
        ahead=st.sampled_from([0, -600, 600]),
        verbs=st.lists(st.sampled_from(["submit", "run"]), max_size=2),
        may_cancel=st.sampled_from([False, False, True]),
    )
    def a_workspace(
        self, jobs: Jobs, fates: list[Fate], verbs: list[str], lag: int, ahead: int, *, may_cancel: bool
    ) -> None:
        COUNTED["examples"] += 1
        self._folder = Path(tempfile.mkdtemp(dir=self.base)) / "workspace"
        shutil.copytree(_template(self.base, jobs), self._folder)
        self._api = Api(fates=deque(fates), list_lag=lag * SECOND)
        self._scene = Scene(self._folder, self._api, ahead * SECOND)
        self._jobs = self._scene.ledger.jobs()
        self._may_cancel = may_cancel
        for verb in verbs:
            self._start(verb, self._jobs[0])

    # ---------------------------------------------------------------- commands

    @precondition(lambda self: len(self._commands) < MAX_COMMANDS)
    @rule(verb=st.sampled_from(OFTEN), which=ANY)
    def a_person_starts(self, verb: str, which: int) -> None:
        self._start(verb, self._jobs[which % len(self._jobs)])

    @precondition(lambda self: self._may_cancel and len(self._commands) < MAX_COMMANDS)
    @rule(which=ANY)
    def a_person_cancels(self, which: int) -> None:
        self._start("cancel", self._jobs[which % len(self._jobs)])

    def _start(self, verb: str, job: Job) -> Command:
        COUNTED["commands"] += 1
        self._commands.append(Command(self._scene, job, VERBS[verb]))
        return self._commands[-1]

    @precondition(lambda self: self._commands)
    @rule(which=ANY, stop=STOPS)
    def one_goes_on(self, which: int, stop: Stop) -> None:
        self._go_on(which, stop)

    @precondition(lambda self: self._commands)
    @rule(which=ANY, naps=st.integers(0, 6))
    def one_goes_on_as_far_as_it_can(self, which: int, naps: int) -> None:
        """And time passes while it waits, so many times, however long the others are held."""
        self._go_on(which, SPINS_AFTER, naps)

    @precondition(lambda self: len(self._commands) > 1)
    @rule(which=ANY, stop=STOPS, naps=st.integers(0, 6))
    def one_stands_still_while_another_goes_on(self, which: int, stop: Stop, naps: int) -> None:
        command = self._go_on(which, stop)
        others = [n for n, other in enumerate(self._commands) if other is not command]
        self._go_on(others[which % len(others)], SPINS_AFTER, naps)

    @precondition(lambda self: self._commands)
    @rule(which=ANY, stop=st.just(0) | STOPS)
    def one_goes_on_and_is_killed(self, which: int, stop: Stop) -> None:
        self._kill(self._go_on(which, stop))

    def _go_on(self, which: int, stop: Stop, naps: int = 1) -> Command:
        """For a number of calls, or to before the next of that name; less far where it is over or has to wait once more."""
        command = self._commands[which % len(self._commands)]
        made = 0
        while not (made == stop or (made and command.at in CALLED.get(stop, ()))):
            if not command.can_go_on:
                if command.wakes_at is None or not naps:
                    break
                naps -= 1
                self._api.now = max(self._api.now, command.wakes_at - self._scene.ahead)
            assert made < SPINS_AFTER, f"{command.at} again and again"
            command.go_on()
            made += 1
        COUNTED["calls"] += made
        self._clear_up()
        return command

    def _kill(self, command: Command) -> None:
        if not command.is_over:
            COUNTED["kills"] += 1
            command.die()
        self._clear_up()

    def _clear_up(self) -> None:
        self._commands = [c for c in self._commands if not c.is_over]

    # ---------------------------------------------------------------- the world

    @rule(seconds=st.sampled_from([1, 20, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self._api.now += seconds * SECOND

    @rule(what=st.sampled_from(HAPPENINGS), which=ANY)
    def something_happens(self, what: str, which: int) -> None:
        api, scene = self._api, self._scene
        match what:
            case "the list lags behind":
                api.list_lag, api.news_lag = LONGEST_LAG * SECOND, LONGEST_LAG * SECOND
            case "the list is up to date":
                api.list_lag = api.news_lag = timedelta()
            case "no batch is known by its id for seconds":
                api.blind_until = api.now + 5 * SECOND
            case "no batch is known by its id for minutes":
                api.blind_until = api.now + 400 * SECOND
            case "the network goes or comes":
                api.is_down = not api.is_down
            case "our clock is put back":
                scene.ahead -= 3600 * SECOND
            case "our clock is put ahead" if not api.is_behind:
                # Else a pause between two looks is over at once, and the list is not what it should be by then.
                scene.ahead += 3600 * SECOND
            case "downloads end too early":
                api.breaks = 2
            case "Ctrl-C" if self._commands:
                self._commands[which % len(self._commands)].interrupt()
            case _:
                pass

    @precondition(lambda self: self._api.running)
    @rule(which=ANY, how=st.sampled_from([End.WELL, End.MIXED]))
    def a_batch_ends(self, which: int, how: End) -> None:
        running = self._api.running
        self._api.end(running[which % len(running)], how)

    @rule(which=ANY, is_same_instant=st.booleans())
    def a_stranger_creates_one_of_the_same_size(self, which: int, *, is_same_instant: bool) -> None:
        rows, ours = self._rows(), self._api.ours
        at = ours[-1].created_at if is_same_instant and ours else self._api.now
        self._api.create_strangers(rows[which % len(rows)].count, at)

    # ---------------------------------------------------------------- what is always true

    def _rows(self) -> list[Batch]:
        return [b for job in self._jobs for b in self._scene.ledger.batches(job)]

    def _ids_of(self, row: Batch) -> tuple[str, ...]:
        key = row.id, row.cut.sha256
        if key not in self._ids:
            path = request_file(self._scene.workspace, self._scene.ledger.job_of(row), row.round)
            self._ids[key] = tuple(name.decode() for name in ids_of_range(path, row))
        return self._ids[key]

    @invariant()
    def all_promises_are_kept(self) -> None:
        COUNTED["steps"] += 1
        rows = self._rows()
        self._is_no_request_in_two_batches(rows)
        self._is_no_batch_of_ours_forgotten(rows)
        self._keeps_what_the_api_named(rows)
        self._is_what_is_fetched_as_the_api_gave_it(rows)

    def _is_no_request_in_two_batches(self, rows: list[Batch]) -> None:
        sent = Counter(name for held in self._api.ours for name in held.custom_ids)
        planned = Counter(name for row in rows for name in self._ids_of(row))
        assert sent <= planned, "paid twice"

    def _is_no_batch_of_ours_forgotten(self, rows: list[Batch]) -> None:
        bound = {row.message_batch_id for row in rows}
        for held in self._api.ours:
            mine = [row for row in rows if self._ids_of(row) == held.custom_ids]
            may_be = [row for row in mine if row.state is State.SUBMITTING or row.provisional]
            assert held.id in bound or may_be, f"{held.id} was created and is {[row.state.value for row in mine]}"

    def _keeps_what_the_api_named(self, rows: list[Batch]) -> None:
        certain = {r.message_batch_id for r in rows if r.message_batch_id and not r.provisional}
        assert certain >= self._named, "forgotten"
        self._named = certain
        wrong = {held.id for held in self._api.strangers} & certain
        assert not wrong, "a stranger's"

    def _follow_states_the_diagram(self) -> None:
        for job in self._jobs:
            states: dict[int, str] = {}
            for batch, _, before, after, _ in self._scene.ledger.moves(job):
                assert states.get(batch, "planned") == before
                assert may_follow(State(before), State(after))
                states[batch] = after
            now = {row.id: row.state.value for row in self._scene.ledger.batches(job)}
            assert {**dict.fromkeys(now, "planned"), **states} == now

    def _is_what_is_fetched_as_the_api_gave_it(self, rows: list[Batch]) -> None:
        for row in rows:
            key = row.id, row.results_sha256
            if row.state is not State.FETCHED or key in self._is_whole:
                continue
            job = self._scene.ledger.job_of(row)
            raw, index = self._scene.workspace.raw(job, row), self._scene.workspace.index(job, row)
            assert is_on_disk(raw, index, row)
            held = next(b for b in self._api.batches if b.id == row.message_batch_id)
            assert raw.read_bytes() == b"".join(held.lines)
            assert hashlib.sha256(raw.read_bytes()).hexdigest() == row.results_sha256
            assert self._ids_of(row) == held.custom_ids
            self._is_whole.add(key)

    # ---------------------------------------------------------------- the end

    def teardown(self) -> None:
        if not hasattr(self, "_scene"):
            return
        try:
            if sys.exc_info()[0] is None:
                self._finish()
                self._is_all_right()
        finally:
            for command in self._commands:
                if not command.is_over:
                    command.die()
            self._scene.ledger.close()
            shutil.rmtree(self._folder.parent)

    def _finish(self) -> None:
        """Nobody disturbs any more: the commands that run come to their end, and others finish what they leave."""
        self._api.calm()
        starts = 0
        for _ in range(MAX_TURNS):
            awake = [n for n, command in enumerate(self._commands) if command.can_go_on]
            if awake:
                self._go_on(awake[0], SPINS_AFTER, naps=0)
            elif self._commands:
                self._sleep()
            elif open_jobs := [job for job in self._jobs if self._is_open(job)]:
                starts += 1
                assert starts < MAX_STARTS, "never finished"
                job = open_jobs[starts % len(open_jobs)]
                self._decide(job)
                self._start("cancel" if self._is_canceled(job) else "run", job)
                self._api.now += SECOND
            else:
                return
            self._end_what_is_old()
        raise AssertionError("never finished")

    def _decide(self, job: Job) -> None:
        """As a person does who looks into the Console: what was never made is sent again, what is there is waited for."""
        for row in self._scene.ledger.batches(job):
            names = set(self._ids_of(row))
            is_there = any(set(held.custom_ids) == names for held in self._api.ours)
            if row.state is State.SUBMITTING and row.claim is None and needs_person(row) and not is_there:
                self._scene.ledger.record_presumed_not_created(row, "a person", self._scene.now, note="a person's word")

    def _sleep(self) -> None:
        """Until the first of them wakes."""
        wakes = [command.wakes_at for command in self._commands if command.wakes_at is not None]
        self._api.now = max(self._api.now, min(wakes) - self._scene.ahead)

    def _end_what_is_old(self) -> None:
        for held in self._api.running:
            if held.created_at + BATCH_SECONDS <= self._api.now:
                self._api.end(held, End.WELL)

    def _is_canceled(self, job: Job) -> bool:
        return self._scene.ledger.job(job.name).canceled_at is not None

    def _is_open(self, job: Job) -> bool:
        may_stay = {State.FETCHED, State.PLANNED} if self._is_canceled(job) else {State.FETCHED}
        return any(row.state not in may_stay for row in self._scene.ledger.batches(job))

    def _is_all_right(self) -> None:
        self.all_promises_are_kept()
        self._follow_states_the_diagram()
        rows = self._rows()
        assert [h.id for h in self._api.ours] == sorted(r.message_batch_id for r in rows if r.message_batch_id)
        # By its size and its time a stranger's may be taken for ours: who cancels then, cancels that one.
        guessed = {note for job in self._jobs for *_, note in self._scene.ledger.moves(job)}
        canceled = {held.id for held in self._api.strangers if held.canceled_at}
        assert canceled <= guessed, "a stranger's was canceled"
        for job in self._jobs:
            self._start("fetch", job)
            self._go_on(0, SPINS_AFTER, naps=6)
            assert not self._commands
            self._is_each_request_accounted_for(self._scene.ledger.job(job.name))

    def _is_each_request_accounted_for(self, job: Job) -> None:
        asked = [name for row in self._scene.ledger.batches(job) if row.round == 1 for name in self._ids_of(row)]
        answered = [of["custom_id"] for of in _objects(self._folder.parent / f"{job.name}.results")]
        failed = _objects(self._folder.parent / f"{job.name}.errors")
        unanswered = {f["custom_id"] for f in failed if f["outcome"] == "unanswered"}
        assert answered == [name for name in asked if name not in unanswered]
        assert not unanswered or job.canceled_at
        assert job.merged is not None
        assert job.merged.unanswered == len(unanswered)
        assert not job.duplicate_batches


def _objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _template(base: Path, jobs: Jobs) -> Path:
    """A workspace with these jobs, planned; made once."""
    folder = base / "-".join(f"{name}{count}by{each}" for name, count, each in jobs)
    if not folder.exists():
        workspace = Workspace(folder)
        workspace.make()
        with contextlib.closing(SqlLedger(workspace.ledger)) as ledger:
            for name, count, each in jobs:
                _plan(workspace, ledger, name, count, each)
    return folder


def _plan(workspace: Workspace, ledger: SqlLedger, name: str, count: int, each: int) -> None:
    path = workspace.requests(name, 1)
    lines = b"".join(request_line(f"{name}-{n}") + b"\n" for n in range(count))
    path.write_bytes(lines)
    first = a_round(count=count, request_file=workspace.stored_path(path), size=len(lines))
    ledger.record_job(a_job(name, rounds=[first], line_count=count), cuts_of(lines, each))


@pytest.fixture(autouse=True)
def _hurried() -> None:
    """Nothing needs to be: no time passes but the model's."""


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_comes_and_goes_meanwhile_does_not_shorten_the_wait_for_a_create(memory: Path, *, is_killed: bool) -> None:
    """An upload that took longer than the grace, and a list that lags behind its end: it is looked for, and found."""
    machine = _machine(memory)()
    machine.a_workspace((("a", 2, 2),), [Fate.LOST], ["submit"], LONGEST_LAG, 0, may_cancel=False)
    machine.one_goes_on(0, "create")
    machine.time_passes(400)
    if is_killed:
        machine.one_goes_on_and_is_killed(0, "answer")
        machine.a_person_starts("submit", 0)
    for _ in range(4):
        machine.a_stranger_creates_one_of_the_same_size(0, is_same_instant=False)
        machine.a_batch_ends(-1, End.WELL)
        machine.one_goes_on(0, "settle")
        machine.one_goes_on(0, 2)
        machine.all_promises_are_kept()
    machine.teardown()


def _machine(folder: Path) -> type[Machine]:
    return type("MachineHere", (Machine,), {"base": folder})


def _explored(folder: Path, examples: int, steps: int) -> None:
    COUNTED.clear()
    patience = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    how = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=patience)
    run_state_machine_as_test(_machine(folder), settings=how)
    print(", ".join(f"{count:,} {what}" for what, count in COUNTED.items()))


def test_whatever_comes_between_each_request_is_paid_for_once_and_answered(memory: Path) -> None:
    _explored(memory, 6, 30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_comes_between_each_request_is_paid_for_once_and_answered_many_times(memory: Path) -> None:
    _explored(memory, 150, 50)
