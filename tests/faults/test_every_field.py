"""Whatever an answer of the API says in one field, or leaves out, nothing is paid for twice and no result is wrong.

Every field of every answer is dropped, emptied, made another type, made absurd, put in another order and said as a later
API may say it: in every answer of its kind, and in one of them only. After each, the far end is asked what it has.
"""

import contextlib
import json
import os
import time
import traceback
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cases import few
from faults.changes import ORDERS, Change, Part, changes_of_body, changes_of_headers
from faults.changing import EVERY_BATCH, LONGEST_PAGE, ChangingApi, When, changing
from faults.conftest import CHANGES
from faults.scenario import INPUT, LOST, Scenario, scenario
from program import KEY, Ran, request, requests, wrong_request

from batchctl.cli.exit_status import MEANINGS
from batchctl.clock import Clock

# Changes of one group that are tried where nobody asks for all.
MAX_OF_A_GROUP = 12
# Of one command, which takes less than one of either: of this process, and of the wall where it only waits.
MAX_CPU_SECONDS, MAX_SECONDS = 20.0, 150.0
# A job of three batches that has made so many goes on without an end, and the test has seen enough.
MAX_CREATES = 12
USAGE, INPUT_FAULTS, PERSON_DECIDES, SOME_FAILED = 2, 5, 7, 3
# What a command may end with, whatever the API answers.
ALLOWED = frozenset(MEANINGS) - {USAGE, INPUT_FAULTS, 130, 141}

RUN = ("run", INPUT, "--max-requests", "3", "--parallel", "1", "--timeout", "20m")
SUBMIT = ("submit", INPUT, "--max-requests", "3", "--parallel", "1", "--timeout", "20m")


