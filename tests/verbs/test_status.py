import json
from dataclasses import replace

import pytest
from program import Person, requests

from batchctl.api.client import Page, Transport
from batchctl.emulator.running import Running


def test_without_a_job_all_jobs_stand_in_a_table(person: Person) -> None:
    first = person.submitted("one.jsonl", requests(3))
    second = person.submitted("two.jsonl", requests(4))
    ran = person.run("status")
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["job", first, second]


def test_a_job_is_found_by_name_prefix_last_and_batch_id(person: Person, emulator: Running) -> None:
    first = person.submitted("one.jsonl", requests(3))
    second = person.submitted("two.jsonl", requests(4))
    for word, job in ((first, first), ("on", first), ("@last", second), (emulator.batches()[0]["id"], first)):
        assert person.run("status", word, "--json").json["job"] == job


def test_an_unknown_or_ambiguous_name_is_usage(person: Person) -> None:
    person.submitted("one.jsonl", requests(3))
    person.submitted("one-more.jsonl", requests(4))
    assert person.run("status", "three").status == 2
    ran = person.run("status", "one")
    assert ran.status == 2
    assert "one-more" in ran.err


def test_without_a_workspace_it_says_how_to_get_one(person: Person) -> None:
    ran = person.run("status")
    assert ran.status == 2
    assert "batchctl submit" in ran.err


@pytest.mark.slow
def test_one_list_page_answers_for_many_batches(person: Person, emulator: Running) -> None:
    person.submitted("in.jsonl", requests(30), "--max-requests", "2")
    before = emulator.requests()
    assert person.run("status", "@last").status == 0
    after = emulator.requests()
    assert after["GET /v1/messages/batches"] == before.get("GET /v1/messages/batches", 0) + 1
    assert "GET /v1/messages/batches/{id}" not in after


def test_offline_asks_nobody(person: Person, emulator: Running) -> None:
    person.submitted("in.jsonl", requests(3))
    before = emulator.requests()
    ran = person.run("status", "@last", "--offline")
    assert "in progress" in ran.out
    assert emulator.requests() == before


def test_counts_of_a_running_batch_are_said_to_come_at_its_end(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    person.submitted("in.jsonl", requests(3))
    out = person.run("status", "@last").out
    assert "only once all of it has ended" in out
    assert "expires in 23 h 59 m" in out


def test_watch_ends_when_the_last_batch_has(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3, "spread_seconds": 0.5})
    person.submitted("in.jsonl", requests(6), "--max-requests", "2")
    ran = person.run("status", "--watch", "--poll", "200ms")
    assert ran.status == 0
    assert "3 of 3 batches ended" in ran.err
    assert "next: batchctl fetch" in ran.out


def test_watch_with_json_is_a_line_per_look(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3})
    person.submitted("in.jsonl", requests(2))
    ran = person.run("status", "--watch", "--poll", "200ms", "--json")
    shapes = [json.loads(line) for line in ran.out.splitlines()]
    assert {s["type"] for s in shapes} == {"status", "job"}
    assert shapes[-1]["batches"]["ended"] == 1


def test_a_failed_look_is_weather_not_a_state(person: Person, emulator: Running) -> None:
    person.submitted("in.jsonl", requests(6), "--max-requests", "2")
    emulator.add_fault({"on": "list", "fault": "status", "status": 529, "type": "overloaded_error", "message": "busy"})
    ran = person.run("status", "--watch", "--poll", "200ms")
    assert ran.status == 0, ran.err
    assert "3 of 3 ended" in ran.out


@pytest.mark.parametrize(("step", "status"), [("sent", 8), ("fetched", 3), ("retried", 0)])
def test_exit_status_tells_the_state_of_the_job(person: Person, emulator: Running, step: str, status: int) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    person.submitted("in.jsonl", requests(20))
    if step != "sent":
        person.run("fetch")
    if step == "retried":
        person.run("retry")
        person.run("fetch")
    assert person.run("status", "--exit-status").status == status
    assert person.run("status").status == 0


def test_the_two_clocks_warn_as_they_near(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600, "clock": {"skew_seconds": -22 * 3600}})
    person.submitted("in.jsonl", requests(2))
    assert "expire within 4 h" in person.run("status", "@last").out


def test_every_batch_has_a_row_when_asked(person: Person, emulator: Running) -> None:
    person.submitted("in.jsonl", requests(6), "--max-requests", "2")
    for options in (["--batches"], ["-o", "wide"]):
        out = person.run("status", "@last", *options).out
        assert all(b["id"] in out for b in emulator.batches())
    assert len(person.run("status", "@last", "--batches", "--json").json["message_batches"]) == 3


def test_a_list_without_an_end_is_read_no_longer_than_a_person_allows(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    person.submitted("in.jsonl", requests(6), "--max-requests", "2")
    real, asked = Transport.page, []

    def page(self: Transport, after: str = "", limit: int = 1000) -> Page:
        asked.append(after)
        assert len(asked) < 1000
        return replace(real(self, limit=limit), batches=(), after="msgbatch_again")

    monkeypatch.setattr(Transport, "page", page)
    ran = person.run("status", "@last", "--watch", "--timeout", "300ms")
    assert ran.status == 8
