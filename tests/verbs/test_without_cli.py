"""The verbs as a program calls them: a session, a verb, and somebody who answers its questions."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from program import KEY, Cli, requests

from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import Refused
from batchctl.domain.events import CountRefused, Event
from batchctl.domain.job_report import Stage
from batchctl.domain.model import Settings
from batchctl.emulator.running import Running
from batchctl.verbs.check_input import Submission
from batchctl.verbs.confirmation import Question
from batchctl.verbs.fetch import fetch
from batchctl.verbs.open_session import open_session
from batchctl.verbs.outputs import OutputOptions
from batchctl.verbs.session_options import SessionOptions
from batchctl.verbs.submit import submit


@dataclass
class Answering:
    """Answers every question alike, and keeps it."""

    says_yes: bool
    is_interactive: bool = False
    asked: list[Question] = field(default_factory=list)

    def __call__(self, question: Question) -> None:
        self.asked.append(question)
        if not self.says_yes:
            raise Refused("no")

    def note(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def options(emulator: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionOptions:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    return SessionOptions(workspace=tmp_path / ".batchctl", base_url=emulator.base_url, makes_workspace=True)


def test_a_job_is_sent_and_fetched_without_the_command_line(cli: Cli, options: SessionOptions) -> None:
    wanted = Submission(path=str(cli.write("in.jsonl", requests(3))), settings=Settings())
    confirm = Answering(says_yes=True)
    with open_session(options, Clock(), lambda _: None, StopSignal()) as session:
        job = submit(session, wanted, None, confirm).job
        fetched = fetch(session, job.name, OutputOptions())
    assert [question.text.startswith("send 3 requests for $") for question in confirm.asked] == [True]
    assert (fetched.report.stage, fetched.problem) == (Stage.DONE, None)
    assert len(cli.results(job.name)) == 3


def test_a_person_is_asked_about_a_request_that_the_api_refuses(
    cli: Cli, emulator: Running, options: SessionOptions
) -> None:
    emulator.set_scenario({"refuse": [{"path": "messages.0.content", "contains": "What is 2 ", "message": "no"}]})
    wanted = Submission(path=str(cli.write("in.jsonl", requests(3))), settings=Settings())
    confirm, events = Answering(says_yes=False, is_interactive=True), list[Event]()
    with open_session(options, Clock(), events.append, StopSignal()) as session, pytest.raises(Refused):
        submit(session, wanted, None, confirm)
    (question,) = confirm.asked
    assert question.text.startswith("send 3 requests (the API refuses 1 of them) for $")
    (refused,) = (event for event in events if isinstance(event, CountRefused))
    assert [(kind.first.line, kind.lines) for kind in refused.problem_kinds] == [(3, 1)]


def test_what_nobody_agrees_to_is_not_sent(cli: Cli, emulator: Running, options: SessionOptions) -> None:
    wanted = Submission(path=str(cli.write("in.jsonl", requests(3))), settings=Settings())
    with open_session(options, Clock(), lambda _: None, StopSignal()) as session:
        with pytest.raises(Refused):
            submit(session, wanted, None, Answering(says_yes=False))
        assert session.ledger.jobs() == []
    assert emulator.batches() == []