# ---------------------------------------------------------------- the jobs


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A job, and the commands that are run while answers are changed.

    `before` runs undisturbed; `after` once the answers are as they should be. `ends`: what `after` ends with then.
    """

    name: str
    commands: Sequence[Sequence[str]] = (RUN,)
    before: Sequence[Sequence[str]] = ()
    after: Sequence[str] = RUN
    ends: frozenset[int] = frozenset({0})
    lines: Sequence[bytes] = field(default_factory=lambda: requests(6))
    scenario: Mapping[str, Any] = field(default_factory=dict)
    page_size: int = LONGEST_PAGE
    has_others: bool = False


ENDED_AT_ONCE: Mapping[str, Any] = {"batch_seconds": 0}
OUTCOMES: Mapping[str, Any] = {"overloaded_error": 0.3, "max_tokens": 0.2, "expired": 0.2}

CLEAN = Scene(name="run")
LOST_ANSWER = Scene(name="run-lost", scenario={"faults": [LOST]}, page_size=1, has_others=True)
LOST_AND_ENDED = Scene(
    name="run-lost-ended", scenario={**ENDED_AT_ONCE, "faults": [LOST]}, page_size=1, has_others=True
)
LOST_ONE_PAGE = Scene(name="run-lost-one-page", scenario={"faults": [LOST]}, has_others=True)
# More batches than are asked for one by one.
LISTED = Scene(
    name="run-listed",
    commands=[("run", INPUT, "--max-requests", "2", "--parallel", "1", "--timeout", "20m")],
    after=("run", INPUT, "--max-requests", "2", "--parallel", "1", "--timeout", "20m"),
    page_size=1,
    has_others=True,
)
MIXED = Scene(
    name="run-mixed",
    ends=frozenset({SOME_FAILED}),
    lines=[*requests(6), wrong_request("wrong")],
    scenario={"outcomes": OUTCOMES},
)
STEPS = Scene(name="steps", commands=[SUBMIT, ("status", "@last"), ("fetch", "--timeout", "20m")])
CANCEL = Scene(
    name="cancel",
    before=[SUBMIT],
    commands=[("cancel", "--yes", "--timeout", "20m")],
    after=("fetch", "--timeout", "20m"),
    ends=frozenset({0, SOME_FAILED}),
)
DELETE = Scene(
    name="delete",
    before=[RUN],
    commands=[("delete", "@last", "--yes")],
    after=("delete", "@last", "--yes"),
    ends=frozenset({0, 6}),
)
ESTIMATE = Scene(name="estimate", commands=[("estimate", INPUT)])


def _failing(on: str, fault: str, scene: Scene = CLEAN, **more: Any) -> Scene:
    """A job with calls that get an error: for ever; the changes are made to the error."""
    faults = [*scene.scenario.get("faults", ()), {"on": on, "fault": fault, "times": 0, **more}]
    status = "".join(f"-{more[name]}" for name in ("status", "error_code") if name in more)
    return Scene(
        name=f"{scene.name}-{on}-{fault}{status}",
        scenario={**scene.scenario, "faults": faults},
        commands=scene.commands,
        before=scene.before,
        after=scene.after,
        ends=scene.ends,
    )


# ---------------------------------------------------------------- the groups of changes


@dataclass(frozen=True)
class Group:
    """The changes of one kind of answer in one job; `of_fields` narrows them."""

    kind: str
    scene: Scene
    when: When
    part: Part = Part.BODY
    of_fields: Callable[[Change], bool] = lambda _: True

    def __str__(self) -> str:
        part = "" if self.part is Part.BODY else f"-{self.part.name.lower()}"
        return f"{self.kind.replace(' ', '-')}{part}-{self.scene.name}-{self.when.name.lower()}"

    def changes(self, clean: ChangingApi) -> list[Change]:
        """Of the answers that the job gets undisturbed."""
        kinds = {"create", "retrieve"} if self.kind == EVERY_BATCH else {self.kind}
        answers = [answer for answer in clean.answers if answer.kind in kinds]
        if self.part is Part.ORDER:
            return [Change(self.kind, (), operation, Part.ORDER) for operation in ORDERS]
        if self.part is Part.HEADERS:
            found = changes_of_headers(self.kind, [answer.headers for answer in answers])
        else:
            found = changes_of_body(self.kind, [shape for answer in answers for shape in answer.parsed()])
        return [change for change in found if self.of_fields(change)]


ALWAYS, FIRST, AFTER_CREATE = When.ALWAYS, When.FIRST, When.FIRST_AFTER_CREATE


# Of what the program hardly looks at, or looks at in the same way as elsewhere.
FEW = {"dropped", "null", "a number", "text", "a list", "huge", "very long", "a new word", "an unknown key"}


def _few(change: Change) -> bool:
    is_other_capability = "capabilities" in change.place[:-1] and "batch" not in change.place
    return change.operation.name in FEW and not is_other_capability


def _outside_of_messages(change: Change) -> bool:
    return "message" not in change.place[:-1]


def _few_in_messages(change: Change) -> bool:
    return _outside_of_messages(change) or _few(change)


def _of_errors(change: Change) -> bool:
    return "error" in change.place


def _of_page(change: Change) -> bool:
    return change.place[:1] != ("data",) or len(change.place) == 1


def _missing(change: Change) -> bool:
    return change.operation.name in {"dropped", "null"}


def _groups() -> Iterator[Group]:
    yield Group(EVERY_BATCH, LOST_ANSWER, ALWAYS)
    yield Group(EVERY_BATCH, LISTED, ALWAYS, of_fields=_few)
    yield Group("create", CLEAN, ALWAYS)
    yield Group("create", CLEAN, FIRST)
    yield Group("retrieve", CLEAN, ALWAYS)
    yield Group("retrieve", CLEAN, FIRST, of_fields=_few)
    yield Group("list", LOST_ANSWER, ALWAYS)
    yield Group("list", LOST_ANSWER, AFTER_CREATE)
    yield Group("list", LOST_ANSWER, FIRST, of_fields=_of_page)
    yield Group("list", LOST_AND_ENDED, ALWAYS, of_fields=_few)
    yield Group("list", LISTED, ALWAYS)
    for scene in (LOST_ANSWER, LOST_ONE_PAGE, LISTED):
        yield Group("list", scene, ALWAYS, Part.ORDER)
    yield Group("results", CLEAN, ALWAYS, of_fields=_few_in_messages)
    yield Group("results", CLEAN, FIRST, of_fields=_outside_of_messages)
    yield Group("results", MIXED, ALWAYS, of_fields=_of_errors)
    yield Group("results", LOST_ANSWER, ALWAYS, of_fields=_few_in_messages)
    yield Group("results", LOST_AND_ENDED, ALWAYS, of_fields=_few_in_messages)
    yield Group("results", LOST_AND_ENDED, FIRST, of_fields=_outside_of_messages)
    yield Group("cancel", CANCEL, ALWAYS, of_fields=_few)
    yield Group("delete", DELETE, ALWAYS)
    yield Group("model", CLEAN, ALWAYS, of_fields=_few)
    yield Group("models", CLEAN, ALWAYS, of_fields=_few)
    yield Group("count_tokens", ESTIMATE, ALWAYS)
    yield Group("count_tokens", LOST_ANSWER, ALWAYS)
    yield Group("count_tokens", LOST_AND_ENDED, ALWAYS)
    for kind in ("create", "retrieve"):
        yield Group(kind, STEPS, ALWAYS, of_fields=_missing)
    for kind in ("create", "retrieve", "list", "results"):
        yield Group(kind, LOST_ANSWER, ALWAYS, Part.HEADERS)
    yield Group("list", LOST_ANSWER, FIRST, Part.HEADERS)
    yield from _groups_of_errors()


def _groups_of_errors() -> Iterator[Group]:
    full = _failing("create", "status", status=429, retry_after=300)
    scenes = [
        ("create", full),
        ("create", _failing("create", "status", status=400)),
        ("create", _failing("create", "status", status=529)),
        ("create", _failing("create", "spend_limit_429")),
        ("create", _failing("create", "error_after_accept", status=500)),
        ("retrieve", _failing("retrieve", "not_found")),
        ("list", _failing("list", "status", LOST_ANSWER, status=529, nth=2)),
        ("results", _failing("results", "not_found")),
        ("cancel", _failing("cancel", "status", CANCEL, status=409)),
    ]
    for kind, scene in scenes:
        yield Group(f"{kind} error", scene, ALWAYS, of_fields=_few)
    yield Group("create error", full, ALWAYS, Part.HEADERS)


# ---------------------------------------------------------------- one change, tried


class Hung(BaseException):
    """A command that does not come to its end; not to be caught by what is tried."""


class Endless(Hung):
    """A command that creates one batch after the other."""


@dataclass
class Trial:
    """One change in one job, and what did not hold."""

    here: Scenario
    api: ChangingApi
    scene: Scene
    problems: list[str] = field(default_factory=list)
    change: Change | None = None
    struck: int = 0
    # What the commands ended with: while answers were changed, and once all was well again.
    first: int | None = None
    last: int | None = None

    def prepare(self) -> None:
        self.here.lines = list(self.scene.lines)
        if self.scene.has_others:
            self._somebody_else_sends(count=3)
            self._somebody_else_sends(count=1)
            self.here.leap(timedelta(hours=1))
        self.here.scene(self.scene.scenario)
        self.here.cli.write(INPUT, self.here.lines)
        for words in self.scene.before:
            ran = self.here.cli.run(*words)
            assert ran.status == 0, ran.err
            self.here.leap(timedelta(seconds=10))

    def _somebody_else_sends(self, count: int) -> None:
        """With the same key."""
        shapes = [json.loads(request(f"theirs-{count}-{n}")) for n in range(count)]
        headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"}
        url, body = f"{self.here.emulator.base_url}/v1/messages/batches", json.dumps({"requests": shapes}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
            assert response.status == 200

    def run(self, words: Sequence[str]) -> Ran | None:
        """None where the program itself failed."""
        try:
            with _watched(self.api):
                ran = self.here.cli.run(*words)
        except Endless:
            self.problems.append(f"`{words[0]}` creates batches without an end")
            return None
        except Hung:
            self.problems.append(f"`{words[0]}` hung: it does not come to an end")
            return None
        except Exception as error:  # noqa: BLE001 - what a person would see as a traceback
            self.problems.append(f"`{words[0]}`: a traceback: {_last_of(error)}")
            return None
        if "Traceback" in ran.err:
            self.problems.append(f"`{words[0]}`: a traceback: {ran.err.strip().splitlines()[-1]}")
        if ran.status not in ALLOWED:
            self.problems.append(f"`{words[0]}` ended with {ran.status}: {self._last_line(ran.err)}")
        return ran

    def go(self, usual: int | None = None) -> None:
        """The commands while answers are changed; then, where they did not come to the end, once more without.

        `usual`: what they end with where nothing is changed.
        """
        ran: Ran | None = None
        change = self.change = self.api.change
        for words in self.scene.commands:
            ran = self.run(words)
            self.hold_what_was_paid()
            if ran is not None and words[0] in {"run", "fetch"}:
                self.hold_what_came(ran.status)
            self.here.leap(timedelta(seconds=60))
        self.first = self.last = None if ran is None else ran.status
        self.struck = self.api.struck
        if change is not None and change.operation.is_lossless and self.first != usual:
            self.problems.append(f"ended with {self.first}, though the answers say the same as ever")
        if self.problems or self.first in self.ends():
            return
        self.api.begin(None, When.ALWAYS)
        self.here.scene({**self.scene.scenario, "faults": []})
        self.here.leap(timedelta(hours=1))
        again = self.run(self.scene.after)
        self.hold_what_was_paid()
        if again is None:
            return
        self.last = again.status
        self.hold_what_came(again.status)
        if again.status not in self.may_end_with():
            said = f"first with {self.first}, and with {again.status} once all is well again"
            self.problems.append(f"ended {said}: {self._last_line(again.err)}")

    def ends(self) -> set[int]:
        """The end of the job. A result that cannot be read is not paid for again: it stands as one without success."""
        change = self.change
        is_of_results = change is not None and change.kind == "results"
        return {0, *self.scene.ends, *({SOME_FAILED} if is_of_results else ())}

    def may_end_with(self) -> set[int]:
        """Once all is well again. A create whose outcome nobody knows may need a person."""
        return self.ends() | ({PERSON_DECIDES} if any(create.may_need_person for create in self.api.creates) else set())

    # ------------------------------------------------------------------ what must hold

    def hold_what_was_paid(self) -> None:
        """No request is in two batches, unless an earlier one ended without success for it."""
        shelf = self.api.state.shelf
        bought: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for batch in shelf.all.values():
            for line in () if batch.deleted else batch.result_lines(batch.ends_at):
                result = json.loads(line)
                bought[result["custom_id"]] += 1
                failed[result["custom_id"]] += result["result"]["type"] != "succeeded"
        twice = [name for name, count in bought.items() if count > 1 + failed[name]]
        unknown = Counter(create.body_sha256 for create in self.api.creates if create.is_unknown)
        if twice:
            most = max(bought.values())
            self._note(f"P1: requests are in up to {_a_few(most)} batches")
        elif max(unknown.values(), default=0) > 2:
            self._note(f"P1: one cut was created {_a_few(max(unknown.values()))} times without a clear answer")

    def hold_what_came(self, status: int) -> None:
        """One answer of the far end for each request, in input order, byte for byte."""
        if status not in {0, SOME_FAILED}:
            return
        paths = list(self.here.cli.folder.glob("*.results.jsonl"))
        if len(paths) != 1:
            self._note(f"P3: ended with {status}, and there are {len(paths)} files of results")
            return
        left = paths[0].read_bytes().split(b"\n")[:-1]
        asked = [json.loads(line)["custom_id"] for line in self.here.lines]
        missing = []
        failed = 0
        for custom_id in asked:
            if left and left[0] in self.api.lines.get(custom_id, ()):
                failed += not _is_success(left.pop(0))
            else:
                missing.append(custom_id)
        if left:
            self._note(f"P3: ended with {status}, and a line is not the API's answer to its request: {left[0][:80]!r}")
        elif status == 0 and missing:
            self._note(f"P3: ended with 0, and there is no answer to {len(missing)} requests")
        elif status == 0 and failed:
            self._note("P3: ended with 0, and not every request succeeded")
        elif missing and set(missing) != self._unanswered():
            self._note(f"P3: ended with {status}, and {', '.join(missing)} stand in neither file")

    def _unanswered(self) -> set[str]:
        (path,) = self.here.cli.folder.glob("*.errors.jsonl")
        errors = [json.loads(line) for line in path.read_bytes().splitlines()]
        return {error["custom_id"] for error in errors if error["outcome"] == "unanswered"}

    def _last_line(self, text: str) -> str:
        line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        return line.replace(str(self.here.cli.folder), "...")[:200]

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _a_few(number: int) -> str:
    return str(number) if number < 4 else "many"


def _is_success(line: bytes) -> bool:
    try:
        result = json.loads(line)["result"]["type"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return bool(result == "succeeded")


def _last_of(error: Exception) -> str:
    """The error, and where in the program it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if "/batchctl/" in frame.filename), frames[-1])
    return f"{type(error).__name__}: {str(error)[:40]} ({Path(frame.filename).name}:{frame.name})"


