"""A batch from create to gone, by the virtual clock."""

import pytest

BATCHES = "/v1/messages/batches"
HOUR, DAY = 3600, 86400


@pytest.fixture
def slow(emulate):
    """Batches that take a virtual hour."""
    return emulate({"batch_seconds": HOUR, "cancel_seconds": 20})


def test_a_batch_ends_when_its_time_has_passed(slow, asking, batch_of):
    ask = asking(slow)
    batch_id = ask.create(batch_of(3)).json()["id"]
    before = ask("GET", f"{BATCHES}/{batch_id}")
    assert (before.json()["processing_status"], before.headers["retry-after"]) == ("in_progress", "10")
    refused = ask("GET", f"{BATCHES}/{batch_id}/results")
    assert (refused.status, refused.message) == (404, f"Message Batch {batch_id} has no available results.")
    slow.advance(HOUR)
    after = ask("GET", f"{BATCHES}/{batch_id}")
    assert (after.json()["processing_status"], after.headers["retry-after"]) == ("ended", None)
    assert after.json()["ended_at"] > after.json()["created_at"]


def test_a_faster_clock_lets_a_real_second_be_an_hour(emulate):
    emulator = emulate(speed=3600.0)
    began = emulator.now()
    emulator.advance(0)
    assert emulator.now() > began + 0.01


def test_batch_seconds_are_real_seconds_whatever_the_speed(emulate, asking):
    emulator = emulate({"batch_seconds": 5}, speed=1000.0)
    ask = asking(emulator)
    batch_id = ask.create().json()["id"]
    emulator.advance(3000)
    assert ask("GET", f"{BATCHES}/{batch_id}").json()["processing_status"] == "in_progress"
    emulator.advance(2001)
    assert ask("GET", f"{BATCHES}/{batch_id}").json()["processing_status"] == "ended"


def test_what_has_not_run_within_a_day_expires_and_the_rest_is_kept(emulate, asking, batch_of):
    emulator = emulate({"batch_seconds": 36 * HOUR})
    ask = asking(emulator)
    batch_id = ask.create(batch_of(9)).json()["id"]
    emulator.advance(DAY + 1)
    batch = ask("GET", f"{BATCHES}/{batch_id}").json()
    assert (batch["processing_status"], batch["ended_at"]) == ("ended", batch["expires_at"])
    assert batch["request_counts"] == {"processing": 0, "succeeded": 6, "errored": 0, "canceled": 0, "expired": 3}
    types = [line["result"]["type"] for line in ask.results(batch_id)]
    assert (types.count("succeeded"), types.count("expired")) == (6, 3)


def test_results_that_are_not_there_yet_are_not_to_be_asked_for_again_at_once(slow, asking):
    ask = asking(slow)
    reply = ask("GET", f"{BATCHES}/{ask.create().json()['id']}/results")
    assert (reply.status, reply.headers["x-should-retry"]) == (404, "false")


def test_after_29_days_the_batch_is_archived_and_its_results_are_gone(emulator, ask):
    batch_id = ask.create().json()["id"]
    emulator.advance(28 * DAY)
    assert ask("GET", f"{BATCHES}/{batch_id}/results").status == 200
    emulator.advance(DAY + 1)
    assert ask("GET", f"{BATCHES}/{batch_id}").json()["archived_at"] is not None
    assert ask("GET", f"{BATCHES}/{batch_id}/results").status == 404


def test_a_cancel_drains_then_ends_with_lines_as_far_as_time_allowed(slow, asking, batch_of):
    ask = asking(slow)
    batch_id = ask.create(batch_of(8)).json()["id"]
    slow.advance(HOUR / 2)
    canceling = ask("POST", f"{BATCHES}/{batch_id}/cancel").json()
    assert canceling["processing_status"] == "canceling"
    assert canceling["request_counts"]["processing"] == 8
    assert ask("POST", f"{BATCHES}/{batch_id}/cancel").json()["cancel_initiated_at"] == canceling["cancel_initiated_at"]
    assert ask("GET", f"{BATCHES}/{batch_id}/results").status == 404
    assert ask("DELETE", f"{BATCHES}/{batch_id}").status == 400
    slow.advance(20)
    counts = ask("GET", f"{BATCHES}/{batch_id}").json()["request_counts"]
    assert (counts["succeeded"], counts["canceled"], counts["processing"]) == (4, 4, 0)


