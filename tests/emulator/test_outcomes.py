"""How requests turn out: by the scenario's shares, the same for the same seed, better when sent again."""

from collections import Counter

import pytest

from batchctl.emulator.answers import Author
from batchctl.emulator.outcomes import Dice, Fates, Memory
from batchctl.emulator.scenario import scenario_from
from batchctl.emulator.validation import Rules

BATCHES = "/v1/messages/batches"
OVERLOADED = {"outcomes": {"overloaded_error": 0.4}}


def _types(ask, batch):
    lines = ask.results(ask.create(batch).json()["id"])
    return {line["custom_id"]: line["result"]["type"] for line in lines}


def test_a_share_of_the_requests_turns_out_as_the_scenario_says(emulate, asking, batch_of):
    types = Counter(_types(asking(emulate({"outcomes": {"api_error": 0.2, "expired": 0.1}})), batch_of(1000)).values())
    assert 150 < types["errored"] < 250
    assert 60 < types["expired"] < 140


def test_results_are_the_same_bytes_every_time_and_in_every_run_of_a_seed(emulate, asking, batch_of):
    bodies = []
    for seed in (1, 1, 2):
        ask = asking(emulate(OVERLOADED, seed=seed))
        batch_id = ask.create(batch_of(50)).json()["id"]
        bodies += [ask("GET", f"{BATCHES}/{batch_id}/results").body for _ in range(2)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[4] != bodies[0]


def test_results_come_in_another_order_than_the_requests(ask, batch_of):
    found = [line["custom_id"] for line in ask.results(ask.create(batch_of(50)).json()["id"])]
    assert sorted(found) != found != [f"r-{number}" for number in range(50)]


def test_a_request_sent_again_succeeds_when_its_failure_was_transient(emulate, asking, batch_of):
    ask = asking(emulate(OVERLOADED))
    assert "errored" in _types(ask, batch_of(50)).values()
    assert set(_types(ask, batch_of(50)).values()) == {"succeeded"}


@pytest.mark.parametrize(("recover_after", "good_at"), [(3, 4), (0, None)])
def test_recovery_takes_as_many_sendings_as_the_scenario_says(emulate, asking, request_of, recover_after, good_at):
    ask = asking(emulate({"outcomes": {"api_error": 1.0, "recover_after": recover_after}}))
    types = [_types(ask, {"requests": [request_of()]})["r-0"] for _ in range(5)]
    assert types.index("succeeded") + 1 == good_at if good_at else set(types) == {"errored"}


def test_a_lasting_failure_stays_when_sent_again(emulate, asking, batch_of):
    ask = asking(emulate({"outcomes": {"invalid_request_error": 1.0}}))
    assert _types(ask, batch_of(3)) == _types(ask, batch_of(3)) == dict.fromkeys(("r-0", "r-1", "r-2"), "errored")


def test_a_refused_create_counts_as_no_sending(emulate, asking, batch_of):
    ask = asking(emulate({"outcomes": {"api_error": 1.0}, "limits": {"queue": 3}, "batch_seconds": 0}))
    assert ask.create(batch_of(4)).status == 429
    assert _types(ask, batch_of(1)) == {"r-0": "errored"}


def test_a_cut_answer_is_whole_when_sent_again_with_more_room(emulate, asking, request_of):
    ask = asking(emulate({"outcomes": {"max_tokens": 1.0}}))

    def stop(room):
        batch_id = ask.create({"requests": [request_of(max_tokens=room)]}).json()["id"]
        return ask.results(batch_id)[0]["result"]["message"]["stop_reason"]

    assert [stop(10), stop(10), stop(20)] == ["max_tokens", "max_tokens", "end_turn"]


def test_a_lack_of_credit_is_told_by_its_text_alone(emulate, asking):
    ask = asking(emulate({"outcomes": {"out_of_credit": 1.0}}))
    error = ask.results(ask.create().json()["id"])[0]["result"]["error"]["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("Your credit balance is too low")


def test_a_refusal_is_a_success_on_the_wire(emulate, asking):
    ask = asking(emulate({"outcomes": {"refusal": 1.0}}))
    result = ask.results(ask.create().json()["id"])[0]["result"]
    assert (result["type"], result["message"]["stop_reason"]) == ("succeeded", "refusal")
    assert result["message"]["stop_details"]["type"] == "refusal"


def test_a_type_never_heard_of_keeps_the_sum_of_the_counts(emulate, asking, batch_of):
    ask = asking(emulate({"outcomes": {"unknown_type": 1.0}}))
    batch_id = ask.create(batch_of(3)).json()["id"]
    assert sum(ask("GET", f"{BATCHES}/{batch_id}").json()["request_counts"].values()) == 3
    assert {line["result"]["type"] for line in ask.results(batch_id)} == {"postponed"}


def _usages(ask, batch):
    return [line["result"]["message"]["usage"] for line in ask.results(ask.create(batch).json()["id"])]


def test_the_first_line_writes_a_cached_prefix_and_later_ones_read_it(emulate, asking, batch_of):
    ask = asking(emulate({"cache": {"cold_hit_rate": 1.0}}))
    system = [{"type": "text", "text": "x" * 40_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    usages = _usages(ask, batch_of(5, system=system))
    assert sorted(usage["cache_creation_input_tokens"] for usage in usages) == [0, 0, 0, 0, 10_000]
    assert sum(usage["cache_read_input_tokens"] for usage in usages) == 40_000
    assert sum(usage["cache_creation"]["ephemeral_1h_input_tokens"] for usage in usages) == 10_000
    assert {usage["service_tier"] for usage in usages} == {"batch"}
    assert all(usage["cache_read_input_tokens"] for usage in _usages(ask, batch_of(2, system=system)))


SYSTEM = [{"type": "text", "text": "x" * 40_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


def _reads(usages):
    return [usage["cache_read_input_tokens"] > 0 for usage in usages]


def test_requests_of_one_batch_do_not_read_what_it_writes(ask, batch_of):
    assert _reads(_usages(ask, batch_of(4, system=SYSTEM))) == [False] * 4


def test_a_later_batch_reads_what_one_that_has_ended_wrote_for_an_hour_from_its_start(emulate, asking, batch_of):
    emulator = emulate({"batch_seconds": 60})
    ask = asking(emulator)

    def usages(created):
        emulator.advance(60)
        return [line["result"]["message"]["usage"] for line in ask.results(created.json()["id"])]

    first = ask.create(batch_of(1, system=SYSTEM))
    beside = ask.create(batch_of(1, system=SYSTEM))
    assert _reads(usages(first)) == _reads(usages(beside)) == [False]
    assert _reads(usages(ask.create(batch_of(2, system=SYSTEM)))) == [True, True]
    # A read lengthens its life; an hour later it is gone.
    emulator.advance(3500)
    assert _reads(usages(ask.create(batch_of(1, system=SYSTEM)))) == [True]
    emulator.advance(3600)
    assert _reads(usages(ask.create(batch_of(1, system=SYSTEM)))) == [False]


def test_a_messages_call_warms_no_batch(ask, batch_of):
    message = {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "?"}]}
    for _ in range(2):
        assert ask("POST", "/v1/messages", {**message, "system": SYSTEM}).status == 200
    assert _reads(_usages(ask, batch_of(1, system=SYSTEM))) == [False]


def test_thinking_and_effort_are_part_of_a_prefix(ask, batch_of):
    _usages(ask, batch_of(1, system=SYSTEM, model="claude-opus-4-6"))
    assert _reads(_usages(ask, batch_of(1, system=SYSTEM, model="claude-opus-4-6"))) == [True]
    for more in ({"output_config": {"effort": "low"}}, {"thinking": {"type": "adaptive"}}):
        assert _reads(_usages(ask, batch_of(1, system=SYSTEM, model="claude-opus-4-6", **more))) == [False]


def test_what_has_expired_is_forgotten():
    memory = Memory()

    def sent(at, *prefixes):
        fates = Fates(Dice(scenario_from({}).outcomes, 0), Author({}), Rules(), memory, {}, at)
        fates._new.cached = dict.fromkeys(prefixes, (at, at + 300))
        fates.keep(at + 60)

    sent(0.0, b"a", b"b")
    sent(200.0, b"b")
    assert memory.cached == {b"a": (60, 300), b"b": (60, 500)}
    sent(400.0, b"c")
    assert memory.cached == {b"b": (60, 500), b"c": (460, 700)}


def test_a_prefix_that_is_too_short_is_silently_not_cached(ask, batch_of):
    system = [{"type": "text", "text": "short", "cache_control": {"type": "ephemeral"}}]
    (usage, *_) = _usages(ask, batch_of(2, system=system))
    message = {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "?"}]}
    live = ask("POST", "/v1/messages", {**message, "system": system}).json()["usage"]
    for each in (usage, live):
        assert each["cache_creation_input_tokens"] == each["cache_read_input_tokens"] == 0


def test_answers_follow_the_scenario(emulate, asking, batch_of):
    def texts(answers, **params):
        ask = asking(emulate({"answers": answers}))
        lines = ask.results(ask.create(batch_of(20, **params)).json()["id"])
        return {line["result"]["message"]["content"][0]["text"] for line in lines}

    assert texts({"text": "Yes."}) == {"Yes."}
    assert texts({"choices": ["good", "bad"]}) == {"good", "bad"}
    assert "Say r-3." in texts({"echo": True})
    assert min(len(text.split()) for text in texts({"words": 50}, max_tokens=1000)) > 50


def test_text_that_is_not_ascii_comes_back_as_it_went(emulate, asking, request_of):
    ask = asking(emulate({"answers": {"echo": True}}))
    said = 'naïve 漢字 \u2028 "quoted" \\ 🎈'
    body = {"requests": [request_of(messages=[{"role": "user", "content": said}])]}
    (line,) = ask.results(ask.create(body).json()["id"])
    assert line["result"]["message"]["content"][0]["text"] == said


def test_results_may_be_compressed_or_carry_their_length(emulate, asking, batch_of):
    for wanted, header in (({"gzip": True}, "content-encoding"), ({"framing": "content-length"}, "content-length")):
        ask = asking(emulate({"results": wanted}))
        reply = ask("GET", f"{BATCHES}/{ask.create(batch_of(3)).json()['id']}/results", accept_encoding="gzip")
        assert reply.headers[header] in ("gzip", str(len(reply.body)))
        assert reply.headers["content-type"] == "application/x-jsonl"