@contextlib.contextmanager
def _watched(api: ChangingApi) -> Iterator[None]:
    """Whoever reads the clock too long after the beginning is taken for hung."""
    cpu_until, until = time.process_time() + MAX_CPU_SECONDS, time.monotonic() + MAX_SECONDS
    now, monotonic = Clock.now, Clock.monotonic

    def in_time() -> None:
        if time.process_time() > cpu_until or time.monotonic() > until:
            raise Hung
        if sum(not create.is_refused for create in api.creates) > MAX_CREATES:
            raise Endless

    def watched_now(clock: Clock) -> Any:
        in_time()
        return now(clock)

    def watched_monotonic(clock: Clock) -> float:
        in_time()
        return monotonic(clock)

    with pytest.MonkeyPatch.context() as system:
        system.setattr(Clock, "now", watched_now)
        system.setattr(Clock, "monotonic", watched_monotonic)
        yield


@contextlib.contextmanager
def _trial(folder: Path, scene: Scene) -> Iterator[Trial]:
    with changing(scene.page_size) as api, scenario(folder) as here:
        trial = Trial(here, api, scene)
        trial.prepare()
        yield trial


def _undisturbed(folder: Path, scene: Scene) -> Trial:
    """The job where nothing is changed: it gets the answers that are changed later, and what must hold holds."""
    with _trial(folder, scene) as trial:
        trial.api.begin(None, When.ALWAYS)
        trial.go()
        return trial