@pytest.mark.parametrize("status", [200, 400])
def test_cancelling_an_ended_batch_answers_as_the_scenario_says(emulate, asking, status):
    ask = asking(emulate({"cancel_ended": status}))
    batch_id = ask.create().json()["id"]
    reply = ask("POST", f"{BATCHES}/{batch_id}/cancel")
    assert reply.status == status
    assert ask("GET", f"{BATCHES}/{batch_id}").json()["cancel_initiated_at"] is None


def test_an_unfinished_batch_cannot_be_deleted(slow, asking):
    ask = asking(slow)
    reply = ask("DELETE", f"{BATCHES}/{ask.create().json()['id']}")
    told = "In progress batches cannot be deleted. Consider canceling the batch instead."
    assert (reply.status, reply.message) == (400, told)


def test_a_deleted_batch_is_gone_from_everywhere_but_our_account(emulator, ask):
    batch_id = ask.create().json()["id"]
    assert ask("DELETE", f"{BATCHES}/{batch_id}").json() == {"id": batch_id, "type": "message_batch_deleted"}
    assert {ask("GET", f"{BATCHES}/{batch_id}{more}").status for more in ("", "/results")} == {404}
    assert ask("DELETE", f"{BATCHES}/{batch_id}").status == 404
    assert ask("GET", BATCHES).json() == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert emulator.batches()[0]["deleted"]


def test_counters_stay_in_processing_unless_the_scenario_wants_them_live(emulate, asking, batch_of):
    for live, expected in ((False, 10), (True, 5)):
        emulator = emulate({"batch_seconds": HOUR, "live_counters": live})
        ask = asking(emulator)
        batch_id = ask.create(batch_of(10)).json()["id"]
        emulator.advance(HOUR / 2)
        counts = ask("GET", f"{BATCHES}/{batch_id}").json()["request_counts"]
        assert (counts["processing"], sum(counts.values())) == (expected, 10)


def test_the_wait_header_follows_the_scenario(emulate, asking):
    for value, header in ((False, None), (3, "3")):
        ask = asking(emulate({"batch_seconds": 60, "retry_after": value}))
        assert ask("GET", f"{BATCHES}/{ask.create().json()['id']}").headers["retry-after"] == header


def test_batches_of_a_spread_end_apart(emulate, asking):
    emulator = emulate({"spread_seconds": 600})
    ask = asking(emulator)
    for _ in range(4):
        ask.create()
    emulator.advance(600)
    assert len({batch["ended_at"] for batch in ask("GET", BATCHES).json()["data"]}) == 4


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit: Input should be greater than or equal to 1"),
        ("limit=1001", "limit: Input should be less than or equal to 1000"),
        ("limit=x", "limit: Input should be a valid integer"),
        ("after_id=nope", "after_id: nope"),
        ("after_id=a&before_id=b", "Only one of"),
    ],
)
def test_a_list_query_that_makes_no_sense_is_refused(ask, query, told):
    reply = ask("GET", f"{BATCHES}?{query}")
    assert (reply.status, reply.message.startswith(told)) == (400, True)


def test_a_page_says_whether_more_lies_in_its_direction(ask):
    made = [ask.create().json()["id"] for _ in range(4)]
    first = ask("GET", f"{BATCHES}?limit=3").json()
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, made[3], made[1])
    rest = ask("GET", f"{BATCHES}?limit=3&after_id={made[1]}").json()
    assert (rest["has_more"], [batch["id"] for batch in rest["data"]]) == (False, [made[0]])
    newer = ask("GET", f"{BATCHES}?limit=3&before_id={made[0]}").json()
    assert (newer["has_more"], [batch["id"] for batch in newer["data"]]) == (False, [made[3], made[2], made[1]])