# ---------------------------------------------------------------- all changes of a group


@dataclass(frozen=True)
class Account:
    """What came of the changes of a group. `left_open`: after so many a person must decide, once all is well again."""

    group: Group
    tried: int
    left_open: int
    failed: Mapping[str, Sequence[str]]

    @property
    def counts(self) -> dict[str, Any]:
        return {"kind": self.group.kind, "tried": self.tried, "left open": self.left_open}

    def __str__(self) -> str:
        group = self.group
        told = [f"{problem}\n{_listed(names)}" for problem, names in sorted(self.failed.items())]
        return "\n".join(["", f"{group.kind}, {group.when.value}, in the job {group.scene.name}:", *told])


def _chosen(changes: Sequence[Change]) -> Sequence[Change]:
    """Some of them, spread over all; all with EVERY_CHANGE in the environment: some 25 minutes of CPU time."""
    step = 1 if os.environ.get("EVERY_CHANGE") else -(-len(changes) // MAX_OF_A_GROUP)
    return changes[::step]


def _tried(folder: Path, group: Group) -> Account:
    (folder / "undisturbed").mkdir()
    undisturbed = _undisturbed(folder / "undisturbed", group.scene)
    changes = group.changes(undisturbed.api)
    assert changes, f"no answer of kind {group.kind!r} in {group.scene.name}"
    tried = decided = 0
    failed: dict[str, list[str]] = defaultdict(list)
    for problem in undisturbed.problems:
        failed[problem].append("nothing: as it is")
    for number, change in enumerate(_chosen(changes)):
        (folder / str(number)).mkdir()
        with _trial(folder / str(number), group.scene) as trial:
            trial.api.begin(change, group.when)
            trial.go(undisturbed.first)
            tried += bool(trial.struck)
            decided += trial.last == PERSON_DECIDES
        for problem in trial.problems:
            failed[problem].append(str(change))
    return Account(group, tried, decided, failed)


def _listed(names: Iterable[str]) -> str:
    """By place, with its operations in a line."""
    operations: dict[str, list[str]] = defaultdict(list)
    for name in names:
        place, _, operation = name.rpartition(": ")
        operations[place].append(operation)
    return "\n".join(f"    {place}: {', '.join(which)}" for place, which in operations.items())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", list(_groups()), ids=str)
def test_no_field_of_an_answer_makes_it_pay_twice_or_bring_home_a_wrong_result(
    memory: Path, group: Group, record_property: Callable[[str, object], None]
) -> None:
    account = _tried(memory, group)
    record_property(CHANGES, account.counts)
    assert not account.failed, str(account)


def _is_cheap(change: Change) -> bool:
    return len(change.place) == 1 and change.operation.name in {"dropped", "null", "epoch seconds"}


@pytest.mark.parametrize(
    "group",
    few([Group(kind, LOST_ANSWER, ALWAYS, of_fields=_is_cheap) for kind in (EVERY_BATCH, "list")]),
    ids=str,
)
def test_a_field_that_is_missing_or_a_number_makes_nothing_paid_twice(
    memory: Path, group: Group, record_property: Callable[[str, object], None]
) -> None:
    account = _tried(memory, group)
    record_property(CHANGES, account.counts)
    assert not account.failed, str(account)
